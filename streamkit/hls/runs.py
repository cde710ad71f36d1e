"""The lives of the encoder within one session."""

from dataclasses import dataclass, field

from streamkit.hls.encoded import Encoded
from streamkit.hls.segments import MICRO
from streamkit.types import FIRST_TIMESTAMP, Rendition, RenditionName, SegmentFormat

HEALTHY_LAG = 3  # numbers that a rendition may be behind and still be waited for


@dataclass(slots=True)
class Progress:
    """How far a rendition has come in a run: the number it closes next, and the media before it."""

    next: int
    elapsed_us: int = 0


@dataclass(slots=True)
class Run:
    """One life of the encoder: from `first` to the first number of the next run."""

    first: int
    discontinuity: int
    starts_discontinuity: bool
    renditions: tuple[Rendition, ...]
    progress: dict[RenditionName, Progress]
    segment_format: SegmentFormat = SegmentFormat.MPEGTS
    key_rotation: int = 0
    starts_at: int = FIRST_TIMESTAMP
    anchor_us: int | None = None
    ended: bool = False
    encoded: dict[RenditionName, Encoded] = field(default_factory=dict)
    """What was seen of each rendition."""

    def ends_before(self) -> int:
        """Return a whole second that the timestamps of its media do not reach, with one to spare."""
        elapsed_us = max(progress.elapsed_us for progress in self.progress.values())
        return self.starts_at - (-elapsed_us // MICRO) + 1

    def waits_for(self, name: RenditionName, sequence: int) -> bool:
        """Return whether the rendition may still close this number: it closes in order, and is not far behind."""
        following = self.progress[name].next
        return not self.ended and following <= sequence < following + HEALTHY_LAG


def merge_renditions(newer: tuple[Rendition, ...], older: tuple[Rendition, ...]) -> tuple[Rendition, ...]:
    """Return the newer renditions in their order, then the older ones whose names they do not have."""
    names = {rendition.name for rendition in newer}
    return newer + tuple(rendition for rendition in older if rendition.name not in names)
