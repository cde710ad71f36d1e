"""Small files that FFmpeg makes, and what PyAV, an independent reader, says of them."""

import subprocess
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
from servers import tools


@dataclass(frozen=True)
class Encoded:
    """A segment and its initialization section (None in MPEG-TS), and the whole file that PyAV can open."""

    segment: bytes
    init: bytes | None
    whole: Path


def encode(folder: Path, options: str, *, mp4: bool, seconds: float = 1.5, video: str = "320x180@30") -> Encoded:
    """Encode a test picture and a tone; the video begins and ends with them. `video` '' leaves it out."""
    folder.mkdir(parents=True, exist_ok=True)
    size, _, rate = video.partition("@")
    picture = ["-f", "lavfi", "-i", f"testsrc2=s={size}:r={rate}:d={seconds}"] if video else []
    sound = [] if "-an" in options.split() else ["-f", "lavfi", "-i", f"sine=d={seconds}:r=44100"]
    out = folder / ("o.m3u8" if mp4 else "o.ts")
    container = "-f hls -hls_segment_type fmp4 -hls_time 60 -hls_playlist_type vod" if mp4 else "-f mpegts"
    run_ffmpeg(folder, *picture, *sound, *options.split(), *container.split(), out.name)
    if not mp4:
        return Encoded(out.read_bytes(), None, out)
    init, segment = (folder / "init.mp4").read_bytes(), (folder / "o0.m4s").read_bytes()
    whole = folder / "whole.mp4"
    whole.write_bytes(init + segment)
    return Encoded(segment, init, whole)


def run_ffmpeg(folder: Path, *argv: str) -> None:
    """Run FFmpeg in `folder` to its end."""
    ffmpeg = tools.ffmpeg() or tools.bundled_ffmpeg() or tools.require("FFmpeg")
    subprocess.run([str(ffmpeg), "-v", "error", "-y", *argv], cwd=folder, check=True, capture_output=True, timeout=60)


@dataclass(frozen=True)
class Seen:
    """What PyAV reads: times of packets in decoding order, in seconds."""

    size: tuple[int, int] | None
    aspect: Fraction | None
    channels: int
    sample_rate: int
    video_times: tuple[Fraction, ...]
    audio_first: Fraction | None
    audio_end: Fraction | None


@cache
def look(path: Path) -> Seen:
    with av.open(str(path)) as container:
        video = next(iter(container.streams.video), None)
        sound = next(iter(container.streams.audio), None)
        packets = [one for one in container.demux() if one.pts is not None]
        heard = [one for one in packets if one.stream is sound]
        return Seen(
            size=(video.width, video.height) if video else None,
            aspect=(video.sample_aspect_ratio or Fraction(1)) if video else None,
            channels=sound.channels if sound else 0,
            sample_rate=sound.rate if sound else 0,
            video_times=tuple(one.pts * one.time_base for one in packets if one.stream is video),
            audio_first=heard[0].pts * heard[0].time_base if heard else None,
            audio_end=(heard[-1].pts + (heard[-1].duration or 0)) * heard[-1].time_base if heard else None,
        )
