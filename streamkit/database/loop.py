"""An asyncio loop in a thread of its own, for callers that must not wait."""

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from streamkit.types import Seconds

T = TypeVar("T")


class LoopThread:
    """Runs coroutines of any thread. `stop()` leaves no thread and no task behind."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self.is_stopping = False
        """Whether what is cancelled from now on is cancelled by stop()."""
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Start `coroutine` and return the Future of its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def stop(self, last: Callable[[], Coroutine[Any, Any, None]], *, grace: Seconds) -> None:
        """Give what runs `grace` seconds, cancel the rest, run `last` as the last coroutine, end the thread.

        Raises what `last` raises.
        """
        self.is_stopping = True
        try:
            self.submit(_wind_up(last, grace)).result()
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            asyncio.set_event_loop(None)
            self._loop.close()


async def _wind_up(last: Callable[[], Coroutine[Any, Any, None]], grace: Seconds) -> None:
    running = asyncio.all_tasks() - {asyncio.current_task()}
    if running:
        _, late = await asyncio.wait(running, timeout=grace)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
    await last()
