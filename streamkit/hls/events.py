"""Everything that can happen to a stream's ledger, and how it is written to the journal.

An event carries every number that was decided, so that replaying it decides nothing anew.
"""

from dataclasses import MISSING, dataclass, fields
from fractions import Fraction
from math import isfinite
from typing import Any

from streamkit.hls.segments import View
from streamkit.types import (
    FIRST_TIMESTAMP,
    Epoch,
    MediaSequence,
    Rendition,
    RenditionName,
    Seconds,
    SegmentFormat,
    SessionId,
    UnixTime,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CountersRestored:
    """The numbers begin no lower than these: what another record, or the journal before compaction, knew."""

    epoch: Epoch
    next_sequence: MediaSequence
    next_discontinuity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOpened:
    """A new broadcast begins; one that is still open ends now."""

    session: SessionId
    epoch: Epoch
    at: UnixTime
    ladder: str = ""
    """Name of the ladder that all of it is encoded with; '' is the one that the configuration gives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunBegun:
    """An encoder starts (again) at number `first` of `session`; a run before it ends."""

    session: SessionId
    first: MediaSequence
    discontinuity: int
    renditions: tuple[Rendition, ...]
    segment_format: SegmentFormat = SegmentFormat.MPEGTS
    key_rotation: int = 0
    """Segments that one encryption key is for; 0 when they are not encrypted."""
    starts_at: int = FIRST_TIMESTAMP
    """Seconds at which its timestamps begin, later than any before it."""
    target_duration: int = 0
    """EXT-X-TARGETDURATION that the session's playlists have promised before it; 0 when they have none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaProbed:
    """What the encoder really wrote in the run that began at `first`; a later one replaces it. See Encoded."""

    session: SessionId
    first: MediaSequence
    rendition: RenditionName
    video_codec: str
    audio_codec: str
    width: int
    height: int
    fps: Fraction | None
    channels: int
    independent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentRecorded:
    """The encoder closed a segment of `size` bytes and `duration` seconds; one of no bytes is lost at once."""

    session: SessionId
    rendition: RenditionName
    sequence: MediaSequence
    size: int
    duration: Seconds
    closed_at: UnixTime


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentAcknowledged:
    """The object store has the segment."""

    session: SessionId
    rendition: RenditionName
    sequence: MediaSequence
    at: UnixTime


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentLost:
    """The segment will never reach the object store: its file is gone."""

    session: SessionId
    rendition: RenditionName
    sequence: MediaSequence
    at: UnixTime


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberForced:
    """Number `sequence` waited long enough in `view`: it is released, and what is missing becomes a gap."""

    view: View
    sequence: MediaSequence
    at: UnixTime


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded:
    """The encoder of the session's last run ended, and every segment that it closed is recorded."""

    session: SessionId
    at: UnixTime


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEnded:
    """The broadcast is over: no number will be added."""

    session: SessionId
    at: UnixTime


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionArchived:
    """The store has the playlists of the whole broadcast; the ledger may forget it."""

    session: SessionId


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesDeleted:
    """These local files, segments and their initialization sections, were deleted after they had expired."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetStored:
    """The store has sheet `number` of the session's storyboard.

    Its pictures stand row by row in `columns` cells; each has `width` x `height` pixels of its cell. `starts` says
    where each was taken on the broadcast's timeline, in milliseconds.
    """

    session: SessionId
    number: int
    columns: int
    width: int
    height: int
    cell_width: int
    cell_height: int
    starts: tuple[int, ...]


Event = (
    CountersRestored
    | SessionOpened
    | RunBegun
    | MediaProbed
    | SegmentRecorded
    | SegmentAcknowledged
    | SegmentLost
    | NumberForced
    | RunEnded
    | SessionEnded
    | SessionArchived
    | FilesDeleted
    | SheetStored
)

_KINDS: dict[str, type[Event]] = {
    "counters": CountersRestored,
    "session_opened": SessionOpened,
    "run_begun": RunBegun,
    "probed": MediaProbed,
    "closed": SegmentRecorded,
    "uploaded": SegmentAcknowledged,
    "lost": SegmentLost,
    "forced": NumberForced,
    "run_ended": RunEnded,
    "session_ended": SessionEnded,
    "archived": SessionArchived,
    "deleted": FilesDeleted,
    "sheet": SheetStored,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}
_TEXT_FIELDS = frozenset({"session", "rendition", "ladder", "video_codec", "audio_codec"})
_WHOLE_FIELDS = frozenset(
    {
        "epoch",
        "next_sequence",
        "next_discontinuity",
        "number",
        "columns",
        "width",
        "height",
        "cell_width",
        "cell_height",
        "first",
        "discontinuity",
        "sequence",
        "size",
        "key_rotation",
        "starts_at",
        "target_duration",
        "channels",
    }
)
_TIME_FIELDS = frozenset({"at", "closed_at", "duration"})


def to_record(event: Event) -> dict[str, Any]:
    """Return the event as a JSON object."""
    record: dict[str, Any] = {"event": _NAMES[type(event)]}
    for field in fields(event):
        value = getattr(event, field.name)
        if field.name == "renditions":
            value = [_from_rendition(one) for one in value]
        record[field.name] = str(value) if isinstance(value, Fraction) else value
    return record


def from_record(record: object) -> Event:
    """Return the event that a JSON object describes; raise ValueError when it describes none."""
    kind = _KINDS.get(str(record.get("event"))) if isinstance(record, dict) else None
    if not isinstance(record, dict) or kind is None:
        raise ValueError("not an event of the journal")
    expected = {field.name for field in fields(kind)}
    # A field that came with a newer version has a default, which is what the older one meant.
    needed = {field.name for field in fields(kind) if field.default is MISSING}
    if not needed <= set(record) - {"event"} <= expected:
        raise ValueError(f"the fields of {record['event']} are not {', '.join(sorted(expected))}")
    return kind(**{name: _value(name, value) for name, value in record.items() if name != "event"})


def _value(name: str, value: Any) -> Any:
    """Return the JSON value of one field as the event holds it, of the type that its name tells."""
    if name == "view":
        return View(value)
    if name == "segment_format":
        return SegmentFormat(value)
    if name == "renditions" and isinstance(value, list):
        return tuple(_to_rendition(one) for one in value)
    if name == "names" and isinstance(value, list) and all(isinstance(one, str) for one in value):
        return tuple(value)
    if name == "fps":
        return None if value is None else _to_rate(value)
    if name == "starts" and isinstance(value, list) and all(type(one) is int and one >= 0 for one in value):
        return tuple(value)
    whole = type(value) is int
    right = (
        (name in _TEXT_FIELDS and isinstance(value, str))
        or (name in _WHOLE_FIELDS and whole and value >= 0)
        or (name == "independent" and isinstance(value, bool))
        or (name in _TIME_FIELDS and (whole or (type(value) is float and isfinite(value))))
    )
    if not right:
        raise ValueError(f"{name} is {value!r}")
    return value


def _to_rate(value: object) -> Fraction:
    try:
        return Fraction(str(value))
    except (ValueError, ZeroDivisionError) as error:
        raise ValueError(f"fps is {value!r}") from error


def _from_rendition(rendition: Rendition) -> dict[str, Any]:
    record = {field.name: getattr(rendition, field.name) for field in fields(rendition)}
    return record | {"fps": None if rendition.fps is None else str(rendition.fps)}


def _to_rendition(record: dict[str, Any]) -> Rendition:
    try:
        return Rendition(**record | {"fps": None if record["fps"] is None else Fraction(record["fps"])})
    except (TypeError, KeyError, ZeroDivisionError) as error:
        raise ValueError(f"not a rendition: {error}") from error
