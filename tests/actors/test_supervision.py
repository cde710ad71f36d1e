"""Supervision that Pykka does not give: linked children, answers whatever happens, posts that are filled again."""

import ctypes
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import pykka
import pytest
from servers.waiting import wait_until

from actors import guard
from actors.base import BaseActor, Ref, running, tell
from actors.guard import FillPost, Guard, Post
from streamkit.errors import ActorUnavailableError
from streamkit.messages import ChildFailed, Message
from streamkit.types import Seconds

WAIT = 60.0


@dataclass(frozen=True)
class Do(Message):
    """Makes the test's actor do something; `answer` is a Future that it is to complete."""

    what: str = ""
    answer: "Future[str] | None" = field(default=None, compare=False)


class Worker(BaseActor):
    """Fails on demand, holds on at a gate, and says when it has released what it owns."""

    def __init__(self, *, parent: Ref | None = None, name: str = "worker", exit_gate: threading.Event | None = None):
        super().__init__(parent=parent, name=name)
        self.gate, self.entered = threading.Event(), threading.Event()
        self.exit_gate = exit_gate
        self.released = False
        self.heard: list[Message] = []

    def on_receive(self, message: Any) -> Any:
        match message:
            case Do(what="fail"):
                raise RuntimeError("broken")
            case Do(what="exit"):
                raise SystemExit(3)
            case Do(what="wait"):
                self.entered.set()
                assert self.gate.wait(WAIT)
            case Do(what="answer"):
                assert message.answer is not None
                message.answer.set_result("done")
            case _:
                self.heard.append(message)
        return "answered"

    def on_exit(self, error: BaseException | None) -> None:
        if self.exit_gate is not None:
            assert self.exit_gate.wait(WAIT)
        self.released = True


def start(**kwargs: Any) -> tuple[Ref, Worker]:
    ref = Worker.start(**kwargs)
    actor = ref._actor_weakref()
    assert actor is not None
    return ref, actor


@pytest.fixture
def parent() -> Iterator[Worker]:
    ref, actor = start(name="parent")
    yield actor
    ref.stop()


def failures(actor: Worker) -> list[ChildFailed]:
    return [message for message in actor.heard if isinstance(message, ChildFailed)]


@pytest.mark.parametrize("how", ["fail", "stop"])
def test_an_actor_takes_its_children_along_however_it_ends(how: str) -> None:
    ref, _ = start()
    child, _ = start(parent=ref)
    grandchild, _ = start(parent=child)
    other, _ = start()
    if how == "stop":
        ref.stop()
    else:
        ref.tell(Do("fail"))
    wait_until(lambda: len(running()) == 1, timeout=WAIT)
    assert not child.is_alive()
    assert not grandchild.is_alive()
    assert other.is_alive()
    other.stop()


def test_a_child_of_a_parent_that_has_gone_ends_at_once() -> None:
    ref, _ = start()
    ref.stop()
    child = Worker.start(parent=ref)
    wait_until(lambda: not running(), timeout=WAIT)
    assert not child.is_alive()


def test_an_exception_thrown_into_an_idle_actor_ends_it_and_its_parent_hears_of_it(parent: Worker) -> None:
    ref, actor = start(parent=parent.actor_ref, name="victim")
    ref.ask(Do(), timeout=WAIT)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(actor.thread), ctypes.py_object(ValueError))
    ref.tell(Do())  # wakes it: the exception is raised where it waited
    wait_until(lambda: bool(failures(parent)), timeout=WAIT)
    assert failures(parent) == [ChildFailed(urn=ref.actor_urn, name="victim", error="ValueError: ")]
    assert actor.released


def test_a_system_exit_in_one_actor_ends_that_one_only(parent: Worker) -> None:
    ref, _ = start(parent=parent.actor_ref)
    other, _ = start()
    ref.tell(Do("exit"))
    wait_until(lambda: bool(failures(parent)), timeout=WAIT)
    assert failures(parent)[0].error == "RuntimeError: SystemExit in an actor: 3"
    assert other.ask(Do(), timeout=WAIT) == "answered"
    other.stop()


def test_a_stop_is_answered_when_everything_is_released() -> None:
    gate = threading.Event()
    ref, actor = start(exit_gate=gate)
    with pytest.raises(pykka.Timeout):
        ref.stop(timeout=0.05)
    gate.set()
    wait_until(lambda: not running(), timeout=WAIT)
    assert actor.released
    second, other = start()
    second.stop(timeout=WAIT)
    assert other.released


def test_who_waits_for_a_future_in_a_message_hears_that_the_actor_ended_before_it() -> None:
    ref, actor = start()
    waiting: Future[str] = Future()
    ref.tell(Do("wait"))
    assert actor.entered.wait(WAIT)
    ref.stop(block=False)
    ref.tell(Do("answer", waiting))
    actor.gate.set()
    with pytest.raises(ActorUnavailableError):
        waiting.result(WAIT)


def test_who_waits_for_a_future_hears_that_the_actor_died_of_the_message() -> None:
    ref, _ = start()
    waiting: Future[str] = Future()
    ref.tell(Do("fail", waiting))
    with pytest.raises(ActorUnavailableError):
        waiting.result(WAIT)


@pytest.mark.parametrize("ending", ["stop", "fail"])
def test_every_ask_and_every_future_that_races_with_an_end_is_answered(ending: str) -> None:
    for _ in range(40):
        ref, _ = start()
        asked: list[Any] = []
        futures: list[Future[str]] = []
        begin = threading.Barrier(3)

        def ask(ref: Ref = ref, asked: list[Any] = asked, begin: threading.Barrier = begin) -> None:
            begin.wait(WAIT)
            while ref.is_alive():
                asked.append(ref.ask(Do(), block=False))

        def tell_on(ref: Ref = ref, futures: list[Future[str]] = futures, begin: threading.Barrier = begin) -> None:
            begin.wait(WAIT)
            alive = True
            while alive:
                future: Future[str] = Future()
                alive = tell(ref, Do("answer", future))
                if alive:
                    futures.append(future)

        threads = [threading.Thread(target=ask), threading.Thread(target=tell_on)]
        for thread in threads:
            thread.start()
        begin.wait(WAIT)
        tell(ref, Do())
        if ending == "stop":
            ref.stop(block=False)
        else:
            ref.tell(Do("fail"))
        for thread in threads:
            thread.join(WAIT)
        for one in asked:
            try:
                assert one.get(timeout=WAIT) == "answered"
            except pykka.ActorDeadError:
                continue
        for future in futures:
            assert isinstance(future.exception(WAIT), ActorUnavailableError) or future.result() == "done"


class Clock:
    """time.monotonic that moves by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class ManualTimers:
    """Remembers what is to be told, and tells it when asked to."""

    def __init__(self) -> None:
        self.planned: list[tuple[Seconds, Ref, Message]] = []

    def after(self, delay: Seconds, ref: Ref, message: Message) -> None:
        self.planned.append((delay, ref, message))

    def elapse(self) -> Seconds:
        wait_until(lambda: bool(self.planned), timeout=WAIT)
        delay, ref, message = self.planned.pop(0)
        ref.tell(message)
        return delay


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Ref, Post, ManualTimers, Clock]]:
    clock, timers = Clock(), ManualTimers()
    monkeypatch.setattr(guard, "time", clock)
    post = Post(lambda parent: Worker.start(parent=parent, name="clerk"))
    ref = Guard.start(posts=(post,), timers=timers)
    yield ref, post, timers, clock
    ref.stop()


def test_the_guard_starts_a_dead_actor_again_and_its_post_means_the_new_one(
    kept: tuple[Ref, Post, ManualTimers, Clock],
) -> None:
    _, post, timers, _ = kept
    before = post.actor_urn
    assert post.ask(Do(), timeout=WAIT) == "answered"
    post.tell(Do("fail"))
    assert timers.elapse() <= 5
    wait_until(lambda: post.actor_urn != before, timeout=WAIT)
    assert post.ask(Do(), timeout=WAIT) == "answered"


def test_the_guard_tries_slowly_after_too_many_deaths(kept: tuple[Ref, Post, ManualTimers, Clock]) -> None:
    ref, post, timers, clock = kept
    delays = []
    for _ in range(guard.MAX_RESTARTS + 1):
        before = post.actor_urn
        post.tell(Do("fail"))
        delays.append(timers.elapse())
        ref.ask(FillPost(urn="nobody"), timeout=WAIT)
        assert post.actor_urn != before
        clock.now += 1
    assert max(delays[:-1]) <= 5
    assert delays[-1] == guard.RESTART_WINDOW
    clock.now += guard.RESTART_WINDOW
    post.tell(Do("fail"))
    assert timers.elapse() <= 5


def test_a_repeated_notice_of_a_death_starts_nobody_twice(kept: tuple[Ref, Post, ManualTimers, Clock]) -> None:
    ref, post, timers, _ = kept
    before = post.actor_urn
    post.tell(Do("fail"))
    timers.elapse()
    wait_until(lambda: post.actor_urn != before, timeout=WAIT)
    now = post.actor_urn
    ref.ask(FillPost(urn=before), timeout=WAIT)
    ref.ask(ChildFailed(urn=before, name="clerk", error="late"), timeout=WAIT)
    assert (post.actor_urn, timers.planned) == (now, [])
