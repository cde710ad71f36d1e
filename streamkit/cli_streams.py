"""`streamkit streams`: what the service says of its streams, over its HTTP API."""

# ruff: noqa: PLC0415 - see streamkit.cli

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streamkit.cli_options import config_option, json_option, load, print_json
from streamkit.types import parse_stream_key

if TYPE_CHECKING:
    from streamkit.client import Client, LiveStream, Stream

_COLOURS = {"active": "green", "error": "red"}


def _asks_the_service(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say where the service is."""
    url = click.option(
        "--url",
        envvar="STREAMKIT_URL",
        metavar="URL",
        help="Of the service; also STREAMKIT_URL. Default: this machine, and the port of the configuration.",
    )
    return url(json_option(config_option(command)))


@click.group()
def streams() -> None:
    """Look at the streams of a service that runs, here or elsewhere.

    The admin token, where the service asks for one, is the configuration's (ADMIN_TOKEN). It is no argument, because
    others on the machine could read it.
    """


@streams.command("ls")
@click.option("--active", is_flag=True, help="Only those that are on air.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 500), help="How many at most.")
@click.option("--offset", default=0, show_default=True, type=click.IntRange(0), help="How many to leave out.")
@_asks_the_service
def list_streams(*, active: bool, limit: int, offset: int, url: str | None, path: Path | None, as_json: bool) -> None:
    """List the streams, newest publish first.

    \b
    Examples:
      streamkit streams ls --active
      STREAMKIT_URL=https://encoder.example ADMIN_TOKEN=... streamkit streams ls --json
    """
    page = _client(url, path).streams(active=active, limit=limit, offset=offset)
    if as_json:
        print_json(asdict(page))
        return
    from streamkit.config_report import table

    rows = [("stream", "state", "up", "bit/s", "speed", "lag", "lost", "restarts"), *map(_row, page.streams)]
    for line in table(rows) if page.streams else ["  there are no streams"]:
        click.echo(line.removeprefix("  "))
    if page.total > offset + len(page.streams):
        click.echo(f"{page.total - offset - len(page.streams)} more: --offset {offset + len(page.streams)}", err=True)


@streams.command()
@click.argument("key")
@_asks_the_service
def show(*, key: str, url: str | None, path: Path | None, as_json: bool) -> None:
    """Show one stream: its state, its renditions, and its newest broadcasts.

    \b
    Example:
      streamkit streams show mystream
    """
    stream = _client(url, path).stream(parse_stream_key(key))
    if as_json:
        print_json(asdict(stream))
        return
    click.echo(f"{stream.stream_key}  {click.style(stream.state, fg=_COLOURS.get(stream.status))}")
    for line in [*_live_lines(stream.live), *([f"last error: {stream.last_error}"] if stream.last_error else [])]:
        click.echo(f"  {line}")
    for one in stream.sessions.items:
        end = f"ended {one.ended_at} ({one.end_reason or one.state})" if one.ended_at else one.state
        click.echo(f"  broadcast {one.session}: began {one.started_at}, {end}")


def _client(url: str | None, path: Path | None) -> "Client":
    settings = load(path)
    from streamkit.client import Client
    from streamkit.preparation import host_in_urls

    return Client(
        url or f"http://{host_in_urls(settings.server.host)}:{settings.server.port}",
        token=settings.access.admin_token.get_secret_value(),
    )


def _row(stream: "Stream") -> tuple[str, ...]:
    live = stream.live
    if live is None or stream.status != "active":
        return (stream.stream_key, stream.state, "-", "-", "-", "-", "-", "-")
    figures = (str(live.bitrate), f"{live.speed:.2f}", f"{live.upload_lag:.1f} s", str(live.segments_lost))
    return (stream.stream_key, stream.state, _duration(live.uptime), *figures, str(live.restarts))


def _live_lines(live: "LiveStream | None") -> list[str]:
    if live is None:
        return []
    renditions = ", ".join(f"{one.name} {one.width}x{one.height}" for one in live.renditions)
    return [
        f"up {_duration(live.uptime)}, {live.bitrate} bit/s, {live.fps:g} fps, {live.speed:.2f} times real time",
        f"renditions: {renditions or 'none yet'}",
        f"segments: {live.segments_closed} closed, {live.segments_uploaded} stored, {live.segments_lost} lost",
        f"oldest segment that waits for the store: {live.upload_lag:.1f} s",
        f"encoder restarts: {live.restarts}",
    ]


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
