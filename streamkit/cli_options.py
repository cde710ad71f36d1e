"""What several commands have in common."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from streamkit.settings import Settings

_EXPIRY = re.compile(r"([1-9]\d{0,8})([smhd])", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_LONGEST = 366 * 86_400  # seconds

config_option = click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    help="YAML file. Default: the one that STREAMKIT_CONFIG names, else config/streamkit.yaml, else built-in defaults.",
)


def parse_expiry(_context: click.Context, _parameter: click.Parameter, text: str | None) -> int | None:
    """Return how many seconds the text means."""
    if text is None:
        return None
    match = _EXPIRY.fullmatch(text)
    seconds = int(match[1]) * _UNITS[match[2]] if match else 0
    if not 1 <= seconds <= _LONGEST:
        raise click.BadParameter("write it as 90s, 30m, 12h or 7d; 366d is the longest")
    return seconds


def load(path: Path | None) -> "Settings":
    """Return the configuration, and log as it says from here on."""
    from streamkit.logs import configure_logging  # noqa: PLC0415 - see streamkit.cli
    from streamkit.settings_loader import load_settings  # noqa: PLC0415

    settings = load_settings(os.environ, path)
    configure_logging(settings.log)
    return settings
