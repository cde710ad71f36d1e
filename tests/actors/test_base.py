"""What Pykka does not promise and BaseActor does: answers, one exit, a parent that hears of it; timers."""

import asyncio
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import pykka
import pytest

from actors.base import BaseActor, Ref, tell
from actors.timers import Timers
from streamkit.errors import ActorUnavailableError
from streamkit.messages import ChildFailed, Message, Wake
from streamkit.types import Seconds
from streamkit.web.bridge import ask


@dataclass(frozen=True)
class Do(Message):
    """A message that makes the test's actor do something."""

    what: str


class Subject(BaseActor):
    """Fails on demand, and remembers how it ended."""

    def __init__(self, *, parent: Ref | None = None, fails_at_start: bool = False, gate: threading.Event | None = None):
        super().__init__(parent=parent, name="subject")
        self.fails_at_start = fails_at_start
        self.gate = gate
        self.exits: list[BaseException | None] = []
        self.future: Future[str] = Future()

    def on_start(self) -> None:
        if self.fails_at_start:
            raise RuntimeError("no start")

    def on_receive(self, message: Any) -> Any:
        match message:
            case Do(what="fail"):
                raise RuntimeError("broken")
            case Do(what="wait"):
                assert self.gate is not None
                self.gate.wait(10)
                return "waited"
            case Do(what="later"):
                return self.future
            case Do():
                return message.what

    def on_exit(self, error: BaseException | None) -> None:
        self.exits.append(error)


class Parent(BaseActor):
    """Remembers what it hears."""

    def __init__(self) -> None:
        super().__init__(name="parent")
        self.heard: list[Message] = []
        self.arrived = threading.Event()

    def on_receive(self, message: Any) -> Any:
        self.heard.append(message)
        self.arrived.set()


@pytest.fixture
def parent() -> Any:
    ref = Parent.start()
    yield ref._actor_weakref()
    ref.stop()


def test_an_actor_that_fails_at_start_leaves_once_and_its_parent_hears_why(parent: Parent) -> None:
    ref = Subject.start(parent=parent.actor_ref, fails_at_start=True)
    assert parent.arrived.wait(10)
    assert parent.heard == [ChildFailed(urn=ref.actor_urn, name="subject", error="RuntimeError: no start")]


def test_an_actor_that_fails_on_a_tell_leaves_once_and_its_parent_hears_why(parent: Parent) -> None:
    ref = Subject.start(parent=parent.actor_ref)
    actor = ref._actor_weakref()
    ref.tell(Do("fail"))
    assert parent.arrived.wait(10)
    assert [type(error) for error in actor.exits] == [RuntimeError]
    assert len(parent.heard) == 1


def test_a_stop_is_no_failure(parent: Parent) -> None:
    ref = Subject.start(parent=parent.actor_ref)
    actor = ref._actor_weakref()
    ref.stop()
    parent.actor_ref.ask(Do("barrier"), timeout=5)
    assert actor.exits == [None]
    assert not any(isinstance(message, ChildFailed) for message in parent.heard)


def test_telling_a_dead_actor_harms_nobody() -> None:
    ref = Subject.start()
    ref.stop()
    assert tell(ref, Do("x")) is False
    assert tell(None, Do("x")) is False


def test_an_ask_that_waits_when_the_actor_stops_is_answered() -> None:
    gate = threading.Event()
    ref = Subject.start(gate=gate)
    busy = ref.ask(Do("wait"), block=False)
    ref.stop(block=False)
    late = ref.ask(Do("too late"), block=False)
    gate.set()
    assert busy.get(timeout=5) == "waited"
    with pytest.raises(pykka.ActorDeadError):
        late.get(timeout=5)


def test_an_ask_that_arrives_after_the_inbox_was_drained_is_answered() -> None:
    ref = Subject.start()
    ref.stop()
    future = ref.actor_class._create_future()
    ref.actor_inbox.put(pykka._envelope.Envelope(Do("x"), reply_to=future))
    with pytest.raises(pykka.ActorDeadError):
        future.get(timeout=5)


def test_the_bridge_returns_the_answer_without_blocking_the_loop() -> None:
    gate = threading.Event()
    ref = Subject.start(gate=gate)

    async def scenario() -> Any:
        waiting = asyncio.create_task(ask(ref, Do("wait"), timeout=Seconds(5)))
        await asyncio.sleep(0)
        gate.set()  # only reached when the loop goes on while the actor is busy
        return await waiting

    assert asyncio.run(scenario()) == "waited"
    ref.stop()


def test_the_bridge_waits_for_an_answer_that_is_a_future() -> None:
    ref = Subject.start()
    actor = ref._actor_weakref()

    async def scenario() -> Any:
        waiting = asyncio.create_task(ask(ref, Do("later"), timeout=Seconds(5)))
        actor.future.set_result("now")
        return await waiting

    assert asyncio.run(scenario()) == "now"
    ref.stop()


def test_the_bridge_gives_up_on_an_actor_that_is_too_slow_and_names_it() -> None:
    gate = threading.Event()
    ref = Subject.start(gate=gate)
    with pytest.raises(ActorUnavailableError, match="Subject did not answer Do"):
        asyncio.run(ask(ref, Do("wait"), timeout=Seconds(0.05)))
    gate.set()
    ref.stop()


def test_the_bridge_says_that_an_actor_is_not_running() -> None:
    ref = Subject.start()
    ref.stop()
    with pytest.raises(ActorUnavailableError, match="Subject is not running"):
        asyncio.run(ask(ref, Do("x"), timeout=Seconds(5)))


def test_an_error_in_an_ask_goes_to_who_asked() -> None:
    ref = Subject.start()
    with pytest.raises(RuntimeError, match="broken"):
        asyncio.run(ask(ref, Do("fail"), timeout=Seconds(5)))
    ref.stop()


def test_timers_tell_in_order_of_time_and_not_what_was_cancelled(parent: Parent) -> None:
    timers = Timers()
    timers.after(Seconds(0.06), parent.actor_ref, Do("second"))
    timers.after(Seconds(0.02), parent.actor_ref, Do("first"))
    timers.after(Seconds(0.01), parent.actor_ref, Wake()).cancel()
    dead = Subject.start()
    dead.stop()
    timers.after(Seconds(0.0), dead, Wake())
    done = threading.Event()

    class Last(BaseActor):
        def on_receive(self, message: Any) -> Any:
            done.set()

    last = Last.start()
    timers.after(Seconds(0.1), last, Wake())
    assert done.wait(10)
    parent.actor_ref.ask(Do("barrier"), timeout=5)
    assert [message.what for message in parent.heard if isinstance(message, Do)][:2] == ["first", "second"]
    assert not any(isinstance(message, Wake) for message in parent.heard)
    last.stop()
    timers.stop()
