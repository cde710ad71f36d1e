"""Frozen views of the streams that the front end reads without asking an actor."""

import gzip
import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

from streamkit.types import (
    BitsPerSecond,
    Rendition,
    RenditionName,
    Seconds,
    SessionId,
    SourceInfo,
    StreamKey,
    StreamState,
    UnixTime,
)


@dataclass(frozen=True, kw_only=True)
class Served:
    """A file that changes under its name, ready to be served. `etag` is without quotes."""

    name: str
    body: bytes

    @cached_property
    def etag(self) -> str:
        """A strong validator: equal bodies have equal tags."""
        return hashlib.blake2b(self.body, digest_size=12).hexdigest()


class Picture(Served):
    """A picture of a stream."""


class Playlist(Served):
    """One rendered playlist."""

    @cached_property
    def gzipped(self) -> bytes:
        """The body compressed once for every player."""
        return gzip.compress(self.body, compresslevel=6, mtime=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentCounts:
    """How far the segments of the session have come, over all renditions. `bytes` is what was uploaded."""

    closed: int = 0
    uploaded: int = 0
    listed: int = 0
    lost: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSnapshot:
    """One stream as its actor last saw it.

    `speed` is media seconds per second (1.0 is real time); `bitrate` sums the uploaded segments' rates (bit/s);
    `upload_lag` is the age in seconds of the oldest closed segment that the store has not acknowledged.
    `newest_key` is the number of the newest key that a segment of the session is encrypted with, None without any.
    `poster` is the newest picture that this node made, `storyboard` the name of the index of small ones.
    `playlists` maps file names below hls/{key}/ to what players get now.
    """

    key: StreamKey
    state: StreamState
    session: SessionId | None = None
    sessions: tuple[SessionId, ...] = ()
    """Every session that the stream's actor still does something for."""
    listed_from: int | None = None
    """The first number of `session` that a playlist in the bucket lists, or will list while it goes on."""
    started_at: UnixTime | None = None
    stopped_at: UnixTime | None = None
    source: SourceInfo | None = None
    renditions: tuple[Rendition, ...] = ()
    fps: float = 0.0
    speed: float = 0.0
    bitrate: BitsPerSecond = BitsPerSecond(0)
    dropped_frames: int = 0
    duplicated_frames: int = 0
    segments: SegmentCounts = SegmentCounts()
    upload_lag: Seconds = Seconds(0.0)
    restarts: int = 0
    slate: bool = False
    """Whether players see the slate, because the publisher is gone."""
    shed: tuple[RenditionName, ...] = ()
    """What it does without, because the encoder is slower than real time."""
    last_error: str | None = None
    newest_key: int | None = None
    poster: Picture | None = None
    storyboard: str | None = None
    playlists: Mapping[str, Playlist] = field(default_factory=lambda: MappingProxyType({}))


class SnapshotBoard:
    """Thread-safe: actors publish, the front end reads. The newest snapshot of each key, nothing else."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._snapshots: dict[StreamKey, StreamSnapshot] = {}
        self.is_draining = False
        """Whether new publishes are refused because the service ends with its last stream."""

    def publish(self, snapshot: StreamSnapshot) -> None:
        """Replace the key's snapshot."""
        with self._lock:
            self._snapshots[snapshot.key] = snapshot

    def remove(self, key: StreamKey) -> None:
        """Forget the key; unknown keys are no error."""
        with self._lock:
            self._snapshots.pop(key, None)

    def get(self, key: StreamKey) -> StreamSnapshot | None:
        """Return the key's newest snapshot."""
        return self._snapshots.get(key)

    def all(self) -> tuple[StreamSnapshot, ...]:
        """Return every snapshot, in no particular order."""
        with self._lock:
            return tuple(self._snapshots.values())
