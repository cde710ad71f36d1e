"""Pure: what a ladder will take: bandwidth, requests, storage and processors, before anybody publishes to it."""

from dataclasses import dataclass

from streamkit.ffmpeg.encoders import is_encoded
from streamkit.ffmpeg.pictures import PictureSpec
from streamkit.hls.rates import MUXED_PERCENT
from streamkit.presets import Capacity, best_effort, has_auto, work
from streamkit.settings import Settings
from streamkit.settings_ladder import LadderSettings
from streamkit.types import BitsPerSecond, Rendition, SourceInfo

_HOUR = 3600
_COPIES = "nothing is encoded: FFmpeg copies, which takes a few hundredths of a processor"
_UNMEASURED = "processors are not known: measure them with `streamkit ladder calibrate`, while no stream runs"
_MEASURED = (
    "processors were measured with a noisy test picture and carried over by pixels per second: other pictures, codecs "
    "and sizes of the source, and what else the machine does, change it by a third or more"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What one stream will take. Rates in bit/s over all renditions; None where it cannot be known beforehand.

    `processors` is how many real-time encoding keeps busy on this machine; `speed` media seconds per second alone.
    """

    average: BitsPerSecond | None
    peak: BitsPerSecond | None
    puts_per_hour: int
    bytes_per_hour: int | None
    processors: float | None
    speed: float | None
    notes: tuple[str, ...]


def forecast(
    settings: Settings,
    ladder: LadderSettings,
    source: SourceInfo,
    renditions: tuple[Rendition, ...],
    pictures: PictureSpec | None,
    capacity: Capacity,
) -> Forecast:
    """Return what `renditions`, which were planned from the others, will take."""
    average = _sum([rendition.video_bitrate for rendition in renditions if rendition.video_codec], renditions)
    peak = _sum([r.maxrate or r.video_bitrate for r in renditions if r.video_codec], renditions)
    processors, speed, of_processors = _processors(ladder, source, renditions, capacity)
    notes = [of_processors]
    if average is None:
        notes.append("the source does not announce its bit rate, and video is copied: bandwidth is the publisher's")
    else:
        notes.append("bandwidth and storage are what the encoder aims at: pictures that hardly move take less")
    notes.append("requests are without repeats; playlists that wait for a slow store are sent once instead of often")
    return Forecast(
        average=average,
        peak=peak,
        puts_per_hour=_puts(settings, renditions, pictures),
        bytes_per_hour=None if average is None else average * _HOUR // 8,
        processors=processors,
        speed=speed,
        notes=tuple(notes),
    )


def _sum(video: list[BitsPerSecond], renditions: tuple[Rendition, ...]) -> BitsPerSecond | None:
    if not all(video):
        return None
    audio = sum(r.audio_bitrate for r in renditions if r.audio_codec and _has_sound_of_its_own(r))
    return BitsPerSecond((sum(video) + audio) * MUXED_PERCENT // 100)


def _has_sound_of_its_own(rendition: Rendition) -> bool:
    return rendition.audio_group is None or rendition.audio_group == rendition.name


def _puts(settings: Settings, renditions: tuple[Rendition, ...], pictures: PictureSpec | None) -> int:
    """Return the requests of an hour: per segment one, and one for each playlist that it changes."""
    playlists = 1 if settings.hls.dvr == "none" else 2
    found = _HOUR / settings.hls.segment_duration * len(renditions) * (1 + playlists)
    for still in pictures.stills if pictures is not None else ():
        if still.kind == "poster":
            found += _HOUR / still.interval
        else:  # a sheet, and the text that names it
            sheet = settings.pictures.storyboard_columns * settings.pictures.storyboard_rows
            found += 2 * _HOUR / (still.interval * sheet)
    return round(found)


def _processors(
    ladder: LadderSettings, source: SourceInfo, renditions: tuple[Rendition, ...], capacity: Capacity
) -> tuple[float | None, float | None, str]:
    """Return (processors, speed, how far that can be relied on)."""
    if not any(map(is_encoded, renditions)):
        return 0.0, None, _COPIES
    wanted = work(source, renditions)
    effort = best_effort(capacity, wanted) if has_auto(ladder) else 0
    if not capacity.measures or capacity.work <= 0 or effort is None:
        return None, None, _UNMEASURED
    measure, share = capacity.measures[effort], wanted / capacity.work
    return measure.processors * share, measure.speed / share, _MEASURED
