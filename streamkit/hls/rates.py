"""The bit rates of a rendition: what its listed segments take, and what the live multivariant playlist says."""

from dataclasses import dataclass, field

from streamkit.hls.segments import MICRO
from streamkit.types import BitsPerSecond, Rendition

MUXED_PERCENT = 108
"""Of the encoder's bit rate, what MPEG-TS takes."""
_SETTLED_US = 20 * MICRO  # of media, after which a measured average means something
_MOVED = 10  # percent that the average must move before the playlist changes


@dataclass(slots=True)
class PeakRate:
    """The peak segment bit rate of RFC 8216 4.1, over segments of at least half a target duration.

    A shorter one (the last of a run) counts together with the one before it, so that one key frame in a tenth of
    a second does not make the whole rendition look ten times as heavy.
    """

    peak: int = 0
    _before: tuple[int, int] = (0, 0)

    def add(self, size: int, duration_us: int, target: int) -> None:
        """Take in the next segment of `size` bytes."""
        before_size, before_us = self._before if 2 * duration_us < target * MICRO else (0, 0)
        self._before = (size, duration_us)
        total_us = before_us + duration_us
        self.peak = max(self.peak, -(-(before_size + size) * 8 * MICRO // total_us))


@dataclass(slots=True)
class LiveRate:
    """What a live playlist declares of one rendition, over one session; players read it once and rely on it.

    `peak`: what the encoder may use, or the measured peak when that is higher, in two digits, rounded up. It only
    grows, so no segment that is or was listed exceeds it.
    `average`: what the encoder aims at, until what is measured is known well and differs by a tenth.
    """

    measured: PeakRate = field(default_factory=PeakRate)
    _promised: int = 0
    _average: int = 0
    _bits: int = 0
    _us: int = 0

    def promise(self, rendition: Rendition) -> None:
        """Take in what a run of the encoder may use."""
        most = (max(rendition.maxrate, rendition.video_bitrate) + rendition.audio_bitrate) * MUXED_PERCENT // 100
        self._promised = max(self._promised, most)
        if rendition.video_bitrate or not rendition.video_codec:  # else it is copied, at a rate that is not known
            aim = (rendition.video_bitrate + rendition.audio_bitrate) * MUXED_PERCENT // 100
            self._average = self._average or aim

    def add(self, size: int, duration_us: int, target: int) -> None:
        """Take in a segment that is listed now."""
        self.measured.add(size, duration_us, target)
        self._bits += size * 8
        self._us += duration_us
        average = self._bits * MICRO // self._us
        if (self._us >= _SETTLED_US or not self._average) and abs(average - self._average) * 100 > _MOVED * average:
            self._average = two_digits_up(average)

    @property
    def peak(self) -> BitsPerSecond:
        """BANDWIDTH."""
        return BitsPerSecond(max(1, two_digits_up(max(self._promised, self.measured.peak))))

    @property
    def average(self) -> BitsPerSecond:
        """AVERAGE-BANDWIDTH, which is not above BANDWIDTH."""
        return BitsPerSecond(max(1, min(self._average or self.peak, self.peak)))


def two_digits_up(value: int) -> int:
    """Return the next number of two digits and zeros: so a rate that grows changes the playlist rarely."""
    step = int(10 ** max(0, len(str(value)) - 2))
    return -(-value // step) * step
