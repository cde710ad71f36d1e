"""The command `streamkit`: reads arguments, calls what does the work, turns errors into a sentence and an exit code."""

# ruff: noqa: PLC0415 - what a command needs is imported by it, so that --help and --version answer at once

import os
import re
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import click

from streamkit import __version__
from streamkit.errors import ConfigError, InvalidStreamKeyError, StreamKitError
from streamkit.types import AudioSource, SourceInfo, VideoSource, parse_stream_key

if TYPE_CHECKING:
    from streamkit.settings import Settings

_SOURCE = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})@([1-9]\d{0,6}/[1-9]\d{0,6}|[1-9]\d{0,2}(?:\.\d{1,3})?)", re.ASCII)
_EXPIRY = re.compile(r"([1-9]\d{0,8})([smhd])", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_LONGEST_TOKEN = 366 * 86_400  # seconds
OK, WRONG_CONFIGURATION, NOT_AVAILABLE, RULES_BROKEN, INTERRUPTED = 0, 2, 3, 4, 130

_HELP = """StreamKit: live encoder from RTMP to adaptive HLS on S3.

\b
Examples:
  streamkit serve --embedded --demo   try it: no other server is needed
  streamkit config check              validate the configuration, show what it comes to
  streamkit ladder calibrate          measure which presets this machine can afford
  streamkit migrate                   create or update the tables in PostgreSQL
  streamkit serve                     production: PostgreSQL, S3 and an RTMP server
  streamkit check URL                 which rules of HLS a stream keeps, anybody's
  streamkit token KEY --expires 1h    a token with which a player gets the keys of an encrypted stream

The configuration is YAML (config/streamkit.yaml, or the file that STREAMKIT_CONFIG names) and environment variables
such as DB_HOST, RTMP_SERVER, MINIO_ENDPOINT and SERVER_PORT, which win over YAML.

\b
Exit codes:
  0         all went well
  1         an internal error ended the service: the log says which
  2         the configuration or the usage is wrong
  3         something that is needed is not there: database, FFmpeg, a free port
  4         a rule that `streamkit check` looked at is broken
  5         a second signal ended the service at once: the next start uploads what was left
  130       interrupted before it served; a stop by SIGINT or SIGTERM after that is 0
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; every expected error is a sentence on standard error."""
    try:
        result = cli.main(args=argv, prog_name="streamkit", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return WRONG_CONFIGURATION
    except click.Abort:
        return INTERRUPTED
    except InvalidStreamKeyError as error:
        click.echo(f"streamkit: {error}", err=True)
        return WRONG_CONFIGURATION
    except ConfigError as error:
        for problem in error.problems:
            click.echo(problem, err=True)
        return WRONG_CONFIGURATION
    except StreamKitError as error:
        click.echo(f"streamkit: {error}", err=True)
        return NOT_AVAILABLE
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        click.echo(f"streamkit: {error.strerror or error}{where}", err=True)
        return NOT_AVAILABLE
    return result if isinstance(result, int) else OK


def _parse_source(_context: click.Context, _parameter: click.Parameter, text: str) -> SourceInfo:
    """Return a publisher of H.264 in the given size and AAC stereo."""
    match = _SOURCE.fullmatch(text)
    if not match:
        raise click.BadParameter("write it as WIDTHxHEIGHT@FPS, for example 1920x1080@30 or 1280x720@30000/1001")
    video = VideoSource(codec="h264", width=int(match[1]), height=int(match[2]), fps=Fraction(match[3]))
    return SourceInfo(video=video, audio=AudioSource(codec="aac", sample_rate=48_000, channels=2))


@click.group(help=_HELP)
@click.version_option(__version__, prog_name="streamkit")
def cli() -> None:
    """Hold the commands together."""


_config_option = click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    help="YAML file. Default: the one that STREAMKIT_CONFIG names, else config/streamkit.yaml, else built-in defaults.",
)


@cli.command()
@click.option(
    "--embedded",
    is_flag=True,
    help="Need no other server: SQLite, a local folder as object store, and an RTMP server of its own.",
)
@click.option(
    "--demo/--no-demo",
    default=False,
    show_default=True,
    help="Publish a test pattern to itself and print where to watch it; needs --embedded.",
)
@click.option(
    "--drain",
    is_flag=True,
    help="Take no new streams, and end when those that the last service left open have ended. A running service does "
    "the same after SIGUSR2.",
)
@_config_option
def serve(*, embedded: bool, demo: bool, drain: bool, path: Path | None) -> int:
    """Run the encoder until SIGINT or SIGTERM, then stop every stream in order (sessions.on_stop says how).

    A second signal ends the service at once: the next start uploads what was left.

    \b
    Examples:
      streamkit serve --embedded --demo
      SERVER_PORT=9090 streamkit serve --embedded
      DB_HOST=db RTMP_SERVER=rtmp MINIO_ENDPOINT=minio:9000 streamkit serve
    """
    if demo and not embedded:
        raise click.UsageError("--demo needs --embedded: it publishes to the RTMP server that --embedded starts")
    settings = _load(path)
    from streamkit.service import serve as run

    return run(settings, embedded=embedded, demo=demo, drain=drain)


@cli.command()
@_config_option
def migrate(path: Path | None) -> None:
    """Create or update StreamKit's tables in PostgreSQL; safe to repeat, and at the same time on several machines.

    \b
    Example:
      DB_HOST=db DB_PASSWORD=... streamkit migrate
    """
    settings = _load(path)
    from streamkit.database.connection import database_url
    from streamkit.database.migrate import upgrade_to_head

    revision = upgrade_to_head(database_url(settings, embedded=False))
    click.echo(f"the database '{settings.database.name}' is at revision {revision}")


@cli.command("check")
@click.argument("url")
@click.option("--segments", default=3, show_default=True, type=click.IntRange(0, 1000), help="Fetched per rendition.")
@click.option(
    "--reload/--no-reload",
    default=True,
    show_default=True,
    help="Look at a live stream once more, after one and a half target durations.",
)
@click.option("--token", help="Sent with requests for keys, for a stream whose playlists do not carry it.")
def check_stream(*, url: str, segments: int, reload: bool, token: str | None) -> int:
    """Fetch the HLS stream at URL as a player does, and say which rules its playlists and media keep.

    Broken rules of RFC 8216 are WRONG; what Apple asks for beyond them is advice.

    \b
    Examples:
      streamkit check http://127.0.0.1:8080/hls/demo/playlist.m3u8
      streamkit check "http://127.0.0.1:8080/hls/paid/playlist.m3u8?token=$(streamkit token paid)"
    """
    from streamkit.playlist_check import StreamCheck, report

    text, is_right = report(StreamCheck(url, segments=segments, reload=reload, token=token).findings())
    click.echo(text)
    return OK if is_right else RULES_BROKEN


def _parse_expiry(_context: click.Context, _parameter: click.Parameter, text: str) -> int:
    """Return how many seconds the text means."""
    match = _EXPIRY.fullmatch(text)
    seconds = int(match[1]) * _UNITS[match[2]] if match else 0
    if not 1 <= seconds <= _LONGEST_TOKEN:
        raise click.BadParameter("write it as 90s, 30m, 12h or 7d; 366d is the longest")
    return seconds


@cli.command()
@click.argument("key")
@click.option(
    "--expires",
    default="1h",
    show_default=True,
    metavar="TIME",
    callback=_parse_expiry,
    help="After how many seconds, minutes, hours or days (90s, 30m, 12h, 7d) the token opens nothing any more.",
)
@_config_option
def token(*, key: str, expires: int, path: Path | None) -> None:
    """Print a token for the stream KEY. With it a player gets the keys of encrypted segments.

    \b
    Examples:
      ENCRYPTION_SECRET=... streamkit token mystream --expires 30m
      ffplay "http://127.0.0.1:8080/hls/mystream/playlist.m3u8?token=$(streamkit token mystream)"
    """
    settings = _load(path)
    from streamkit.encryption.tokens import make_token

    secret = settings.encryption.signing_secret()
    if not secret:
        raise ConfigError(["there is no secret to sign tokens with: set ENCRYPTION_SECRET (encryption.secret)"])
    click.echo(make_token(secret, parse_stream_key(key), int(time.time()) + expires))


@cli.group()
def config() -> None:
    """Look at the configuration."""


@config.command()
@_config_option
@click.option(
    "--source",
    default="1920x1080@30",
    show_default=True,
    metavar="WxH@FPS",
    callback=_parse_source,
    help="What the publisher sends, with AAC stereo; the renditions depend on it.",
)
def check(path: Path | None, source: SourceInfo) -> None:
    """Validate the configuration; show it, the renditions of each ladder and the exact FFmpeg commands.

    \b
    Examples:
      streamkit config check
      streamkit config check --config ladders.yaml --source 1280x720@59.94
    """
    from streamkit.calibration import PresetBook
    from streamkit.config_report import describe
    from streamkit.ffmpeg.binary import find_ffmpeg
    from streamkit.ffmpeg.offer import check_ladders
    from streamkit.ffmpeg.slates import check_slates
    from streamkit.settings import STATE_FOLDER
    from streamkit.settings_loader import config_file

    settings = _load(path)
    ffmpeg = find_ffmpeg(settings.encoder.ffmpeg)
    check_ladders(settings.ladders, ffmpeg, settings.encoder.device)
    file = config_file(os.environ, path)
    try:
        check_slates(settings, ffmpeg.path)
    except ConfigError as error:
        raise ConfigError([f"{file}: {problem}" for problem in error.problems]) from None
    click.echo(f"# {file} is valid")
    presets = PresetBook(settings, ffmpeg, settings.hls.output_dir / STATE_FOLDER)
    click.echo(describe(settings, source, ffmpeg, presets))


@cli.group()
def ladder() -> None:
    """Look at the ladders."""


@ladder.command()
@_config_option
@click.option("--ladder", "name", help="Measure this one. Default: every ladder with `preset: auto`.")
def calibrate(path: Path | None, name: str | None) -> None:
    """Measure the presets that `preset: auto` chooses from on this machine, with the FFmpeg at hand.

    It takes some seconds of all processors for each ladder; run it while no stream runs. A service that runs already
    reads what was measured at its next start.

    \b
    Examples:
      streamkit ladder calibrate
      streamkit ladder calibrate --ladder mobile
    """
    from streamkit.calibration import PresetBook, report
    from streamkit.ffmpeg.binary import find_ffmpeg
    from streamkit.ffmpeg.offer import check_ladders
    from streamkit.presets import has_auto
    from streamkit.settings import STATE_FOLDER

    settings = _load(path)
    if name is not None and name not in settings.ladders:
        raise click.UsageError(f"there is no ladder {name!r}; there are {', '.join(sorted(settings.ladders))}")
    ffmpeg = find_ffmpeg(settings.encoder.ffmpeg)
    check_ladders(settings.ladders, ffmpeg, settings.encoder.device)
    folder = settings.hls.output_dir / STATE_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    book = PresetBook(settings, ffmpeg, folder)
    for one in [name] if name else [one for one, its in settings.ladders.items() if has_auto(its)]:
        book.measure(one)
        click.echo(report(settings, one, book))


def _load(path: Path | None) -> "Settings":
    """Return the configuration, and log as it says from here on."""
    from streamkit.logs import configure_logging
    from streamkit.settings_loader import load_settings

    settings = load_settings(os.environ, path)
    configure_logging(settings.log)
    return settings
