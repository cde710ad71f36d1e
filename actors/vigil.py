"""Vigil: a thread that looks whether any actor hangs in a message, and shows what all threads do on SIGUSR1.

It also says when somebody sets the system's clock.

No actor is asked: each notes what it handles and since when. A message that is handled for longer than the deadline
makes its actor *stuck*: the log names both and shows the thread's stack, /ready is degraded. At twice the deadline an
exception is thrown into the thread. Python code ends by it, and the actor's parent starts another; a call that hangs
in the system ends by it as soon as it returns, for nothing can end it sooner but the end of the process. The rest of
the service is not sacrificed to it, unless the actor is `vital`: without that one nobody can publish.
"""

import ctypes
import logging
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from actors.base import BaseActor, running
from streamkit.stacks import log_with_stacks
from streamkit.steady import Clock, ClockSteps
from streamkit.types import Seconds

logger = logging.getLogger(__name__)

LOOK_EVERY = Seconds(0.5)
LATE = Seconds(3.0)  # a look this late means that the whole process was stopped: no actor is to blame
HOPELESS = 2  # deadlines after which the stuck actor's thread is interrupted
DUMP_SIGNAL = signal.SIGUSR1


class ActorStuckError(Exception):
    """Thrown into a thread whose actor handled one message for far too long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stuck:
    """An actor that has handled one message, named by its type, since `since` (monotonic seconds)."""

    urn: str
    name: str
    thread: int
    message: str
    since: float
    patience: int
    was_interrupted: bool = False

    def sentence(self, now: float) -> str:
        """Say it in words."""
        return f"{self.name} has been busy with {self.message} for {now - self.since:.0f} s"


def block_dump_signal() -> None:
    """Leave SIGUSR1 to the Vigil, in this thread and those it starts; for the main thread, before all others."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {DUMP_SIGNAL})


class Vigil:
    """`start` it before the first actor or after, `stop` it when all are gone."""

    def __init__(self, *, deadline: Seconds, vital: str, on_vital: Callable[[], None], clock: Clock = time) -> None:
        """`on_vital` is called once, when the actor with the urn `vital` is beyond hope."""
        self._deadline, self._vital, self._on_vital = deadline, vital, on_vital
        self._clock_steps = ClockSteps(clock)
        self._stopped = threading.Event()
        self._looked_at = time.monotonic()
        self._stuck: dict[str, Stuck] = {}
        self._thread = threading.Thread(target=self._run, name="vigil", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; idempotent."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join()

    def stuck(self) -> list[str]:
        """Return a sentence for each actor that is stuck. May be called from any thread."""
        now = time.monotonic()
        return [one.sentence(now) for one in list(self._stuck.values())]

    def look(self, now: float) -> None:
        """Look at the clock and at every actor once."""
        self._clock_steps.look()
        was_stopped, self._looked_at = now - self._looked_at > LATE, now
        if was_stopped:
            return
        found = {one.urn: one for actor in running() if (one := self._examine(actor, now)) is not None}
        for urn, one in self._stuck.items():
            if urn not in found:
                logger.warning("%s is not stuck any more, after %.0f s", one.name, now - one.since)
        self._stuck = {urn: self._act(one, now) for urn, one in found.items()}

    def _examine(self, actor: BaseActor, now: float) -> Stuck | None:
        doing, thread = actor.doing, actor.thread
        if doing is None or now - doing[1] <= self._deadline * actor.patience:
            return None
        return Stuck(
            urn=actor.actor_urn,
            name=actor.name,
            thread=thread,
            message=doing[0],
            since=doing[1],
            patience=actor.patience,
        )

    def _act(self, found: Stuck, now: float) -> Stuck:
        known = self._stuck.get(found.urn)
        if known is None or known.since != found.since:
            threads = [thread for thread in threading.enumerate() if thread.ident == found.thread]
            log_with_stacks(logger, logging.ERROR, f"{found.sentence(now)}; its thread hangs here:", threads)
            return found
        if known.was_interrupted or now - found.since <= self._deadline * found.patience * HOPELESS:
            return known
        if found.urn == self._vital:
            logger.critical("%s: the service ends, without it nobody can publish", found.sentence(now))
            self._on_vital()
        else:
            logger.error("%s: it is interrupted, and replaced as soon as it ends", found.sentence(now))
            _throw(ActorStuckError, found.thread)
        return replace(known, was_interrupted=True)

    def _run(self) -> None:
        block_dump_signal()
        self._looked_at = time.monotonic()
        while not self._stopped.is_set():
            try:
                if signal.sigtimedwait({DUMP_SIGNAL}, LOOK_EVERY) is None:
                    self.look(time.monotonic())
                else:
                    show_threads()
            except Exception:  # whoever watches must not be lost to an error of its own
                logger.exception("The look at the actors failed")


def show_threads() -> None:
    """Log what every thread does, and what the actors among them handle."""
    now = time.monotonic()
    busy = [f"{one.name}: {one.doing[0]} for {now - one.doing[1]:.1f} s" for one in running() if one.doing is not None]
    threads = threading.enumerate()
    sentence = f"SIGUSR1: what the {len(threads)} threads do; busy actors: {', '.join(busy) or 'none'}"
    log_with_stacks(logger, logging.WARNING, sentence, threads)


def _throw(error: type[Exception], thread: int) -> None:
    """Raise `error` in another thread as soon as that executes Python code again."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error))
