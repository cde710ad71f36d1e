# Everything a person types. Needs make and Python 3.11+; only `make test` installs more, and says what.

PYTHON ?=
PUBLISH ?= 1
WORKERS ?= 3
SECONDS ?= 3600
SEED ?= 1
HLSJS := streamkit/web/static/vendor/hls.min.js
SOURCES := streamkit actors migrations tests benchmarks
LOCK := pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-annotate --custom-compile-command 'make lock'

.PHONY: help setup setup-dev run test soak lint format bench lock audit clean
.DEFAULT_GOAL := help

help:  ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r target text; do \
		printf '  make %-10s %s\n' "$$target" "$$text"; done

setup: .venv/.installed $(HLSJS)  ## make .venv with the streamkit command in it

run: setup  ## start StreamKit with everything embedded, and publish a test pattern (PUBLISH=0: wait for OBS instead)
	@exec .venv/bin/streamkit serve --embedded $(if $(filter 0,$(PUBLISH)),--no-demo,--demo)

test: setup-dev  ## install what the tests need, start real servers, run every test, stop the servers
	scripts/install-test-tools
	.venv/bin/pytest -n $(WORKERS) $(ARGS)

soak: setup-dev  ## let streams come and go while everything breaks at random: SECONDS=3600 SEED=1
	scripts/install-test-tools
	SOAK_SECONDS=$(SECONDS) SOAK_SEED=$(SEED) .venv/bin/pytest -s tests/chaos/test_soak.py $(ARGS)

lint: setup-dev  ## style and types
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

format: setup-dev  ## write the style that lint asks for
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

bench: setup-dev  ## measure against baselines in the same run
	scripts/install-test-tools
	.venv/bin/python -m benchmarks $(ARGS)

lock: setup  ## choose the versions that the container image installs again, each with its hashes
	.venv/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.8,<1'
	.venv/bin/uv $(LOCK) --output-file requirements.lock pyproject.toml
	echo 'hatchling>=1.25,<2' | .venv/bin/uv $(LOCK) --output-file requirements-build.lock -

audit: setup  ## ask the registry whether a locked version has a known vulnerability
	.venv/bin/python -m pip install --quiet --disable-pip-version-check 'pip-audit>=2.7,<3'
	.venv/bin/pip-audit --disable-pip --requirement requirements.lock

clean:  ## remove what setup, run and test made; recordings in .streamkit included
	rm -rf .venv .streamkit .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist $(dir $(HLSJS))
	find streamkit actors migrations tests benchmarks -name __pycache__ -prune -exec rm -rf {} +

setup-dev: setup .venv/.installed-dev

.venv/.installed: pyproject.toml scripts/make-venv
	@PYTHON="$(PYTHON)" scripts/make-venv .venv
	@echo "Installing StreamKit into .venv (about a minute the first time) ..."
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

.venv/.installed-dev: .venv/.installed
	@echo "Installing the test tools into .venv ..."
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

# Best effort: without it the player page still plays where the browser can play HLS by itself.
$(HLSJS): scripts/fetch_hlsjs.py | .venv/.installed
	@.venv/bin/python scripts/fetch_hlsjs.py $@ || true
