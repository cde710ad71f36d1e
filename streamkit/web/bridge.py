"""The only meeting place of asyncio and Pykka: ask an actor from a coroutine without blocking its loop."""

import asyncio
import concurrent.futures
import logging
import threading
from collections.abc import Callable
from typing import Any

import pykka

from streamkit.errors import ActorUnavailableError
from streamkit.messages import Message
from streamkit.types import Seconds

logger = logging.getLogger(__name__)
ActorRef = pykka.ActorRef[Any]


class BridgeFuture(pykka.ThreadingFuture[Any]):
    """A Pykka future that can call back when it is set.

    Pykka's own `await future` blocks the loop until the answer is there, so nothing here awaits one.
    """

    def __init__(self) -> None:
        super().__init__()
        self._callbacks_lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] | None = []

    def set(self, value: Any | None = None) -> None:
        """Set the answer, then call back; a callback that raises is logged and goes no further."""
        super().set(value)
        self._call_back()

    def set_exception(self, exc_info: Any | None = None) -> None:
        """Set the error, then call back."""
        super().set_exception(exc_info)
        self._call_back()

    def add_done_callback(self, callback: Callable[[], None]) -> None:
        """Call `callback` once, in the thread that answers, or at once when the answer is there already."""
        with self._callbacks_lock:
            if self._callbacks is not None:
                self._callbacks.append(callback)
                return
        callback()

    def _call_back(self) -> None:
        with self._callbacks_lock:
            callbacks, self._callbacks = self._callbacks or [], None
        for callback in callbacks:
            try:
                callback()
            except Exception:
                # An exception here would end the answering actor's thread and leave it looking alive.
                logger.exception("A waiter of an actor's answer failed")


async def ask(ref: pykka.ActorRef[Any], message: Message, *, timeout: Seconds) -> Any:  # noqa: ASYNC109 - one deadline for two waits
    """Return the actor's answer within `timeout` seconds; an answer that is a Future is awaited as well.

    Raises ActorUnavailableError when the actor is dead or too slow, and whatever error the actor answered with.
    """
    try:
        async with asyncio.timeout(timeout):
            answer = await _answer(ref, message)
            if isinstance(answer, concurrent.futures.Future):
                return await asyncio.wrap_future(answer)
            return answer
    except TimeoutError as error:
        name = ref.actor_class.__name__
        raise ActorUnavailableError(f"{name} did not answer {type(message).__name__} in {timeout:g} s") from error
    except pykka.ActorDeadError as error:
        raise ActorUnavailableError(f"{ref.actor_class.__name__} is not running") from error


async def _answer(ref: pykka.ActorRef[Any], message: Message) -> Any:
    future = ref.ask(message, block=False)
    if not isinstance(future, BridgeFuture):
        raise TypeError(f"{ref.actor_class.__name__} does not create BridgeFutures")
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def wake() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(done.set)

    future.add_done_callback(wake)
    await done.wait()
    return future.get(timeout=0)
