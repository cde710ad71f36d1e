"""The threads that upload, shared by all streams: bounded, fair, and never lost to an exception."""

import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable

from streamkit.types import Seconds

logger = logging.getLogger(__name__)

Job = Callable[[], None]


class _Lane:
    """Jobs by owner, taken in turns: an owner with a long backlog delays another by one job at most."""

    def __init__(self) -> None:
        self._owners: OrderedDict[Hashable, deque[Job]] = OrderedDict()

    def add(self, owner: Hashable, job: Job) -> None:
        self._owners.setdefault(owner, deque()).append(job)

    def take(self) -> Job | None:
        if not self._owners:
            return None
        owner, jobs = self._owners.popitem(last=False)
        job = jobs.popleft()
        if jobs:
            self._owners[owner] = jobs  # to the end of the line
        return job

    def drop(self, owner: Hashable) -> None:
        self._owners.pop(owner, None)

    def __bool__(self) -> bool:
        return bool(self._owners)

    def clear(self) -> None:
        self._owners.clear()


class UploadPool:
    """`workers` daemon threads. Urgent jobs (playlists) go before all others, and one worker does nothing else.

    So however many slow segments there are, a playlist never waits for one of them. (A pool of one worker does both.)
    Jobs of broadcasts that are over go when nobody else has any.
    """

    def __init__(self, workers: int) -> None:
        self._urgent = _Lane()
        self._usual = _Lane()
        self._yielding = _Lane()
        self._lanes = (self._urgent, self._usual, self._yielding)
        self._lock = threading.Lock()
        # One condition per kind of worker: a usual job never wakes the reserved one instead of one that may take it.
        self._for_reserved = threading.Condition(self._lock)
        self._for_others = threading.Condition(self._lock)
        self._reserved_waits = False
        self._closed = False
        self._threads = [
            threading.Thread(
                target=self._work, args=(number == 0 and workers > 1,), name=f"upload-{number}", daemon=True
            )
            for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, owner: Hashable, job: Job, *, urgent: bool = False, yields: bool = False) -> None:
        """Run `job` in a worker as soon as it is `owner`'s turn; after close() it is dropped."""
        lane = self._urgent if urgent else self._yielding if yields else self._usual
        with self._lock:
            if self._closed:
                return
            lane.add(owner, job)
            if urgent and self._reserved_waits:
                self._reserved_waits = False
                self._for_reserved.notify()
            else:  # one thread wakes for one job: each that wakes in vain delays those that have work
                self._for_others.notify()

    def forget(self, owner: Hashable) -> None:
        """Drop the owner's jobs that have not begun."""
        with self._lock:
            for lane in self._lanes:
                lane.drop(owner)

    def close(self, timeout: Seconds) -> bool:
        """Drop what has not begun, wait for what has, and return whether every thread ended within `timeout`."""
        with self._lock:
            self._closed = True
            for lane in self._lanes:
                lane.clear()
            self._for_reserved.notify_all()
            self._for_others.notify_all()
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _work(self, reserved: bool) -> None:  # noqa: FBT001 - a thread's arguments are positional
        while (job := self._next(reserved=reserved)) is not None:
            try:
                job()
            except BaseException:  # a worker that is lost is lost to every stream
                logger.exception("An upload job failed in a way that it should have told its stream")
            del job  # a worker that waits must not keep the last job's stream alive

    def _next(self, *, reserved: bool) -> Job | None:
        changed = self._for_reserved if reserved else self._for_others
        with self._lock:
            while not self._closed:
                lanes = self._lanes[:1] if reserved else self._lanes
                if (lane := next(filter(None, lanes), None)) is not None:
                    return lane.take()
                if reserved:
                    self._reserved_waits = True
                    if self._usual or self._yielding:  # whoever woke for it took the urgent job meant for this one
                        self._for_others.notify()
                changed.wait()
            return None
