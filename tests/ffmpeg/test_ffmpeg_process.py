"""An encoder process whatever it runs: its priority, and a reader that cannot read."""

import errno
import os
import socket
import threading
from pathlib import Path

import pytest
from servers.waiting import wait_until

from streamkit.ffmpeg import process as module
from streamkit.ffmpeg.process import EncoderProcess
from streamkit.ffmpeg.progress import Progress

DEADLINE = 10.0


class Owner:
    """An EncoderListener that remembers the end."""

    def __init__(self) -> None:
        self.exited = threading.Event()
        self.returncode = 0
        self.log: tuple[str, ...] = ()

    def encoder_progressed(self, run: int, progress: Progress) -> None:
        """Of no interest."""

    def encoder_exited(self, run: int, returncode: int, log: tuple[str, ...]) -> None:
        self.returncode, self.log = returncode, log
        self.exited.set()


def test_an_encoder_whose_output_cannot_be_read_is_ended_and_its_owner_hears_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(module.selectors, "DefaultSelector", refuse)
    owner = Owner()
    ours, theirs = socket.socketpair()
    with ours:
        process = EncoderProcess.start(
            ["sleep", "60"], run=1, stdin=theirs, listener=owner, pid_file=tmp_path / "x.pid"
        )
        assert owner.exited.wait(DEADLINE)
    assert process.wait(DEADLINE) == owner.returncode == -9
    assert "Too many open files" in owner.log[-1]


def test_every_thread_of_an_encoder_lets_others_go_first(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    owner = Owner()
    with ours:
        process = EncoderProcess.start(
            ["sleep", "60"], run=1, stdin=theirs, listener=owner, pid_file=tmp_path / "x.pid", niceness=3
        )
        try:
            wait_until(lambda: Path(f"/proc/{process.pid}/comm").read_text() == "sleep\n", what="exec")
            assert os.getpriority(os.PRIO_PROCESS, process.pid) == os.getpriority(os.PRIO_PROCESS, 0) + 3
            assert os.getsid(process.pid) == os.getsid(0)
            assert os.getpgid(process.pid) == process.pid
        finally:
            process.kill()
        assert process.wait(DEADLINE) == -9
