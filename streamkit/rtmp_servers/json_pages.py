"""Pure: the status pages of SRS (`/api/v1/streams`) and MediaMTX (`/v3/paths/list`), both JSON -> who publishes."""

import json
from typing import Any

from streamkit.errors import RtmpStatusError
from streamkit.rtmp_servers.names import Publishers, stream_key

MOST_STREAMS = 10_000
"""Asked for at once; limits.max_streams allows no more."""


def parse_srs(body: bytes, app: str) -> Publishers:
    """Return who publishes in the application `app`. Raises RtmpStatusError when this is no such page."""
    page = _object(body, "SRS")
    if page.get("code") != 0:
        raise RtmpStatusError(f"SRS answered with code {str(page.get('code'))[:40]} and not 0")
    found: Publishers = {}
    for stream in _items(page, "streams", "SRS"):
        publish = stream.get("publish")
        if stream.get("app") == app and isinstance(publish, dict) and publish.get("active") is True:
            _note(found, stream.get("name"), "srs", publish.get("cid"))
    return found


def parse_mediamtx(body: bytes, app: str) -> Publishers:
    """Return who publishes paths that begin with `app`. Raises RtmpStatusError unless this is all of it."""
    page = _object(body, "MediaMTX")
    pages = page.get("pageCount", 1)
    if not isinstance(pages, int) or pages > 1:
        raise RtmpStatusError(f"MediaMTX has more paths than the {MOST_STREAMS} that are asked for")
    found: Publishers = {}
    for path in _items(page, "items", "MediaMTX"):
        name, source = path.get("name"), path.get("source")
        if isinstance(name, str) and name.startswith(f"{app}/") and path.get("ready") is True:
            number = source.get("id") if isinstance(source, dict) else None
            _note(found, name.removeprefix(f"{app}/"), "mediamtx", number)
    return found


def _note(found: Publishers, name: object, server: str, number: object) -> None:
    key = stream_key(name)
    if key is not None:
        has_number = isinstance(number, str | int) and not isinstance(number, bool) and number != ""
        found[key] = f"{server}:{number}" if has_number else None


def _object(body: bytes, server: str) -> dict[str, Any]:
    try:
        page = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RtmpStatusError(f"the status page is not {server}'s: it is no JSON") from error
    if not isinstance(page, dict):
        raise RtmpStatusError(f"the status page is not {server}'s: it is no JSON object")
    return page


def _items(page: dict[str, Any], name: str, server: str) -> list[dict[str, Any]]:
    items = page.get(name)
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise RtmpStatusError(f"the status page is not {server}'s: it has no list {name!r} of objects")
    return items
