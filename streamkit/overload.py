"""Pure: whether an encoder keeps up with its source, and what a stream does without while it does not.

FFmpeg's own `speed` is an average since its start, and a source that sends slowly looks like a slow encoder. So the
pace is taken over the last seconds, and counts only while input waits for the encoder. All times are monotonic.
"""

from collections import deque
from collections.abc import Iterable

from streamkit.ffmpeg.encoders import is_encoded
from streamkit.settings_overload import OverloadSettings
from streamkit.types import Rendition

PACE_OVER = 10.0
"""Seconds over which the pace is taken; half of them are the least."""
MOST_DOUBLINGS = 6


def cost(rendition: Rendition) -> float:
    """Return what a rendition takes, in encoded pixels a second; 0 for one that is copied or has no picture."""
    return rendition.width * rendition.height * float(rendition.fps or 30) if is_encoded(rendition) else 0.0


def spared(renditions: tuple[Rendition, ...], shed: int) -> tuple[Rendition, ...]:
    """Return the renditions without the `shed` costliest; one with a picture always stays."""
    return tuple(one for one in renditions if one not in given_up(renditions, shed))


def given_up(renditions: Iterable[Rendition], shed: int) -> tuple[Rendition, ...]:
    """Return the `shed` costliest renditions, but never the last one with a picture."""
    pictures = sorted((one for one in renditions if one.video_codec), key=cost, reverse=True)
    costly = [one for one in pictures if cost(one) > 0]
    return tuple(costly[: min(shed, len(pictures) - 1)]) if pictures else ()


class Pace:
    """One stream's encoder against the clock, and how many renditions the stream does without."""

    def __init__(self, settings: OverloadSettings) -> None:
        self._settings = settings
        self._samples: deque[tuple[float, float]] = deque()  # (now, media seconds written)
        self._slow_since: float | None = None
        self._fast_since: float | None = None
        self._restored_at: float | None = None
        self._relapses = 0
        self.shed = 0
        """How many renditions are given up."""

    def begin(self) -> None:
        """Another encoder begins, or another broadcast: what the last one wrote says nothing about it."""
        self._samples.clear()
        self._slow_since = self._fast_since = None

    def forget(self) -> None:
        """A new broadcast begins with every rendition."""
        self.begin()
        self.shed, self._relapses, self._restored_at = 0, 0, None

    def note(self, now: float, out_time: float, *, is_behind: bool) -> None:
        """Take in a report; `is_behind`: input waits for the encoder."""
        self._samples.append((now, out_time))
        while now - self._samples[0][0] > PACE_OVER:
            self._samples.popleft()
        first_at, first_out = self._samples[0]
        if now - first_at < PACE_OVER / 2:
            return
        is_slow = is_behind and (out_time - first_out) / (now - first_at) < self._settings.slower_than
        self._slow_since = (self._slow_since or first_at) if is_slow else None
        self._fast_since = None if is_behind else (self._fast_since or now)

    def is_too_slow(self, now: float) -> bool:
        """Whether a rendition should be given up."""
        after = self._settings.shed_after
        return bool(after) and self._slow_since is not None and now - self._slow_since >= after

    def may_restore(self, now: float) -> bool:
        """Whether one that was given up should be brought back."""
        return self.shed > 0 and self._fast_since is not None and now - self._fast_since >= self.patience

    @property
    def patience(self) -> float:
        """Seconds without a backlog before a rendition is brought back."""
        return float(self._settings.restore_after * 2 ** min(self._relapses, MOST_DOUBLINGS))

    def shed_one(self, now: float) -> None:
        """Give up one more; soon after one was brought back, the next has to wait longer."""
        has_relapsed = self._restored_at is not None and now - self._restored_at < self.patience
        self._relapses = self._relapses + 1 if has_relapsed else 0
        self.shed += 1
        self.begin()

    def restore_one(self, now: float) -> None:
        """Bring one back."""
        self.shed, self._restored_at = self.shed - 1, now
        self.begin()
