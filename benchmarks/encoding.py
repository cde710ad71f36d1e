"""What the benchmarks of FFmpeg alone share: sources, StreamKit's own commands, and what a command costs."""

import os
import subprocess
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from servers import tools

from benchmarks.stage import LADDER, SEGMENT
from streamkit.ffmpeg.command import EncoderSpec, build_argv
from streamkit.ladder import plan_renditions
from streamkit.settings_ladder import LadderSettings
from streamkit.types import AudioSource, MediaSequence, Seconds, SessionId, SourceInfo, VideoSource

SIZE, FPS = (1280, 720), 30
VIDEO = VideoSource(codec="h264", width=SIZE[0], height=SIZE[1], fps=Fraction(FPS))
AUDIO = AudioSource(codec="aac", sample_rate=44100, channels=1)


def ladder(**options: Any) -> LadderSettings:
    """Return the three renditions of all benchmarks with these options."""
    rungs = [{"name": f"{height}p", "height": height, "video_bitrate": rate, **options} for height, rate in LADDER]
    return LadderSettings.model_validate({"renditions": tuple(rungs)})


def command(ffmpeg: str, folder: Path, renditions: LadderSettings, *, sound: bool) -> list[str]:
    """Return exactly what StreamKit would run for the source."""
    folder.mkdir(parents=True, exist_ok=True)
    source = SourceInfo(video=VIDEO, audio=AUDIO if sound else None)
    spec = EncoderSpec(
        ffmpeg=ffmpeg,
        source=source,
        renditions=plan_renditions(renditions, source),
        folder=folder,
        session=SessionId("bench"),
        first_sequence=MediaSequence(0),
        segment_duration=Seconds(SEGMENT),
        fast_start=True,
    )
    return build_argv(spec)


def cpu_of(argv: Sequence[str], source: Path) -> float:
    """Return the CPU seconds of a command that reads the source from its standard input, until it ends well."""
    with source.open("rb") as media:
        process = subprocess.Popen(argv, stdin=media, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        errors = process.stderr.read() if process.stderr else b""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{argv[0]} ended with {process.returncode}: {errors.decode(errors='replace')[-500:]}")
    return usage.ru_utime + usage.ru_stime


def newest_ffmpeg() -> str:
    """Return the FFmpeg with libvmaf in it."""
    return str(tools.bundled_ffmpeg() or tools.require("FFmpeg"))
