"""The body of POST /streams/{key}/clips, validated at the door. Pure."""

import json
import re
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from typing import Any

from streamkit.hls.clip import Span
from streamkit.hls.names import parse_session_id
from streamkit.types import SessionId
from streamkit.web.problems import ApiError

MOMENT_RULE = "a time with its zone (RFC 3339), Unix seconds, or seconds before the end as a number that is not above 0"
_LATEST = 253_402_300_799  # the last second of the year 9999; milliseconds are beyond it
_NAME = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,200}")
_RFC_3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)  # what fromisoformat takes besides is no moment, or is several
_FIELDS = ("from", "to", "session", "name")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipRequest:
    """What is to be cut out, of which session (None: the newest that has it), and what it is called."""

    span: Span
    session: SessionId | None
    name: str


def parse_clip_request(content_type: str, body: bytes) -> ClipRequest:
    """Return the request; raises ApiError (415 or 422) with the field that is wrong and its rule."""
    if content_type.partition(";")[0].strip().lower() != "application/json":
        # Else any web page could send it in its visitor's name, without asking (the Fetch standard's preflight).
        raise ApiError(415, "unsupported_media_type", "The body must be JSON with Content-Type: application/json.")
    fields = _object(body)
    start, end = _moment(fields, "from"), _moment(fields, "to", default=0.0)
    if (start > 0) == (end > 0) and start >= end:
        raise ApiError(422, "bad_range", "'from' must be before 'to'.")
    return ClipRequest(span=Span(start=start, end=end), session=_session(fields), name=_name(fields))


def _object(body: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(body.decode())
    except (ValueError, RecursionError) as error:
        raise ApiError(422, "bad_json", "The body is no JSON.") from error
    if not isinstance(fields, dict):
        raise ApiError(422, "bad_json", "The body must be a JSON object.")
    unknown = next((name for name in fields if name not in _FIELDS), None)
    if unknown is not None:
        raise ApiError(422, "unknown_field", f"The fields are {', '.join(_FIELDS)}; {unknown[:64]!a} is none.")
    return fields


def _moment(fields: dict[str, Any], name: str, *, default: float | None = None) -> float:
    value = fields.get(name, default)
    if value is None:
        raise ApiError(422, "missing_field", f"'{name}' is missing: {MOMENT_RULE}.")
    seconds = _unix(value) if isinstance(value, str) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not -_LATEST <= seconds <= _LATEST:
        raise ApiError(422, "bad_field", f"'{name}' must be {MOMENT_RULE}.")
    if not isfinite(seconds):
        raise ApiError(422, "bad_field", f"'{name}' must be {MOMENT_RULE}.")
    return float(seconds)


def _unix(text: str) -> float | None:
    """Return the moment in Unix seconds; None when it is no such time, or before 1970."""
    if not _RFC_3339.fullmatch(text):
        return None
    try:
        seconds = datetime.fromisoformat(text.upper()).timestamp()
    except (ValueError, OverflowError):
        return None
    return seconds if seconds > 0 else None


def _session(fields: dict[str, Any]) -> SessionId | None:
    value = fields.get("session")
    session = parse_session_id(value) if isinstance(value, str) else None
    if value is not None and session is None:
        raise ApiError(422, "bad_field", "'session' must be a session's id as GET /streams/{stream_key} lists them.")
    return session


def _name(fields: dict[str, Any]) -> str:
    value = fields.get("name", "")
    if not isinstance(value, str) or (value and not _NAME.fullmatch(value)):
        raise ApiError(422, "bad_field", "'name' must be text of at most 200 characters without control characters.")
    return value
