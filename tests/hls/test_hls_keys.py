"""EXT-X-KEY in every playlist. RFC 8216 4.3.2.4, 4.3.2.5 and 5.2."""

import pytest
from hls_kit import Parsed, Stream, new_ledger, rung

from streamkit.hls.clip import Cut, Span, cut_ledger, cut_texts, media_names
from streamkit.hls.dvr import DvrWindow
from streamkit.hls.dvr_text import DvrText
from streamkit.hls.events import RunBegun, from_record, to_record
from streamkit.hls.render import render_view, render_vod
from streamkit.hls.segments import View
from streamkit.types import MediaSequence, SegmentFormat, SessionId

LOCAL, BUCKET = View.LOCAL, View.BUCKET
NONE = "METHOD=NONE"


def encrypted(rotation: int = 3, **changes: object) -> Stream:
    return Stream(key_rotation=rotation, **changes)  # type: ignore[arg-type]


def key(stream: Stream, number: int) -> str:
    return f'METHOD=AES-128,URI="/keys/key/{stream.ledger.session}/{number}"'


def keys_of(playlist: Parsed) -> list[tuple[int, str, str | None]]:
    """Return (media sequence number, key in effect, map in effect's key) of each segment, as a player reads it."""
    found, in_effect, of_map = [], NONE, None
    number = playlist.media_sequence
    for line in playlist.lines:
        if line.startswith("#EXT-X-KEY:"):
            in_effect = line.removeprefix("#EXT-X-KEY:")
        elif line.startswith("#EXT-X-MAP:"):
            of_map = in_effect
        elif line and not line.startswith("#"):
            found.append((number, in_effect, of_map))
            number += 1
    return found


def test_rfc8216_4_3_2_4_every_segment_stands_behind_the_key_of_its_number() -> None:
    stream = encrypted(3)
    stream.open("720p", "480p")
    stream.make(range(10), "720p", "480p")
    for view in View:
        for name in ("720p", "480p"):
            playlist = stream.media(view, name)
            assert playlist.media_sequence > 0
            assert [(number, in_effect) for number, in_effect, _ in keys_of(playlist)] == [
                (number, key(stream, number // 3)) for number in range(playlist.media_sequence, 10)
            ]


def test_a_key_is_written_once_for_the_segments_that_it_is_for() -> None:
    stream = encrypted(3)
    stream.open("720p")
    stream.make(range(6), "720p")
    assert stream.media(LOCAL, "720p").text.count("#EXT-X-KEY") == 2


def test_rfc8216_5_2_the_vector_is_the_number_so_none_is_written_and_version_3_suffices() -> None:
    stream = encrypted()
    stream.open("720p")
    stream.make(range(3), "720p")
    playlist = stream.media(LOCAL, "720p")
    assert "IV=" not in playlist.text
    assert playlist.tag("EXT-X-VERSION") == "3"


def test_a_stream_that_is_not_encrypted_has_no_key_tag() -> None:
    stream = Stream()
    stream.open("720p")
    stream.make(range(3), "720p")
    assert "EXT-X-KEY" not in stream.media(LOCAL, "720p").text
    assert stream.ledger.newest_key is None


def test_rfc8216_4_3_2_5_initialization_sections_are_outside_every_key() -> None:
    stream = encrypted(2, segment_format=SegmentFormat.FMP4)
    stream.open("720p", "480p")
    stream.make(range(3), "720p", "480p")
    stream.make(range(3, 5), "720p")  # gaps of 480p, behind which its map is said again
    stream.wait(4)
    stream.wait(4)
    stream.make(range(5, 6), "720p", "480p")
    stream.run("720p", "480p")
    stream.make(range(6, 8), "720p", "480p")
    for name in ("720p", "480p"):
        found = keys_of(stream.media(LOCAL, name))
        assert [in_effect for _, in_effect, _ in found] == [key(stream, number // 2) for number, _, _ in found]
        assert {of_map for _, _, of_map in found} == {NONE}
        assert len(found) >= 6


def test_a_later_run_that_is_not_encrypted_says_so_and_one_that_is_again_too() -> None:
    stream = encrypted(10)
    stream.open("720p")
    for first, rotation in ((0, 10), (2, 0), (4, 2)):
        stream.key_rotation = rotation
        if first:
            stream.run("720p")
        stream.make(range(first, first + 2), "720p")
    files = [stream.media(LOCAL, "720p"), Parsed(render_vod(stream.ledger)[f"{stream.ledger.session}.m3u8"].decode())]
    for playlist in files:
        assert [in_effect for _, in_effect, _ in keys_of(playlist)] == [
            key(stream, 0), key(stream, 0), NONE, NONE, key(stream, 2), key(stream, 2)
        ]  # fmt: skip


@pytest.mark.parametrize("window", [None, 14.0], ids=["event", "sliding"])
def test_dvr_playlists_have_the_same_keys(window: float | None) -> None:
    stream = Stream(ledger=new_ledger(dvr=DvrWindow(window)), key_rotation=3)  # type: ignore[arg-type]
    text = DvrText(stream.ledger)
    stream.open("720p")
    for number in range(30):
        stream.make(range(number, number + 1), "720p")
        found = keys_of(Parsed(text.render()["dvr_720p.m3u8"].decode()))
        assert [in_effect for _, in_effect, _ in found] == [key(stream, number // 3) for number, _, _ in found]
    assert len(found) == (30 if window is None else 7)


@pytest.mark.parametrize("fmt", SegmentFormat)
def test_clips_have_the_same_keys_whether_cut_out_of_the_ledger_or_of_playlists(fmt: SegmentFormat) -> None:
    stream = encrypted(2, segment_format=fmt)
    stream.open("720p", "480p")
    stream.make(range(1), "720p")  # a gap of 480p: its key comes before its first initialization section
    stream.wait(4)
    stream.wait(4)
    stream.make(range(1, 9), "720p", "480p")
    session = stream.ledger.session
    assert session is not None
    stream.record(stream.ledger.end_session(stream.time))
    files = render_vod(stream.ledger)
    media = {name: files[name].decode() for name in media_names(files[f"{session}.m3u8"].decode())}
    span = Span(start=-9.0, end=0.0)
    cuts = [
        cut_ledger(stream.ledger, session, span),
        cut_texts(session, files[f"{session}.m3u8"].decode(), media, span),
    ]
    for cut in cuts:
        assert isinstance(cut, Cut)
        for name in ("720p", "480p"):
            found = keys_of(Parsed(cut.files[f"{session}_{name}.m3u8"].decode()))
            assert [in_effect for _, in_effect, _ in found] == [key(stream, number // 2) for number, _, _ in found]
            assert {of_map for _, _, of_map in found} == {NONE if fmt is SegmentFormat.FMP4 else None}
            assert len(found) == 5


def test_key_urls_begin_with_the_base_where_there_is_one() -> None:
    stream = Stream(ledger=new_ledger(key_url_base="https://live.test/kit"), key_rotation=3)
    stream.open("720p")
    stream.make(range(1), "720p")
    url = f"https://live.test/kit/keys/key/{stream.ledger.session}/0"
    for view in View:
        assert f'#EXT-X-KEY:METHOD=AES-128,URI="{url}"' in stream.media(view, "720p").lines


def test_the_newest_key_is_that_of_the_newest_segment_of_any_encrypted_run() -> None:
    stream = encrypted(2)
    stream.open("720p")
    assert stream.ledger.newest_key is None
    for count, newest in ((1, 0), (2, 0), (3, 1), (4, 1), (5, 2)):
        stream.make(range(count - 1, count), "720p")
        assert stream.ledger.newest_key == newest
    stream.key_rotation = 0
    stream.run("720p")
    stream.make(range(5, 9), "720p")
    assert stream.ledger.newest_key == 2


def test_a_replayed_journal_gives_the_same_playlists_whatever_is_configured_by_then() -> None:
    stream = encrypted(3)
    stream.open("720p")
    stream.make(range(5), "720p")
    for view in View:
        assert render_view(stream.replayed(), view) == render_view(stream.ledger, view)
    found = stream.replayed().unfinished_run()
    assert found is not None
    assert found[0].key_rotation == 3


def test_an_older_journal_means_that_nothing_was_encrypted() -> None:
    event = RunBegun(session=SessionId("s1k2m3n4"), first=MediaSequence(0), discontinuity=0, renditions=(rung("720p"),))
    record = to_record(event)
    assert from_record({**record, "key_rotation": 7}).key_rotation == 7  # type: ignore[union-attr]
    del record["key_rotation"]
    assert from_record(record) == event
    with pytest.raises(ValueError, match="key_rotation"):
        from_record({**record, "key_rotation": -1})
