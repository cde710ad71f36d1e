"""The locked dependencies: what pyproject.toml allows, complete, each with its hashes, and what the image installs."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
AGAIN = "run `make lock`"
IMAGE = {"sys_platform": "linux", "implementation_name": "cpython", "extra": ""}


def locked(name: str) -> dict[str, tuple[str, int]]:
    """Return version and number of hashes by canonical name."""
    text = (ROOT / name).read_text()
    blocks = re.split(r"\n(?=[A-Za-z0-9])", text.partition("make lock\n")[2])
    found = {}
    for block in blocks:
        requirement = Requirement(block.partition(" \\")[0])
        (pin,) = requirement.specifier
        assert pin.operator == "==", block
        found[canonicalize_name(requirement.name)] = (
            pin.version,
            len(re.findall(r"--hash=sha256:[0-9a-f]{64}", block)),
        )
    return found


RUNTIME, BUILD = locked("requirements.lock"), locked("requirements-build.lock")


@pytest.mark.parametrize("requirement", PROJECT["project"]["dependencies"])
def test_a_dependency_is_locked_within_its_range(requirement: str) -> None:
    wanted = Requirement(requirement)
    name = canonicalize_name(wanted.name)
    assert name in RUNTIME, AGAIN
    assert wanted.specifier.contains(RUNTIME[name][0]), f"{name} {RUNTIME[name][0]} is not {wanted.specifier}: {AGAIN}"


@pytest.mark.parametrize("requirement", PROJECT["build-system"]["requires"])
def test_what_builds_the_wheel_is_locked_within_its_range(requirement: str) -> None:
    wanted = Requirement(requirement)
    assert wanted.specifier.contains(BUILD[canonicalize_name(wanted.name)][0]), AGAIN
    assert requirement in (ROOT / "Makefile").read_text()


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-build.lock"])
def test_every_file_has_a_hash_and_no_registry_is_named(name: str) -> None:
    assert all(hashes >= 1 for _, hashes in locked(name).values())
    assert not re.search(r"https?://|--(extra-)?index-url|--find-links", (ROOT / name).read_text())


@pytest.mark.parametrize("name", RUNTIME)
def test_what_a_locked_package_needs_is_locked_too(name: str) -> None:
    """As far as the package is installed here, whose version may be another one."""
    try:
        needed = [Requirement(one) for one in requires(name) or []]
    except PackageNotFoundError:
        pytest.fail(f"{name} is locked and not needed here: {AGAIN}")
    for one in needed:
        if one.marker is None or one.marker.evaluate(IMAGE):
            assert canonicalize_name(one.name) in RUNTIME, f"{name} needs {one}: {AGAIN}"


def test_the_image_installs_nothing_without_a_hash() -> None:
    text = re.sub(r"\\\n\s*", " ", (ROOT / "Dockerfile").read_text())
    installs = re.findall(r"pip (?:install|wheel) [^&\n]*", text)
    assert len(installs) == 4
    ours = [one for one in installs if "--require-hashes" not in one]
    assert [one.split()[1] for one in ours] == ["wheel", "install"]
    assert all("--no-deps" in one for one in ours)
    assert "--no-build-isolation" in ours[0]
    assert "--no-index" in ours[1]
