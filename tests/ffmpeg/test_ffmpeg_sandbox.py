"""What the kernel enforces for every FFmpeg, and what is said where it cannot."""

import os
import re
import resource
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ffmpeg.test_ffmpeg_process import Owner
from servers.process import live_processes
from servers.waiting import wait_until

from streamkit.ffmpeg.process import EncoderProcess
from streamkit.ffmpeg.sandbox import OPEN_FILES, contained, missing, run_contained, set_limits
from streamkit.ffmpeg.state import ExitReason, classify_exit
from streamkit.types import Seconds

DEADLINE = 60.0
GIB = 1 << 30


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[EncoderProcess]:
    """An encoder that does nothing, which may fill 2 GiB of memory."""
    ours, theirs = socket.socketpair()
    with ours:
        process = EncoderProcess.start(
            ["sleep", "600"],
            run=1,
            stdin=theirs,
            listener=Owner(),
            pid_file=tmp_path / "x.pid",
            niceness=3,
            memory=2 * GIB,
        )
        try:
            wait_until(lambda: Path(f"/proc/{process.pid}/comm").read_text() == "sleep\n", what="exec")
            yield process
        finally:
            process.kill()
            assert process.wait(DEADLINE) is not None


def test_an_encoder_has_limits_and_no_way_to_more_rights(sleeper: EncoderProcess) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    assert resource.prlimit(sleeper.pid, resource.RLIMIT_CORE) == (0, 0)
    assert resource.prlimit(sleeper.pid, resource.RLIMIT_DATA) == (2 * GIB, 2 * GIB)
    assert resource.prlimit(sleeper.pid, resource.RLIMIT_NOFILE) == (files, files)
    for unlimited in (resource.RLIMIT_FSIZE, resource.RLIMIT_CPU, resource.RLIMIT_AS, resource.RLIMIT_NPROC):
        assert resource.prlimit(sleeper.pid, unlimited) == resource.getrlimit(unlimited)
    status = Path(f"/proc/{sleeper.pid}/status").read_text()
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)


def test_a_limit_that_was_inherited_is_never_raised(sleeper: EncoderProcess) -> None:
    for what, low in ((resource.RLIMIT_NOFILE, 64), (resource.RLIMIT_DATA, GIB)):
        resource.prlimit(sleeper.pid, what, (low, low))
    set_limits(sleeper.pid, 4 * GIB)
    assert resource.prlimit(sleeper.pid, resource.RLIMIT_NOFILE) == (64, 64)
    assert resource.prlimit(sleeper.pid, resource.RLIMIT_DATA) == (GIB, GIB)


def test_a_process_that_has_ended_needs_no_limits() -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    set_limits(process.pid)


def test_without_a_memory_limit_memory_stays_as_it_was(sleeper: EncoderProcess) -> None:
    set_limits(sleeper.pid, 0)
    assert resource.prlimit(sleeper.pid, resource.RLIMIT_DATA) == (2 * GIB, 2 * GIB)


def test_an_ffmpeg_that_takes_too_much_memory_fails_and_the_reason_names_the_limit(tmp_path: Path) -> None:
    owner = Owner()
    ours, theirs = socket.socketpair()
    argv = ["ffmpeg", "-hide_banner", "-loglevel", "level+warning", "-nostdin", "-f", "lavfi"]
    argv += ["-i", "testsrc2=size=3840x2160:rate=30", "-c:v", "libx264", "-threads", "4", "-f", "null", "-"]
    with ours:
        process = EncoderProcess.start(
            argv, run=1, stdin=theirs, listener=owner, pid_file=tmp_path / "x.pid", memory=300 << 20
        )
        try:
            assert owner.exited.wait(DEADLINE)
        finally:
            process.kill()
        assert process.wait(DEADLINE) is not None
    reason = classify_exit(owner.returncode, owner.log)
    assert reason is ExitReason.OUT_OF_MEMORY, (owner.returncode, owner.log)
    assert "encoder.memory_limit" in reason.explain


# A command that ends when it was given its limits, and says what it sees.
LIMITED = """
while read -r name value; do case "$name" in NoNewPrivs:) echo "rights $value";; esac; done < /proc/self/status
until [ "$(ulimit -c)" = 0 ]; do sleep 0.05; done
echo "group $(cut -d' ' -f5 /proc/$$/stat) pid $$ password $DB_PASSWORD"
"""


def test_a_short_run_is_contained_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASSWORD", "hunter2")
    done = run_contained(["sh", "-c", LIMITED], timeout=Seconds(DEADLINE))
    assert (done.returncode, done.stderr) == (0, b"")
    rights, group = done.stdout.decode().splitlines()
    assert rights == "rights 1"
    found = re.fullmatch(r"group (\d+) pid (\d+) password ", group)
    assert found is not None
    assert found[1] == found[2] != str(os.getpgid(0))


def test_a_run_that_takes_too_long_is_ended_with_all_that_it_started() -> None:
    with pytest.raises(subprocess.TimeoutExpired) as caught:
        run_contained(["sh", "-c", "sleep 600 & echo $!; wait"], timeout=Seconds(1.0))
    child = int(caught.value.output)
    wait_until(lambda: child not in live_processes(), what="the end of what it started")


def test_what_a_machine_lacks_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert missing() == []
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    assert contained(["ffmpeg"], niceness=5, dies_with_parent=True) == ["ffmpeg"]
    monkeypatch.delattr(resource, "prlimit")
    set_limits(os.getpid())
    assert [sentence.split(" (")[0].split(":")[0] for sentence in missing()] == [
        "There is no setpriv",
        "There is no nice",
        "This is not Linux",
    ]
