"""The command `streamkit`: reads arguments, calls what does the work, turns errors into a sentence and an exit code."""

# ruff: noqa: PLC0415 - what a command needs is imported by it, so that --help and --version answer at once

import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from streamkit import __version__
from streamkit.cli_config import config
from streamkit.cli_doctor import doctor
from streamkit.cli_keys import keys
from streamkit.cli_ladder import ladder
from streamkit.cli_options import config_option, iso_time, json_option, load, parse_expiry, print_json
from streamkit.cli_streams import streams
from streamkit.errors import ConfigError, InvalidStreamKeyError, StreamKitError
from streamkit.types import parse_stream_key

OK, WRONG_CONFIGURATION, NOT_AVAILABLE, RULES_BROKEN, INTERRUPTED = 0, 2, 3, 4, 130

_HELP = """StreamKit: live encoder from RTMP to adaptive HLS on S3.

\b
Examples:
  streamkit serve --embedded --demo   try it: no other server is needed
  streamkit config check              validate the configuration, show what it comes to
  streamkit config show --changed     what is configured, and by which variable or line
  streamkit ladder explain SOURCE     what would be encoded, and what it would take
  streamkit ladder calibrate          measure which presets this machine can afford
  streamkit doctor                    is everything there that the service needs, and what to do if not
  streamkit migrate                   create or update the tables in PostgreSQL
  streamkit serve                     production: PostgreSQL, S3 and an RTMP server
  streamkit streams ls                what is on air, from the HTTP API
  streamkit check URL                 which rules of HLS a stream keeps, anybody's
  streamkit token KEY --expires 1h    a token with which a player gets the keys of an encrypted stream
  streamkit keys create KEY           a publish key, where the configuration asks publishers for one

The configuration is YAML (config/streamkit.yaml, or the file that STREAMKIT_CONFIG names) and environment variables
such as DB_HOST, RTMP_SERVER, MINIO_ENDPOINT and SERVER_PORT, which win over YAML.

\b
Exit codes:
  0         all went well
  1         an internal error ended the service: the log says which
  2         the configuration or the usage is wrong
  3         something that is needed is not there: database, FFmpeg, a free port
  4         a rule that `streamkit check` looked at is broken, or `streamkit doctor` found a fault
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


@click.group(help=_HELP)
@click.version_option(__version__, prog_name="streamkit")
@click.pass_context
def cli(context: click.Context) -> None:
    """Hold the commands together."""
    if os.environ.get("NO_COLOR"):
        context.color = False  # without it, colours are for terminals


for command in (config, doctor, keys, ladder, streams):
    cli.add_command(command)


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
@config_option
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
    settings = load(path)
    from streamkit.service import serve as run

    return run(settings, embedded=embedded, demo=demo, drain=drain)


@cli.command()
@config_option
@json_option
def migrate(*, path: Path | None, as_json: bool) -> None:
    """Create or update StreamKit's tables in PostgreSQL; safe to repeat, and at the same time on several machines.

    \b
    Example:
      DB_HOST=db DB_PASSWORD=... streamkit migrate
    """
    settings = load(path)
    from streamkit.database.connection import database_url
    from streamkit.database.migrate import upgrade_to_head

    revision = upgrade_to_head(database_url(settings, embedded=False))
    if as_json:
        print_json({"database": settings.database.name, "revision": revision})
    else:
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
@json_option
def check_stream(*, url: str, segments: int, reload: bool, token: str | None, as_json: bool) -> int:
    """Fetch the HLS stream at URL as a player does, and say which rules its playlists and media keep.

    Broken rules of RFC 8216 are WRONG; what Apple asks for beyond them is advice.

    \b
    Examples:
      streamkit check http://127.0.0.1:8080/hls/demo/playlist.m3u8
      streamkit check "http://127.0.0.1:8080/hls/paid/playlist.m3u8?token=$(streamkit token paid)"
    """
    from streamkit.playlist_check import StreamCheck, report

    findings = list(StreamCheck(url, segments=segments, reload=reload, token=token).findings())
    text, is_right = report(findings)
    if as_json:
        print_json({"right": is_right, "findings": [asdict(finding) for finding in findings]})
    else:
        click.echo(text)
    return OK if is_right else RULES_BROKEN


@cli.command()
@click.argument("key")
@click.option(
    "--expires",
    default="1h",
    show_default=True,
    metavar="TIME",
    callback=parse_expiry,
    help="After how many seconds, minutes, hours or days (90s, 30m, 12h, 7d) the token opens nothing any more.",
)
@click.option("--publish", is_flag=True, help="A token to publish the stream with, instead of one to play it.")
@config_option
@json_option
def token(*, key: str, expires: int, publish: bool, path: Path | None, as_json: bool) -> None:
    """Print a token for the stream KEY. With it a player gets the keys of encrypted segments, or a publisher goes on.

    \b
    Examples:
      ENCRYPTION_SECRET=... streamkit token mystream --expires 30m
      ffplay "http://127.0.0.1:8080/hls/mystream/playlist.m3u8?token=$(streamkit token mystream)"
      ffmpeg -re -i in.mp4 -c copy -f flv "rtmp://127.0.0.1/live/mystream?token=$(streamkit token mystream --publish)"
    """
    settings = load(path)
    from streamkit.access.tokens import Purpose, make_token

    secret = settings.encryption.signing_secret()
    if not secret:
        variable = "TOKEN_SECRET (encryption.token_secret)" if publish else "ENCRYPTION_SECRET (encryption.secret)"
        raise ConfigError([f"there is no secret to sign tokens with: set {variable}"])
    purpose = Purpose.PUBLISH if publish else Purpose.PLAY
    ends = int(time.time()) + expires
    made = make_token(secret, parse_stream_key(key), ends, purpose)
    if as_json:
        print_json({"token": made, "stream_key": key, "purpose": purpose.name.lower(), "expires_at": iso_time(ends)})
    else:
        click.echo(made)
