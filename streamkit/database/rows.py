"""What the database answers: frozen rows and pages of them. Times are Unix seconds; the web renders ISO 8601."""

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from streamkit.types import (
    ClipId,
    MediaSequence,
    PublishKeyId,
    RenditionName,
    Seconds,
    SessionId,
    StreamKey,
    StreamState,
    UnixTime,
)

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Row]):
    """`items` from `offset` on, at most `limit` of `total`."""

    items: tuple[Row, ...]
    total: int
    offset: int
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRow:
    """A row of `streams`."""

    id: int
    stream_key: StreamKey
    status: StreamState
    started_at: UnixTime | None
    stopped_at: UnixTime | None
    created_at: UnixTime
    updated_at: UnixTime
    last_error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRow:
    """A row of `sessions`: one broadcast with its reconnects."""

    id: int
    stream_key: StreamKey
    session: SessionId
    status: StreamState
    started_at: UnixTime
    ended_at: UnixTime | None
    end_reason: str | None
    renditions: tuple[RenditionName, ...]
    expired_at: UnixTime | None = None
    """When retention decided that it is not kept; its playlists are gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentRow:
    """A row of `segments`; `state` is 'closed', 'uploaded' or 'lost', `size` in bytes."""

    session: SessionId
    rendition: RenditionName
    sequence: int
    name: str
    duration: Seconds
    size: int
    program_date_time: UnixTime
    discontinuity: bool
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveRow:
    """An ended session that the store still has something of. `bytes` of its stored segments."""

    stream_key: StreamKey
    session: SessionId
    started_at: UnixTime
    ended_at: UnixTime
    renditions: tuple[RenditionName, ...]
    bytes: int
    expired_at: UnixTime | None
    remove_after: UnixTime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipRow:
    """A row of `clips`: whole segments `first` to `last` of a session. `state` is 'pending', 'ready' or 'deleted'."""

    stream_key: StreamKey
    clip: ClipId
    session: SessionId
    name: str
    state: str
    first: MediaSequence
    last: MediaSequence
    starts_at: UnixTime
    ends_at: UnixTime
    renditions: tuple[RenditionName, ...]
    created_at: UnixTime


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishKeyRow:
    """A row of `publish_keys`; `digest` is of the key's secret (streamkit.access.keys)."""

    id: PublishKeyId
    stream_key: StreamKey
    digest: str = field(repr=False)
    label: str
    created_at: UnixTime
    expires_at: UnixTime | None
    revoked_at: UnixTime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamCounts:
    """How many keys the database knows: all, active (see StreamState.is_active), ended, and failed."""

    total: int
    active: int
    inactive: int
    failed: int
