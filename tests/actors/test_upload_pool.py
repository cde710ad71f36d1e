import threading
from collections.abc import Iterator

import pytest

from actors.upload_pool import UploadPool
from streamkit.types import Seconds

WAIT = 60.0


class Gate:
    """A job that begins, says so, and ends when it is opened."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self._open = threading.Event()

    def __call__(self) -> None:
        self.begun.set()
        assert self._open.wait(WAIT)

    def open(self) -> None:
        self._open.set()


@pytest.fixture
def pools() -> Iterator[list[UploadPool]]:
    pools: list[UploadPool] = []
    yield pools
    assert all(pool.close(Seconds(WAIT)) for pool in pools)


def make(pools: list[UploadPool], workers: int) -> UploadPool:
    pools.append(UploadPool(workers))
    return pools[-1]


def test_owners_take_turns_so_that_a_backlog_delays_nobody_else(pools: list[UploadPool]) -> None:
    pool, first, order, done = make(pools, 1), Gate(), [], threading.Event()
    pool.submit("a", first)
    assert first.begun.wait(WAIT)
    for number in range(3):
        pool.submit("a", lambda number=number: order.append(f"a{number}"))
    pool.submit("b", lambda: order.append("b0"))
    pool.submit("c", done.set)
    first.open()
    assert done.wait(WAIT)
    assert order[:2] == ["a0", "b0"]


def test_an_urgent_job_goes_before_all_that_wait(pools: list[UploadPool]) -> None:
    pool, first, order, done = make(pools, 1), Gate(), [], threading.Event()
    pool.submit("a", first)
    assert first.begun.wait(WAIT)
    pool.submit("a", lambda: order.append("segment"))
    pool.submit("a", done.set)
    pool.submit("a", lambda: order.append("playlist"), urgent=True)
    first.open()
    assert done.wait(WAIT)
    assert order == ["playlist", "segment"]


def test_slow_segments_never_hold_every_worker(pools: list[UploadPool]) -> None:
    pool, gates, urgent = make(pools, 3), [Gate() for _ in range(5)], threading.Event()
    for number, gate in enumerate(gates):
        pool.submit(f"stream {number}", gate)
    assert gates[0].begun.wait(WAIT)
    assert gates[1].begun.wait(WAIT)
    pool.submit("another", urgent.set, urgent=True)
    assert urgent.wait(WAIT)
    assert not gates[2].begun.is_set()
    for gate in gates:
        gate.open()


def test_a_segment_does_not_wait_while_others_sleep(pools: list[UploadPool]) -> None:
    pool = make(pools, 4)
    for _ in range(40):
        segment, playlist = threading.Event(), Gate()
        pool.submit("a", segment.set)
        pool.submit("a", playlist, urgent=True)  # taken at times by the worker that woke for the segment
        assert segment.wait(WAIT)
        playlist.open()


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_no_worker_is_lost_to_an_exception(pools: list[UploadPool], workers: int) -> None:
    def fail() -> None:
        raise SystemExit("a job must not end its worker")

    pool, together = make(pools, workers), threading.Barrier(max(1, workers - 1) + 1)
    for _ in range(3 * workers):
        pool.submit("bad", fail)
        pool.submit("bad", fail, urgent=True)
    for number in range(max(1, workers - 1)):  # each of them needs a worker of its own to pass the barrier
        pool.submit(f"good {number}", lambda: together.wait(WAIT))
    together.wait(WAIT)
    urgent = threading.Event()
    pool.submit("good", urgent.set, urgent=True)
    assert urgent.wait(WAIT)


def test_a_forgotten_owners_jobs_do_not_begin(pools: list[UploadPool]) -> None:
    pool, first, begun, done = make(pools, 1), Gate(), [], threading.Event()
    pool.submit("a", first)
    assert first.begun.wait(WAIT)
    pool.submit("a", lambda: begun.append("usual"))
    pool.submit("a", lambda: begun.append("urgent"), urgent=True)
    pool.submit("b", done.set)
    pool.forget("a")
    first.open()
    assert done.wait(WAIT)
    assert begun == []


def test_close_drops_what_has_not_begun_and_says_when_a_job_outlives_it(pools: list[UploadPool]) -> None:
    pool, first, begun = make(pools, 1), Gate(), []
    pool.submit("a", first)
    assert first.begun.wait(WAIT)
    pool.submit("a", lambda: begun.append("queued"))
    assert not pool.close(Seconds(0.01))
    pool.submit("a", lambda: begun.append("late"))
    first.open()
    assert pool.close(Seconds(WAIT))
    assert begun == []


def test_the_workers_are_named_daemons(pools: list[UploadPool]) -> None:
    make(pools, 2)
    workers = [thread for thread in threading.enumerate() if thread.name.startswith("upload-")]
    assert sorted(thread.name for thread in workers) == ["upload-0", "upload-1"]
    assert all(thread.daemon for thread in workers)
