"""The rows that wait for the database."""

from dataclasses import replace

import pytest
from fakes.saves import KEY, SEGMENT, SESSION, STREAM

from streamkit.database.backlog import BATCH_SEGMENTS, Backlog
from streamkit.messages import SaveSegment, SaveStream, StreamRecalled
from streamkit.types import Epoch, MediaSequence, StreamKey

UPLOADED = replace(SEGMENT, state="uploaded")
UNKNOWN = StreamRecalled(epoch=Epoch(0), next_sequence=MediaSequence(0), discontinuity_sequence=0)


def segment(sequence: int) -> SaveSegment:
    return replace(SEGMENT, sequence=MediaSequence(sequence))


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        pytest.param([STREAM, replace(STREAM, revision=2)], replace(STREAM, revision=2), id="newer revision"),
        pytest.param([replace(STREAM, revision=2), STREAM], replace(STREAM, revision=2), id="older revision"),
        pytest.param(
            [replace(STREAM, revision=9), replace(STREAM, epoch=Epoch(101), revision=0)],
            replace(STREAM, epoch=Epoch(101), revision=0),
            id="newer epoch with a lower revision",
        ),
        pytest.param(
            [replace(SESSION, revision=2), SESSION], replace(SESSION, revision=2), id="older session revision"
        ),
        pytest.param([SEGMENT, UPLOADED], UPLOADED, id="segment moves forward"),
        pytest.param([UPLOADED, SEGMENT], UPLOADED, id="segment does not move back"),
        pytest.param([replace(SEGMENT, state="lost"), UPLOADED], replace(SEGMENT, state="lost"), id="lost is final"),
    ],
)
def test_of_several_rows_for_one_key_the_newest_waits(rows: list[SaveStream], kept: SaveStream) -> None:
    backlog = Backlog()
    for row in rows:
        backlog.add(row)
    assert backlog.batch() == (kept,)


def test_a_batch_has_streams_first_then_sessions_then_segments() -> None:
    backlog = Backlog()
    for row in (SEGMENT, SESSION, STREAM):
        backlog.add(row)
    assert backlog.batch() == (STREAM, SESSION, SEGMENT)


def test_a_batch_holds_a_bounded_number_of_segments_the_oldest_first() -> None:
    backlog = Backlog()
    for sequence in range(BATCH_SEGMENTS + 5):
        backlog.add(segment(sequence))
    assert backlog.batch() == tuple(segment(sequence) for sequence in range(BATCH_SEGMENTS))


def test_a_row_that_changed_while_it_was_written_is_written_again() -> None:
    backlog = Backlog()
    backlog.add(SEGMENT)
    backlog.add(STREAM)
    batch = backlog.batch()
    backlog.add(UPLOADED)
    backlog.discard(batch)
    assert backlog.batch() == (UPLOADED,)


def test_past_the_bound_the_oldest_segments_are_dropped_and_counted_but_streams_and_sessions_never() -> None:
    backlog = Backlog(max_segments=3)
    backlog.add(STREAM)
    backlog.add(SESSION)
    for sequence in range(5):
        backlog.add(segment(sequence))
    assert backlog.batch() == (STREAM, SESSION, segment(2), segment(3), segment(4))
    assert backlog.dropped == 2


def test_an_empty_backlog_recalls_what_is_stored() -> None:
    assert Backlog().recall(KEY, UNKNOWN) == UNKNOWN


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        pytest.param(STREAM, (100, 5, 2), id="stream"),
        pytest.param(SESSION, (100, 0, 0), id="session"),
        pytest.param(SEGMENT, (0, 8, 0), id="segment: the number after it"),
        pytest.param(replace(STREAM, key=StreamKey("cam2")), (0, 0, 0), id="another key"),
    ],
)
def test_rows_that_wait_are_recalled(row: SaveStream, expected: tuple[int, int, int]) -> None:
    backlog = Backlog()
    backlog.add(row)
    recalled = backlog.recall(KEY, UNKNOWN)
    assert (recalled.epoch, recalled.next_sequence, recalled.discontinuity_sequence) == expected


def test_stored_numbers_are_recalled_when_they_are_higher() -> None:
    backlog = Backlog()
    backlog.add(STREAM)
    stored = StreamRecalled(epoch=Epoch(200), next_sequence=MediaSequence(50), discontinuity_sequence=9)
    assert backlog.recall(KEY, stored) == stored
