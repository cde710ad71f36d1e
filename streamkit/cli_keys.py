"""`streamkit keys`: publish keys are made, listed and revoked in the database that the service reads them from."""

# ruff: noqa: PLC0415 - see streamkit.cli

import secrets
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from streamkit.access.keys import ID_BYTES, SECRET_BYTES, digest, is_key_id, key_id, make_key
from streamkit.cli_options import config_option, iso_time, json_option, load, parse_expiry, print_json
from streamkit.types import PublishKeyId, UnixTime, parse_stream_key

if TYPE_CHECKING:
    from streamkit.database.publish_keys import PublishKeys
    from streamkit.database.rows import PublishKeyRow

T = TypeVar("T")
_embedded_option = click.option("--embedded", is_flag=True, help="Of `streamkit serve --embedded`, not of PostgreSQL.")


@click.group()
def keys() -> None:
    """Publish keys: who has one may publish its stream, where access.publish asks for it.

    The key goes behind the stream key: rtmp://HOST/live/STREAM?key=... (in OBS the stream key is STREAM?key=...).
    """


@keys.command()
@click.argument("stream")
@click.option("--label", default="", help="For whom it is; `keys list` shows it.")
@click.option(
    "--expires",
    metavar="TIME",
    callback=parse_expiry,
    help="After how many seconds, minutes, hours or days (90s, 30m, 12h, 7d) it is good for nothing. Default: never.",
)
@_embedded_option
@config_option
@json_option
def create(*, stream: str, label: str, expires: int | None, embedded: bool, path: Path | None, as_json: bool) -> None:
    """Make a publish key for STREAM and print it. It is shown this once: only a hash of it is kept.

    \b
    Examples:
      streamkit keys create mystream --label "camera at the door"
      streamkit keys create mystream --expires 30d
    """
    from streamkit.database.rows import PublishKeyRow

    if len(label) > 200 or not label.isprintable():
        raise click.UsageError("a label is at most 200 printable characters")
    key, now = make_key(secrets.token_bytes(ID_BYTES + SECRET_BYTES)), time.time()
    new_id = key_id(key)
    assert new_id is not None  # noqa: S101 - we have just made it
    row = PublishKeyRow(
        id=new_id,
        stream_key=parse_stream_key(stream),
        digest=digest(key),
        label=label,
        created_at=UnixTime(now),
        expires_at=None if expires is None else UnixTime(now + expires),
        revoked_at=None,
    )
    _run(path, lambda kept: kept.create(row), embedded=embedded)
    click.echo(f"Publish key {row.id} of the stream {row.stream_key}; it is not shown again:", err=True)
    if as_json:
        print_json({"key": key, **_plain(row)})
    else:
        click.echo(key)


@keys.command("list")
@click.argument("stream", required=False)
@_embedded_option
@config_option
@json_option
def list_keys(*, stream: str | None, embedded: bool, path: Path | None, as_json: bool) -> None:
    """List the publish keys of STREAM, or of all streams: ID, stream, state, when it was made, label."""
    wanted = None if stream is None else parse_stream_key(stream)
    found = _run(path, lambda kept: kept.list(wanted), embedded=embedded)
    if as_json:
        print_json({"keys": [_plain(row) for row in found]})
        return
    for row in found:
        state = _state(row, UnixTime(time.time()))
        click.echo(f"{row.id}  {row.stream_key}  {state}  made {iso_time(row.created_at)}  {row.label}".rstrip())
    if not found:
        click.echo("there are no publish keys" if wanted is None else f"{wanted} has no publish keys", err=True)


@keys.command()
@click.argument("key")
@_embedded_option
@config_option
@json_option
def revoke(*, key: str, embedded: bool, path: Path | None, as_json: bool) -> None:
    """Let nobody publish with the key any more. KEY is its ID, the part before the '-'.

    It counts from the next publish on; a broadcast that is live goes on until its publisher leaves.
    """
    if not is_key_id(key):
        raise click.UsageError("KEY is the ID of a publish key, 10 characters from 0-9 a-f, as `keys list` shows it")
    row = _run(path, lambda kept: kept.revoke(PublishKeyId(key), UnixTime(time.time())), embedded=embedded)
    if row is None:
        raise click.UsageError(f"there is no publish key {key}")
    if as_json:
        print_json(_plain(row))
        return
    click.echo(f"publish key {row.id} of the stream {row.stream_key} is {_state(row, UnixTime(time.time()))}")


def _run(path: Path | None, work: "Callable[[PublishKeys], Coroutine[Any, Any, T]]", *, embedded: bool) -> T:
    """Return what `work` returns, in a database that has this version's tables."""
    import asyncio

    from streamkit.database.connection import database_url
    from streamkit.database.repository import Repository, Work

    async def run() -> T:
        repository = Repository(database_url(settings, embedded=embedded))
        try:
            await repository.carry_out(Work())
            return await work(repository.publish_keys)
        finally:
            await repository.close()

    settings = load(path)
    return asyncio.run(run())


def _state(row: "PublishKeyRow", now: UnixTime) -> str:
    if row.revoked_at is not None:
        return f"revoked {iso_time(row.revoked_at)}"
    if row.expires_at is None:
        return "valid"
    return f"{'expired' if row.expires_at <= now else 'valid until'} {iso_time(row.expires_at)}"


def _plain(row: "PublishKeyRow") -> dict[str, Any]:
    """Return what may be known of a key, for programs."""
    times = {"created_at": row.created_at, "expires_at": row.expires_at, "revoked_at": row.revoked_at}
    return {
        "id": row.id,
        "stream_key": row.stream_key,
        "label": row.label,
        **{name: None if at is None else iso_time(at) for name, at in times.items()},
    }
