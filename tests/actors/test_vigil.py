"""The watch on actors that are alive but hang, and the dump of all threads."""

import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from servers.process import ManagedProcess
from servers.waiting import wait_until

from actors.base import BaseActor, getting_on, running
from actors.vigil import HOPELESS, Vigil
from streamkit.messages import ChildFailed, Tick, Wake
from streamkit.types import Seconds

WAIT = 60.0
DEADLINE = Seconds(10.0)


class Hanging(BaseActor):
    """Hangs in Tick until it is let go, and in Wake in a loop that only an exception ends."""

    def __init__(self, *, gate: threading.Event, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.gate = gate
        self.entered = threading.Event()

    def on_receive(self, message: Any) -> Any:
        self.entered.set()
        if isinstance(message, Wake):
            while True:
                time.monotonic()
        if isinstance(message, Tick):
            assert self.gate.wait(WAIT)


class Reading(BaseActor):
    """Reads a journal of many lines, of which each waits until it is let go."""

    def __init__(self, *, lines: "queue.Queue[float]", read: "queue.Queue[float]") -> None:
        super().__init__()
        self.lines, self.read = lines, read

    def on_receive(self, message: Any) -> Any:
        step = getting_on(self.read.put)
        while line := self.lines.get(timeout=WAIT):
            step(line)


class Parent(BaseActor):
    """Remembers whose end it heard of."""

    def __init__(self) -> None:
        super().__init__()
        self.failed: list[ChildFailed] = []

    def on_receive(self, message: Any) -> Any:
        self.failed.append(message)


class Scene:
    """An actor, its parent and a Vigil that is called by hand."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.parent_ref = Parent.start()
        self.ref = Hanging.start(gate=self.gate, parent=self.parent_ref, name="stream alice")
        self.ends: list[str] = []
        self.vigil = self.watch("nobody")

    def watch(self, vital: str) -> Vigil:
        return Vigil(deadline=DEADLINE, vital=vital, on_vital=lambda: self.ends.append("end"))

    def look(self, after: float) -> None:
        """Let the Vigil look `after` seconds from now, and not as one that comes too late."""
        now = time.monotonic() + after
        self.vigil._looked_at = now
        self.vigil.look(now)

    @property
    def failed(self) -> list[ChildFailed]:
        actor = self.parent_ref._actor_weakref()
        assert actor is not None
        return actor.failed

    def hang(self, message: Tick | Wake) -> None:
        self.ref.tell(message)
        assert self.ref._actor_weakref().entered.wait(WAIT)


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    yield made
    made.gate.set()
    made.parent_ref.stop()


def test_an_idle_actor_never_hangs(scene: Scene) -> None:
    scene.ref.ask(ChildFailed(urn="", name="", error=""), timeout=WAIT)
    scene.look(after=3600)
    assert scene.vigil.stuck() == []


def test_the_log_names_the_actor_its_message_and_where_its_thread_hangs(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.hang(Tick())
    scene.look(after=DEADLINE - 1)
    assert scene.vigil.stuck() == []
    scene.look(after=DEADLINE + 1)
    scene.look(after=DEADLINE + 2)
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage() == "stream alice has been busy with Tick for 11 s; its thread hangs here:"
    assert "Thread 'stream alice'" in str(record.stack_info)
    assert "self.gate.wait(WAIT)" in str(record.stack_info)
    assert scene.vigil.stuck()[0].startswith("stream alice has been busy with Tick for")


def test_an_actor_that_goes_on_is_not_stuck_any_more(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    scene.hang(Tick())
    scene.look(after=DEADLINE + 1)
    scene.gate.set()
    scene.ref.ask(ChildFailed(urn="", name="", error=""), timeout=WAIT)
    scene.look(after=DEADLINE + 2)
    assert scene.vigil.stuck() == []
    assert "stream alice is not stuck any more" in caplog.records[-1].getMessage()
    assert scene.failed == []


def test_an_endless_loop_is_interrupted_and_the_parent_hears_of_it(scene: Scene) -> None:
    scene.hang(Wake())
    scene.look(after=DEADLINE + 1)
    assert scene.ref.is_alive()
    scene.look(after=DEADLINE * HOPELESS + 1)
    wait_until(lambda: bool(scene.failed), timeout=WAIT)
    assert scene.failed[0].error.startswith("ActorStuckError")


def test_a_call_that_hangs_in_the_system_is_interrupted_once_it_returns(scene: Scene) -> None:
    scene.hang(Tick())
    for after in (1, DEADLINE + 1, DEADLINE + 2):
        scene.look(after=DEADLINE + after)
    assert scene.ref.is_alive()
    scene.gate.set()
    wait_until(lambda: bool(scene.failed), timeout=WAIT)


def test_the_service_ends_once_when_the_actor_without_which_nobody_can_publish_hangs(scene: Scene) -> None:
    scene.vigil = scene.watch(scene.ref.actor_urn)
    scene.hang(Tick())
    for after in (DEADLINE + 1, DEADLINE * 2 + 1, DEADLINE * 2 + 2):
        scene.look(after=after)
    assert scene.ends == ["end"]
    scene.gate.set()
    scene.ref.ask(ChildFailed(urn="", name="", error=""), timeout=WAIT)
    assert scene.failed == []


def test_an_actor_whose_work_is_long_has_more_time(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hanging, "patience", 20)
    scene.hang(Tick())
    scene.look(after=DEADLINE * 19)
    assert scene.vigil.stuck() == []
    scene.look(after=DEADLINE * 20 + 1)
    assert len(scene.vigil.stuck()) == 1


def test_an_actor_that_reads_one_line_after_the_other_does_not_hang(scene: Scene) -> None:
    lines: queue.Queue[float] = queue.Queue()
    read: queue.Queue[float] = queue.Queue()
    reader = Reading.start(lines=lines, read=read)
    reader.tell(Tick())
    lines.put(1.0)
    read.get(timeout=WAIT)
    actor = next(one for one in running() if one.actor_urn == reader.actor_urn)
    assert actor.doing is not None
    actor.doing = "Tick", time.monotonic() - DEADLINE * 3
    scene.look(after=0.0)
    assert [sentence.split(" has")[0] for sentence in scene.vigil.stuck()] == ["Reading"]
    lines.put(2.0)
    read.get(timeout=WAIT)
    scene.look(after=0.0)
    assert scene.vigil.stuck() == []
    lines.put(0.0)
    reader.stop()


def test_no_actor_is_to_blame_when_the_whole_process_was_stopped(scene: Scene) -> None:
    scene.hang(Tick())
    scene.vigil.look(time.monotonic() + 3600)
    assert scene.vigil.stuck() == []


def test_the_thread_looks_by_itself_and_ends(scene: Scene) -> None:
    vigil = Vigil(deadline=Seconds(0.0), vital="", on_vital=lambda: None)
    vigil.start()
    scene.hang(Tick())
    wait_until(lambda: bool(vigil.stuck()), timeout=WAIT)
    vigil.stop()
    assert len(running()) == 2


PROGRAM = """
import signal, threading
from actors.base import BaseActor
from actors.vigil import Vigil, block_dump_signal
from streamkit.logs import configure_logging
from streamkit.messages import Tick
from streamkit.settings import LogSettings
from streamkit.types import Seconds

class Stream(BaseActor):
    def on_receive(self, message):
        print("hangs", flush=True)
        threading.Event().wait()

block_dump_signal()
configure_logging(LogSettings())
Vigil(deadline=Seconds(60), vital="", on_vital=lambda: None).start()
Stream.start(name="stream alice").tell(Tick())
signal.pause()
"""


def test_sigusr1_shows_what_every_thread_does_by_the_actors_names(run_process: Callable[..., ManagedProcess]) -> None:
    root = Path(__file__).parent.parent.parent
    process = run_process([sys.executable, "-c", PROGRAM], env={**os.environ, "PYTHONPATH": str(root)}, cwd=root)
    wait_until(lambda: "hangs" in process.log(), timeout=WAIT)
    os.kill(process.pid, signal.SIGUSR1)
    wait_until(lambda: "Thread 'vigil'" in process.log(), timeout=WAIT)
    shown = process.log()
    assert "busy actors: stream alice: Tick for" in shown
    assert "Thread 'stream alice':" in shown
    assert "Thread 'MainThread':" in shown
    assert "threading.Event().wait()" in shown or "in on_receive" in shown
