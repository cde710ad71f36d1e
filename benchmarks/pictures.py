"""What the poster and the storyboard add to FFmpeg's CPU: the same ladder with and without them."""

import resource
import subprocess
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.stage import LADDER, PRESET, Figure, ffmpeg_path, make_source, print_figures
from streamkit.ffmpeg.command import EncoderSpec, build_argv
from streamkit.ffmpeg.pictures import plan_pictures
from streamkit.ladder import plan_renditions
from streamkit.settings_ladder import LadderSettings, RenditionSettings, default_ladders
from streamkit.settings_pictures import PictureSettings
from streamkit.types import AudioSource, Epoch, Seconds, SourceInfo, VideoSource, session_id

REPEATS = 5
SOURCE = SourceInfo(
    video=VideoSource(codec="h264", width=1280, height=720, fps=Fraction(30)),
    audio=AudioSource(codec="aac", sample_rate=44100, channels=1),
)
RUNGS = tuple(
    RenditionSettings(name=f"{height}p", height=height, video_bitrate=rate, preset=PRESET) for height, rate in LADDER
)


def run() -> list[Figure]:
    """Return FFmpeg's CPU with pictures for 30 s of a ladder of three, and of a copied stream."""
    with TemporaryDirectory(prefix="streamkit-bench-") as name:
        folder = Path(name)
        source = make_source(folder)
        ladder, copy = LadderSettings(renditions=RUNGS), default_ladders()["copy"]
        encoded, encoded_without = _least(folder, source, ladder)
        copied, copied_without = _least(folder, source, copy)
    return [
        Figure(
            name="FFmpeg's CPU with poster and storyboard, ladder of three", value=encoded, unit="s", target=1.02,
            baseline=encoded_without, baseline_name="the same command without pictures",
        ),
        Figure(
            name="FFmpeg's CPU with pictures of a copied stream's key frames", value=copied, unit="s",
            baseline=copied_without, baseline_name="the same command without pictures",
        ),
    ]  # fmt: skip


def _least(folder: Path, source: Path, ladder: LadderSettings) -> tuple[float, float]:
    """Return the least CPU seconds with and without pictures, of runs that take turns: a busy machine only adds."""
    wanted = (PictureSettings(decode_copies=True), None)
    used = [[_measure(folder, source, ladder, pictures) for pictures in wanted] for _ in range(REPEATS)]
    return min(with_pictures for with_pictures, _ in used), min(without for _, without in used)


def _measure(folder: Path, source: Path, ladder: LadderSettings, pictures: PictureSettings | None) -> float:
    renditions, session = plan_renditions(ladder, SOURCE), session_id(Epoch(1))
    spec = EncoderSpec(
        ffmpeg=ffmpeg_path(),
        source=SOURCE,
        renditions=renditions,
        folder=folder,
        session=session,
        first_sequence=0,
        segment_duration=Seconds(2.0),
        fast_start=True,
        pictures=plan_pictures(pictures, SOURCE, renditions, folder=folder, session=session, first_sequence=0),
    )
    if spec.pictures is not None:
        spec.pictures.folder.mkdir(exist_ok=True)
    before = _children()
    with source.open("rb") as media:
        subprocess.run(build_argv(spec), stdin=media, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return _children() - before


def _children() -> float:
    """Return user and system CPU seconds of the processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    print_figures(run())
