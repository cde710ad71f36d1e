"""Parameters of a request, validated at the door; every problem is a 422 that names the parameter."""

import re
from urllib.parse import unquote

from sanic import Request

from streamkit.types import RenditionName, StreamKey, parse_stream_key
from streamkit.web.problems import ApiError

DEFAULT_LIMIT = 50
MAX_LIMIT = 500
MAX_OFFSET = 1_000_000_000
_RENDITION = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,31}", re.ASCII)
_WHOLE = re.compile(r"[0-9]{1,10}", re.ASCII)


def path_key(raw: str) -> StreamKey:
    """Return the stream key of a path segment, percent-decoded once (Sanic does not). Raises InvalidStreamKeyError."""
    return parse_stream_key(unquote(raw) if "%" in raw else raw)


def query_text(request: Request, name: str) -> str | None:
    """Return the query parameter, None without it; given twice it is refused."""
    values = request.args.getlist(name) or []
    if len(values) > 1:
        raise ApiError(422, "repeated_parameter", f"The parameter '{name}' was given twice.")
    return values[0] if values else None


def query_key(request: Request) -> StreamKey:
    """Return `stream_key`, which is required."""
    text = query_text(request, "stream_key")
    if text is None:
        raise ApiError(422, "missing_parameter", "The parameter 'stream_key' is missing.")
    return parse_stream_key(text)


def query_rendition(request: Request) -> RenditionName | None:
    """Return `rendition`, None without it."""
    text = query_text(request, "rendition")
    if text is not None and not _RENDITION.fullmatch(text):
        rule = "1 to 32 characters from A-Z a-z 0-9 -, beginning with a letter or digit"
        raise ApiError(422, "bad_parameter", f"The parameter 'rendition' must be {rule}.")
    return None if text is None else RenditionName(text)


def query_page(request: Request) -> tuple[int, int]:
    """Return `offset` and `limit`."""
    offset = _whole(request, "offset", default=0, least=0, most=MAX_OFFSET)
    return offset, _whole(request, "limit", default=DEFAULT_LIMIT, least=1, most=MAX_LIMIT)


def _whole(request: Request, name: str, *, default: int, least: int, most: int) -> int:
    text = query_text(request, name)
    if text is None:
        return default
    if not _WHOLE.fullmatch(text) or not least <= int(text) <= most:
        raise ApiError(422, "bad_parameter", f"The parameter '{name}' must be a whole number from {least} to {most}.")
    return int(text)
