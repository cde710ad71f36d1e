"""fMP4 segments and the initialization sections that they need: names, playlists, the journal, deletion."""

import io
from pathlib import Path
from struct import pack

import pytest
from hls_kit import Parsed, Stream, rung

from streamkit.ffmpeg.private_playlist import ListedSegment, parse_private_playlist
from streamkit.hls.events import RunBegun, from_record, to_record
from streamkit.hls.render import render_view, render_vod
from streamkit.hls.segments import View
from streamkit.hls.wholeness import is_whole_init, is_whole_segment, top_boxes
from streamkit.types import MediaSequence, RunPlan, Seconds, SegmentFormat

FMP4 = SegmentFormat.FMP4
LOCAL, BUCKET = View.LOCAL, View.BUCKET


@pytest.fixture
def stream() -> Stream:
    return Stream(segment_format=FMP4)


def map_of(stream: Stream, rendition: str, first: int) -> str:
    return f'#EXT-X-MAP:URI="init_{stream.ledger.session}_{rendition}_{first}.mp4"'


def test_rfc8216_4_3_2_5_a_playlist_begins_with_the_map_that_its_segments_need(stream: Stream) -> None:
    stream.open("720p", "480p")
    stream.make(range(10), "720p", "480p")
    playlist = stream.media(LOCAL, "480p")
    assert playlist.media_sequence > 0
    assert playlist.lines.count(map_of(stream, "480p", 0)) == 1
    assert playlist.lines.index(map_of(stream, "480p", 0)) < playlist.lines.index(playlist.uris[0])
    assert all(uri.endswith(".m4s") for uri in playlist.uris)


def test_rfc8216_7_a_playlist_with_a_map_has_version_6_and_one_without_3(stream: Stream) -> None:
    stream.open("720p", "480p")
    stream.make(range(3), "720p", "480p")
    assert stream.media(LOCAL, "720p").tag("EXT-X-VERSION") == "6"
    old = Stream()
    old.open("720p")
    old.make(range(3), "720p")
    assert old.media(LOCAL, "720p").tag("EXT-X-VERSION") == "3"
    assert "EXT-X-MAP" not in old.media(LOCAL, "720p").text


def test_each_run_has_its_own_map_behind_its_discontinuity(stream: Stream) -> None:
    stream.open("720p")
    stream.make(range(2), "720p")
    stream.run("720p")
    stream.make(range(2, 4), "720p")
    lines = stream.media(LOCAL, "720p").lines
    at = lines.index("#EXT-X-DISCONTINUITY")
    assert map_of(stream, "720p", 0) in lines[:at]
    assert lines[at + 1] == map_of(stream, "720p", 2)


def test_a_gap_needs_no_map_and_the_first_segment_after_it_has_it(stream: Stream) -> None:
    stream.open("720p", "480p")
    stream.make(range(2), "720p")
    stream.wait(4)
    stream.wait(4)
    stream.make(range(2, 4), "720p", "480p")
    lines = stream.media(LOCAL, "480p").lines
    assert stream.media(LOCAL, "480p").gaps == [stream.name("480p", 0), stream.name("480p", 1)]
    assert lines.index(map_of(stream, "480p", 0)) > lines.index(stream.name("480p", 1))
    assert lines.index(map_of(stream, "480p", 0)) < lines.index(stream.name("480p", 2))


def test_a_rendition_of_gaps_alone_names_no_map_and_keeps_its_version(stream: Stream) -> None:
    stream.open("720p", "480p")
    stream.make(range(5), "720p")
    stream.wait(5)
    playlist = stream.media(LOCAL, "480p")
    assert "EXT-X-MAP" not in playlist.text
    assert playlist.tag("EXT-X-VERSION") == "6"


def test_the_playlist_of_the_whole_broadcast_has_a_map_for_every_run(stream: Stream) -> None:
    stream.open("720p")
    stream.make(range(2), "720p")
    stream.run("720p")
    stream.make(range(2, 4), "720p")
    stream.record(stream.ledger.end_session(stream.time))
    files = render_vod(stream.ledger)
    vod = Parsed(files[f"{stream.ledger.session}_720p.m3u8"].decode())
    assert [line for line in vod.lines if "EXT-X-MAP" in line] == [map_of(stream, "720p", 0), map_of(stream, "720p", 2)]


def test_a_replayed_journal_gives_the_same_playlists(stream: Stream) -> None:
    stream.open("720p", "480p")
    stream.make(range(3), "720p", "480p")
    stream.run("720p", "480p")
    stream.make(range(3, 6), "720p", "480p")
    for view in View:
        assert render_view(stream.replayed(), view) == render_view(stream.ledger, view)
    assert [from_record(to_record(event)) for event in stream.events] == stream.events


def test_a_journal_from_before_there_was_a_choice_means_mpeg_ts() -> None:
    begun = RunBegun(session="s0000001", first=MediaSequence(0), discontinuity=0, renditions=(rung("720p"),))  # type: ignore[arg-type]
    record = to_record(begun)
    del record["segment_format"]
    event = from_record(record)
    assert isinstance(event, RunBegun)
    assert event.segment_format is SegmentFormat.MPEGTS


def test_a_format_that_does_not_exist_is_damage() -> None:
    begun = RunBegun(session="s0000001", first=MediaSequence(0), discontinuity=0, renditions=(rung("720p"),))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="avi"):
        from_record(to_record(begun) | {"segment_format": "avi"})


def test_a_session_keeps_to_its_container(stream: Stream) -> None:
    stream.open("720p")
    assert stream.ledger.takes(RunPlan(renditions=(rung("720p"),), segment_format=FMP4))
    assert not stream.ledger.takes(RunPlan(renditions=(rung("720p"),)))
    with pytest.raises(ValueError, match="takes it"):
        stream.ledger.begin_run((rung("720p"),))


def test_a_file_of_the_other_container_is_no_segment_of_the_session(stream: Stream) -> None:
    stream.open("720p")
    name = stream.name("720p", 0).replace(".m4s", ".ts")
    assert stream.ledger.close(name, size=1, duration=Seconds(2.0), closed_at=stream.time) is None


def delete_expired(stream: Stream, grace: float = 60.0) -> set[str]:
    deleted: set[str] = set()
    while names := stream.ledger.expired_local(stream.time, Seconds(grace)):
        deleted.update(names)
        stream.record(stream.ledger.files_deleted(names))
    return deleted


def test_an_initialization_section_stays_while_its_run_goes_on(stream: Stream) -> None:
    stream.open("720p")
    stream.make(range(60), "720p")
    deleted = delete_expired(stream, grace=1.0)
    assert stream.name("720p", 0) in deleted
    assert not any(name.startswith("init_") for name in deleted)


def test_an_initialization_section_goes_after_the_last_segment_that_needs_it(stream: Stream) -> None:
    stream.open("720p")
    stream.make(range(3), "720p")
    stream.run("720p")
    stream.make(range(3, 60), "720p")
    deleted = delete_expired(stream, grace=1.0)
    assert {name for name in deleted if name.startswith("init_")} == {f"init_{stream.ledger.session}_720p_0.mp4"}
    assert stream.replayed().expired_local(stream.time, Seconds(1.0)) == ()


@pytest.mark.parametrize("runs_again", [True, False])
def test_an_initialization_section_goes_although_no_segment_needs_it(stream: Stream, *, runs_again: bool) -> None:
    """FFmpeg writes it at once, and may die before its first segment is whole."""
    stream.open("720p", "480p")
    if runs_again:
        stream.run("720p")
    stream.make(range(3), "720p")
    stream.record(stream.ledger.end_run(stream.time))
    assert delete_expired(stream, grace=1000.0) == {f"init_{stream.ledger.session}_480p_0.mp4"}


def test_a_session_is_settled_only_without_its_initialization_sections(stream: Stream) -> None:
    stream.open("720p")
    stream.make(range(3), "720p")
    stream.record(stream.ledger.end_session(stream.time))
    assert stream.ledger.session is not None
    stream.record(stream.ledger.archive(stream.ledger.session))
    stream.now += 100
    segments = tuple(stream.name("720p", number) for number in range(3))
    stream.record(stream.ledger.files_deleted(segments))
    assert not stream.ledger.is_settled
    assert delete_expired(stream) == {f"init_{stream.ledger.session}_720p_0.mp4"}
    assert stream.ledger.is_settled


# ---- files


def box(kind: str, payload: bytes = b"") -> bytes:
    return pack(">I4s", 8 + len(payload), kind.encode()) + payload


def large_box(kind: str, payload: bytes) -> bytes:
    return pack(">I4sQ", 1, kind.encode(), 16 + len(payload)) + payload


SEGMENT = box("styp", b"msdh") + box("sidx") + box("moof", b"x" * 40) + box("mdat", b"media")
INIT = box("ftyp", b"iso5") + box("moov", b"x" * 80)


@pytest.mark.parametrize(
    ("data", "whole"),
    [
        (SEGMENT, True),
        (box("moof") + large_box("mdat", b"media"), True),
        (SEGMENT[:-1], False),
        (SEGMENT + b"\0", False),
        (SEGMENT[: -len(box("mdat", b"media"))], False),
        (box("moof") + pack(">I4s", 0, b"mdat") + b"to the end of the file", False),
        (box("moof") + pack(">I4s", 4, b"mdat"), False),
        (b"", False),
        (b"G" * 188, False),
    ],
    ids=["whole", "64-bit size", "cut", "more", "no media", "open end", "impossible size", "empty", "MPEG-TS"],
)
def test_a_segment_is_whole_when_its_boxes_add_up(tmp_path: Path, data: bytes, whole: bool) -> None:
    path = tmp_path / "segment.m4s"
    path.write_bytes(data)
    assert is_whole_segment(path, len(data), FMP4) is whole


@pytest.mark.parametrize("data", [INIT[:-1], box("ftyp"), box("moov"), b""])
def test_a_broken_initialization_section_is_seen(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "init.mp4"
    path.write_bytes(INIT)
    assert is_whole_init(path)
    path.write_bytes(data)
    assert not is_whole_init(path)
    assert not is_whole_init(tmp_path / "missing.mp4")


def test_boxes_are_named_in_order() -> None:
    assert top_boxes(io.BytesIO(SEGMENT)) == ["styp", "sidx", "moof", "mdat"]


def test_ffmpegs_playlist_says_which_initialization_section_a_segment_needs() -> None:
    text = (
        '#EXTM3U\n#EXT-X-MAP:URI="/x/init_a.mp4"\n#EXTINF:2.0,\na.m4s\n#EXT-X-MAP:URI="init_b.mp4"\n#EXTINF:1,\nb.m4s\n'
    )
    assert parse_private_playlist(text) == (
        ListedSegment("a.m4s", Seconds(2.0), "init_a.mp4"),
        ListedSegment("b.m4s", Seconds(1.0), "init_b.mp4"),
    )
