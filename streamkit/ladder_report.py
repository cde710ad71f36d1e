"""What `streamkit ladder explain` says, in words and as JSON."""

from dataclasses import dataclass
from typing import Any

from streamkit.calibration import PresetBook
from streamkit.config_report import LadderPlan, plan_ladder
from streamkit.ffmpeg.binary import FfmpegInfo
from streamkit.forecast import Forecast, forecast
from streamkit.settings import Settings
from streamkit.types import AudioSource, Rendition, SourceInfo, VideoSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What a ladder comes to for one source, and what it takes."""

    ladder: str
    source: SourceInfo
    plan: LadderPlan
    forecast: Forecast

    def lines(self) -> list[str]:
        """Return it in words."""
        one = self.forecast
        audio = self.source.audio
        sound = f"{audio.codec}, {audio.sample_rate} Hz, {audio.channels} channels" if audio else "none"
        video = f"{self.source.video.codec}" if self.source.video else "none"
        return [
            f"source: video {video}, audio {sound}",
            *self.plan.lines(),
            "one stream takes about:",
            f"  to the store:  {_rate(one.average)} on average, {_rate(one.peak)} at most",
            f"  requests:      {one.puts_per_hour} PUTs per hour",
            f"  storage:       {_gigabytes(one.bytes_per_hour)} per hour",
            f"  processors:    {_processors(one)}",
            *(f"  * {note}" for note in one.notes),
        ]

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        one, source = self.forecast, self.source
        return {
            "ladder": self.ladder,
            "source": {
                "video": None if source.video is None else _video(source.video),
                "audio": None if source.audio is None else _audio(source.audio),
                "video_bitrate": source.video_bitrate,
            },
            "renditions": [_rendition(rendition) for rendition in self.plan.renditions],
            "command": self.plan.argv,
            "forecast": {
                "average_bitrate": one.average,
                "peak_bitrate": one.peak,
                "puts_per_hour": one.puts_per_hour,
                "bytes_per_hour": one.bytes_per_hour,
                "processors": None if one.processors is None else round(one.processors, 2),
                "speed": None if one.speed is None else round(one.speed, 2),
                "notes": list(one.notes),
            },
        }


def explanation(
    settings: Settings, name: str, source: SourceInfo, ffmpeg: FfmpegInfo, presets: PresetBook
) -> Explanation:
    """Return what the ladder of this name does with `source`; raises LadderError when it can do nothing."""
    plan = plan_ladder(settings, name, source, ffmpeg, presets)
    ladder = settings.ladders[name]
    takes = forecast(settings, ladder, source, plan.renditions, plan.pictures, presets.capacity(ladder))
    return Explanation(ladder=name, source=source, plan=plan, forecast=takes)


def _rate(bits: int | None) -> str:
    return "?" if bits is None else f"{bits / 1e6:.1f} Mbit/s"


def _gigabytes(size: int | None) -> str:
    return "?" if size is None else f"{size / 1e9:.2f} GB"


def _processors(one: Forecast) -> str:
    if one.processors is None:
        return "?"
    alone = "" if one.speed is None else f"; alone it runs at {one.speed:.1f} times real time"
    return f"{one.processors:.2f} kept busy{alone}"


def _video(video: VideoSource) -> dict[str, Any]:
    fps = None if video.fps is None else round(float(video.fps), 3)
    return {"codec": video.codec, "width": video.width, "height": video.height, "fps": fps}


def _audio(audio: AudioSource) -> dict[str, Any]:
    return {"codec": audio.codec, "sample_rate": audio.sample_rate, "channels": audio.channels}


def _rendition(one: Rendition) -> dict[str, Any]:
    return {
        "name": one.name,
        "width": one.width,
        "height": one.height,
        "fps": None if one.fps is None else round(float(one.fps), 3),
        "video_codec": one.video_codec,
        "preset": one.preset,
        "video_bitrate": one.video_bitrate,
        "maxrate": one.maxrate,
        "audio_codec": one.audio_codec,
        "audio_bitrate": one.audio_bitrate,
    }
