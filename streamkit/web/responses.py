"""Responses that every endpoint builds alike."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sanic import HTTPResponse

from streamkit.types import UnixTime


def json_response(data: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> HTTPResponse:
    """Return `data` as JSON that no cache keeps."""
    body = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return HTTPResponse(
        body.encode("utf-8", errors="replace"),  # a lone surrogate that a client sent must not become a 500
        status,
        {"cache-control": "no-store", **(headers or {})},
        "application/json",
    )


def iso_time(at: UnixTime | None) -> str | None:
    """Return the moment as ISO 8601 in UTC with milliseconds, e.g. '2026-11-22T15:36:00.123Z'."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
