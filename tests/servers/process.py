"""A child process that always ends: the one way in which the tests start programs."""

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from servers.waiting import wait_until


class ManagedProcess:
    """A running program with its output in a file. Ends at the latest with `close()`, with everything it started."""

    pids: ClassVar[set[int]] = set()
    """Those that run now; whatever else runs below the tests is a leftover."""

    def __init__(
        self,
        argv: Sequence[str | Path],
        log_file: Path,
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.log_file = log_file
        self.stop_signal = stop_signal
        with log_file.open("ab") as output:
            self._process = subprocess.Popen(
                [*dies_with_us(stop_signal), *(str(word) for word in argv)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=None if env is None else dict(env),
                cwd=cwd,
                start_new_session=True,
            )
        self.pids.add(self.pid)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def log(self) -> str:
        """Return what it has written to stdout and stderr so far."""
        return self.log_file.read_text(errors="replace")

    def wait_ready(self, ready: Callable[[], bool], timeout: float = 120.0) -> None:
        """Return once `ready()`; AssertionError with its output when it ended or was too slow instead."""
        wait_until(lambda: not self.running or ready(), timeout, f"{self._process.args!r}, which said:\n{self.log()}")
        assert self.running, f"{self._process.args!r} ended with {self.wait()}:\n{self.log()}"

    def wait(self, timeout: float = 60.0) -> int:
        """Return its exit code (negative: the signal that ended it); AssertionError after `timeout` seconds."""
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"process {self.pid} still runs after {timeout:g} s; it said:\n{self.log()}") from None
        self.pids.discard(self.pid)
        return code

    def terminate(self) -> None:
        """Ask it to stop, without waiting."""
        if self.running:
            self._process.send_signal(self.stop_signal)

    def stop(self, timeout: float = 60.0) -> int:
        """Ask it to stop and return its exit code; AssertionError when it has not stopped after `timeout` seconds."""
        self.thaw()
        self.terminate()
        return self.wait(timeout)

    def kill(self) -> int:
        """End it alone with SIGKILL, as a crash would, and return its exit code."""
        if self.running:
            self._process.kill()
        return self.wait()

    def freeze(self) -> None:
        """Stop it and all that it started in their tracks; connections stay open and silent."""
        self._signal_tree(signal.SIGSTOP)

    def thaw(self) -> None:
        """Undo freeze()."""
        self._signal_tree(signal.SIGCONT)

    def close(self) -> None:
        """End it with all that it started, whatever state it is in, and return when they are gone."""
        self._signal_tree(signal.SIGSTOP)  # else nginx replaces a worker that is killed before its master is
        tree = self._signal_tree(signal.SIGKILL)
        self.wait()
        wait_until(lambda: not tree & live_processes().keys(), what="the end of what a killed process had started")

    def _signal_tree(self, signal_number: signal.Signals) -> set[int]:
        if not self.running:
            return set()
        tree = [self.pid, *descendants({self.pid})]
        for pid in tree:
            send_signal(pid, signal_number)
        return set(tree)


def dies_with_us(stop_signal: signal.Signals) -> list[str]:
    """Return the words before a command that make the kernel stop it when this test run is killed."""
    return ["setpriv", "--pdeathsig", stop_signal.name.removeprefix("SIG")]


def send_signal(pid: int, signal_number: signal.Signals) -> None:
    """Signal a process; one that has just ended is no error."""
    try:
        os.kill(pid, signal_number)
    except ProcessLookupError:
        return


def descendants(ancestors: set[int]) -> set[int]:
    """Return the pids of the live processes that `ancestors` started, and those started, and so on."""
    parents = live_processes()
    found: set[int] = set()
    while new := {pid for pid, parent in parents.items() if parent in ancestors | found} - found:
        found |= new
    return found


def live_processes() -> dict[int, int]:
    """Return pid -> parent's pid of every process that has not ended; one that nobody has collected yet has."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked
        state, parent = stat.rpartition(")")[2].split()[:2]
        if state != "Z":
            parents[int(folder.name)] = int(parent)
    return parents
