"""What several commands have in common."""

import json
import os
import re
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streamkit.types import AudioSource, SourceInfo, VideoSource

if TYPE_CHECKING:
    from streamkit.settings import Settings

_EXPIRY = re.compile(r"([1-9]\d{0,8})([smhd])", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_LONGEST = 366 * 86_400  # seconds
_SOURCE = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})@([1-9]\d{0,6}/[1-9]\d{0,6}|[1-9]\d{0,2}(?:\.\d{1,3})?)", re.ASCII)

config_option = click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    help="YAML file. Default: the one that STREAMKIT_CONFIG names, else config/streamkit.yaml, else built-in defaults.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, whose shape docs/cli.md describes.")


def print_json(value: Any) -> None:
    """Print a value as JSON for programs."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def iso_time(at: float) -> str:
    """Return a Unix time as the commands write it: 2026-11-22T15:36:00Z."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_size(text: str) -> SourceInfo | None:
    """Return a publisher of H.264 in the size that WIDTHxHEIGHT@FPS says and AAC stereo; None for other text."""
    match = _SOURCE.fullmatch(text)
    if not match:
        return None
    video = VideoSource(codec="h264", width=int(match[1]), height=int(match[2]), fps=Fraction(match[3]))
    return SourceInfo(video=video, audio=AudioSource(codec="aac", sample_rate=48_000, channels=2))


def parse_source(_context: click.Context, _parameter: click.Parameter, text: str) -> SourceInfo:
    """Return the source that the option's text describes."""
    source = parse_size(text)
    if source is None:
        raise click.BadParameter("write it as WIDTHxHEIGHT@FPS, for example 1920x1080@30 or 1280x720@30000/1001")
    return source


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
