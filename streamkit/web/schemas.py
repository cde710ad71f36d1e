"""The JSON Schemas of the OpenAPI document (3.0 dialect); a test checks real answers against them."""

from collections.abc import Mapping
from typing import Any

from streamkit.types import STREAM_KEY_RULE, StreamState
from streamkit.web.clip_requests import MOMENT_RULE

Schema = dict[str, Any]

_TIME: Schema = {"type": "string", "format": "date-time", "example": "2026-11-22T15:36:00.123Z"}
_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_NUMBER: Schema = {"type": "number"}
_STATE: Schema = {"type": "string", "enum": [str(state) for state in StreamState]}
_STATUS: Schema = {"type": "string", "enum": ["active", "inactive", "error"]}
_CHECK_STATE: Schema = {"type": "string", "enum": ["ok", "degraded", "down"]}


def _or_null(schema: Schema) -> Schema:
    return {**schema, "nullable": True}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _object(**properties: Schema) -> Schema:
    """Return an object that has all of `properties`, and no others."""
    return {
        "type": "object",
        "required": list(properties),
        "properties": properties,
        "additionalProperties": False,
    }


_PAGE: dict[str, Schema] = {"total": _COUNT, "offset": _COUNT, "limit": _COUNT}
_SOURCE: Schema = _object(
    video_codec=_or_null(_TEXT),
    width=_COUNT,
    height=_COUNT,
    fps=_or_null(_NUMBER),
    video_bitrate=_or_null(_COUNT),
    audio_codec=_or_null(_TEXT),
    sample_rate=_or_null(_COUNT),
    channels=_or_null(_COUNT),
)
_LIVE: Schema = _object(
    stream_key=_ref("StreamKey"),
    session=_or_null(_TEXT),
    state=_STATE,
    started_at=_or_null(_TIME),
    uptime=_or_null({**_NUMBER, "description": "Seconds."}),
    playlist_url=_or_null(_TEXT),
    poster_url={**_or_null(_TEXT), "description": "The newest picture that this node made."},
    storyboard_url={**_or_null(_TEXT), "description": "WebVTT of the small pictures of the newest session."},
    source={
        **_or_null(_SOURCE),
        "description": "What the publisher's headers say; video_bitrate is what it announced, in bit/s.",
    },
    renditions=_list(_ref("Rendition")),
    fps=_NUMBER,
    speed={**_NUMBER, "description": "Media seconds per second; 1 is real time."},
    bitrate={**_COUNT, "description": "Bit/s of the uploaded segments, all renditions."},
    dropped_frames=_COUNT,
    duplicated_frames=_COUNT,
    segments_closed=_COUNT,
    segments_uploaded=_COUNT,
    segments_listed=_COUNT,
    segments_lost=_COUNT,
    bytes={**_COUNT, "description": "Bytes that the store has."},
    upload_lag={**_NUMBER, "description": "Age in seconds of the oldest segment that the store does not have."},
    restarts=_COUNT,
    shed={
        "type": "array",
        "items": {"type": "string"},
        "description": "Renditions that it does without now, because the encoder is slower than real time.",
    },
    slate={"type": "boolean", "description": "Players see the slate, because the publisher is gone."},
    last_error=_or_null(_TEXT),
)
_STREAM: dict[str, Schema] = {
    "id": _or_null({"type": "integer"}),
    "stream_key": _ref("StreamKey"),
    "status": _STATUS,
    "state": _STATE,
    "started_at": _or_null(_TIME),
    "stopped_at": _or_null(_TIME),
    "created_at": _or_null(_TIME),
    "updated_at": _or_null(_TIME),
    "last_error": _or_null(_TEXT),
    "live": _or_null(_LIVE),
}
_MOMENT: Schema = {"oneOf": [_NUMBER, _TIME]}
_CLIP: Schema = _object(
    id=_TEXT,
    stream_key=_ref("StreamKey"),
    session=_TEXT,
    name=_TEXT,
    **{"from": _TIME, "to": _TIME},
    duration={**_NUMBER, "description": "Seconds."},
    first_sequence=_COUNT,
    last_sequence=_COUNT,
    created_at=_TIME,
    playlist_url=_TEXT,
    renditions=_list(_object(name=_TEXT, url=_TEXT)),
)

SCHEMAS: Mapping[str, Schema] = {
    "StreamKey": {
        "type": "string",
        "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$",
        "description": f"{STREAM_KEY_RULE}.",
        "example": "demo",
    },
    "Error": _object(error=_object(code=_TEXT, message=_TEXT)),
    "Event": {
        "type": "object",
        "description": "StreamKit's own form; the other dialects are in the examples.",
        "properties": {
            "stream_key": _ref("StreamKey"),
            "action": {"type": "string", "example": "publish"},
            "timestamp": {
                "description": "When it happened: Unix seconds, Unix milliseconds or ISO 8601. Only used for ordering.",
                "oneOf": [_NUMBER, _TEXT],
            },
            "ladder": {**_TEXT, "description": "The ladder to encode with, of those that `selectable_ladders` names."},
        },
    },
    "EventAnswer": {
        "type": "object",
        "required": ["status"],
        "properties": {
            "status": {"type": "string", "enum": ["accepted", "ended", "ignored"]},
            "stream_key": _ref("StreamKey"),
            "ladder": {**_TEXT, "description": "What the stream is encoded with, when it was accepted."},
            "code": {"type": "integer", "enum": [0], "description": "For SRS."},
        },
        "additionalProperties": False,
    },
    "Health": _object(status={"type": "string", "enum": ["ok"]}, version=_TEXT, uptime=_NUMBER),
    "Readiness": _object(
        status=_CHECK_STATE,
        checks={"type": "object", "additionalProperties": _object(state=_CHECK_STATE, reason=_TEXT)},
    ),
    "Rendition": _object(
        name=_TEXT,
        width=_COUNT,
        height=_COUNT,
        fps=_or_null(_NUMBER),
        video_codec=_or_null(_TEXT),
        video_bitrate=_COUNT,
        audio_codec=_or_null(_TEXT),
        audio_bitrate=_COUNT,
    ),
    "Source": _SOURCE,
    "LiveStream": _LIVE,
    "Stats": _object(
        time=_TIME,
        total_streams=_or_null(_COUNT),
        active_streams=_COUNT,
        inactive_streams=_or_null(_COUNT),
        error_streams=_or_null(_COUNT),
        note=_or_null(_TEXT),
        spool_segments={**_COUNT, "description": "Closed segments that the object store does not have yet."},
        spool_bytes=_COUNT,
        spool_given_up={**_COUNT, "description": "Segments lost for lack of room on disk, since the start."},
        streams=_list(_ref("LiveStream")),
    ),
    "Stream": _object(**_STREAM),
    "StreamPage": _object(streams=_list(_ref("Stream")), **_PAGE),
    "Session": _object(
        id={"type": "integer"},
        session=_TEXT,
        status=_STATUS,
        state=_STATE,
        started_at=_TIME,
        ended_at=_or_null(_TIME),
        end_reason=_or_null(_TEXT),
        expired_at=_or_null({**_TIME, "description": "When retention decided that it is not kept."}),
        renditions=_list(_TEXT),
    ),
    "SessionPage": _object(items=_list(_ref("Session")), **_PAGE),
    "StreamDetail": _object(**_STREAM, playlist_url=_TEXT, sessions=_ref("SessionPage")),
    "ClipRequest": {
        "type": "object",
        "required": ["from"],
        "properties": {
            "from": {**_MOMENT, "description": f"Where it begins: {MOMENT_RULE}."},
            "to": {**_MOMENT, "default": 0, "description": "Where it ends, written alike; the end without it."},
            "session": {**_TEXT, "description": "Of this session; the newest that has the range without it."},
            "name": {**_TEXT, "maxLength": 200},
        },
        "additionalProperties": False,
    },
    "Clip": _CLIP,
    "ClipPage": _object(clips=_list(_ref("Clip")), **_PAGE),
    "ClipAnswer": {"oneOf": [_ref("ClipPage"), _ref("Clip")]},
    "Manifest": _object(
        stream_key=_ref("StreamKey"),
        playlist_url=_TEXT,
        session=_or_null(_TEXT),
        rendition=_or_null(_TEXT),
        segments=_list(_object(url=_TEXT, duration={**_NUMBER, "description": "Seconds."}, size=_COUNT)),
        total_duration={**_NUMBER, "description": "Seconds."},
        truncated={"type": "boolean", "description": "The session has more segments than are listed."},
    ),
}
