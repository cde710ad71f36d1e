"""The life and death of the real FFmpeg, old and new: exits, signals, leftovers, and what is known of them."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from encoder_kit import DEADLINE, Listener, Start, encoders, plan, rung, start_encoder
from servers.waiting import wait_until

from streamkit.errors import EncoderNotFoundError
from streamkit.ffmpeg.binary import find_ffmpeg
from streamkit.ffmpeg.leftovers import start_time
from streamkit.ffmpeg.process import reap_leftovers
from streamkit.ffmpeg.state import ExitReason, classify_exit

pytestmark = [
    pytest.mark.integration,
    pytest.mark.parametrize("ffmpeg_path", ["path", "imageio"], indirect=True),
]


@pytest.fixture
def start(ffmpeg_path: str, tmp_path: Path) -> Iterator[Start]:
    with encoders(ffmpeg_path, tmp_path) as run:
        yield run


@pytest.fixture
def source(make_source: Callable[..., Path]) -> Callable[..., bytes]:
    """`source(**SourceSpec fields) -> bytes` of an FLV of 320x180."""
    return lambda **spec: make_source(**{"width": 320, "height": 180, "seconds": 9.0, **spec}).read_bytes()


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


def test_ffmpeg_gets_no_secrets_and_its_own_group(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINIO_SECRET_KEY", "do not pass on")
    encoder = start(plan(rung("only", 180)))
    proc = Path(f"/proc/{encoder.process.pid}")

    assert os.getpgid(encoder.process.pid) == encoder.process.pid
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
    process.contained = lambda argv, **_how: argv
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
