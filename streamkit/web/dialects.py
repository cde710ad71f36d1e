"""Pure: what RTMP servers post when somebody publishes -> PublishEvent.

Four dialects are told apart by their fields, not by their Content-Type, which curl and some servers get wrong:

generic    JSON (or a form) {"stream_key", "action": "publish"|"unpublish", "timestamp"}
nginx-rtmp form, POST or GET: call=publish|publish_done, name, clientid, addr; every other call is ignored
SRS        JSON {"action": "on_publish"|"on_unpublish", "stream", "client_id"}; every other on_* is ignored
MediaMTX   its HTTP authentication callback, JSON {"action": "publish", "path", "protocol", "id"}, and the hooks
           runOnReady / runOnNotReady, which run curl (no shell: MediaMTX fills in the variables itself):
             runOnReady: curl -fsS -d action=publish -d path=$MTX_PATH -d id=$MTX_SOURCE_ID http://HOST:8080/events/published
             runOnNotReady: curl -fsS -d action=unpublish -d path=$MTX_PATH -d id=$MTX_SOURCE_ID http://HOST:8080/events/published
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Never
from urllib.parse import parse_qsl

from streamkit.publish_url import PublishArguments, parse_arguments
from streamkit.types import StreamKey, UnixTime, parse_stream_key
from streamkit.web.problems import ApiError

_MAX_FIELDS = 100
_LAST_SECOND = 253_402_300_800.0  # the year 10000
_MILLISECONDS_FROM = 1e11  # in seconds that is the year 5138, in milliseconds 1973
_IDENTITY = re.compile(r"[\x21-\x7e]{1,128}", re.ASCII)
_NGINX_IGNORED = frozenset(
    ("connect", "disconnect", "play", "play_done", "update_play", "update_publish", "done", "record_done")
)
_NGINX_OWN = frozenset(
    ("app", "flashver", "swfurl", "tcurl", "pageurl", "addr", "clientid", "call", "name", "type", "secret")
)
_GENERIC_OWN = frozenset(("stream_key", "action", "timestamp"))
_MEDIAMTX_IGNORED = frozenset(("read", "playback", "api", "metrics", "pprof"))


class EventAction(StrEnum):
    """What an event asks for; OTHER is understood and needs nothing."""

    PUBLISH = "publish"
    UNPUBLISH = "unpublish"
    OTHER = "other"


class Dialect(StrEnum):
    """Who speaks."""

    GENERIC = "generic"
    NGINX = "nginx-rtmp"
    SRS = "srs"
    MEDIAMTX = "mediamtx"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishEvent:
    """One event. `key` is None only for OTHER; `publisher` is the same in a publish and its unpublish."""

    action: EventAction
    dialect: Dialect
    key: StreamKey | None = None
    publisher: str | None = None
    at: UnixTime | None = None
    ladder: str | None = None
    """The ladder that the publisher asks for, None for none."""
    address: str | None = field(default=None, compare=False)
    """Where the publisher is, as the RTMP server says."""
    arguments: PublishArguments = field(default=PublishArguments(), compare=False)
    """What its URL carries behind the '?'."""


def parse_event(content_type: str, body: bytes, query: str, method: str, *, app: str = "live") -> PublishEvent:
    """Return the event that a request carries. `app` is the RTMP application that begins MediaMTX's paths.

    Raises ApiError: 400 for a body that cannot be read, 422 for a field that is missing or wrong; and
    InvalidStreamKeyError.
    """
    if method == "GET":
        fields = _form(query)
        if "call" not in fields.values:
            raise ApiError(422, "missing_field", "A GET event needs nginx-rtmp's fields, 'call' among them.")
        return _nginx(fields)
    fields = _fields(content_type, body)
    action = fields.values.get("action")
    if "call" in fields.values:
        return _nginx(fields)
    if isinstance(action, str) and action.startswith("on_"):
        return _srs(fields, action)
    if "stream_key" not in fields.values and "path" in fields.values:
        return _mediamtx(fields, app)
    return _generic(fields)


# ---- dialects


def _generic(fields: "_Fields") -> PublishEvent:
    return PublishEvent(
        action=_action(fields.text("action")),
        dialect=Dialect.GENERIC,
        key=parse_stream_key(fields.value("stream_key")),
        at=parse_timestamp(fields.values.get("timestamp")),
        ladder=_ladder(fields),
        arguments=fields.others(_GENERIC_OWN),
    )


def _nginx(fields: "_Fields") -> PublishEvent:
    call = fields.text("call")
    if call in _NGINX_IGNORED:
        return PublishEvent(action=EventAction.OTHER, dialect=Dialect.NGINX)
    if call not in ("publish", "publish_done"):
        raise ApiError(422, "unknown_action", "The field 'call' is no event of nginx-rtmp.")
    client, address = fields.identity("clientid"), fields.identity("addr")
    return PublishEvent(
        action=EventAction.PUBLISH if call == "publish" else EventAction.UNPUBLISH,
        dialect=Dialect.NGINX,
        key=parse_stream_key(fields.text("name")),
        publisher=f"nginx:{client}@{address or ''}" if client else None,
        ladder=_ladder(fields),
        address=address,
        arguments=fields.others(_NGINX_OWN),
    )


def _srs(fields: "_Fields", action: str) -> PublishEvent:
    if action not in ("on_publish", "on_unpublish"):
        return PublishEvent(action=EventAction.OTHER, dialect=Dialect.SRS)
    client = fields.identity("client_id")
    arguments = fields.arguments("param")
    return PublishEvent(
        action=EventAction.PUBLISH if action == "on_publish" else EventAction.UNPUBLISH,
        dialect=Dialect.SRS,
        key=parse_stream_key(fields.value("stream")),
        publisher=f"srs:{client}" if client else None,
        ladder=arguments.ladder,
        address=fields.address("ip"),
        arguments=arguments,
    )


def _mediamtx(fields: "_Fields", app: str) -> PublishEvent:
    action = fields.text("action")
    if action in _MEDIAMTX_IGNORED:
        return PublishEvent(action=EventAction.OTHER, dialect=Dialect.MEDIAMTX)
    client = fields.identity("id")
    arguments = fields.arguments("query")
    return PublishEvent(
        action=_action(action),
        dialect=Dialect.MEDIAMTX,
        key=parse_stream_key(fields.text("path").removeprefix(f"{app}/")),
        publisher=f"mediamtx:{client}" if client else None,
        ladder=arguments.ladder,
        address=fields.address("ip"),
        arguments=arguments,
    )


def _action(text: str) -> EventAction:
    if text not in (EventAction.PUBLISH, EventAction.UNPUBLISH):
        raise ApiError(422, "unknown_action", "The field 'action' must be 'publish' or 'unpublish'.")
    return EventAction(text)


def _ladder(fields: "_Fields") -> str | None:
    """Return the field, which nginx-rtmp takes from the arguments of the publish URL."""
    return (fields.text("ladder") if "ladder" in fields.values else "") or None


# ---- fields


@dataclass(frozen=True, slots=True)
class _Fields:
    """What came in, by name. A field that came twice may not be used: nginx-rtmp appends the publisher's own URL
    arguments to its fields, and nobody may choose another stream's name or another client's id that way."""

    values: Mapping[str, Any]
    repeated: frozenset[str] = frozenset()

    def value(self, name: str) -> Any:
        if name in self.repeated:
            raise ApiError(422, "repeated_field", f"The field '{name}' was given twice.")
        if name not in self.values:
            raise ApiError(422, "missing_field", f"The field '{name}' is missing.")
        return self.values[name]

    def text(self, name: str) -> str:
        value = self.value(name)
        if not isinstance(value, str):
            raise ApiError(422, "wrong_type", f"The field '{name}' must be a string.")
        return value

    def identity(self, name: str) -> str | None:
        """Return the text or whole number that names a connection, None when there is none."""
        value = self.value(name) if name in self.values else None
        if value is None or value == "":
            return None
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 64:
            return str(value)
        if not isinstance(value, str) or not _IDENTITY.fullmatch(value):
            raise ApiError(422, "wrong_type", f"The field '{name}' must be 1 to 128 visible ASCII characters.")
        return value

    def address(self, name: str) -> str | None:
        """Return the text that says where the publisher is, None when there is nothing of use."""
        value = self.values.get(name)
        return value if isinstance(value, str) and _IDENTITY.fullmatch(value) else None

    def arguments(self, name: str) -> PublishArguments:
        """Return the arguments of a publish URL that are all in one field, as '?ladder=mobile&token=..'."""
        return parse_arguments(self.text(name) if self.values.get(name) else "")

    def others(self, own: frozenset[str]) -> PublishArguments:
        """Return the arguments of a publish URL that are fields beside the RTMP server's `own`.

        Those that came twice or are no text are as good as not there: whoever needs them refuses in its own words.
        """
        named = {name: value for name, value in self.values.items() if name not in own | self.repeated}
        return PublishArguments({name: value for name, value in named.items() if isinstance(value, str)})


def _fields(content_type: str, body: bytes) -> _Fields:
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type.endswith("json") or body.lstrip()[:1] in (b"{", b"["):
        return _json(body)
    return _form(body.decode("utf-8", errors="replace"))


def _form(text: str) -> _Fields:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="replace")
    except ValueError:
        raise ApiError(400, "bad_form", f"The form has more than {_MAX_FIELDS} fields.") from None
    if not pairs:
        raise ApiError(400, "empty_body", "The request carries neither a JSON object nor form fields.")
    seen: dict[str, str] = {}
    repeated = set()
    for name, value in pairs:
        if name in seen:
            repeated.add(name)
        seen[name] = value
    return _Fields(seen, frozenset(repeated))


def _json(body: bytes) -> _Fields:
    repeated: set[str] = set()

    def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in pairs:
            if name in found:
                repeated.add(name)
            found[name] = value
        return found

    try:
        document = json.loads(body, object_pairs_hook=collect, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise ApiError(400, "bad_json", "The body is not valid JSON.") from None
    if not isinstance(document, dict):
        raise ApiError(422, "wrong_type", "The body must be a JSON object.")
    return _Fields(document, frozenset(repeated))


def _refuse_constant(_: str) -> Never:
    raise ValueError("NaN and Infinity are not JSON")


def parse_timestamp(value: object) -> UnixTime | None:
    """Return Unix seconds from seconds, milliseconds (numbers, or text of one) or ISO 8601 (UTC without a zone).

    None and '' mean that the sender gave none. Raises ApiError (422) for everything else.
    """
    if value is None or value == "":
        return None
    seconds = _number(value)
    if seconds is None and isinstance(value, str):
        seconds = _iso_seconds(value)
    if seconds is not None and seconds >= _MILLISECONDS_FROM:
        seconds /= 1000
    if seconds is None or not 0 <= seconds < _LAST_SECOND:
        raise ApiError(
            422, "bad_timestamp", "The field 'timestamp' must be Unix seconds, Unix milliseconds or ISO 8601."
        )
    return UnixTime(seconds)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and not re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,9})?", value, re.ASCII):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _iso_seconds(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text) if len(text) <= 40 else None
        if moment is None:
            return None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
