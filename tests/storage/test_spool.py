"""What waits for the object store, what of it has to go, and what an operator reads of that."""

import logging
from math import ceil

import pytest

from streamkit.storage.spool import CAUGHT_UP, LATE, Spool, Waiting
from streamkit.types import Seconds, StreamKey

A, B, C = StreamKey("a"), StreamKey("b"), StreamKey("c")


def waiting(size: int, *, live: bool = True, lag: float = 0.0) -> Waiting:
    return Waiting(segments=ceil(size / 10), bytes=size, lag=Seconds(lag), is_live=live)


def test_within_the_budget_nothing_goes() -> None:
    spool = Spool(budget=100)
    assert [spool.report(key, waiting(50)) for key in (A, B)] == [0, 0]
    assert (spool.counts.segments, spool.counts.bytes) == (10, 100)


def test_without_a_budget_nothing_goes_while_the_disk_has_room() -> None:
    assert Spool().report(A, waiting(10**15)) == 0


def test_every_stream_gives_and_none_gives_what_another_gave() -> None:
    spool = Spool(budget=100)
    assert spool.report(A, waiting(90)) == 0
    assert [spool.report(B, waiting(60)), spool.report(A, waiting(90))] == [20, 21]
    assert [spool.report(B, waiting(40)), spool.report(A, waiting(69))] == [4, 4]


def test_streams_that_give_what_they_are_asked_for_end_within_the_budget() -> None:
    spool, sizes = Spool(budget=100), {A: 150, B: 70, C: 30}
    for key, size in sizes.items():
        spool.report(key, waiting(size))
    for _ in range(10):
        for key, size in sizes.items():
            sizes[key] = size - spool.report(key, waiting(size))
    for key, size in sizes.items():
        spool.report(key, waiting(size))
    assert 90 <= spool.counts.bytes <= 100


def test_broadcasts_that_are_over_yield_to_those_on_air() -> None:
    spool = Spool(budget=100)
    spool.report(A, waiting(80))
    assert spool.report(B, waiting(60, live=False)) == 40
    assert spool.report(A, waiting(80)) == 0
    assert spool.report(B, waiting(90, live=False)) == 70
    assert spool.report(A, waiting(130)) == 30


def test_what_the_disk_lacks_has_to_go_too() -> None:
    assert Spool(shortage=lambda: 30).report(A, waiting(80)) == 30
    assert Spool(budget=40, shortage=lambda: 30).report(A, waiting(80)) == 40
    assert Spool(shortage=lambda: 30).report(A, Waiting()) == 0


def test_a_stream_that_is_gone_waits_for_nothing() -> None:
    spool = Spool(budget=100)
    spool.report(A, waiting(500, lag=LATE))
    spool.report(A, Waiting())
    assert (spool.counts.segments, spool.counts.bytes, spool.problem) == (0, 0, None)
    assert spool.report(B, waiting(50)) == 0


def test_uploads_that_are_behind_are_told_once_and_so_is_their_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    spool = Spool()
    for lag in (0.0, LATE - 1, LATE, LATE + 50, CAUGHT_UP + 1, LATE):
        spool.report(A, waiting(100, lag=lag))
    assert spool.problem == "Uploads are behind: 10 segments (0.0 MB) wait on disk."
    for lag in (CAUGHT_UP, 0.0):
        spool.report(A, waiting(100, lag=lag))
    assert spool.problem is None
    assert caplog.messages == [
        "Uploads are slower than the streams: 10 segments wait on disk",
        "Uploads have caught up; 0 segments were given up meanwhile",
    ]


def test_giving_up_is_told_once_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    spool = Spool(budget=50_000_000)
    spool.report(A, waiting(100, lag=LATE))
    for _ in range(100):
        spool.give_up(3)
    assert spool.counts.given_up == 300
    assert str(spool.problem).endswith("; 300 were given up.")
    spool.report(A, waiting(100))
    spool.give_up(1)
    assert [message[:40] for message in caplog.messages] == [
        "Uploads are slower than the streams: 10 ",
        "limits.spool_bytes (50.0 MB) has no room",
        "Uploads have caught up; 300 segments wer",
        "limits.spool_bytes (50.0 MB) has no room",
    ]
