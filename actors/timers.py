"""One thread that tells actors later: thousands of timers cost a heap, not a thread each."""

import heapq
import itertools
import threading
import time
from typing import Any

import pykka

from actors.base import tell
from streamkit.messages import Message
from streamkit.types import Seconds


class Timer:
    """A pending message; `cancel()` is safe at any time, from any thread."""

    __slots__ = ("cancelled", "message", "ref")

    def __init__(self, ref: pykka.ActorRef[Any], message: Message) -> None:
        self.ref = ref
        self.message = message
        self.cancelled = False

    def cancel(self) -> None:
        """Make sure that the message is not told any more (it may already be in the inbox)."""
        self.cancelled = True


class Timers:
    """Tells messages after a delay on the monotonic clock. Start it once per service, stop it last."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="timers", daemon=True)
        self._thread.start()

    def after(self, delay: Seconds, ref: pykka.ActorRef[Any], message: Message) -> Timer:
        """Tell `ref` the message in `delay` seconds, unless the timer is cancelled or the actor is dead by then."""
        timer = Timer(ref, message)
        with self._changed:
            heapq.heappush(self._heap, (time.monotonic() + delay, next(self._order), timer))
            if self._heap[0][2] is timer:
                self._changed.notify()
        return timer

    def stop(self) -> None:
        """Tell nothing more and end the thread."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while (timer := self._next()) is not None:
            if not timer.cancelled:
                tell(timer.ref, timer.message)

    def _next(self) -> Timer | None:
        with self._changed:
            while not self._stopped:
                if not self._heap:
                    self._changed.wait()
                    continue
                wait = self._heap[0][0] - time.monotonic()
                if wait <= 0:
                    return heapq.heappop(self._heap)[2]
                self._changed.wait(wait)
            return None


class Ticker:
    """Tells one actor the same message again; of all that were planned only the newest counts."""

    def __init__(self, timers: Timers, ref: pykka.ActorRef[Any], message: Message) -> None:
        self._timers, self._ref, self._message = timers, ref, message
        self._timer: Timer | None = None

    def next(self, delay: Seconds) -> None:
        """Tell it in `delay` seconds, and not when it was planned before."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._timers.after(delay, self._ref, self._message)
