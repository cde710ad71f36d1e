"""Runs the real encoder on a socketpair, as StreamKit does, and looks into what it wrote."""

import io
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from streamkit.errors import EncoderNotFoundError
from streamkit.ffmpeg.command import EncoderSpec, build_argv
from streamkit.ffmpeg.pictures import PictureSpec
from streamkit.ffmpeg.private_playlist import parse_private_playlist
from streamkit.ffmpeg.process import EncoderProcess
from streamkit.ffmpeg.progress import Progress
from streamkit.hls.names import init_name, private_playlist_name, segment_name
from streamkit.ladder import plan_renditions
from streamkit.settings_ladder import LadderSettings, RenditionSettings
from streamkit.types import (
    AudioSource,
    MediaSequence,
    Rendition,
    RenditionName,
    Seconds,
    SegmentFormat,
    SessionId,
    SourceInfo,
    VideoSource,
)

SESSION = SessionId("s0000001")
DEADLINE = 30.0
AAC = AudioSource(codec="aac", sample_rate=44100, channels=2)


def rung(name: str, height: int | None = None, **fields: Any) -> RenditionSettings:
    bitrate = 400_000 if height else None
    return RenditionSettings(
        **{"name": name, "height": height, "video_bitrate": bitrate, "preset": "ultrafast", **fields}
    )


def plan(
    *rungs: RenditionSettings,
    fps: Fraction = Fraction(30),
    video: bool = True,
    audio: bool = True,
    segment_format: SegmentFormat = SegmentFormat.MPEGTS,
    separate_audio: bool = False,
    segment_duration: float = 2.0,
) -> "Plan":
    picture = VideoSource(codec="h264", width=320, height=180, fps=fps)
    source = SourceInfo(video=picture if video else None, audio=AAC if audio else None)
    ladder = LadderSettings(renditions=rungs, separate_audio=separate_audio)
    renditions = plan_renditions(ladder, source, segment_format=segment_format)
    return Plan(source, renditions, segment_format, Seconds(segment_duration))


@dataclass(frozen=True)
class Plan:
    """What is fed and what is asked for."""

    source: SourceInfo
    renditions: tuple[Rendition, ...]
    segment_format: SegmentFormat = SegmentFormat.MPEGTS
    segment_duration: Seconds = Seconds(2.0)


@dataclass
class Listener:
    """Records what the reader thread tells, and can be made to fail."""

    fails: bool = False
    reports: list[Progress] = field(default_factory=list)
    exits: list[tuple[int, int, tuple[str, ...]]] = field(default_factory=list)

    def encoder_progressed(self, run: int, progress: Progress) -> None:
        self.reports.append(progress)
        if self.fails:
            raise RuntimeError("a listener with a bug")

    def encoder_exited(self, run: int, returncode: int, log: tuple[str, ...]) -> None:
        self.exits.append((run, returncode, log))
        if self.fails:
            raise RuntimeError("a listener with a bug")


@dataclass
class Encoder:
    """One running encoder and our end of its standard input."""

    process: EncoderProcess
    listener: Listener
    feed: socket.socket
    folder: Path
    pid_file: Path
    feeder: threading.Thread | None = None
    segment_format: SegmentFormat = SegmentFormat.MPEGTS
    first_sequence: int = 0

    def push(self, data: bytes) -> None:
        """Feed from a thread of its own, faster than real time, then say that this was all."""

        def send() -> None:
            with self.feed, suppress(BrokenPipeError, ConnectionResetError):
                self.feed.sendall(data)

        self.feeder = threading.Thread(target=send, name="feeder")
        self.feeder.start()

    def close(self) -> None:
        """End FFmpeg at once; the feeder, whose socket nobody reads any more, ends with it."""
        self.process.kill()
        self.process.wait(DEADLINE)
        if self.feeder is not None:
            self.feeder.join(DEADLINE)
        self.feed.close()

    def durations(self, rendition: str) -> list[float]:
        """Return the seconds of each segment in FFmpeg's own playlist."""
        text = (self.folder / private_playlist_name(SESSION, RenditionName(rendition))).read_text()
        return [segment.duration for segment in parse_private_playlist(text)]

    def segment(self, rendition: str, sequence: int) -> Path:
        return self.folder / segment_name(
            SESSION, RenditionName(rendition), MediaSequence(sequence), self.segment_format
        )

    def media(self, rendition: str, sequence: int) -> io.BytesIO:
        """Return a segment as a player decodes it: alone, or behind its initialization section."""
        data = self.segment(rendition, sequence).read_bytes()
        if self.segment_format is SegmentFormat.FMP4:
            init = init_name(SESSION, RenditionName(rendition), MediaSequence(self.first_sequence))
            data = (self.folder / init).read_bytes() + data
        return io.BytesIO(data)


Start = Callable[..., Encoder]


@contextmanager
def encoders(ffmpeg_path: str, folder: Path) -> Iterator[Start]:
    """Give `start(plan, *, first_sequence=0, listener=None, pictures=None) -> Encoder`; they all end with the block."""
    with ExitStack() as cleanup:

        def start(
            of: Plan, *, first_sequence: int = 0, listener: Listener | None = None, pictures: PictureSpec | None = None
        ) -> Encoder:
            spec = EncoderSpec(
                ffmpeg=ffmpeg_path,
                source=of.source,
                renditions=of.renditions,
                folder=folder,
                session=SESSION,
                first_sequence=first_sequence,
                segment_duration=of.segment_duration,
                fast_start=True,
                segment_format=of.segment_format,
                pictures=pictures,
            )
            encoder = start_encoder(build_argv(spec), folder, listener or Listener())
            encoder.segment_format, encoder.first_sequence = of.segment_format, first_sequence
            cleanup.callback(encoder.close)
            return encoder

        yield start


def start_encoder(argv: list[str], folder: Path, listener: Listener) -> Encoder:
    ours, theirs = socket.socketpair()
    pid_file = folder / "encoder.pid"
    try:
        process = EncoderProcess.start(argv, run=7, stdin=theirs, listener=listener, pid_file=pid_file)
    except EncoderNotFoundError:
        ours.close()
        raise
    assert theirs.fileno() == -1
    return Encoder(process, listener, ours, folder, pid_file)


def first_packets(segment: Path | io.BytesIO) -> dict[str, tuple[float, bool]]:
    """Return for each medium the earliest presentation time in seconds and whether the first packet is a key."""
    found: dict[str, tuple[float, bool]] = {}
    with av.open(_file(segment)) as container:
        for packet in container.demux():
            if packet.pts is not None and packet.time_base is not None:
                found.setdefault(packet.stream.type, (float(packet.pts * packet.time_base), packet.is_keyframe))
    return found


def begins_with_idr(segment: Path | io.BytesIO) -> bool:
    """Return whether the first coded picture is an IDR (H.264 NAL unit type 5), not a mere recovery point."""
    with av.open(_file(segment)) as container:
        data = bytes(next(container.demux(video=0)))
        is_mp4 = "mp4" in container.format.name
    types = [unit[0] & 0x1F for unit in (_mp4_units(data) if is_mp4 else data.split(b"\x00\x00\x01")[1:]) if unit]
    return next(kind for kind in types if kind in (1, 5)) == 5


def _mp4_units(data: bytes) -> Iterator[bytes]:
    """Yield the NAL units of a picture, each behind its length in four bytes (ISO/IEC 14496-15 5.3.4)."""
    while data:
        size = int.from_bytes(data[:4], "big")
        yield data[4 : 4 + size]
        data = data[4 + size :]


def _file(segment: Path | io.BytesIO) -> str | io.BytesIO:
    return str(segment) if isinstance(segment, Path) else segment
