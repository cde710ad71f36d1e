"""What a configuration comes to, as `streamkit config check` prints it; secrets are masked."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import yaml

from streamkit.calibration import PresetBook
from streamkit.config_origins import shown
from streamkit.ffmpeg.binary import FfmpegInfo
from streamkit.ffmpeg.command import EncoderSpec, build_argv
from streamkit.ffmpeg.pictures import PictureSpec, plan_pictures
from streamkit.ladder import plan_renditions
from streamkit.presets import describe_auto
from streamkit.settings import Settings
from streamkit.types import Epoch, Rendition, Seconds, SourceInfo, session_id

_EXAMPLE_KEY = "STREAM_KEY"
_HEADINGS = ("rendition", "picture", "fps", "video", "bit/s", "peak", "audio", "bit/s")


def describe(settings: Settings, source: SourceInfo, ffmpeg: FfmpegInfo, presets: PresetBook) -> str:
    """Return the settings as YAML, who uses which ladder, and per ladder its renditions and FFmpeg command.

    Raises LadderError when nothing of a ladder can be made from `source`.
    """
    everything = yaml.safe_dump(shown(settings), sort_keys=False)
    ladders = [plan_ladder(settings, name, source, ffmpeg, presets).lines() for name in settings.ladders]
    return "\n".join([everything, *_uses(settings), "", *chain.from_iterable(ladders)])


def _uses(settings: Settings) -> list[str]:
    """Return a line for each rule, in the order in which they are tried, and one for all other streams."""
    rules = [(rule.match, rule.ladder, rule.reconnect_window) for rule in settings.streams]
    rows = [("streams", "ladder", "reconnect window")]
    for match, ladder, window in [*rules, ("all others" if rules else "all", None, None)]:
        seconds = settings.sessions.reconnect_window if window is None else window
        rows.append((match, ladder or settings.default_ladder, f"{seconds:g} s"))
    return table(rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderPlan:
    """What a ladder comes to for one source."""

    title: str
    renditions: tuple[Rendition, ...]
    argv: list[str]
    pictures: PictureSpec | None
    auto: str | None
    """What `preset: auto` came to, in words; None when nothing depends on the machine."""

    def lines(self) -> list[str]:
        """Return it as `streamkit config check` prints it."""
        notes = [] if self.auto is None else [f"  {self.auto}"]
        return [self.title, *table([_HEADINGS, *map(_row, self.renditions)]), *notes, "", shlex.join(self.argv), ""]


def plan_ladder(
    settings: Settings, name: str, source: SourceInfo, ffmpeg: FfmpegInfo, presets: PresetBook
) -> LadderPlan:
    """Return what the ladder of this name comes to; raises LadderError when nothing of it can be made."""
    container = settings.segment_format_of(settings.ladders[name])
    ladder, capacity = settings.ladders[name], presets.capacity(settings.ladders[name])
    renditions = plan_renditions(
        ladder, source, ffmpeg_version=ffmpeg.version, segment_format=container, capacity=capacity
    )
    folder, session = settings.hls.output_dir / _EXAMPLE_KEY, session_id(Epoch(0))
    pictures = plan_pictures(settings.pictures, source, renditions, folder=folder, session=session, first_sequence=0)
    spec = EncoderSpec(
        ffmpeg=ffmpeg.path,
        source=source,
        renditions=renditions,
        folder=folder,
        session=session,
        first_sequence=0,
        segment_duration=Seconds(settings.hls.segment_duration),
        fast_start=settings.hls.fast_start,
        segment_format=container,
        device=settings.encoder.device,
        pictures=pictures,
    )
    return LadderPlan(
        title=f"ladder '{name}' for {_source(source)}:",
        renditions=renditions,
        argv=build_argv(spec),
        pictures=pictures,
        auto=describe_auto(ladder, renditions, capacity),
    )


def _source(source: SourceInfo) -> str:
    video = source.video
    if video is None:
        return "a source without video"
    return f"a source of {video.width}x{video.height} at {_number(float(video.fps or 0))} frames per second"


def _row(rendition: Rendition) -> tuple[str, ...]:
    picture = f"{rendition.width}x{rendition.height}" if rendition.video_codec else "none"
    fps = _number(float(rendition.fps)) if rendition.fps else "-"
    rates = [str(rate) if rate else "-" for rate in (rendition.video_bitrate, rendition.maxrate)]
    video = f"{rendition.video_codec} {rendition.preset}".strip() if rendition.video_codec else "none"
    channels = {1: "mono", 2: "stereo"}.get(rendition.audio_channels, f"{rendition.audio_channels} channels")
    audio = f"{rendition.audio_codec} {channels}" if rendition.audio_codec else "none"
    audio_rate = "-" if rendition.audio_codec in (None, "copy") else str(rendition.audio_bitrate)
    return (rendition.name, picture, fps, video, *rates, audio, audio_rate)


def _number(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")


def table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return `rows` as lines with their columns one below the other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
