"""Bytes in memory, bounded, and blocking work in threads, bounded: what many players share."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from streamkit.web.problems import ApiError

T = TypeVar("T")


class ByteCache:
    """The most recently used bytes, at most `limit` in all. For one event loop."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._loading: dict[str, asyncio.Task[bytes]] = {}

    @property
    def used(self) -> int:
        """Bytes kept now."""
        return self._used

    def peek(self, name: str) -> bytes | None:
        """Return the bytes when they are kept."""
        data = self._kept.get(name)
        if data is not None:
            self._kept.move_to_end(name)
        return data

    async def get(self, name: str, load: Callable[[], Awaitable[bytes]]) -> bytes:
        """Return the bytes, loaded at most once at a time however many ask; an error of `load` reaches all of them.

        A caller that is cancelled does not cancel the load, because others may wait for it.
        """
        if (data := self.peek(name)) is not None:
            return data
        task = self._loading.get(name)
        if task is None:
            task = self._loading[name] = asyncio.ensure_future(self._load(name, load))
            task.add_done_callback(_retrieve)
        return await asyncio.shield(task)

    async def _load(self, name: str, load: Callable[[], Awaitable[bytes]]) -> bytes:
        try:
            data = await load()
        finally:
            del self._loading[name]
        self._keep(name, data)
        return data

    def _keep(self, name: str, data: bytes) -> None:
        if len(data) > self._limit:
            return
        self._kept[name] = data
        self._used += len(data)
        while self._used > self._limit:
            self._used -= len(self._kept.popitem(last=False)[1])


def _retrieve(task: asyncio.Task[bytes]) -> None:
    """Look at the outcome, so that asyncio does not complain when every waiter was cancelled."""
    if not task.cancelled():
        task.exception()


class BlockingPool:
    """Runs blocking calls in at most `workers` threads; at most `waiting` more wait for one."""

    def __init__(self, name: str, *, workers: int, waiting: int) -> None:
        self._executor = ThreadPoolExecutor(max_workers=workers, thread_name_prefix=name)
        self._limit = workers + waiting
        self._pending = 0

    async def run(self, call: Callable[[], T]) -> T:
        """Return what `call` returns. Raises ApiError (503) at once when too many wait already."""
        if self._pending >= self._limit:
            raise ApiError(503, "overloaded", "Too many requests wait for storage.", headers={"Retry-After": "1"})
        self._pending += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, call)
        finally:
            self._pending -= 1

    def close(self) -> None:
        """Wait for the calls that run and drop those that wait. Blocks."""
        self._executor.shutdown(wait=True, cancel_futures=True)
