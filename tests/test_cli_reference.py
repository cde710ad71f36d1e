"""docs/cli.md names every command with every option, and no other; and shells complete them."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from streamkit.cli import cli

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/cli.md").read_text()


def commands(group: click.Group = cli, path: str = "streamkit") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


COMMANDS = dict(commands())


def section(command: str) -> str:
    found = re.search(rf"^## {command}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"docs/cli.md has no section {command}"
    return found[1]


def shape(command: str) -> Any:
    """Return the example of what a command prints with --json."""
    found = re.search(r"^```json\n(.*?)^```$", section(command), re.MULTILINE | re.DOTALL)
    assert found, f"docs/cli.md shows no JSON of {command}"
    return json.loads(found[1])


def test_every_command_has_a_section_and_every_section_a_command() -> None:
    assert set(re.findall(r"^## (streamkit .+)$", PAGE, re.MULTILINE)) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_described(name: str) -> None:
    options = [p for p in COMMANDS[name].params if isinstance(p, click.Option)]
    real = {text for option in options for text in (*option.opts, *option.secondary_opts)}
    cells = [line.split("|")[1] for line in section(name).splitlines() if line.startswith("| `--")]
    assert {option for cell in cells for option in re.findall(r"`(--[a-z-]+)`", cell)} == real


@pytest.mark.parametrize("name", [name for name in COMMANDS if "`--json`" in section(name)])
def test_what_json_prints_is_shown(name: str) -> None:
    assert shape(name)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_the_help_says_what_it_does(name: str) -> None:
    assert COMMANDS[name].help
    assert [p.name for p in COMMANDS[name].params if isinstance(p, click.Option) and not p.help] == []


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("streamkit conf", {"config"}),
        ("streamkit config ", {"check", "show", "schema"}),
        ("streamkit config show --c", {"--changed", "--config"}),
    ],
)
def test_a_shell_completes_commands_and_options(words: str, completed: set[str]) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "streamkit"],
        env={
            "PYTHONPATH": str(ROOT),
            "_STREAMKIT_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(words.count(" ")),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert {line.partition(",")[2] for line in run.stdout.splitlines()} == completed


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_the_line_for_bash_makes_a_completion(tmp_path: Path) -> None:
    command = tmp_path / "streamkit"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m streamkit "$@"\n')
    command.chmod(0o755)
    line = next(line for line in PAGE.splitlines() if "bash_source" in line)
    run = subprocess.run(
        ["bash", "-c", f"{line}\ncomplete -p streamkit"],
        env={"PYTHONPATH": str(ROOT), "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "-F _streamkit_completion streamkit" in run.stdout
