"""The values that the ledger, its books and the playlists share."""

from dataclasses import dataclass
from enum import StrEnum

from streamkit.types import MediaSequence, RenditionName, Seconds, SessionId, UnixTime

MICRO = 1_000_000
"""Media time is counted in whole microseconds, as FFmpeg writes it, so that sums over a day stay exact."""


class SegmentState(StrEnum):
    """How far a segment has come. Only forward: closed -> uploaded, or closed -> lost."""

    CLOSED = "closed"
    UPLOADED = "uploaded"
    LOST = "lost"


class View(StrEnum):
    """From whose eyes a playlist is rendered."""

    LOCAL = "local"  # what this node's disk can serve now
    BUCKET = "bucket"  # what the object store has acknowledged


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One entry of a media playlist.

    `duration` in seconds, `size` in bytes, `program_date_time` in Unix seconds. `discontinuity` is the absolute
    discontinuity sequence number (RFC 8216 6.2.1); `starts_discontinuity` says that EXT-X-DISCONTINUITY stands
    before it. `gap` says that there is no media to fetch under its name (EXT-X-GAP); its `state` may still be
    CLOSED when the segment is only late. `init` names the initialization section that the segment needs (EXT-X-MAP).
    `key_uri` is where the key is that it is encrypted with (EXT-X-KEY), None when it is not encrypted.
    `independent` is False once any segment of the session was seen to need the one before it (4.3.5.1).
    """

    session: SessionId
    rendition: RenditionName
    sequence: MediaSequence
    name: str
    duration: Seconds
    program_date_time: UnixTime
    size: int
    discontinuity: int
    starts_discontinuity: bool
    state: SegmentState
    gap: bool = False
    init: str | None = None
    key_uri: str | None = None
    independent: bool = True
