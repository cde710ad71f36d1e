"""The real FFmpeg, old and new: fed with FLV through a socketpair as StreamKit does, judged by what it wrote."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from servers.waiting import wait_until

from streamkit.errors import EncoderNotFoundError
from streamkit.ffmpeg.binary import find_ffmpeg
from streamkit.ffmpeg.command import EncoderSpec, build_argv
from streamkit.ffmpeg.demo import build_demo_argv
from streamkit.ffmpeg.leftovers import start_time
from streamkit.ffmpeg.private_playlist import parse_private_playlist
from streamkit.ffmpeg.process import EncoderProcess, reap_leftovers
from streamkit.ffmpeg.progress import Progress
from streamkit.ffmpeg.state import ExitReason, classify_exit
from streamkit.hls.names import private_playlist_name, segment_name
from streamkit.ladder import plan_renditions
from streamkit.settings import LadderSettings, RenditionSettings
from streamkit.types import (
    AudioSource,
    MediaSequence,
    Rendition,
    RenditionName,
    Seconds,
    SessionId,
    SourceInfo,
    VideoSource,
)

pytestmark = [
    pytest.mark.integration,
    pytest.mark.parametrize("ffmpeg_path", ["path", "imageio"], indirect=True),
]
SESSION = SessionId("s0000001")
DEADLINE = 30.0
AAC = AudioSource(codec="aac", sample_rate=44100, channels=2)


def rung(name: str, height: int | None = None, **fields: Any) -> RenditionSettings:
    bitrate = 400_000 if height else None
    return RenditionSettings(name=name, height=height, video_bitrate=bitrate, preset="ultrafast", **fields)


def plan(*rungs: RenditionSettings, fps: Fraction = Fraction(30), video: bool = True, audio: bool = True) -> "Plan":
    picture = VideoSource(codec="h264", width=320, height=180, fps=fps)
    source = SourceInfo(video=picture if video else None, audio=AAC if audio else None)
    return Plan(source, plan_renditions(LadderSettings(renditions=rungs), source))


@dataclass(frozen=True)
class Plan:
    """What is fed and what is asked for."""

    source: SourceInfo
    renditions: tuple[Rendition, ...]


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
        return self.folder / segment_name(SESSION, RenditionName(rendition), MediaSequence(sequence))


Start = Callable[..., Encoder]


@pytest.fixture
def start(ffmpeg_path: str, tmp_path: Path) -> Iterator[Start]:
    """`start(plan, *, first_sequence=0, listener=None) -> Encoder`, killed with the test."""
    with ExitStack() as cleanup:

        def run(of: Plan, *, first_sequence: int = 0, listener: Listener | None = None) -> Encoder:
            spec = EncoderSpec(
                ffmpeg=ffmpeg_path,
                source=of.source,
                renditions=of.renditions,
                folder=tmp_path,
                session=SESSION,
                first_sequence=first_sequence,
                segment_duration=Seconds(2.0),
                fast_start=True,
            )
            encoder = start_encoder(build_argv(spec), tmp_path, listener or Listener())
            cleanup.callback(encoder.close)
            return encoder

        yield run


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


def first_packets(segment: Path) -> dict[str, tuple[float, bool]]:
    """Return for each medium the earliest presentation time in seconds and whether the first packet is a key."""
    found: dict[str, tuple[float, bool]] = {}
    with av.open(str(segment)) as container:
        for packet in container.demux():
            if packet.pts is not None and packet.time_base is not None:
                found.setdefault(packet.stream.type, (float(packet.pts * packet.time_base), packet.is_keyframe))
    return found


def begins_with_idr(segment: Path) -> bool:
    """Return whether the first coded picture is an IDR (H.264 NAL unit type 5), not a mere recovery point."""
    with av.open(str(segment)) as container:
        data = bytes(next(container.demux(video=0)))
    types = [part[0] & 0x1F for part in data.split(b"\x00\x00\x01")[1:] if part]
    return next(kind for kind in types if kind in (1, 5)) == 5


@pytest.fixture
def source(make_source: Callable[..., Path]) -> Callable[..., bytes]:
    """`source(**SourceSpec fields) -> bytes` of an FLV of 320x180."""
    return lambda **spec: make_source(**{"width": 320, "height": 180, "seconds": 9.0, **spec}).read_bytes()


def test_segments_of_every_rendition_line_up_and_the_last_one_is_kept(
    start: Start, source: Callable[..., bytes]
) -> None:
    # Different frame rates and encoder delays, and a source GOP that no segment boundary falls on.
    ladder = plan(rung("high", 180, tune=""), rung("low", 90, max_fps=30.0), fps=Fraction(60))
    encoder = start(ladder, first_sequence=5)
    encoder.push(source(fps=60, gop_seconds=3.0))

    assert encoder.process.wait(DEADLINE) == 0
    high, low = encoder.durations("high"), encoder.durations("low")
    assert high[:5] == low[:5] == pytest.approx([1, 1, 2, 2, 2], abs=0.001)
    assert len(high) == len(low) == 6
    assert sum(high) == pytest.approx(9, abs=0.1)
    for sequence in range(5, 11):
        segments = [encoder.segment(name, sequence) for name in ("high", "low")]
        assert all(begins_with_idr(segment) for segment in segments)
        (high_time, _), (low_time, _) = (first_packets(segment)["video"] for segment in segments)
        assert high_time == low_time
    assert not encoder.segment("high", 11).exists()


def test_sizes_rates_and_sound_are_those_of_the_plan(start: Start, source: Callable[..., bytes]) -> None:
    encoder = start(plan(rung("high", 180), rung("low", 90, max_fps=15.0, audio_channels=1)))
    encoder.push(source(seconds=3.0))

    assert encoder.process.wait(DEADLINE) == 0
    for name, size, rate, channels in (("high", (320, 180), 30, 2), ("low", (160, 90), 15, 1)):
        with av.open(str(encoder.segment(name, 0))) as container:
            video, audio = container.streams.video[0], container.streams.audio[0]
            assert (video.width, video.height, video.pix_fmt) == (*size, "yuv420p")
            assert sum(1 for _ in container.decode(video=0)) == rate
            assert audio.channels == channels


@pytest.mark.parametrize("missing", ["video", "audio"])
def test_a_source_of_one_medium_is_encoded_from_its_first_second(
    start: Start, source: Callable[..., bytes], missing: str
) -> None:
    media = {missing: False}
    encoder = start(plan(rung("only", 180), **media))
    encoder.push(source(seconds=5.0, **media))

    name = "audio" if missing == "video" else "only"
    assert encoder.process.wait(DEADLINE) == 0
    assert sum(encoder.durations(name)) == pytest.approx(5, abs=0.1)
    assert set(first_packets(encoder.segment(name, 0))) == {"video", "audio"} - {missing}


def test_segments_of_audio_alone_carry_the_numbers_of_the_pictures(start: Start, source: Callable[..., bytes]) -> None:
    encoder = start(plan(rung("high", 180), rung("radio", audio_only=True)))
    encoder.push(source())

    assert encoder.process.wait(DEADLINE) == 0
    assert encoder.durations("high")[:4] == pytest.approx([2, 2, 2, 2], abs=0.001)
    assert encoder.durations("radio")[:4] == pytest.approx([2, 2, 2, 2], abs=0.05)
    for sequence in range(4):
        picture = first_packets(encoder.segment("high", sequence))["video"][0]
        assert first_packets(encoder.segment("radio", sequence))["audio"][0] == pytest.approx(picture, abs=0.05)


def test_copied_segments_begin_with_the_publishers_key_frames(start: Start, source: Callable[..., bytes]) -> None:
    copied = RenditionSettings(name="source", video_codec="copy", audio_codec="copy")
    encoder = start(plan(copied))
    encoder.push(source())

    assert encoder.process.wait(DEADLINE) == 0
    assert encoder.durations("source")[:4] == pytest.approx([2, 2, 2, 2], abs=0.001)
    assert all(begins_with_idr(encoder.segment("source", sequence)) for sequence in range(5))


def test_progress_arrives_and_the_exit_is_told_once_and_last(start: Start, source: Callable[..., bytes]) -> None:
    encoder = start(plan(rung("only", 180)))
    encoder.push(source(seconds=3.0))

    assert encoder.process.wait(DEADLINE) == 0
    last = encoder.listener.reports[-1]
    assert last.done
    assert last.frame == pytest.approx(90, abs=2)
    assert last.out_time > 2.5
    assert [(run, code) for run, code, _ in encoder.listener.exits] == [(7, 0)]
    assert not encoder.pid_file.exists()


def test_a_listener_that_raises_does_not_stop_the_reader(
    start: Start, source: Callable[..., bytes], caplog: pytest.LogCaptureFixture
) -> None:
    encoder = start(plan(rung("only", 180)), listener=Listener(fails=True))
    encoder.push(source(seconds=3.0))

    assert encoder.process.wait(DEADLINE) == 0
    assert len(encoder.listener.exits) == 1
    assert "the listener failed on the exit of encoder run 7" in caplog.text


@pytest.mark.parametrize(
    ("data", "reasons"),
    [
        pytest.param(b"", {ExitReason.NO_MEDIA}, id="nothing"),
        pytest.param(b"FLV\x01\x05\0\0\0\x09\0\0\0\0", {ExitReason.NO_MEDIA}, id="a header alone"),
        pytest.param(bytes(range(1, 256)) * 1000, {ExitReason.BAD_SOURCE}, id="garbage"),
    ],
)
def test_input_without_media_ends_ffmpeg_with_a_reason(start: Start, data: bytes, reasons: set[ExitReason]) -> None:
    encoder = start(plan(rung("only", 180)))
    encoder.push(data)

    code = encoder.process.wait(DEADLINE)
    assert code is not None
    (_, returncode, log) = encoder.listener.exits[0]
    assert returncode == code > 0
    assert classify_exit(returncode, log) in reasons


def test_a_source_without_the_announced_video_is_a_bad_source(start: Start, source: Callable[..., bytes]) -> None:
    encoder = start(plan(rung("only", 180)))
    encoder.push(source(seconds=3.0, video=False))

    assert encoder.process.wait(DEADLINE)
    assert classify_exit(*encoder.listener.exits[0][1:]) is ExitReason.BAD_SOURCE


def test_a_folder_that_vanished_is_recognised(start: Start, source: Callable[..., bytes], tmp_path: Path) -> None:
    encoder = start(plan(rung("only", 180)))
    os.rename(tmp_path, moved := tmp_path.with_name("moved"))
    encoder.push(source(seconds=5.0))
    try:
        assert encoder.process.wait(DEADLINE)
    finally:
        os.rename(moved, tmp_path)
    assert classify_exit(*encoder.listener.exits[0][1:]) is ExitReason.FOLDER_GONE


def test_sigterm_while_media_flows_keeps_the_last_segment(start: Start, source: Callable[..., bytes]) -> None:
    encoder = start(plan(rung("only", 180)))
    data = source(seconds=9.0)
    encoder.feed.sendall(data[: len(data) // 2])
    wait_until(lambda: encoder.segment("only", 1).exists(), what="the second segment")
    encoder.process.terminate()
    encoder.push(data[len(data) // 2 :])

    code = encoder.process.wait(DEADLINE)
    assert code is not None
    assert classify_exit(code, encoder.listener.exits[0][2]) in (ExitReason.STOPPED, ExitReason.FINISHED)
    assert len(encoder.durations("only")) >= 2


def test_a_stalled_encoder_is_killed_and_signals_after_its_end_do_nothing(start: Start) -> None:
    encoder = start(plan(rung("only", 180)))
    assert encoder.process.wait(0.0) is None
    encoder.process.kill()

    assert encoder.process.wait(DEADLINE) == -signal.SIGKILL
    assert classify_exit(*encoder.listener.exits[0][1:]) is ExitReason.KILLED
    encoder.process.kill()
    encoder.process.terminate()
    with pytest.raises(BrokenPipeError):
        encoder.feed.sendall(b"x" * 1_000_000)


def test_ffmpeg_gets_no_secrets_and_its_own_session(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINIO_SECRET_KEY", "do not pass on")
    encoder = start(plan(rung("only", 180)))
    proc = Path(f"/proc/{encoder.process.pid}")

    assert os.getsid(encoder.process.pid) == encoder.process.pid
    assert b"do not pass on" not in (proc / "environ").read_bytes()
    record = json.loads(encoder.pid_file.read_text())
    assert record == {"pid": encoder.process.pid, "started": start_time(encoder.process.pid)}


def test_an_ffmpeg_that_does_not_exist_is_said_and_its_input_is_closed(ffmpeg_path: str, tmp_path: Path) -> None:
    listener = Listener()
    encoder = start_encoder([f"{ffmpeg_path}-missing"], tmp_path, listener)
    with encoder.feed:
        assert encoder.process.wait(DEADLINE)
        assert encoder.feed.recv(1) == b""
    assert classify_exit(*listener.exits[0][1:]) is ExitReason.ENCODER_MISSING


def test_without_setpriv_a_missing_ffmpeg_is_refused_at_once(
    ffmpeg_path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(EncoderNotFoundError, match="-missing"):
        start_encoder([f"{ffmpeg_path}-missing"], tmp_path, Listener())


ORPHAN = """
import os, signal, socket, sys
from pathlib import Path
from streamkit.ffmpeg import process
if sys.argv[1] == "without setpriv":
    process._dies_with_parent = lambda: []
class Silent:
    def encoder_progressed(self, run, progress): pass
    def encoder_exited(self, run, returncode, log): pass
ours, theirs = socket.socketpair()
# An input that stays open although we die: only a signal can end this FFmpeg.
os.set_inheritable(ours.fileno(), True)
holder = os.fork()
if holder == 0:
    signal.pause()
encoder = process.EncoderProcess.start(sys.argv[3:], run=1, stdin=theirs, listener=Silent(), pid_file=Path(sys.argv[2]))
print(encoder.pid, holder, flush=True)
signal.pause()
"""


@pytest.fixture
def orphan(ffmpeg_path: str, tmp_path: Path) -> Iterator[Callable[[str], int]]:
    """`orphan(how) -> pid` of an FFmpeg whose service was killed with SIGKILL; its input stays open."""
    with ExitStack() as cleanup:

        def kill_service(how: str) -> int:
            argv = [ffmpeg_path, "-nostdin", "-loglevel", "error", "-f", "flv", "-i", "pipe:0", "-f", "null", "-"]
            service = subprocess.Popen(
                [sys.executable, "-c", ORPHAN, how, str(tmp_path / "cam.pid"), *argv], stdout=subprocess.PIPE
            )
            cleanup.callback(service.wait)
            cleanup.callback(service.kill)
            assert service.stdout is not None
            with service.stdout as output:
                pid, holder = (int(word) for word in output.readline().split())
            cleanup.callback(os.kill, holder, signal.SIGKILL)
            wait_until((tmp_path / "cam.pid").exists, what="the pid file")
            # Until setpriv has become FFmpeg, the kernel has not yet been asked to kill it.
            wait_until(lambda: Path(f"/proc/{pid}/cmdline").read_bytes().startswith(os.fsencode(ffmpeg_path)))
            service.kill()
            service.wait()
            return pid

        yield kill_service


def test_ffmpeg_dies_with_a_service_that_is_killed(orphan: Callable[[str], int]) -> None:
    pid = orphan("with setpriv")
    wait_until(lambda: not is_running(pid), what="the death of FFmpeg")


def test_a_leftover_is_reaped_by_pid_and_start_time(orphan: Callable[[str], int], tmp_path: Path) -> None:
    pid = orphan("without setpriv")
    assert is_running(pid)

    record = json.loads((tmp_path / "cam.pid").read_text())
    (tmp_path / "reused.pid").write_text(json.dumps({**record, "started": record["started"] + 1}))
    (tmp_path / "torn.pid").write_text('{"pid": 1')
    assert reap_leftovers(tmp_path / "nowhere") == []
    assert reap_leftovers(tmp_path) == [pid]
    assert not is_running(pid)
    assert list(tmp_path.glob("*.pid")) == []
    assert reap_leftovers(tmp_path) == []


def test_another_process_that_got_the_same_pid_is_left_alone(ffmpeg_path: str, tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        started = start_time(other.pid)
        assert started is not None
        (tmp_path / "cam.pid").write_text(json.dumps({"pid": other.pid, "started": started - 1}))
        assert reap_leftovers(tmp_path) == []
        assert other.poll() is None
        other.kill()


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_the_real_ffmpeg_is_found_and_good_enough(ffmpeg_path: str) -> None:
    found = find_ffmpeg(ffmpeg_path)
    assert found.path == ffmpeg_path
    assert found.version >= (5, 1)
    assert {"libx264", "aac"} <= found.encoders


def test_the_demo_shows_a_clock_that_runs(ffmpeg_path: str, tmp_path: Path) -> None:
    argv = build_demo_argv(ffmpeg_path, str(tmp_path / "demo.flv"))
    argv = [word for word in argv if word != "-re"]
    argv[-1:] = ["-t", "3", argv[-1]]
    subprocess.run(argv, stdin=subprocess.DEVNULL, check=True, timeout=DEADLINE)

    with av.open(str(tmp_path / "demo.flv")) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.width, video.height, audio.channels) == (1280, 720, 2)
        pictures = [bytes(frame.planes[0]) for frame in container.decode(video=0)]
    assert len(pictures) == 90
    assert len(set(pictures[::30])) == 3
