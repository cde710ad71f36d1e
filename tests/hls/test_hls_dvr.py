"""DVR playlists: hours of the same segments, EVENT only when nothing is ever removed."""

import pytest
from hls_kit import Parsed, Stream, new_ledger

from streamkit.hls.dvr import DvrWindow, dvr_window
from streamkit.hls.dvr_text import DvrText
from streamkit.hls.names import cache_control, is_public_name
from streamkit.hls.segments import View
from streamkit.types import DvrKind, Seconds

A, B = "720p", "480p"
HOUR = Seconds(3600.0)


class Dvr:
    """A stream with DVR playlists and who reads them."""

    def __init__(self, window: float | None) -> None:
        self.window = window
        self.stream = Stream(new_ledger(dvr=self.new_window()))
        self.text = DvrText(self.stream.ledger)

    def new_window(self) -> DvrWindow:
        return DvrWindow(None if self.window is None else Seconds(self.window))

    def read(self, name: str) -> Parsed:
        return Parsed(self.text.render()[name].decode())

    def after_restart(self) -> DvrText:
        ledger = new_ledger(dvr=self.new_window())
        for event in self.stream.events:
            ledger.apply(event)
        return DvrText(ledger)


def test_an_event_playlist_keeps_every_entry_and_says_so() -> None:
    """RFC 8216 4.3.3.5"""
    dvr = Dvr(None)
    dvr.stream.open(A, B)
    dvr.stream.make(range(100), A, B)
    playlist = dvr.read("dvr_720p.m3u8")
    assert playlist.tag("EXT-X-PLAYLIST-TYPE") == "EVENT"
    assert playlist.uris == [dvr.stream.name(A, number) for number in range(100)]
    assert len(dvr.stream.media(View.BUCKET, A).uris) == 6, "the live window stays as it is"


def test_a_sliding_playlist_has_no_type_and_the_absolute_number_of_its_first_segment() -> None:
    """RFC 8216 4.3.3.2, 4.3.3.5, 6.2.2"""
    dvr = Dvr(60.0)
    dvr.stream.open(A, B)
    for number in range(100):
        dvr.stream.make(range(number, number + 1), A, B)
        playlist = dvr.read("dvr_480p.m3u8")
    assert "#EXT-X-PLAYLIST-TYPE" not in playlist.text
    assert playlist.media_sequence == 70
    assert playlist.uris == [dvr.stream.name(B, number) for number in range(70, 100)]
    assert playlist.lines[6].startswith("#EXT-X-PROGRAM-DATE-TIME"), "whatever slid out, the first entry has a date"


def test_the_entry_point_names_the_dvr_playlists_of_all_renditions() -> None:
    dvr = Dvr(None)
    dvr.stream.open(A, B)
    dvr.stream.make(range(3), A, B)
    assert dvr.read("dvr.m3u8").uris == ["dvr_720p.m3u8", "dvr_480p.m3u8"]


def test_with_one_rendition_the_entry_point_is_its_media_playlist() -> None:
    dvr = Dvr(None)
    dvr.stream.open(A)
    dvr.stream.make(range(3), A)
    files = dvr.text.render()
    assert files["dvr.m3u8"] == files["dvr_720p.m3u8"]


def test_nothing_is_listed_that_the_store_has_not_acknowledged() -> None:
    dvr = Dvr(None)
    dvr.stream.open(A)
    dvr.stream.make(range(3), A, upload=False)
    assert dvr.text.render() == {}
    dvr.stream.upload(A, 0)
    assert dvr.read("dvr.m3u8").uris == [dvr.stream.name(A, 0)]


def test_a_reconnect_is_a_discontinuity_and_the_header_counts_it_once_it_slid_out() -> None:
    """RFC 8216 4.3.2.3, 4.3.3.3"""
    dvr = Dvr(60.0)
    dvr.stream.open(A, B)
    dvr.stream.make(range(10), A, B)
    dvr.stream.run(A, B)
    dvr.stream.make(range(10, 41), A, B)
    inside = dvr.read("dvr_720p.m3u8")
    assert (inside.media_sequence, inside.discontinuity_sequence) == (11, 1)
    assert dvr.text.render() == dvr.after_restart().render(), "what a journal leads to is the same text"


def test_a_rendition_that_comes_late_has_gaps_before_and_a_stable_past() -> None:
    dvr = Dvr(None)
    dvr.stream.open(A)
    dvr.stream.make(range(5), A)
    dvr.stream.run(A, B)
    dvr.stream.make(range(5, 8), A, B)
    playlist = dvr.read("dvr_480p.m3u8")
    assert playlist.media_sequence == 0
    assert playlist.gaps == [dvr.stream.name(B, number) for number in range(5)]


def test_a_segment_that_was_listed_as_a_gap_stays_one_when_it_comes_after_all() -> None:
    """RFC 8216 6.2.1: what was listed does not change; the playlists of the whole broadcast have it."""
    dvr = Dvr(None)
    dvr.stream.open(A, B)
    dvr.stream.make(range(2), A, B)
    for number in range(2, 8):
        dvr.stream.make(range(number, number + 1), A)
    dvr.stream.wait(10)
    dvr.stream.close(B, 2)
    dvr.stream.upload(B, 2)
    assert dvr.stream.name(B, 2) in dvr.read("dvr_480p.m3u8").gaps
    assert dvr.text.render() == dvr.after_restart().render()


def test_the_end_of_the_broadcast_ends_it_and_the_next_broadcast_begins_anew() -> None:
    dvr = Dvr(None)
    dvr.stream.open(A)
    dvr.stream.make(range(3), A)
    dvr.stream.record(dvr.stream.ledger.end_session(dvr.stream.time))
    assert dvr.read("dvr.m3u8").ended
    first = dvr.stream.open(A)
    dvr.stream.make(range(first, first + 2), A)
    playlist = dvr.read("dvr.m3u8")
    assert not playlist.ended
    assert (playlist.media_sequence, len(playlist.uris)) == (3, 2)


def test_a_number_adds_its_own_lines_and_leaves_the_others_as_they_are() -> None:
    dvr = Dvr(HOUR)
    dvr.stream.open(A, B)
    for number in range(2000):
        dvr.stream.make(range(number, number + 1), A, B)
        if number % 97 == 0:
            dvr.text.render()
    assert dvr.text.render() == DvrText(dvr.stream.ledger).render()
    assert len(dvr.read("dvr_720p.m3u8").uris) == 1800


@pytest.mark.parametrize(("kind", "is_event"), [(DvrKind.SLIDING, False), (DvrKind.EVENT, True)])
def test_the_kind_decides_whether_entries_ever_leave(kind: DvrKind, *, is_event: bool) -> None:
    window = dvr_window(kind, HOUR)
    assert window is not None
    assert window.is_event is is_event


def test_without_dvr_there_is_nothing() -> None:
    assert dvr_window(DvrKind.NONE, HOUR) is None
    stream = Stream()
    stream.open(A)
    stream.make(range(3), A)
    assert DvrText(stream.ledger).render() == {}


@pytest.mark.parametrize("name", ["dvr.m3u8", "dvr_720p.m3u8"])
def test_dvr_playlists_are_served_and_are_live_ones_for_caches(name: str) -> None:
    assert is_public_name(name)
    assert cache_control(name, live=True, segment_duration=Seconds(2)) == "public, max-age=1"


@pytest.mark.parametrize("name", ["dvr_.m3u8", "dvr_720p_1.m3u8", "dvr_../x.m3u8", "xdvr_720p.m3u8"])
def test_what_only_looks_like_one_is_not_served(name: str) -> None:
    assert not is_public_name(name)
