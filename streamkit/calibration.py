"""Measures the presets that `auto` chooses from: a few seconds of a generated clip, encoded as a stream would be.

What was measured is kept beside the journals, by machine, FFmpeg and ladder: it is measured once.
"""

import hashlib
import json
import logging
import os
import platform
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from streamkit.errors import EncoderNotFoundError
from streamkit.ffmpeg.binary import FfmpegInfo
from streamkit.ffmpeg.command import EncoderSpec, build_argv
from streamkit.ffmpeg.encoders import EFFORTS
from streamkit.ffmpeg.environment import ffmpeg_environment
from streamkit.ffmpeg.sandbox import contained, set_limits
from streamkit.ladder import plan_renditions
from streamkit.presets import Capacity, Measure, describe_auto, has_auto, reference_source, with_effort, work
from streamkit.settings import Settings
from streamkit.settings_ladder import LadderSettings
from streamkit.types import Epoch, Seconds, VideoSource, session_id

logger = logging.getLogger(__name__)

FILE_NAME = "presets.json"
CLIP_SECONDS = 3
TOO_SLOW = 0.4
"""Media seconds per second below which slower presets are of no use, whatever the source."""
CLIP_TIMEOUT = 60.0
_POLL = 0.05
_NICENESS = 19


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    """What the file holds of one ladder."""

    ladder: str
    work: float
    measures: tuple[Measure, ...]


class PresetBook:
    """What was measured on this machine with this FFmpeg. Thread-safe; reads its file once."""

    def __init__(self, settings: Settings, ffmpeg: FfmpegInfo, folder: Path) -> None:
        self._settings, self._ffmpeg, self._path = settings, ffmpeg, folder / FILE_NAME
        self._lock = threading.Lock()
        self._records = _read(self._path)

    def capacity(self, ladder: LadderSettings) -> Capacity:
        """Return what is known of the ladder, without measures when it was not measured."""
        record = self._records.get(self._identity(ladder))
        share = self._settings.encoder.auto_share * processors()
        return Capacity(processors=share) if record is None else _capacity(record, share)

    def unmeasured(self) -> list[str]:
        """Return the names of the ladders whose `auto` presets nothing is known of."""
        found = self._settings.ladders.items()
        return [name for name, ladder in found if has_auto(ladder) and not self.capacity(ladder).measures]

    def measure(self, name: str, is_cancelled: Callable[[], bool] = lambda: False) -> Capacity | None:
        """Measure a ladder and keep what came out; None when it was cancelled.

        Takes some seconds of all processors, at the lowest priority. Raises EncoderNotFoundError when FFmpeg fails.
        """
        ladder = self._settings.ladders[name]
        with TemporaryDirectory(prefix="calibration-", dir=self._path.parent) as folder:
            bench = _Bench(self._settings, self._ffmpeg, ladder, Path(folder), is_cancelled)
            measures = bench.measures()
        if measures is None:
            return None
        record = _Record(ladder=name, work=bench.work, measures=measures)
        with self._lock:
            self._records[self._identity(ladder)] = record
            _write(self._path, self._records)
        return self.capacity(ladder)

    def _identity(self, ladder: LadderSettings) -> str:
        """Return what a measurement is good for: another machine, FFmpeg or ladder needs another one."""
        parts = [ladder.model_dump(mode="json"), self._ffmpeg.path, self._ffmpeg.version_text, processors(), _model()]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0))


class _Bench:
    """Runs FFmpeg on one clip, effort by effort."""

    def __init__(
        self,
        settings: Settings,
        ffmpeg: FfmpegInfo,
        ladder: LadderSettings,
        folder: Path,
        is_cancelled: Callable[[], bool],
    ) -> None:
        self._settings, self._ffmpeg, self._ladder = settings, ffmpeg, ladder
        self._folder, self._is_cancelled = folder, is_cancelled
        self._clip = folder / "clip.flv"
        self._source = reference_source(ladder)
        self._container = settings.segment_format_of(ladder)
        self._renditions = plan_renditions(
            ladder, self._source, ffmpeg_version=ffmpeg.version, segment_format=self._container, capacity=None
        )
        self.work = work(self._source, self._renditions)

    def measures(self) -> tuple[Measure, ...] | None:
        """Return a measure for each effort, up to the first that is far from real time."""
        assert self._source.video is not None  # noqa: S101 - a reference source has a picture
        if self._run(_clip_argv(self._ffmpeg.path, self._source.video, self._clip), None) is None:
            return None
        found: list[Measure] = []
        for effort in range(EFFORTS):
            usage = self._run(build_argv(self._spec(effort)), self._clip)
            if usage is None:
                return None
            seconds, busy = usage
            found.append(Measure(speed=CLIP_SECONDS / seconds, processors=busy / CLIP_SECONDS))
            if found[-1].speed < TOO_SLOW:
                break
        return tuple(found)

    def _spec(self, effort: int) -> EncoderSpec:
        hls = self._settings.hls
        return EncoderSpec(
            ffmpeg=self._ffmpeg.path,
            source=self._source,
            renditions=with_effort(self._renditions, effort),
            folder=self._folder,
            session=session_id(Epoch(0)),
            first_sequence=0,
            segment_duration=Seconds(hls.segment_duration),
            fast_start=hls.fast_start,
            segment_format=self._container,
            device=self._settings.encoder.device,
        )

    def _run(self, argv: list[str], clip: Path | None) -> tuple[float, float] | None:
        """Return the seconds and the processor seconds that the command took; None when it was cancelled."""
        log = self._folder / "log"
        with open(clip or os.devnull, "rb") as stdin, log.open("wb") as stderr:
            began = time.monotonic()
            process = subprocess.Popen(
                contained(argv, niceness=_NICENESS),
                stdin=stdin,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,
                env=ffmpeg_environment(),
            )
            set_limits(process.pid, self._settings.encoder.memory_limit)
            code, busy = self._wait(process, began + CLIP_TIMEOUT)
        if self._is_cancelled():
            return None
        if code != 0:
            last = (log.read_text(errors="replace").strip().splitlines() or ["it says nothing"])[-1]
            raise EncoderNotFoundError(f"FFmpeg could not be measured, it ended with {code}: {last}")
        return time.monotonic() - began, busy

    def _wait(self, process: "subprocess.Popen[bytes]", deadline: float) -> tuple[int, float]:
        """Return the exit code and the processor seconds; a process that is too late, or cancelled, is killed."""
        flags = os.WNOHANG
        while True:
            pid, status, usage = os.wait4(process.pid, flags)
            if pid:
                process.returncode = os.waitstatus_to_exitcode(status)  # it is reaped: Popen must not wait for it
                return process.returncode, usage.ru_utime + usage.ru_stime
            if self._is_cancelled() or time.monotonic() > deadline:
                process.kill()
                flags = 0
            time.sleep(_POLL)


def _clip_argv(ffmpeg: str, video: VideoSource, clip: Path) -> list[str]:
    """Return the command that makes the clip: moving shapes under a noise, which is harder than most pictures."""
    size = f"{video.width}x{video.height}"
    return [
        *(ffmpeg, "-hide_banner", "-loglevel", "error", "-nostdin", "-y"),
        *("-f", "lavfi", "-i", f"testsrc2=size={size}:rate={video.fps}:duration={CLIP_SECONDS},noise=alls=6:allf=t"),
        *("-f", "lavfi", "-i", f"sine=sample_rate=48000:duration={CLIP_SECONDS}"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "60"),
        *("-c:a", "aac", "-ac", "2", "-f", "flv", f"file:{clip}"),
    ]


def _capacity(record: _Record, share: float) -> Capacity:
    return Capacity(measures=record.measures, work=record.work, processors=share)


def _model() -> str:
    """Return what the machine calls its processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _read(path: Path) -> dict[str, _Record]:
    """Return what the file holds; nothing when it is missing or damaged: then it is measured again."""
    try:
        content = json.loads(path.read_text())
        return {
            str(key): _Record(
                ladder=str(one["ladder"]),
                work=float(one["work"]),
                measures=tuple(
                    Measure(speed=float(m["speed"]), processors=float(m["processors"])) for m in one["measures"]
                ),
            )
            for key, one in content.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        logger.warning("What was measured for presets cannot be read from %s: %s", path, error)
        return {}


def _write(path: Path, records: dict[str, _Record]) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps({key: asdict(record) for key, record in records.items()}, indent=1))
    temporary.replace(path)


def report(settings: Settings, name: str, book: PresetBook) -> str:
    """Return what was measured of a ladder, effort by effort, and what `auto` is for its largest source."""
    ladder = settings.ladders[name]
    source, capacity = reference_source(ladder), book.capacity(ladder)
    plan = partial(plan_renditions, ladder, source, segment_format=settings.segment_format_of(ladder))
    lines = [f"ladder '{name}', {processors()} processors, one stream may keep {capacity.processors:.1f} of them busy:"]
    for effort, measure in enumerate(capacity.measures):
        presets = sorted({rendition.preset for rendition in with_effort(plan(capacity=None), effort)} - {""})
        lines.append(f"  {'/'.join(presets):<12} {measure.speed:6.2f}x real time, {measure.processors:5.2f} processors")
    return "\n".join([*lines, f"  {describe_auto(ladder, plan(capacity=capacity), capacity)}"])
