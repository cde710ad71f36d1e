"""The ledger: which numbers there are, and when players may be told of them."""

import pytest
from hls_kit import START, Stream, new_ledger, rung

from streamkit.hls.segments import SegmentState, View
from streamkit.types import Epoch, MediaSequence, RenditionName, Seconds, SessionId, UnixTime

A, B = "720p", "480p"


def numbers(stream: Stream, view: View, rendition: str) -> list[int]:
    return [segment.sequence for segment in stream.ledger.listed(view, RenditionName(rendition))]


# ---- releasing -------------------------------------------------------------------------------------------------


def test_nothing_is_listed_before_every_rendition_has_closed_a_number() -> None:
    stream = Stream()
    stream.open(A, B)
    stream.close(A, 0)
    assert stream.files(View.LOCAL) == {}
    stream.close(B, 0)
    assert stream.media(View.LOCAL, A).uris == [stream.name(A, 0)]
    assert stream.files(View.BUCKET) == {}


def test_the_bucket_lists_only_what_the_store_has_acknowledged() -> None:
    stream = Stream()
    stream.open(A, B)
    stream.make(range(2), A, B, upload=False)
    stream.upload(A, 1)
    stream.upload(B, 1)
    stream.upload(B, 0)
    assert stream.files(View.BUCKET) == {}
    stream.upload(A, 0)
    assert numbers(stream, View.BUCKET, A) == [0, 1]


def test_a_number_waits_for_a_slow_rendition_until_the_deadline_and_then_has_a_gap() -> None:
    stream = Stream()
    stream.open(A, B)
    stream.close(A, 0)
    assert stream.wait(3.9) == 0
    assert stream.wait(0.1) == 1
    assert stream.media(View.LOCAL, A).gaps == []
    assert stream.media(View.LOCAL, B).gaps == [stream.name(B, 0)]
    assert "480p.m3u8" not in stream.files(View.LOCAL)["playlist.m3u8"].uris


def test_a_segment_that_comes_after_its_number_was_released_stays_a_gap_live_but_is_kept_for_the_whole() -> None:
    stream = Stream()
    stream.open(A, B)
    stream.close(A, 0)
    stream.wait(4)
    before = stream.media(View.LOCAL, B).text
    assert stream.close(B, 0, duration=2.5)
    assert stream.media(View.LOCAL, B).text == before
    assert [segment.name for segment in stream.ledger.pending()] == [stream.name(A, 0), stream.name(B, 0)]
    stream.upload(A, 0)
    assert stream.files(View.BUCKET) == {}, "the bucket still can list both"
    stream.upload(B, 0)
    assert stream.media(View.BUCKET, B).gaps == []


def test_a_dead_rendition_stops_delaying_the_others_and_comes_back_by_itself() -> None:
    stream = Stream()
    stream.open(A, B)
    stream.make(range(2), A, B)
    for sequence in range(2, 5):
        stream.make(range(sequence, sequence + 1), A)
        assert stream.wait(4) == 1
    stream.make(range(5, 6), A)
    assert numbers(stream, View.LOCAL, A)[-1] == 5, "the fourth number is not waited for any more"
    assert stream.files(View.LOCAL)["playlist.m3u8"].uris == ["720p.m3u8"]
    stream.make(range(6, 7), B, A)
    stream.make(range(7, 8), B, A)
    assert stream.files(View.LOCAL)["playlist.m3u8"].uris == ["720p.m3u8", "480p.m3u8"]
    assert stream.media(View.LOCAL, B).gaps == [stream.name(B, n) for n in range(2, 6)]


def test_an_outage_of_the_store_tears_no_hole_however_long_it_takes() -> None:
    stream = Stream()
    stream.open(A, B)
    stream.make(range(3), A, B)
    stream.make(range(3, 40), A, B, upload=False)
    stream.upload(A, 3)
    assert stream.wait(500) == 0
    for sequence in range(3, 40):
        stream.upload(A, sequence)
        stream.upload(B, sequence)
    assert stream.wait(10) == 0
    assert stream.media(View.BUCKET, A).gaps == []
    assert numbers(stream, View.BUCKET, B)[-1] == 39


def test_an_upload_that_newer_numbers_have_overtaken_for_the_deadline_becomes_a_gap_in_the_bucket_only() -> None:
    stream = Stream()
    stream.open(A, B)
    stream.make(range(3), A, B, upload=False)
    for name, sequence in ((A, 0), (A, 1), (B, 1), (A, 2), (B, 2)):
        stream.upload(name, sequence)
    assert stream.wait(3.9) == 0
    assert stream.wait(0.1) == 1
    assert numbers(stream, View.BUCKET, A) == [0, 1, 2]
    assert stream.media(View.BUCKET, B).gaps == [stream.name(B, 0)]
    assert stream.media(View.LOCAL, B).gaps == []


def test_a_lost_segment_is_a_gap_in_the_bucket_and_counted() -> None:
    stream = Stream()
    stream.open(A)
    stream.close(A, 0)
    stream.upload(A, 0)
    stream.close(A, 1)
    assert stream.record(stream.ledger.lose(stream.name(A, 1), stream.time))
    assert stream.media(View.BUCKET, A).gaps == [stream.name(A, 1)]
    assert stream.media(View.LOCAL, A).gaps == [], "what was listed locally is not changed (RFC 8216 6.2.1)"
    counts = stream.ledger.counts()
    assert (counts.closed, counts.uploaded, counts.listed, counts.lost, counts.bytes) == (2, 1, 1, 1, 500_000)
    assert stream.ledger.is_drained()


def test_numbers_that_only_some_renditions_have_get_gaps_when_the_run_ends() -> None:
    stream = Stream()
    stream.open(A, B)
    stream.make(range(2), A, B)
    stream.close(A, 2)
    stream.record(stream.ledger.end_run(stream.time))
    assert stream.media(View.LOCAL, B).gaps == [stream.name(B, 2)]
    assert stream.run(A, B) == 3


def test_a_segment_of_no_bytes_is_lost_at_once_and_a_gap_in_both_views() -> None:
    stream = Stream()
    stream.open(A)
    stream.make(range(2), A)
    unwritten = stream.name(A, 2)
    stream.record(stream.ledger.close(unwritten, size=0, duration=Seconds(1), closed_at=stream.time))
    book = stream.ledger.book()
    assert book is not None
    assert (book.closed, book.lost, stream.ledger.pending_count) == (3, 1, 0)
    segment = stream.ledger.segment(unwritten)
    assert segment is not None
    assert segment.state is SegmentState.LOST
    stream.close(A, 3)
    stream.upload(A, 3)
    assert stream.media(View.LOCAL, A).gaps == [unwritten]
    assert stream.media(View.BUCKET, A).gaps == [unwritten]


# ---- repeats and strangers -------------------------------------------------------------------------------------


def test_repeats_and_unknown_names_change_nothing() -> None:
    stream = Stream()
    stream.open(A)
    assert stream.close(A, 0)
    assert stream.upload(A, 0)
    ledger = stream.ledger
    refused = [
        ledger.close(stream.name(A, 0), size=1, duration=Seconds(1), closed_at=stream.time),
        ledger.close(stream.name("x", 1), size=1, duration=Seconds(1), closed_at=stream.time),
        ledger.close(stream.name(A, 5000), size=1, duration=Seconds(1), closed_at=stream.time),
        ledger.close(stream.name(A, 1), size=-1, duration=Seconds(1), closed_at=stream.time),
        ledger.close(stream.name(A, 1), size=1, duration=Seconds(0), closed_at=stream.time),
        ledger.close("playlist.m3u8", size=1, duration=Seconds(1), closed_at=stream.time),
        ledger.close(stream.name(A, 1, SessionId("s0000000")), size=1, duration=Seconds(1), closed_at=stream.time),
        ledger.acknowledge(stream.name(A, 0), stream.time),
        ledger.acknowledge(stream.name(A, 1), stream.time),
        ledger.acknowledge("playlist.m3u8", stream.time),
        ledger.lose(stream.name(A, 0), stream.time),
        ledger.archive(SessionId("s0000000")),
        ledger.files_deleted([stream.name(A, 1), "x"]),
        ledger.restore(epoch=ledger.epoch, next_sequence=MediaSequence(1), next_discontinuity=1),
    ]
    assert refused == [None] * len(refused)


def test_a_run_needs_an_open_session() -> None:
    ledger = new_ledger()
    with pytest.raises(ValueError, match="needs an open session"):
        ledger.begin_run((rung(A),))
    assert ledger.end_run(UnixTime(1)) is None
    assert ledger.end_session(UnixTime(1)) is None


def test_an_ended_broadcast_takes_no_new_number_but_a_late_one_that_it_knows_of() -> None:
    stream = Stream()
    stream.open(A, B)
    stream.close(A, 0)
    stream.record(stream.ledger.end_session(stream.time))
    assert not stream.close(A, 1)
    assert stream.close(B, 0)


# ---- numbers ---------------------------------------------------------------------------------------------------


def test_a_new_run_starts_after_the_highest_number_of_any_rendition() -> None:
    stream = Stream()
    assert stream.open(A, B) == 0
    stream.make(range(3), A)
    stream.close(B, 0)
    assert stream.run(A, B) == 3


def test_a_run_without_a_segment_costs_neither_number_nor_discontinuity() -> None:
    stream = Stream()
    stream.open(A)
    stream.make(range(1), A)
    assert [stream.run(A) for _ in range(3)] == [1, 1, 1]
    stream.make(range(1, 2), A)
    assert [number for number, _, _ in stream.media(View.LOCAL, A).entries] == [0, 1]


def test_numbers_go_on_in_the_next_session_and_the_old_playlist_stays_until_its_first_release() -> None:
    stream = Stream()
    stream.open(A)
    stream.make(range(4), A)
    stream.record(stream.ledger.end_session(stream.time))
    before = stream.media(View.BUCKET, A)
    assert before.ended
    old = stream.ledger.session
    assert stream.open(A) == 4
    assert stream.media(View.BUCKET, A).text == before.text
    stream.make(range(4, 5), A)
    after = stream.media(View.BUCKET, A)
    assert stream.ledger.session != old
    assert (after.media_sequence, after.ended, after.uris) == (4, False, [stream.name(A, 4)])
    assert after.discontinuity_sequence > before.entries[-1][0]
    assert "#EXT-X-DISCONTINUITY" not in after.lines


def test_a_new_session_does_not_wait_for_what_is_left_of_the_old_one() -> None:
    stream = Stream()
    stream.open(A)
    stream.make(range(2), A)
    stream.make(range(2, 9), A, upload=False)
    old = stream.ledger.session
    stream.open(A)
    stream.make(range(9, 10), A)
    assert numbers(stream, View.BUCKET, A) == [9]
    assert len(stream.ledger.pending()) == 7
    for sequence in range(2, 9):
        stream.record(stream.ledger.acknowledge(stream.name(A, sequence, old), stream.time))
    assert stream.ledger.is_drained(old)
    assert numbers(stream, View.BUCKET, A) == [9]


def test_epochs_and_sessions_grow_even_when_the_clock_goes_back() -> None:
    stream = Stream()
    sessions = []
    for stream.now in (START, START, START - 3600):
        stream.open(A)
        sessions.append(stream.ledger.session)
    assert sessions == sorted(set(sessions))  # type: ignore[type-var]
    assert stream.ledger.epoch == START + 2


def test_restored_counters_hold_for_the_next_session_and_never_tear_the_open_one() -> None:
    stream = Stream()
    stream.record(
        stream.ledger.restore(epoch=Epoch(int(START) + 9), next_sequence=MediaSequence(70), next_discontinuity=5)
    )
    assert stream.open(A) == 70
    assert stream.ledger.epoch == START + 10
    stream.make(range(70, 72), A)
    assert stream.media(View.LOCAL, A).discontinuity_sequence == 5
    stream.record(stream.ledger.restore(epoch=Epoch(0), next_sequence=MediaSequence(500), next_discontinuity=0))
    assert stream.run(A) == 72
    stream.make(range(72, 73), A)
    assert stream.open(A) == 500


def test_the_timestamps_of_a_run_begin_behind_all_those_before_it() -> None:
    stream = Stream()
    stream.open(A, B)
    for sequence in range(3):
        stream.close(A, sequence, duration=2.002)
        stream.close(B, sequence, duration=2.1)
    begun = stream.ledger.begin_run((rung(A),))
    assert begun.starts_at == 9, "1 s and 6.3 s of media, rounded up, and one to spare"
    stream.record(begun)
    assert stream.ledger.begin_run((rung(A),)).starts_at == 9, "nothing came of that run"
    stream.close(A, 3, duration=0.5)
    assert stream.ledger.begin_run((rung(A),)).starts_at == 11
    assert stream.replayed().begin_run((rung(A),)).starts_at == 11
