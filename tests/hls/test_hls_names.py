"""Names: what is made can be read back, and nothing else is ever served."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.hls import names
from streamkit.types import Epoch, MediaSequence, RenditionName, SegmentFormat, StreamKey, session_id

SESSION = session_id(Epoch(1_800_000_000))


@given(
    epoch=st.integers(0, 2**35 - 1),
    rendition=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9-]{0,31}", fullmatch=True),
    sequence=st.integers(0, 10**15 - 1),
    segment_format=st.sampled_from(SegmentFormat),
)
def test_a_segment_name_reads_back_as_what_it_was_made_from(
    epoch: int, rendition: str, sequence: int, segment_format: SegmentFormat
) -> None:
    parts = names.SegmentName(
        session=session_id(Epoch(epoch)),
        rendition=RenditionName(rendition),
        sequence=MediaSequence(sequence),
        segment_format=segment_format,
    )
    name = names.segment_name(parts.session, parts.rendition, parts.sequence, segment_format)
    assert names.parse_segment_name(name) == parts
    assert names.is_public_name(name)
    assert names.is_immutable(name)


def test_an_initialization_section_has_the_first_number_of_its_run_in_its_name() -> None:
    parts = names.InitName(session=SESSION, rendition=RenditionName("720p"), first=MediaSequence(12))
    name = names.init_name(parts.session, parts.rendition, parts.first)
    assert name == f"init_{SESSION}_720p_12.mp4"
    assert names.parse_init_name(name) == parts
    assert names.is_public_name(name)
    assert names.content_type(name) == "video/mp4"
    assert names.cache_control(name, live=True) == "public, max-age=31536000, immutable"


@pytest.mark.parametrize(
    "name",
    [
        "segment_s1nmkmg0_720p_7.tsx",
        "segment_s1nmkmg0_720p_07.ts",
        "segment_s1nmkmg0_720p_07.m4s",
        "segment_s1nmkmg0_720p_7.mp4",
        "init_s1nmkmg0_720p_7.m4s",
        "init_s1nmkmg0_720p_07.mp4",
        "init_s1nmkmg0_720p.mp4",
        "segment_s1nmkmg0_720p_-1.ts",
        "segment_s1nmkmg0_720p_7.ts\n",
        "segment_s1nmkmg0_720p_\u0667.ts",
        "segment_s1nmkmg0_7_20p_7.ts",
        "segment_s1nmkmg_720p_7.ts",
        "segment_s1nmkmg0__7.ts",
        "segment_s1nmkmgl_720p_7.ts",
        f".{SESSION}_720p.m3u8",
        f"{SESSION}_720p.m3u8.tmp",
        "../playlist.m3u8",
        "a/playlist.m3u8",
        "playlist.m3u8\n",
        "-720p.m3u8",
        ".m3u8",
        "",
        "journal.ndjson",
        "poster.jpg.tmp",
        "POSTER.jpg",
        "storyboard_s1nmkmg0_01.jpg",
        "thumb_s1nmkmg0_0_23.jpg",
        ".pictures",
        "%2e%2e",
        "playlist.m3u8\0",
    ],
)
def test_any_other_name_is_never_served(name: str) -> None:
    assert not names.is_public_name(name)
    assert names.parse_segment_name(name) is None
    assert names.parse_init_name(name) is None


def test_every_playlist_but_ffmpegs_own_is_public() -> None:
    rendition = RenditionName("720p")
    public = [
        names.MULTIVARIANT,
        names.media_playlist_name(rendition),
        names.vod_multivariant_name(SESSION),
        names.vod_media_name(SESSION, rendition),
    ]
    assert public == ["playlist.m3u8", "720p.m3u8", f"{SESSION}.m3u8", f"{SESSION}_720p.m3u8"]
    assert all(names.is_public_name(name) for name in public)
    assert not names.is_public_name(names.private_playlist_name(SESSION, rendition))


def test_an_object_lies_below_its_stream() -> None:
    assert names.object_name(StreamKey("show"), "playlist.m3u8") == "hls/show/playlist.m3u8"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("playlist.m3u8", "application/vnd.apple.mpegurl", id="RFC8216-4-playlist"),
        pytest.param("segment_s1nmkmg0_720p_7.ts", "video/mp2t", id="RFC8216-3.2-segment"),
        ("a.m4s", "video/mp4"),
        ("init.mp4", "video/mp4"),
        ("poster.jpg", "image/jpeg"),
        ("storyboard_s1nmkmg0.vtt", "text/vtt"),
        ("noext", "application/octet-stream"),
    ],
)
def test_the_content_type_follows_the_suffix(name: str, expected: str) -> None:
    assert names.content_type(name) == expected


@pytest.mark.parametrize(
    ("name", "live", "duration", "expected"),
    [
        ("segment_s1nmkmg0_720p_7.ts", True, 2.0, "public, max-age=31536000, immutable"),
        ("segment_s1nmkmg0_720p_7.ts", False, 2.0, "public, max-age=31536000, immutable"),
        ("720p.m3u8", True, 2.0, "public, max-age=1"),
        ("playlist.m3u8", True, 6.0, "public, max-age=3"),
        ("playlist.m3u8", True, 1.0, "public, max-age=1"),
        ("playlist.m3u8", False, 2.0, "public, max-age=5"),
        ("poster.jpg", True, 2.0, "public, max-age=5"),
        ("storyboard_s1nmkmg0.vtt", True, 2.0, "public, max-age=5"),
        ("storyboard_s1nmkmg0_0.jpg", True, 2.0, "public, max-age=31536000, immutable"),
        ("s1nmkmg0.m3u8", False, 2.0, "public, max-age=3600"),
        ("s1nmkmg0_720p.m3u8", True, 2.0, "public, max-age=3600"),
    ],
)
def test_caches_keep_segments_for_ever_and_live_playlists_for_half_a_segment(
    name: str, live: bool, duration: float, expected: str
) -> None:
    assert names.cache_control(name, live=live, segment_duration=duration) == expected
