"""One line per fault of the store and one per recovery, with a clock that is moved by hand."""

import logging

import pytest

from streamkit.storage.health import PATIENCE, PAUSE, UploadHealth

REFUSED = "the object store at s3:9000 (bucket b) cannot be used: connection refused"
DENIED = "the object store at s3:9000 (bucket b) refused the request (HTTP 403)"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock, caplog: pytest.LogCaptureFixture) -> UploadHealth:
    caplog.set_level(logging.INFO)
    return UploadHealth(clock)


def fail(health: UploadHealth, clock: Clock, reason: str = REFUSED, seconds: float = PATIENCE, times: int = 50) -> None:
    health.failed(reason)
    for _ in range(times):
        clock.now += seconds / times
        health.failed(reason)


def test_a_fault_is_told_once_however_many_uploads_fail(
    health: UploadHealth, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    fail(health, clock, times=5000, seconds=600.0)
    assert [record.getMessage() for record in caplog.records] == [
        f"Uploads fail, segments wait on disk until they work again: {REFUSED}"
    ]
    assert health.problem == REFUSED


def test_its_end_is_told_with_how_long_it_lasted(
    health: UploadHealth, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    fail(health, clock, times=9, seconds=42.0)
    health.worked()
    health.worked()
    assert caplog.messages[1:] == ["Uploads work again after 42 s, in which 10 attempts failed"]
    assert health.problem is None


def test_an_upload_that_fails_among_others_that_work_is_no_fault(
    health: UploadHealth, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(100):
        clock.now += 0.4 * PATIENCE
        health.failed(REFUSED)
        clock.now += 0.4 * PATIENCE
        health.worked()
        assert health.problem is None
    assert not caplog.messages


def test_one_failure_is_no_fault_however_long_nothing_else_is_uploaded(health: UploadHealth, clock: Clock) -> None:
    health.failed(REFUSED)
    clock.now += 3600.0
    assert health.problem is None


def test_what_the_store_denies_is_a_fault_at_once(health: UploadHealth, caplog: pytest.LogCaptureFixture) -> None:
    health.failed(DENIED, denied=True)
    assert health.problem == DENIED
    assert len(caplog.messages) == 1


def test_another_reason_is_told_but_each_once(
    health: UploadHealth, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(10):
        fail(health, clock, REFUSED, seconds=PAUSE)
        fail(health, clock, DENIED, seconds=PAUSE)
    assert [DENIED in message for message in caplog.messages] == [False, True]
    assert health.problem == DENIED


def test_a_store_that_comes_and_goes_does_not_fill_the_log(
    health: UploadHealth, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(100):
        fail(health, clock)
        health.worked()
    assert len(caplog.messages) <= 2 * (100 * PATIENCE / PAUSE + 1)
