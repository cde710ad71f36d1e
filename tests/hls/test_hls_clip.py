"""Clips: whole segments of a time range, the same whether cut out of the ledger or out of stored playlists."""

import pytest
from hls_kit import START, Parsed, Stream
from hypothesis import given, settings
from hypothesis import strategies as st

from streamkit.hls.clip import (
    Available,
    Cut,
    Span,
    clip_files,
    clip_id_of,
    cut_ledger,
    cut_texts,
    media_names,
)
from streamkit.hls.names import cache_control, is_public_name, parse_clip_id
from streamkit.hls.playlist_lines import read_media, write_media
from streamkit.hls.render import render_vod
from streamkit.types import ClipId, SessionId, StreamKey

A, B = "720p", "480p"
KEY = StreamKey("key")


def a_stream(segments: int = 20, *, upload: bool = True) -> Stream:
    stream = Stream()
    stream.open(A, B)
    stream.make(range(segments), A, B, upload=upload)
    return stream


def from_ledger(stream: Stream, start: float, end: float = 0.0) -> Cut:
    cut = cut_ledger(stream.ledger, None, Span(start=start, end=end))
    assert isinstance(cut, Cut)
    return cut


def from_store(stream: Stream, start: float, end: float = 0.0) -> Cut | Available | None:
    texts = {name: body.decode() for name, body in render_vod(stream.ledger).items()}
    session = stream.ledger.session
    assert session is not None
    entry = texts.pop(f"{session}.m3u8")
    return cut_texts(session, entry, {name: texts[name] for name in media_names(entry)}, Span(start=start, end=end))


def playlist(cut: Cut, rendition: str = A) -> Parsed:
    return Parsed(clip_files(ClipId("0123456789"), cut)[f"clip_0123456789_{rendition}.m3u8"].decode())


def test_a_clip_has_the_whole_segments_of_its_range_and_their_absolute_numbers() -> None:
    """RFC 8216 4.3.3.2"""
    cut = from_ledger(a_stream(), START + 5.0, START + 11.0)
    read = playlist(cut)
    assert (cut.first, cut.last) == (2, 5)
    assert (cut.start, cut.end) == (START + 4.0, START + 12.0)
    assert read.media_sequence == 2
    assert [uri.rsplit("_", 1)[1] for uri in read.uris] == ["2.ts", "3.ts", "4.ts", "5.ts"]
    assert read.tag("EXT-X-PLAYLIST-TYPE") == "VOD"
    assert read.ended
    assert read.tag("EXT-X-PROGRAM-DATE-TIME") == "2027-01-15T08:00:04.000Z"


@pytest.mark.parametrize(
    ("start", "end", "first", "last"),
    [
        pytest.param(-6.0, 0.0, 17, 19, id="the newest 6 s"),
        pytest.param(-6.5, 0.0, 16, 19, id="what is begun is whole"),
        pytest.param(-10.0, -4.0, 15, 17, id="both before the end"),
        pytest.param(START + 2.0, -30.0, 1, 4, id="one of them absolute"),
        pytest.param(START - 1000, START + 1000, 0, 19, id="trimmed at both ends"),
        pytest.param(START + 4.0, START + 4.001, 2, 2, id="a moment is a segment"),
    ],
)
def test_the_range_may_be_written_in_several_ways(start: float, end: float, first: int, last: int) -> None:
    cut = from_ledger(a_stream(), start, end)
    assert (cut.first, cut.last) == (first, last)


def test_only_what_the_store_has_acknowledged_is_cut() -> None:
    stream = a_stream(5)
    stream.make(range(5, 9), A, B, upload=False)
    assert from_ledger(stream, -1000.0).last == 4
    assert cut_ledger(a_stream(5, upload=False).ledger, None, Span(start=-10, end=0)) is None


def test_a_range_without_media_says_what_there_is() -> None:
    stream = a_stream()
    found = cut_ledger(stream.ledger, None, Span(start=START + 100, end=START + 110))
    assert found == Available(session=stream.ledger.session or SessionId(""), start=START, end=START + 40)  # type: ignore[arg-type]
    assert isinstance(from_store(stream, START + 100, START + 110), Available)


def test_an_older_broadcast_that_the_ledger_still_knows_is_found_by_its_time() -> None:
    stream = a_stream(10)
    stream.record(stream.ledger.end_session(stream.time))
    stream.now += 100
    first = stream.open(A, B)
    stream.make(range(first, first + 5), A, B)
    assert from_ledger(stream, START, START + 4).last == 1
    assert from_ledger(stream, -4.0).first == first + 3


@settings(max_examples=60, deadline=None)
@given(start=st.floats(-60, 60), length=st.floats(0.001, 90), gap=st.integers(0, 19), runs=st.booleans())
def test_stored_playlists_and_the_ledger_give_the_same_entries(
    start: float, length: float, gap: int, *, runs: bool
) -> None:
    stream = Stream()
    stream.open(A, B)
    for number in range(20):
        if runs and number == 11:
            stream.run(A, B)
        if number != gap:
            stream.make(range(number, number + 1), A, B)
        else:
            stream.make(range(number, number + 1), A)
    stream.record(stream.ledger.end_session(stream.time))
    span = Span(start=START + start, end=START + start + length)
    stored, known = from_store(stream, span.start, span.end), cut_ledger(stream.ledger, None, span)
    if isinstance(stored, Cut) and isinstance(known, Cut):
        assert (stored.first, stored.last) == (known.first, known.last)
        for rendition in stored.renditions:
            if rendition in known.renditions:
                one, other = playlist(stored, rendition), playlist(known, rendition)
                assert one.uris == other.uris
                assert one.gaps == other.gaps
                assert one.entries[1:] == other.entries[1:]
                assert one.durations == other.durations
    else:
        assert type(stored) is type(known)


def test_a_discontinuity_before_the_clip_is_counted_in_its_header() -> None:
    """RFC 8216 4.3.3.3"""
    stream = a_stream(5)
    stream.run(A, B)
    stream.make(range(5, 10), A, B)
    stream.record(stream.ledger.end_session(stream.time))
    cut = from_store(stream, -4.0)
    assert isinstance(cut, Cut)
    assert playlist(cut).discontinuity_sequence == 1
    assert "#EXT-X-DISCONTINUITY" not in playlist(cut).lines


def test_what_applies_to_later_segments_is_said_by_the_first_of_the_clip() -> None:
    """RFC 8216 4.3.2.4, 4.3.2.5"""
    text = (
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-PLAYLIST-TYPE:VOD\n"
        '#EXT-X-MAP:URI="init_0.mp4"\n#EXT-X-KEY:METHOD=AES-128,URI="k0"\n'
        "#EXT-X-PROGRAM-DATE-TIME:2027-01-15T08:00:00.000Z\n#EXTINF:2.0,\na.m4s\n#EXTINF:2.0,\nb.m4s\n"
        '#EXT-X-KEY:METHOD=AES-128,URI="k1"\n#EXTINF:2.0,\nc.m4s\n#EXTINF:2.0,\nd.m4s\n#EXT-X-ENDLIST\n'
    )
    media = read_media(text)
    assert write_media(media, media.lines_of(range(10, 11))) == (
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:10\n"
        "#EXT-X-DISCONTINUITY-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:VOD\n"
        '#EXT-X-MAP:URI="init_0.mp4"\n#EXT-X-KEY:METHOD=AES-128,URI="k1"\n'
        "#EXT-X-PROGRAM-DATE-TIME:2027-01-15T08:00:06.000Z\n#EXTINF:2.0,\nd.m4s\n#EXT-X-ENDLIST\n"
    )
    assert write_media(media, list(media.lines)).count("#EXT-X-KEY") == 2


def test_the_entry_point_names_the_clips_own_playlists() -> None:
    stream = a_stream()
    stream.record(stream.ledger.end_session(stream.time))
    for cut in (from_ledger(stream, -6.0), from_store(stream, -6.0)):
        assert isinstance(cut, Cut)
        files = clip_files(ClipId("0123456789"), cut)
        assert list(files) == ["clip_0123456789_720p.m3u8", "clip_0123456789_480p.m3u8", "clip_0123456789.m3u8"]
        entry = Parsed(files["clip_0123456789.m3u8"].decode())
        assert entry.uris == ["clip_0123456789_720p.m3u8", "clip_0123456789_480p.m3u8"]


def test_with_one_rendition_the_entry_point_is_its_media_playlist() -> None:
    stream = Stream()
    stream.open(A)
    stream.make(range(5), A)
    stream.record(stream.ledger.end_session(stream.time))
    for cut in (from_ledger(stream, -4.0), from_store(stream, -4.0)):
        assert isinstance(cut, Cut)
        files = clip_files(ClipId("0123456789"), cut)
        assert files["clip_0123456789.m3u8"] == files["clip_0123456789_720p.m3u8"]
        assert files["clip_0123456789.m3u8"].count(b"#EXTINF") == 2


def test_the_same_cut_has_the_same_id_and_another_name_another_one() -> None:
    stream = a_stream()
    one, same = from_ledger(stream, START, START + 3.5), from_ledger(stream, START + 0.5, START + 4.0)
    assert clip_id_of(KEY, one, "goal") == clip_id_of(KEY, same, "goal")
    assert clip_id_of(KEY, one, "goal") != clip_id_of(KEY, one, "save")
    assert clip_id_of(KEY, one, "") != clip_id_of(StreamKey("other"), one, "")
    assert parse_clip_id(clip_id_of(KEY, one, "goal")) is not None


@pytest.mark.parametrize("name", ["clip_0123456789.m3u8", "clip_0123456789_720p.m3u8"])
def test_clips_are_served_and_caches_may_keep_them_an_hour(name: str) -> None:
    assert is_public_name(name)
    assert cache_control(name, live=False) == "public, max-age=3600"


@pytest.mark.parametrize("name", ["clip_012345678.m3u8", "clip_0123456789_.m3u8", "clip_.m3u8", "clip_012345678O.m3u8"])
def test_what_only_looks_like_a_clip_is_not_served(name: str) -> None:
    assert not is_public_name(name)
