"""Sources and publishers: real FFmpeg, as OBS or a phone would push."""

import subprocess
from dataclasses import astuple, dataclass
from pathlib import Path

from servers.process import ManagedProcess


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSpec:
    """A generated recording: test pattern with a running clock, and a tone."""

    width: int = 640
    height: int = 360
    fps: int = 30
    gop_seconds: float = 2.0
    seconds: float = 20.0
    video: bool = True
    audio: bool = True

    @property
    def name(self) -> str:
        return "source_" + "_".join(str(value) for value in astuple(self)) + ".flv"


def make_source(ffmpeg: Path | str, folder: Path, spec: SourceSpec) -> Path:
    """Return an FLV of H.264 and AAC (44.1 kHz stereo), made once per folder and specification."""
    path = folder / spec.name
    if path.exists():
        return path
    made = folder / f"{spec.name}.part"
    argv = [str(ffmpeg), "-nostdin", "-hide_banner", "-loglevel", "error", "-y"]
    if spec.video:
        argv += ["-f", "lavfi", "-i", f"testsrc2=size={spec.width}x{spec.height}:rate={spec.fps}"]
    if spec.audio:
        argv += ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100"]
    if spec.video:
        gop = str(round(spec.fps * spec.gop_seconds))
        argv += ["-c:v", "libx264", "-preset", "ultrafast", "-b:v", "1500k", "-pix_fmt", "yuv420p"]
        argv += ["-g", gop, "-keyint_min", gop, "-sc_threshold", "0"]
    if spec.audio:
        argv += ["-c:a", "aac", "-b:a", "96k", "-ac", "2"]
    argv += ["-t", str(spec.seconds), "-f", "flv", str(made)]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return made.rename(path)


class Publisher(ManagedProcess):
    """FFmpeg pushing a recording to an RTMP URL in real time, without encoding; stop() unpublishes as OBS does."""

    def __init__(self, ffmpeg: Path | str, url: str, source: Path, log_file: Path, *, loop: bool) -> None:
        repeat = ["-stream_loop", "-1"] if loop else []
        argv = [ffmpeg, "-nostdin", "-hide_banner", "-loglevel", "warning", "-re", *repeat, "-i", source]
        super().__init__([*argv, "-c", "copy", "-f", "flv", "-flvflags", "no_duration_filesize", url], log_file)
