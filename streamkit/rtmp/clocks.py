"""Pure: what a publisher's timestamps (ms) mean, whatever they do."""

from streamkit.rtmp import chunks
from streamkit.rtmp.gop import Frame

_HALF, _FULL = 1 << 31, 1 << 32
JITTER = 1000
"""Milliseconds by which a frame may be older than another without being taken for a jump."""
JUMP = 3000
"""Milliseconds by which a frame may be newer than the last of its medium without being taken for a jump."""
SILENT_AFTER = 6000
"""Milliseconds of one medium without anything of the other, after which that one has ended."""


class Unwrapper:
    """Timestamps modulo 2^32 become a line without jumps (RTMP 1.0 section 5.3.1.2: they wrap every 49.7 days)."""

    def __init__(self) -> None:
        self._newest: int | None = None

    def unwrapped(self, timestamp: int) -> int:
        """Return the timestamp on the line, which the first one begins."""
        if self._newest is None:
            self._newest = timestamp
        self._newest += (timestamp - self._newest + _HALF) % _FULL - _HALF
        return self._newest


class RunClock:
    """Timestamps of one encoder run: they begin at 0, never go below it, and do not jump.

    A publisher's clock that jumps moves both media: the first frame that shows it goes on from where the run is. A
    constant distance between audio and video is no jump.
    """

    def __init__(self) -> None:
        self._base: int | None = None
        self._last: dict[int, int] = {}
        self.newest = 0

    def rebased(self, frame: Frame) -> int | None:
        """Return the frame's timestamp in the run; None for audio from just before its start, which is dropped."""
        if self._base is None:
            self._base = frame.timestamp
        last = self._last.get(frame.type_id, frame.timestamp)
        self._last[frame.type_id] = frame.timestamp
        timestamp = frame.timestamp - self._base
        has_jumped = not -JITTER <= frame.timestamp - last <= JUMP
        if has_jumped and not -JITTER <= timestamp - self.newest <= JUMP:
            self._base = frame.timestamp - self.newest
            timestamp = self.newest
        elif timestamp < 0:
            if frame.type_id == chunks.AUDIO:
                return None
            timestamp = 0
        self.newest = timestamp
        return timestamp


class Silence:
    """How long each medium has been silent, measured by the other one's timestamps; jumps do not count."""

    def __init__(self) -> None:
        self._last: dict[bool, int] = {}
        self._silent = {True: 0, False: 0}

    def note(self, timestamp: int, *, is_video: bool) -> bool:
        """Take in a frame; return whether its timestamp jumped forward."""
        delta = timestamp - self._last.get(is_video, timestamp)
        self._last[is_video] = timestamp
        self._silent[is_video] = 0
        if 0 < delta <= JUMP:
            self._silent[not is_video] += delta
        return delta > JUMP

    def has_ended(self, *, is_video: bool) -> bool:
        """Return whether the medium has been silent for too long."""
        return self._silent[is_video] > SILENT_AFTER
