"""How a question to the database is answered: in its loop, after the rows that were saved before it."""

import asyncio
import concurrent.futures
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from streamkit.database.loop import LoopThread
from streamkit.database.repository import Outcome
from streamkit.errors import DatabaseUnavailableError
from streamkit.types import Seconds

T = TypeVar("T")

SEE_OWN_ROWS: Final = Seconds(0.5)  # how long a question waits for rows that are being written


async def answer_question(
    question: Callable[[], Coroutine[Any, Any, T]],
    loop: LoopThread,
    *,
    after: concurrent.futures.Future[Outcome] | None,
) -> T:
    """Answer when `after` is done, whatever came of it, so that the rows saved before the question are seen."""
    try:
        if after is not None:
            await _wait_for(after)
        return await question()
    except asyncio.CancelledError:
        if not loop.is_stopping:  # who asked waits no longer
            raise
        raise DatabaseUnavailableError("the database is not used any more: the service is stopping") from None


async def _wait_for(work: concurrent.futures.Future[Outcome]) -> None:
    done, loop = asyncio.Event(), asyncio.get_running_loop()
    work.add_done_callback(lambda _: loop.call_soon_threadsafe(done.set))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SEE_OWN_ROWS):
            await done.wait()
