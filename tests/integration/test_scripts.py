"""The scripts behind make: they say in one sentence what is wrong, and never hide a failure."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

import pytest
from servers import tools

pytestmark = pytest.mark.integration

SCRIPTS = Path(__file__).parents[2] / "scripts"


def run(argv: Sequence[str | Path], **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **environment}
    return subprocess.run(argv, env=env, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def without_tools(tmp_path: Path) -> str:
    """A PATH with a shell's everyday commands and neither apt-get nor npm."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("env", "id", "ls", "sh"):
        (folder / name).symlink_to(next(path for path in (Path("/usr/bin", name), Path("/bin", name)) if path.exists()))
    return str(folder)


@pytest.fixture
def fetch_hlsjs() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("fetch_hlsjs", SCRIPTS / "fetch_hlsjs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_python_that_is_too_old_is_refused_in_one_sentence(tmp_path: Path) -> None:
    old = tmp_path / "python"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2 || exit 1\n')
    old.chmod(0o755)
    done = run([SCRIPTS / "make-venv", tmp_path / "venv"], PYTHON=str(old))
    assert done.returncode == 1
    assert "needs Python 3.11 or newer" in done.stderr
    assert "Python 3.9.2" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_a_python_without_venv_is_refused_with_the_remedy(tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\ncase "$*" in *ensurepip*) exit 1;; *) exec {sys.executable} "$@";; esac\n')
    bare.chmod(0o755)
    done = run([SCRIPTS / "make-venv", tmp_path / "venv"], PYTHON=str(bare))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "apt-get install python3-venv" in done.stderr


def test_an_environment_that_works_is_kept(tmp_path: Path) -> None:
    make_venv = [SCRIPTS / "make-venv", tmp_path / "venv"]
    assert run(make_venv, PYTHON=sys.executable).returncode == 0
    (tmp_path / "venv/kept").touch()
    assert run(make_venv, PYTHON=sys.executable).returncode == 0
    assert (tmp_path / "venv/kept").exists()


@pytest.mark.parametrize(("ci", "code"), [("true", 1), ("", 0)], ids=["CI", "laptop"])
def test_missing_tools_fail_only_in_ci_and_are_named(without_tools: str, ci: str, code: int) -> None:
    done = run([SCRIPTS / "install-test-tools"], PATH=without_tools, CI=ci)
    assert done.returncode == code
    assert "STILL MISSING" in done.stderr
    assert "ffmpeg chromium" in done.stderr


def test_a_missing_tool_fails_a_test_in_ci_and_skips_it_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(tools.TOOLS, "FFmpeg", lambda: None)
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="FFmpeg is not installed"):
        tools.require("FFmpeg")
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="FFmpeg is not installed"):
        tools.require("FFmpeg")


def test_a_package_that_is_not_the_reviewed_one_is_refused(fetch_hlsjs: ModuleType) -> None:
    with pytest.raises(fetch_hlsjs.FetchError, match="not the reviewed one"):
        fetch_hlsjs.unpack(b"something else")


def test_without_hlsjs_setup_goes_on_and_says_what_follows(without_tools: str, tmp_path: Path) -> None:
    offline = {"PATH": without_tools, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": ""}
    done = run([sys.executable, SCRIPTS / "fetch_hlsjs.py", tmp_path / "vendor/hls.min.js"], **offline)
    assert done.returncode == 1
    assert "needs a browser with HLS of its own" in done.stderr
    assert not (tmp_path / "vendor").exists()


@pytest.mark.parametrize("code", [0, 3])
def test_a_command_that_leaves_nothing_keeps_its_exit_code(code: int) -> None:
    assert run([sys.executable, SCRIPTS / "without_leftovers.py", "sh", "-c", f"exit {code}"]).returncode == code


def test_a_command_that_leaves_a_process_fails_and_the_process_is_ended() -> None:
    script = "setsid sleep 61 >/dev/null 2>&1 & exit 0"
    done = run([sys.executable, SCRIPTS / "without_leftovers.py", "sh", "-c", script])
    assert done.returncode == 1
    assert "sleep 61" in done.stderr
