"""The spool: what waits on local disk for the object store, over all streams, and how much of it must be given up."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil
from typing import Final

from streamkit.storage.health import UploadHealth
from streamkit.types import Seconds, StreamKey

logger = logging.getLogger(__name__)

LATE: Final = Seconds(15.0)
"""Uploads are behind when a segment has waited for so long."""
CAUGHT_UP: Final = Seconds(5.0)
"""They have caught up when none has waited for longer than this."""
_LOOK_EVERY: Final = 1.0  # seconds between two looks at the free space


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What waits of one stream; `lag` is the age of its oldest segment, `is_live` whether its broadcast goes on."""

    segments: int = 0
    bytes: int = 0
    lag: Seconds = Seconds(0.0)
    is_live: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolCounts:
    """Of all streams together; `given_up` since the service started."""

    segments: int = 0
    bytes: int = 0
    given_up: int = 0


class Spool:
    """Thread-safe. `budget` in bytes, 0 for what the disk has; `shortage` says what the disk lacks."""

    def __init__(
        self, *, budget: int = 0, shortage: Callable[[], int] = int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.health = UploadHealth(clock)
        """Whether the store takes anything."""
        self._budget = budget
        self._shortage = shortage
        self._clock = clock
        self._lock = threading.Lock()
        self._streams: dict[StreamKey, Waiting] = {}
        self._segments = self._live_bytes = self._other_bytes = 0
        self._given_up = 0
        self._given_up_before = 0  # when uploads last had caught up
        self._late: set[StreamKey] = set()
        self._is_told = False
        self._disk_lacks = 0
        self._looked_at = float("-inf")

    @property
    def counts(self) -> SpoolCounts:
        """What waits now, and how many segments were given up."""
        with self._lock:
            return SpoolCounts(
                segments=self._segments, bytes=self._live_bytes + self._other_bytes, given_up=self._given_up
            )

    @property
    def problem(self) -> str | None:
        """One sentence while uploads are behind, None when they are not."""
        counts = self.counts
        if not self._late:
            return None
        lost = f"; {counts.given_up} were given up" if counts.given_up else ""
        return f"Uploads are behind: {counts.segments} segments ({megabytes(counts.bytes)}) wait on disk{lost}."

    def report(self, key: StreamKey, waiting: Waiting) -> int:
        """Note what waits of a stream, and return how many bytes of it have to be given up.

        What is over the budget is taken from broadcasts that are over first, then from those on air; each gives
        as much of it as it has of the whole.
        """
        with self._lock:
            self._replace(key, waiting)
            self._tell()
            given = self._share(waiting)
            self._replace(key, replace(waiting, bytes=waiting.bytes - given))  # or the others would give it again
            return given

    def give_up(self, segments: int) -> None:
        """Count segments that were given up; the first ones are told."""
        with self._lock:
            is_first = self._given_up == self._given_up_before
            self._given_up += segments
        if is_first and segments:
            limit = f"limits.spool_bytes ({megabytes(self._budget)})" if self._budget else "the disk"
            logger.error(
                "%s has no room for what the object store does not take: the oldest segments are given up, and "
                "playlists show gaps in their place",
                limit,
            )

    def _replace(self, key: StreamKey, waiting: Waiting) -> None:
        before = self._streams.pop(key, Waiting())
        if waiting.segments:
            self._streams[key] = waiting
        for one, sign in ((before, -1), (waiting, 1)):
            self._segments += sign * one.segments
            if one.is_live:
                self._live_bytes += sign * one.bytes
            else:
                self._other_bytes += sign * one.bytes
        if waiting.lag >= LATE:
            self._late.add(key)
        elif waiting.lag <= CAUGHT_UP:
            self._late.discard(key)

    def _share(self, waiting: Waiting) -> int:
        over = self._over() - (self._other_bytes if waiting.is_live else 0)
        whole = self._live_bytes if waiting.is_live else self._other_bytes
        return ceil(waiting.bytes * min(1.0, over / whole)) if over > 0 and waiting.bytes else 0

    def _tell(self) -> None:
        if self._late and not self._is_told and self.health.problem is None:  # else that was told
            self._is_told = True
            logger.warning("Uploads are slower than the streams: %d segments wait on disk", self._segments)
        elif not self._late and (self._is_told or self._given_up != self._given_up_before):
            lost, self._given_up_before = self._given_up - self._given_up_before, self._given_up
            self._is_told = False
            logger.warning("Uploads have caught up; %d segments were given up meanwhile", lost)

    def _over(self) -> int:
        total, now = self._live_bytes + self._other_bytes, self._clock()
        if now - self._looked_at >= _LOOK_EVERY:
            self._disk_lacks, self._looked_at = self._shortage(), now
        return max(total - self._budget if self._budget else 0, self._disk_lacks if total else 0)


def megabytes(count: int) -> str:
    """Return a number of bytes as an operator reads it."""
    return f"{count / 1_000_000:.1f} MB"
