"""Pure: what the API answers, as frozen values with the names of its JSON; a test compares them with its schemas.

Times are ISO 8601 in UTC, durations seconds, rates bit/s.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendition:
    """One rendition that is encoded now."""

    name: str
    width: int
    height: int
    fps: float | None
    video_codec: str | None
    video_bitrate: int
    audio_codec: str | None
    audio_bitrate: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What the publisher's headers say. `video_bitrate` is what it announced; sizes are 0 where there is no picture."""

    video_codec: str | None
    width: int
    height: int
    fps: float | None
    video_bitrate: int | None
    audio_codec: str | None
    sample_rate: int | None
    channels: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveStream:
    """What the service knows of a stream that is on air, or was a moment ago."""

    stream_key: str
    session: str | None
    state: str
    started_at: str | None
    uptime: float | None
    playlist_url: str | None
    poster_url: str | None
    storyboard_url: str | None
    source: Source | None
    renditions: tuple[Rendition, ...]
    fps: float
    speed: float
    bitrate: int
    dropped_frames: int
    duplicated_frames: int
    segments_closed: int
    segments_uploaded: int
    segments_listed: int
    segments_lost: int
    bytes: int
    upload_lag: float
    restarts: int
    slate: bool
    shed: tuple[str, ...]
    last_error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """A stream key that was ever published."""

    id: int | None
    stream_key: str
    status: str
    state: str
    started_at: str | None
    stopped_at: str | None
    created_at: str | None
    updated_at: str | None
    last_error: str | None
    live: LiveStream | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPage:
    """Some streams of `total`, from `offset` on."""

    streams: tuple[Stream, ...]
    total: int
    offset: int
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One broadcast."""

    id: int
    session: str
    status: str
    state: str
    started_at: str
    ended_at: str | None
    end_reason: str | None
    expired_at: str | None
    renditions: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPage:
    """Some sessions of `total`, newest first."""

    items: tuple[Session, ...]
    total: int
    offset: int
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamDetail(Stream):
    """A stream with its sessions."""

    playlist_url: str
    sessions: SessionPage


_BELOW: Mapping[tuple[type, str], type] = {
    (LiveStream, "source"): Source,
    (LiveStream, "renditions"): Rendition,
    (Stream, "live"): LiveStream,
    (StreamDetail, "live"): LiveStream,
    (StreamDetail, "sessions"): SessionPage,
    (StreamPage, "streams"): Stream,
    (SessionPage, "items"): Session,
}


def read(model: type[T], answer: Any) -> T:
    """Return the answer as `model`; keys that a newer service adds are left out.

    Raises LookupError or TypeError when the answer is something else.
    """
    values = {}
    for field in fields(model):  # type: ignore[arg-type]
        value, below = answer[field.name], _BELOW.get((model, field.name))
        if isinstance(value, list):
            value = tuple(value if below is None else (read(below, one) for one in value))
        elif below is not None and value is not None:
            value = read(below, value)
        values[field.name] = value
    return model(**values)
