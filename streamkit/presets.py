"""Pure: which preset `auto` stands for: the slowest with which this machine keeps real time, as it was measured.

Presets of different encoders are compared by *effort*: 0 is the fastest of each, and a ladder gets one effort for all
its `auto` renditions. What was measured for a ladder is carried over to another source by its work, in pixels a second.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction

from streamkit.ffmpeg.encoders import AUTO, ENCODERS, is_encoded
from streamkit.settings_ladder import LadderSettings
from streamkit.types import AudioSource, Rendition, SourceInfo, VideoSource

REAL_TIME_RESERVE = 1.2
"""How much faster than real time an encoder must be alone: content differs, and so does what else a machine does."""
DECODING = 0.3
"""The work of decoding a pixel, against that of encoding one."""
REFERENCE_FPS = Fraction(30)
_USUAL_FPS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One effort: media seconds encoded per second, and processors kept busy by real time."""

    speed: float
    processors: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What is known of a ladder on this machine: measures by effort, from 0 on, of so much work.

    `processors` is how many one stream may keep busy. Without measures nothing is known.
    """

    measures: tuple[Measure, ...] = ()
    work: float = 0.0
    processors: float = 0.0


UNKNOWN = Capacity()
"""Nothing was measured: each encoder gets its usual preset."""


def has_auto(ladder: LadderSettings) -> bool:
    """Whether a measurement would change what the ladder is encoded with."""
    return any(
        rung.is_encoded and rung.preset == AUTO and len(set(rung.encoder.efforts)) > 1 for rung in ladder.renditions
    )


def reference_source(ladder: LadderSettings) -> SourceInfo:
    """Return the source that the ladder is measured with: as large as its largest rung, 16:9, 30 fps, stereo."""
    height = max((rung.height or 0 for rung in ladder.renditions), default=0) // 2 * 2
    video = VideoSource(codec="h264", width=round(height * 8 / 9) * 2, height=height, fps=REFERENCE_FPS)
    return SourceInfo(video=video, audio=AudioSource(codec="aac", sample_rate=48_000, channels=2))


def work(source: SourceInfo, renditions: Iterable[Rendition]) -> float:
    """Return how much there is to do, in encoded pixels per second."""
    video = source.video
    decoded = 0.0 if video is None else video.width * video.height * float(video.fps or _USUAL_FPS)
    encoded = sum(r.width * r.height * float(r.fps or _USUAL_FPS) for r in renditions if is_encoded(r))
    return DECODING * decoded + encoded


def best_effort(capacity: Capacity, wanted: float) -> int | None:
    """Return the highest effort that leaves room for `wanted` work; 0 when none does, None when nothing is known."""
    if not capacity.measures or capacity.work <= 0:
        return None
    share = wanted / capacity.work
    best = 0
    for effort, measure in enumerate(capacity.measures):
        keeps_up = measure.speed >= share * REAL_TIME_RESERVE
        if not keeps_up or measure.processors * share > capacity.processors:
            break
        best = effort
    return best


def with_effort(renditions: tuple[Rendition, ...], effort: int | None) -> tuple[Rendition, ...]:
    """Return the renditions with the presets of this effort for `auto`; the encoder's usual one for None."""
    return tuple(
        replace(rendition, preset=_preset(rendition, effort)) if rendition.preset == AUTO else rendition
        for rendition in renditions
    )


def with_presets(renditions: tuple[Rendition, ...], source: SourceInfo, capacity: Capacity) -> tuple[Rendition, ...]:
    """Return the renditions with a preset of their encoder in place of `auto`."""
    return with_effort(renditions, best_effort(capacity, work(source, renditions)))


def _preset(rendition: Rendition, effort: int | None) -> str:
    encoder = ENCODERS[rendition.video_codec or ""]
    return encoder.usual if effort is None else encoder.efforts[effort]


def describe_auto(ladder: LadderSettings, renditions: Iterable[Rendition], capacity: Capacity) -> str | None:
    """Return in words what `auto` came to in `renditions`; None when nothing of the ladder depends on the machine."""
    if not has_auto(ladder):
        return None
    auto = {rung.name for rung in ladder.renditions if rung.is_encoded and rung.preset == AUTO}
    chosen = ", ".join(f"{r.name} {r.video_codec} {r.preset}".strip() for r in renditions if r.name in auto)
    if not capacity.measures:
        return f"preset auto is not measured yet on this machine, the usual ones are used: {chosen}"
    return f"preset auto is, as measured: {chosen}"
