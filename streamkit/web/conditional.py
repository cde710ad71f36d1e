"""Pure: which part of a representation a request gets. RFC 9110 section 13 (conditions) and 14 (ranges)."""

import re
from dataclasses import dataclass

_MAX_HEADER = 1024  # longer conditions are nobody's honest request; they are ignored
_TAG = re.compile(r'\s*(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")\s*(?:,|$)')
_BYTE_RANGE = re.compile(r"bytes=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*", re.ASCII | re.IGNORECASE)
_ENCODING = re.compile(r"\s*([!-+\--:<-~]+)\s*(?:;\s*q=([01](?:\.[0-9]{0,3})?)\s*)?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Answer `status` (200, 206, 304 or 416) with the bytes from `start` to before `stop`."""

    status: int
    start: int = 0
    stop: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """The request's headers as they came; None where there was none."""

    if_none_match: str | None = None
    if_range: str | None = None
    range: str | None = None


def select(conditions: Conditions, *, method: str, size: int, etag: str) -> Selection:
    """Return what a GET or HEAD of `size` bytes with the strong `etag` (in quotes) is answered with.

    The order is that of RFC 9110 13.2.2. A Range that is malformed, of another unit, or of several parts is
    ignored, as 14.2 allows; one that begins behind the end is 416.
    """
    if conditions.if_none_match is not None and etag_matches(conditions.if_none_match, etag):
        return Selection(status=304)
    whole = Selection(status=200, stop=size)
    if conditions.range is None or method != "GET":
        return whole
    if conditions.if_range is not None and conditions.if_range.strip() != etag:
        return whole  # RFC 9110 13.1.5: strong comparison; we send no Last-Modified, so no date can match
    return _byte_range(conditions.range, size) or whole


def etag_matches(if_none_match: str, etag: str) -> bool:
    """Return whether the field names `etag` by weak comparison (RFC 9110 8.8.3.2), or is '*'."""
    if if_none_match.strip() == "*":
        return True
    return len(if_none_match) <= _MAX_HEADER and etag in _TAG.findall(if_none_match)


def accepts_gzip(accept_encoding: str | None) -> bool:
    """Return whether the client takes gzip (RFC 9110 12.5.3); without the field it gets what is plain."""
    if not accept_encoding or len(accept_encoding) > _MAX_HEADER:
        return False
    weights: dict[str, float] = {}
    for part in accept_encoding.split(","):
        if match := _ENCODING.fullmatch(part):
            weights[match[1].lower()] = float(match[2] or 1)
    return max(weights.get("gzip", weights.get("*", 0)), weights.get("x-gzip", 0)) > 0


def _byte_range(field: str, size: int) -> Selection | None:
    """Return the one range that `field` asks for (RFC 9110 14.1.2), or None when it is to be ignored."""
    match = _BYTE_RANGE.fullmatch(field) if len(field) <= _MAX_HEADER else None
    if match is None or match[1] == match[2] == "":
        return None
    if match[1] == "":
        start, stop = max(0, size - int(match[2])), size
    else:
        start = int(match[1])
        if match[2] and int(match[2]) < start:
            return None
        stop = min(size, int(match[2]) + 1) if match[2] else size
    return Selection(status=206, start=start, stop=stop) if start < stop else Selection(status=416)
