"""Shedding: gives up a stream's costliest rendition while its encoder is slower than real time.

Used by Encoding in a StreamActor's thread; the LoadGate is shared by all streams. The feed ends the encoder's input at
a key frame and keeps what follows for the next run of the same session, as when the source changes: no media are lost
by it. The rendition leaves the multivariant playlist; its own playlist goes on with gaps (EXT-X-GAP).
"""

import logging
import threading
import time
from pathlib import Path

from streamkit.overload import Pace, cost, given_up, spared
from streamkit.settings_overload import OverloadSettings
from streamkit.types import Rendition, RenditionName, StreamKey

logger = logging.getLogger(__name__)

SETTLE = 10.0  # seconds after one stream gave up something in which the others wait for what it freed
ASKED_LATELY = 3.0  # seconds
SAMPLE_EVERY = 5.0  # seconds between two looks at the processors
_PROC_STAT = Path("/proc/stat")


class LoadGate:
    """What all streams together take: who may give up something now, and whether there is room for another stream."""

    def __init__(self, settings: OverloadSettings | None = None) -> None:
        self._settings = settings or OverloadSettings()
        self._lock = threading.Lock()
        self._slow: dict[StreamKey, tuple[float, float]] = {}  # when it asked, what its costliest rendition takes
        self._settled_at = 0.0
        self._shed: dict[StreamKey, tuple[RenditionName, ...]] = {}
        self._sampled_at = 0.0
        self._ticks: tuple[int, int] | None = None
        self._cpu = 0.0

    def may_shed(self, key: StreamKey, takes: float, now: float) -> bool:
        """Whether `key`, which is too slow, is the one to give up something now: the costliest of those, and alone."""
        with self._lock:
            self._slow[key] = now, takes
            self._slow = {one: asked for one, asked in self._slow.items() if now - asked[0] < ASKED_LATELY}
            if now < self._settled_at or takes < max(asked[1] for asked in self._slow.values()):
                return False
            self._settled_at = now + SETTLE
            return True

    def note(self, key: StreamKey, shed: tuple[RenditionName, ...]) -> None:
        """Remember what `key` does without."""
        with self._lock:
            self._shed.pop(key, None)
            if shed:
                self._shed[key] = shed

    def sample(self, now: float) -> None:
        """Look at the processors, if the last look was some seconds ago. Without /proc nothing is measured."""
        with self._lock:
            if now - self._sampled_at < SAMPLE_EVERY:
                return
            self._sampled_at = now
            try:
                fields = [int(field) for field in _PROC_STAT.read_text().splitlines()[0].split()[1:9]]
            except (OSError, ValueError, IndexError):
                return
            total, idle = sum(fields), fields[3] + fields[4]
            if self._ticks is not None and total > self._ticks[0]:
                self._cpu = 1 - (idle - self._ticks[1]) / (total - self._ticks[0])
            self._ticks = total, idle

    def refusal(self) -> str | None:
        """Return why there is no room for another stream, or None."""
        self.sample(time.monotonic())  # streams do that while they run; what the last one took is free again
        with self._lock:
            if self._shed and self._settings.refuse:
                keys = ", ".join(sorted(self._shed))
                return f"this machine cannot encode more: {keys} already goes without a rendition (overload.refuse)"
            if self._cpu > self._settings.max_cpu:
                return f"{self._cpu:.0%} of the processors are busy, overload.max_cpu is {self._settings.max_cpu:g}"
            return None


class Shedding:
    """One stream's."""

    def __init__(self, key: StreamKey, settings: OverloadSettings, gate: LoadGate) -> None:
        self._key, self._gate, self._extra = key, gate, {"key": key}
        self._pace = Pace(settings)
        self._planned: tuple[Rendition, ...] = ()

    @property
    def names(self) -> tuple[RenditionName, ...]:
        """What the stream does without now."""
        return tuple(one.name for one in given_up(self._planned, self._pace.shed))

    def spare(self, planned: tuple[Rendition, ...]) -> tuple[Rendition, ...]:
        """Return what of a run's planned renditions is encoded."""
        self._planned = planned
        self._pace.begin()
        self._gate.note(self._key, self.names)
        return spared(planned, self._pace.shed)

    def forget(self) -> None:
        """The next broadcast begins with every rendition."""
        self._pace.forget()

    def rest(self) -> None:
        """Nothing is encoded for the time being: that holds no place that another stream could have."""
        self._gate.note(self._key, ())

    def note(self, now: float, out_time: float, *, is_behind: bool) -> None:
        """Take in the encoder's progress."""
        self._gate.sample(now)
        self._pace.note(now, out_time, is_behind=is_behind)

    def has_decided(self, now: float) -> bool:
        """Give up or bring back a rendition if it is time to; True when another encoder run must begin for that."""
        pace = self._pace
        if pace.is_too_slow(now):
            left = [one for one in given_up(self._planned, pace.shed + 1) if one.name not in self.names]
            if not left or not self._gate.may_shed(self._key, cost(left[0]), now):
                return False
            pace.shed_one(now)
            logger.warning("FFmpeg is slower than real time: gives up %s", left[0].name, extra=self._extra)
            return True
        if pace.may_restore(now):
            back = self.names[-1:]
            pace.restore_one(now)
            logger.warning("FFmpeg keeps up again: brings back %s", ", ".join(back), extra=self._extra)
            return bool(back)
        return False
