"""Pure: where copied video is cut into segments, so that none is longer than its playlists promise.

A copied segment ends at a key frame, and the publisher decides where those are. EXT-X-TARGETDURATION must not change
(RFC 8216 6.2.1), so it is promised with the first segment and some headroom; where no key frame comes in time after
that, the segment is cut without one.
"""

from dataclasses import dataclass
from enum import Enum, auto
from math import ceil

COPY_HEADROOM = 1
"""Seconds above the first segment that are promised for copied video: key frames wander."""
LONGEST_FIRST = 12_000
"""Milliseconds after which the first segment is cut, key frame or not: x264's own limit is 250 frames."""
TOLERANCE = 0.99
"""A copied 2 s GOP whose timestamps say 1.999 s must not become a 4 s segment."""
_LATEST = 450  # ms above the promise at which a length is still rounded down to it
_EARLY = 500  # ms below the promise at which a segment is cut without a key frame: frames may be missing after it
_DOUBT = 5  # ms by which the length that FFmpeg tells may differ
_LONG = 1.5  # times the wanted length from which on an operator should know


def copied_target(first_ms: float, least: int) -> int:
    """Return the EXT-X-TARGETDURATION to promise: the first segment has `first_ms`, and `least` s are wanted."""
    return max(int(first_ms / 1000 + 0.5), least) + COPY_HEADROOM


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """What is wanted of a run's segments. `target`: EXT-X-TARGETDURATION if playlists have promised it, else 0."""

    segment_duration: float
    target: int = 0


class Place(Enum):
    """What a frame is in its segment."""

    BEGINS = auto()
    INSIDE = auto()
    LATE = auto()
    """Too late for this segment: media are missing before it."""


class Pacer:
    """Decides for one encoder run, frame by frame in the order of decoding. Times are milliseconds."""

    def __init__(self, pace: Pace) -> None:
        self._wanted = pace.segment_duration
        self._target = pace.target
        self._start: int | None = None
        self._newest = self._step = 0
        self._is_told = False
        self._remark = ""

    def place(self, shown_at: int, *, is_key: bool) -> Place:
        """Return what the frame is that is shown at this time. After LATE, which changes nothing, the run is over."""
        if self._start is None:
            self._start = self._newest = shown_at
            return Place.BEGINS
        length = shown_at - self._start
        if self._target and length > self._target * 1000 + _LATEST:
            return Place.LATE
        is_newest = shown_at > self._newest  # else it is a B-frame, which belongs to the frames around it
        if is_newest:
            self._step, self._newest = max(self._step, shown_at - self._newest), shown_at
        if is_key and length >= self._wanted * TOLERANCE * 1000:
            self._cut(shown_at, length)
        elif is_newest and self._must_end(length):
            self._cut(shown_at, length, has_key=False)
        else:
            return Place.INSIDE
        return Place.BEGINS

    def take_remark(self) -> str:
        """Return, once, what an operator should know about the publisher's key frames; '' for nothing."""
        remark, self._remark = self._remark, ""
        return remark

    def _must_end(self, length: int) -> bool:
        if not self._target:
            return length >= LONGEST_FIRST
        latest = self._target * 1000 + _LATEST
        early = max(self._target * 1000 - _EARLY, min(self._wanted * 1050, latest - _LATEST / 2))
        return length >= early or length + self._step > latest

    def _cut(self, shown_at: int, length: int, *, has_key: bool = True) -> None:
        if not has_key:
            self._say(
                f"no key frame came for {length / 1000:.1f} s, so segments are cut without one, and players can begin "
                f"only where there is one"
            )
        elif length > self._wanted * _LONG * 1000:
            self._say(f"its key frames are {length / 1000:.1f} s apart, and copied segments are no shorter")
        if not self._target:
            self._target = copied_target(length - _DOUBT, ceil(self._wanted))
        self._start, self._step = shown_at, 0

    def _say(self, what: str) -> None:
        if not self._is_told:
            self._is_told = True
            self._remark = f"{what}: set the publisher's key frame interval to {self._wanted:g} s or less"
