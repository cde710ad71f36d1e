"""The ledger: dates, the sliding window, which local files may go, and what it costs."""

import itertools

import pytest
from hls_kit import START, Stream, new_ledger

from streamkit.hls.segments import SegmentState, View
from streamkit.types import RenditionName, Seconds, UnixTime

A, B = "720p", "480p"


def numbers(stream: Stream, view: View, rendition: str) -> list[int]:
    return [segment.sequence for segment in stream.ledger.listed(view, RenditionName(rendition))]


# ---- dates -----------------------------------------------------------------------------------------------------


def test_dates_begin_when_the_first_segment_began_and_add_up_exactly() -> None:
    stream = Stream()
    stream.open(A, B)
    for sequence in range(500):
        stream.now += 2.002 + (sequence % 7) * 0.003  # closing jitters; dates do not
        stream.close(A, sequence, duration=2.002)
        stream.close(B, sequence, duration=2.002)
    dates = [stream.ledger.segment(stream.name(A, n)).program_date_time for n in range(500)]  # type: ignore[union-attr]
    assert dates[0] == pytest.approx(START, abs=1e-6)
    assert dates[499] - dates[0] == pytest.approx(499 * 2.002, abs=2e-6)


def test_renditions_agree_on_the_date_of_a_number_though_their_lengths_differ() -> None:
    stream = Stream()
    stream.open(A, B)
    for sequence, (a, b) in enumerate([(2.0, 1.984), (2.0, 2.005), (2.0, 2.011)] * 30):
        stream.now += 2
        for name, duration in ((A, a), (B, b)) if sequence % 2 else ((B, b), (A, a)):
            stream.close(name, sequence, duration=duration)
        pair = [stream.ledger.segment(stream.name(name, sequence)) for name in (A, B)]
        assert pair[0].program_date_time == pair[1].program_date_time  # type: ignore[union-attr]
        assert pair[0].program_date_time == pytest.approx(START + 2 * sequence, abs=0.03)  # type: ignore[union-attr]


def test_a_run_never_begins_before_the_end_of_the_one_before_it() -> None:
    stream = Stream()
    stream.open(A)
    stream.make(range(5), A)
    stream.run(A)
    stream.now -= 300
    stream.make(range(5, 7), A)
    dates = [segment.program_date_time for segment in stream.ledger.listed(View.LOCAL, RenditionName(A))]
    assert all(later - earlier == pytest.approx(2.0, abs=1e-6) for earlier, later in itertools.pairwise(dates))


# ---- window and files ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("window", "duration", "expected"),
    [
        pytest.param(12.0, 2.0, 6, id="RFC8216-6.2.2-window"),
        pytest.param(11.0, 2.0, 6, id="RFC8216-6.2.2-at-least-the-window"),
        pytest.param(6.0, 4.0, 3, id="RFC8216-6.2.2-never-below-three-targets"),
        pytest.param(6.0, 1.0, 6, id="RFC8216-6.2.2-short-segments-still-fill-three-targets"),
    ],
)
def test_the_window_holds_the_newest_segments(window: float, duration: float, expected: int) -> None:
    stream = Stream(new_ledger(window=window))
    stream.open(A)
    stream.make(range(30), A, duration=duration)
    assert numbers(stream, View.LOCAL, A) == list(range(30 - expected, 30))


def test_a_local_file_stays_its_own_length_plus_that_of_the_playlist_after_it_left() -> None:
    stream = Stream()
    stream.open(A)
    stream.make(range(7), A)  # number 0 leaves a playlist of 14 s now; target 2 s, own length 2 s
    left = stream.now
    assert stream.ledger.expired_local(UnixTime(left + 15.9), Seconds(0)) == ()
    assert stream.ledger.expired_local(UnixTime(left + 18), Seconds(0)) == (stream.name(A, 0),)
    assert stream.ledger.expired_local(UnixTime(left + 59), Seconds(60)) == ()
    assert stream.ledger.expired_local(UnixTime(left + 60), Seconds(60)) == (stream.name(A, 0),)
    stream.record(stream.ledger.files_deleted([stream.name(A, 0)]))
    assert stream.ledger.expired_local(UnixTime(left + 60), Seconds(60)) == ()


def test_a_local_file_that_the_store_has_not_acknowledged_is_never_given_up() -> None:
    stream = Stream()
    stream.open(A)
    stream.make(range(30), A, upload=False)
    stream.upload(A, 1)
    stream.record(stream.ledger.end_session(stream.time))
    assert stream.ledger.expired_local(UnixTime(stream.now + 1e6), Seconds(0)) == (stream.name(A, 1),)


def test_after_the_end_every_acknowledged_file_expires_and_the_ledger_settles() -> None:
    stream = Stream()
    stream.open(A, B)
    stream.make(range(3), A, B)
    session = stream.ledger.session
    assert session is not None
    stream.record(stream.ledger.end_session(stream.time))
    assert stream.ledger.expired_local(UnixTime(stream.now + 59), Seconds(60)) == ()
    files = stream.ledger.expired_local(UnixTime(stream.now + 60), Seconds(60))
    assert len(files) == 6
    stream.record(stream.ledger.files_deleted(files))
    assert not stream.ledger.is_settled
    stream.record(stream.ledger.archive(session))
    assert stream.ledger.is_settled
    assert stream.ledger.archive(session) is None


def test_a_segment_that_comes_after_the_archive_makes_the_archive_due_again() -> None:
    stream = Stream()
    stream.open(A, B)
    stream.make(range(3), A)
    session = stream.ledger.session
    assert session is not None
    stream.record(stream.ledger.end_session(stream.time))
    stream.record(stream.ledger.archive(session))
    assert stream.ledger.unarchived() == ()
    assert stream.close(B, 1)
    assert stream.ledger.unarchived() == (session,)


def test_an_old_session_is_forgotten_when_all_is_done_and_the_new_one_is_shown() -> None:
    stream = Stream()
    stream.open(A)
    stream.make(range(3), A)
    old = stream.ledger.session
    assert old is not None
    stream.open(A)
    stream.record(stream.ledger.archive(old))
    assert stream.ledger.book(old) is not None, "its playlist is still shown"
    stream.make(range(3, 4), A)
    stream.record(stream.ledger.files_deleted(stream.ledger.expired_local(UnixTime(stream.now + 60), Seconds(60))))
    assert stream.ledger.book(old) is None


def test_the_upload_lag_is_the_age_of_the_oldest_pending_segment() -> None:
    stream = Stream()
    stream.open(A)
    assert stream.ledger.oldest_pending(stream.time) == 0
    stream.close(A, 0)
    stream.now += 3
    stream.close(A, 1)
    assert stream.ledger.oldest_pending(UnixTime(stream.now + 1)) == 4
    stream.upload(A, 0)
    assert stream.ledger.oldest_pending(UnixTime(stream.now + 1)) == 1
    assert [segment.state for segment in stream.ledger.pending()] == [SegmentState.CLOSED]


def test_a_day_of_four_renditions_takes_a_few_bytes_a_segment() -> None:
    import tracemalloc

    stream = Stream()
    ladder = ("1080p", A, B, "360p")
    stream.open(*ladder)
    stream.make(range(100), *ladder)
    stream.events.clear()
    tracemalloc.start()
    for sequence in range(100, 600):
        stream.make(range(sequence, sequence + 1), *ladder)
        stream.events.clear()
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown / 2000 < 100, "bytes per segment; a day has 172800"
