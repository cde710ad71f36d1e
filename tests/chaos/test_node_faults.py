"""What is beside the service on its node breaks: it says so in one line, and goes on.

One broadcast (copied, segments of a second) lives through it all, and every closed segment is accounted for.
"""

import os
import resource
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from chaos_record import measured
from chaos_service import CONFIGURATION, Chaos
from conftest import OnAir
from servers.publishing import Publisher
from test_process_faults import goes_on

pytestmark = [pytest.mark.chaos, pytest.mark.usefixtures("small_disk")]


@pytest.fixture(scope="module")
def chaos_configuration() -> str:
    """A publisher may take its time to come back."""
    return CONFIGURATION.replace("reconnect_window: 2.0", "reconnect_window: 60.0")


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_an_rtmp_server_that_restarts_costs_a_discontinuity(chaos: Chaos, on_air: OnAir, end: str) -> None:
    """Killed, it tells nobody that its publishers are gone."""
    with measured(f"the RTMP server restarts ({end})") as measure:
        seen = len(chaos.lines("Waiting 60 s for the publisher"))
        getattr(chaos.nginx, end)()
        measure.injected()
        measure.detected(lambda: len(chaos.lines("Waiting 60 s for the publisher")) > seen, "the line in the log")
        chaos.nginx.start()
        on_air.publish()
        measure.healed()
        measure.recovered(goes_on(chaos, on_air), "more segments")
    assert chaos.stream(on_air.key)["session"] == on_air.session
    assert len(chaos.encoders(on_air.key)) == 1


class Hog(threading.Thread):
    """Fills a disk with a file of its own, and keeps it full."""

    def __init__(self, folder: Path) -> None:
        super().__init__(name="hog", daemon=True)
        self._path = folder / "foreign"
        self._done = threading.Event()
        self.start()

    def close(self) -> None:
        self._done.set()
        self.join()
        self._path.unlink(missing_ok=True)

    def run(self) -> None:
        with self._path.open("ab", buffering=0) as file:
            while not self._done.wait(0.02):
                try:
                    while True:
                        file.write(bytes(4096))
                except OSError:
                    continue


def test_a_full_disk_costs_what_cannot_be_written_and_names_it(
    chaos: Chaos, on_air: OnAir, push: Callable[[str, Path], Publisher], small_source: Path
) -> None:
    before = chaos.stream(on_air.key)
    with measured("the disk is full") as measure:
        hog = Hog(chaos.hls_folder)
        try:
            measure.injected()
            measure.detected(lambda: chaos.lines("ERROR", "The disk of", "is full"), "the line in the log")
            late = push(chaos.nginx.url("late"), small_source)
            chaos.wait(lambda: chaos.lines("ERROR", "No encoder can start: No space left", "late"), "a publish in vain")
            chaos.wait(lambda: chaos.stream(on_air.key)["uptime"] > before["uptime"] + 6, "six seconds without room")
        finally:
            hog.close()
        measure.healed()
        measure.recovered(goes_on(chaos, on_air), "more segments")
        chaos.wait_live("late", segments=2)
        lost = chaos.wait(lambda: chaos.stream(on_air.key)["segments_lost"], "the name of what was lost")
        measure.lost(lost)
    assert chaos.lines("ERROR", "is left out: it is empty")
    assert chaos.lines("WARNING", "The disk of", "has room again")
    assert not chaos.lines("Traceback")
    after = chaos.stream(on_air.key)
    assert (after["session"], after["restarts"]) == (on_air.session, before["restarts"])
    late.stop()


@contextmanager
def no_descriptors(chaos: Chaos) -> Iterator[None]:
    """Let the service open no file more, in the block: clients hold all that it may have."""
    before = resource.prlimit(chaos.pid, resource.RLIMIT_NOFILE)
    highest = max(int(path.name) for path in Path(f"/proc/{chaos.pid}/fd").iterdir())
    chaos.watch.is_up.clear()  # it would be turned away as well
    resource.prlimit(chaos.pid, resource.RLIMIT_NOFILE, (highest + 1, before[1]))
    try:
        with ExitStack() as clients:
            for _ in range(highest + 1):
                clients.enter_context(socket.create_connection(("127.0.0.1", chaos.port), timeout=10))
            yield
    finally:
        resource.prlimit(chaos.pid, resource.RLIMIT_NOFILE, before)
        chaos.watch.is_up.set()


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_without_file_descriptors_segments_wait_and_nothing_is_lost(chaos: Chaos, on_air: OnAir) -> None:
    before = chaos.stream(on_air.key)
    with measured("too many open files") as measure:
        with no_descriptors(chaos):
            measure.injected()
            measure.detected(lambda: chaos.lines("ERROR", "Too many open files (the service may have"), "the line")
            began, cpu = time.monotonic(), cpu_seconds(chaos.pid)
            chaos.wait(lambda: chaos.stream(on_air.key)["uptime"] > before["uptime"] + 6, "six seconds of it")
            share = (cpu_seconds(chaos.pid) - cpu) / (time.monotonic() - began)
        measure.healed()
        measure.recovered(goes_on(chaos, on_air, segments=5), "the segments that waited, and more")
        chaos.wait(lambda: chaos.lines("WARNING", "Files can be opened again"), "the line of the end")
        measure.note(f"{share:.2f} of a processor meanwhile")
    assert share < 0.5, "it waits, and does not ask all the time"
    assert not chaos.lines("Traceback")
    after = chaos.stream(on_air.key)
    state = ("session", "restarts", "segments_lost")
    assert [after[name] for name in state] == [before[name] for name in state]


def test_when_the_kernel_drops_events_no_segment_is_missed(chaos: Chaos, on_air: OnAir) -> None:
    """The service stands still while more files are closed than the kernel remembers."""
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    before = chaos.stream(on_air.key)
    strangers = [chaos.hls_folder / on_air.key / f"stranger-{number}" for number in (1, 2)]
    chaos.watch.is_up.clear()  # nobody is served for a moment
    with measured("inotify drops events") as measure:
        os.kill(chaos.pid, signal.SIGSTOP)
        try:
            for _ in range(most):  # the same file twice in a row would be one event
                for path in strangers:
                    path.write_bytes(b"")
        finally:
            os.kill(chaos.pid, signal.SIGCONT)
        chaos.watch.is_up.set()
        measure.injected()
        measure.detected(lambda: chaos.lines("WARNING", "Inotify queue overflowed"), "the line in the log")
        measure.healed()
        measure.recovered(goes_on(chaos, on_air), "more segments")
    after = chaos.stream(on_air.key)
    state = ("session", "restarts", "segments_lost")
    assert [after[name] for name in state] == [before[name] for name in state]


def test_every_segment_of_the_broadcast_is_accounted_for(chaos: Chaos, on_air: OnAir) -> None:
    lost = chaos.stream(on_air.key)["segments_lost"]
    assert chaos.terminate() == 0
    accounts = on_air.settle()
    assert len(accounts.lost) == lost > 0
    assert len(accounts.uploaded) > 4
    assert accounts.playlist.entries[-1].period == 2
    assert [row["status"] for row in chaos.session_rows(on_air.key)] == ["ended"]
