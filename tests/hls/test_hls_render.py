"""Playlists as RFC 8216 wants them, tag by tag."""

import re
from fractions import Fraction

import pytest
from hls_kit import Parsed, Stream, new_ledger, rung

from streamkit.hls.codecs import codecs
from streamkit.hls.rates import PeakRate
from streamkit.hls.render import render_media, render_vod
from streamkit.hls.segments import View

A, B = "720p", "480p"


def live(segments: int = 3, *, duration: float = 2.0) -> Stream:
    stream = Stream()
    stream.open(A, B)
    stream.make(range(segments), A, B, duration=duration)
    return stream


def test_a_whole_media_playlist_reads_like_this() -> None:
    stream = live(2, duration=2.002)
    session = stream.ledger.session
    assert stream.media(View.BUCKET, A).text == (
        "#EXTM3U\n"
        "#EXT-X-VERSION:3\n"
        "#EXT-X-INDEPENDENT-SEGMENTS\n"
        "#EXT-X-TARGETDURATION:2\n"
        "#EXT-X-MEDIA-SEQUENCE:0\n"
        "#EXT-X-DISCONTINUITY-SEQUENCE:0\n"
        "#EXT-X-PROGRAM-DATE-TIME:2027-01-15T08:00:00.000Z\n"
        "#EXTINF:2.002000,\n"
        f"segment_{session}_720p_0.ts\n"
        "#EXTINF:2.002000,\n"
        f"segment_{session}_720p_1.ts\n"
    )


@pytest.mark.parametrize(
    ("tag", "pattern"),
    [
        pytest.param("EXT-X-VERSION", r"3", id="RFC8216-4.3.1.2-decimals-need-version-3"),
        pytest.param("EXTINF", r"\d+\.\d{6},", id="RFC8216-4.3.2.1-exact-durations"),
        pytest.param(
            "EXT-X-PROGRAM-DATE-TIME", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", id="RFC8216-4.3.2.6-UTC-milliseconds"
        ),
        pytest.param("EXT-X-TARGETDURATION", r"\d+", id="RFC8216-4.3.3.1-whole-seconds"),
    ],
)
def test_tags_have_the_form_of_the_rfc(tag: str, pattern: str) -> None:
    assert re.fullmatch(pattern, live().media(View.LOCAL, A).tag(tag))


def test_a_discontinuity_is_tagged_dated_and_counted_when_it_slides_out() -> None:
    """RFC 8216 4.3.2.3, 4.3.3.3, 6.2.2: the tag leaves with its segment, and the header then counts it."""
    stream = live(3)
    stream.run(A, B)
    seen = []
    for sequence in range(3, 14):
        stream.make(range(sequence, sequence + 1), A, B)
        playlist = stream.media(View.LOCAL, A)
        seen.append(
            (playlist.media_sequence, playlist.discontinuity_sequence, "#EXT-X-DISCONTINUITY" in playlist.lines)
        )
        if seen[-1][2]:
            at = playlist.lines.index("#EXT-X-DISCONTINUITY")
            assert playlist.lines[at + 1].startswith("#EXT-X-PROGRAM-DATE-TIME")
            assert playlist.lines[at + 3] == stream.name(A, 3)
    assert seen[0] == (0, 0, True)
    assert (3, 0, True) in seen
    assert (4, 1, False) in seen
    assert seen == sorted(seen, key=lambda one: one[:2])


def test_all_renditions_share_numbers_and_discontinuities() -> None:
    """RFC 8216 6.2.4: matching content has matching discontinuity sequence numbers."""
    stream = live(3)
    stream.run(A)
    stream.make(range(3, 5), A)
    a, b = stream.media(View.LOCAL, A), stream.media(View.LOCAL, B)
    assert [number for number, _, _ in a.entries] == [number for number, _, _ in b.entries] == [0, 0, 0, 1, 1]
    assert (a.media_sequence, a.target) == (b.media_sequence, b.target)
    assert b.gaps == [stream.name(B, 3), stream.name(B, 4)]


def test_a_gap_says_so_before_its_uri() -> None:
    """draft-pantos-hls-rfc8216bis 4.4.4.7."""
    stream = live(2)
    stream.close(A, 2)
    stream.wait(4)
    lines = stream.media(View.LOCAL, B).lines
    assert lines[-4:] == ["#EXT-X-GAP", "#EXTINF:2.000000,", stream.name(B, 2), ""]


def test_endlist_comes_when_all_of_an_ended_broadcast_is_released_and_not_before() -> None:
    """RFC 8216 4.3.3.4."""
    stream = live(2)
    stream.make(range(2, 3), A, B, upload=False)
    assert not stream.media(View.LOCAL, A).ended
    stream.record(stream.ledger.end_session(stream.time))
    assert stream.media(View.LOCAL, A).ended
    assert not stream.media(View.BUCKET, A).ended
    stream.upload(A, 2)
    assert not stream.media(View.BUCKET, A).ended
    stream.upload(B, 2)
    assert stream.media(View.BUCKET, A).ended


@pytest.mark.parametrize(
    ("segment_duration", "durations", "codec", "expected"),
    [
        pytest.param(2.0, [1.0, 1.0, 2.0, 2.002], "libx264", 2, id="RFC8216-4.3.3.1-configured"),
        pytest.param(2.5, [2.5, 2.5], "libx264", 3, id="RFC8216-4.3.3.1-never-rounded-down"),
        pytest.param(2.0, [2.0, 2.49], "libx264", 2, id="RFC8216-4.3.3.1-nearest-integer"),
        pytest.param(2.0, [2.0, 2.5], "libx264", 3, id="RFC8216-4.3.3.1-half-rounds-up"),
        pytest.param(2.0, [2.0, 9.6], "libx264", 10, id="RFC8216-4.3.3.1-grows-when-it-must"),
        pytest.param(2.0, [4.0, 5.4], "copy", 5, id="RFC8216-4.3.3.1-copy-has-headroom"),
    ],
)
def test_the_target_duration_is_never_below_a_rounded_extinf(
    segment_duration: float, durations: list[float], codec: str, expected: int
) -> None:
    stream = Stream(new_ledger(segment_duration=segment_duration))
    stream.record(stream.ledger.open_session(stream.time))
    stream.run(A, video_codec=codec)
    for sequence, duration in enumerate(durations):
        stream.make(range(sequence, sequence + 1), A, duration=duration)
    assert stream.media(View.LOCAL, A).target == expected


def test_a_ladder_of_one_has_its_media_playlist_at_the_entry_point() -> None:
    stream = Stream()
    stream.open(A)
    stream.make(range(3), A)
    files = stream.files(View.LOCAL)
    assert set(files) == {"playlist.m3u8", "720p.m3u8"}
    assert files["playlist.m3u8"].text == files["720p.m3u8"].text
    assert not files["playlist.m3u8"].is_multivariant


def test_the_multivariant_playlist_has_every_attribute_and_the_ladders_order() -> None:
    """RFC 8216 4.3.4.2."""
    stream = Stream()
    stream.record(stream.ledger.open_session(stream.time))
    audio = rung("audio", video_codec="", width=0, height=0, fps=None, video_bitrate=0, maxrate=0)
    ladder = (rung("1080p", 1080, fps=Fraction(30000, 1001)), rung("480p", 480), audio)
    stream.record(stream.ledger.begin_run(ladder))
    stream.make(range(1), "480p", "audio", "1080p")
    assert stream.files(View.BUCKET)["playlist.m3u8"].text == (
        "#EXTM3U\n"
        "#EXT-X-VERSION:3\n"
        "#EXT-X-INDEPENDENT-SEGMENTS\n"
        "#EXT-X-STREAM-INF:BANDWIDTH=2500000,AVERAGE-BANDWIDTH=2298240,"
        'CODECS="avc1.640028,mp4a.40.2",RESOLUTION=1920x1080,FRAME-RATE=29.970\n'
        "1080p.m3u8\n"
        "#EXT-X-STREAM-INF:BANDWIDTH=2500000,AVERAGE-BANDWIDTH=2298240,"
        'CODECS="avc1.64001F,mp4a.40.2",RESOLUTION=853x480,FRAME-RATE=30.000\n'
        "480p.m3u8\n"
        '#EXT-X-STREAM-INF:BANDWIDTH=2000000,AVERAGE-BANDWIDTH=138240,CODECS="mp4a.40.2"\n'
        "audio.m3u8\n"
    )


def bandwidths(playlist: Parsed) -> list[int]:
    return [int(found) for found in re.findall(r"(?<![A-Z-])BANDWIDTH=(\d+)", playlist.text)]


def test_bandwidth_is_never_below_the_real_rate_of_a_listed_segment_nor_what_the_encoder_may_use() -> None:
    """RFC 8216 4.3.4.2."""
    stream = live(3)
    before = bandwidths(stream.files(View.LOCAL)["playlist.m3u8"])
    assert min(before) >= 2_140_000 + 128_000
    stream.now += 2
    stream.close(A, 3, size=1_234_567)
    stream.close(B, 3)
    after = bandwidths(stream.files(View.LOCAL)["playlist.m3u8"])
    assert after[0] >= 1_234_567 * 8 / 2
    assert after[1] == before[1]


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        pytest.param([(250_000, 2.0), (500_000, 2.0), (250_000, 2.0)], 2_000_000, id="RFC8216-4.1-largest-segment"),
        pytest.param([(250_000, 1.0)], 2_000_000, id="RFC8216-4.1-half-a-target-counts-alone"),
        pytest.param(
            [(500_000, 2.0), (50_000, 0.1)], 2_095_239, id="RFC8216-4.1-a-short-one-counts-with-the-one-before"
        ),
        pytest.param([(50_000, 0.1)], 4_000_000, id="RFC8216-4.1-nothing-before"),
    ],
)
def test_the_peak_segment_rate_is_taken_over_at_least_half_a_target_duration(
    segments: list[tuple[int, float]], expected: int
) -> None:
    rate = PeakRate()
    for size, duration in segments:
        rate.add(size, round(duration * 1e6), target=2)
    assert rate.peak == expected


# ---- the whole broadcast ---------------------------------------------------------------------------------------


def test_the_whole_broadcast_lists_everything_that_the_store_has() -> None:
    """RFC 8216 4.3.3.5: a VOD playlist never changes and has its end."""
    stream = live(20)
    stream.run(A, B)
    stream.make(range(20, 23), A, B)
    stream.close(A, 23)
    stream.upload(A, 23)
    stream.record(stream.ledger.end_session(stream.time))
    session = stream.ledger.session
    files = {name: Parsed(body.decode()) for name, body in render_vod(stream.ledger).items()}
    assert set(files) == {f"{session}.m3u8", f"{session}_720p.m3u8", f"{session}_480p.m3u8"}
    whole = files[f"{session}_720p.m3u8"]
    assert whole.uris == [stream.name(A, number) for number in range(24)]
    assert (whole.tag("EXT-X-PLAYLIST-TYPE"), whole.ended, whole.media_sequence, whole.gaps) == ("VOD", True, 0, [])
    assert whole.entries[20][2] == {"#EXT-X-DISCONTINUITY"}
    assert files[f"{session}_480p.m3u8"].gaps == [stream.name(B, 23)]
    assert files[f"{session}.m3u8"].uris == [f"{session}_720p.m3u8", f"{session}_480p.m3u8"]
    assert bandwidths(files[f"{session}.m3u8"]) == [2_000_000, 2_000_000]


def test_a_late_upload_fills_the_gap_of_the_whole_broadcast() -> None:
    stream = live(2)
    stream.make(range(2, 3), A, B, upload=False)
    stream.record(stream.ledger.end_session(stream.time))
    name = f"{stream.ledger.session}_720p.m3u8"
    assert Parsed(render_vod(stream.ledger)[name].decode()).gaps == [stream.name(A, 2)]
    stream.upload(A, 2)
    assert Parsed(render_vod(stream.ledger)[name].decode()).gaps == []


def test_the_whole_broadcast_of_a_ladder_of_one_is_a_media_playlist_under_both_names() -> None:
    stream = Stream()
    stream.open(A)
    stream.make(range(3), A)
    session = stream.ledger.session
    files = render_vod(stream.ledger)
    assert set(files) == {f"{session}.m3u8", f"{session}_720p.m3u8"}
    assert len(set(files.values())) == 1


def test_there_is_no_playlist_of_nothing() -> None:
    stream = Stream()
    assert render_vod(stream.ledger) == {}
    stream.open(A)
    stream.make(range(2), A, upload=False)
    assert render_vod(stream.ledger) == {}
    with pytest.raises(ValueError, match="needs a segment"):
        render_media([], target_duration=2)


# ---- codecs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"height": 1080}, "avc1.640028,mp4a.40.2", id="RFC6381-1080p30-high-4.0"),
        pytest.param({"height": 1080, "fps": Fraction(60)}, "avc1.64002A,mp4a.40.2", id="RFC6381-1080p60-high-4.2"),
        pytest.param({"height": 720}, "avc1.64001F,mp4a.40.2", id="RFC6381-720p30-high-3.1"),
        pytest.param({"height": 720, "fps": Fraction(60)}, "avc1.640020,mp4a.40.2", id="RFC6381-720p60-high-3.2"),
        pytest.param({"height": 480, "width": 640}, "avc1.64001E,mp4a.40.2", id="RFC6381-480p30-high-3.0"),
        pytest.param({"height": 360, "profile": "main"}, "avc1.4D401E,mp4a.40.2", id="RFC6381-360p30-main-3.0"),
        pytest.param({"height": 360, "profile": "baseline"}, "avc1.42C01E,mp4a.40.2", id="RFC6381-360p30-baseline-3.0"),
        pytest.param({"height": 2160}, "avc1.640033,mp4a.40.2", id="RFC6381-2160p30-high-5.1"),
        pytest.param({"maxrate": 20_000_000, "bufsize": 1}, "avc1.640020,mp4a.40.2", id="RFC6381-the-rate-counts-too"),
        pytest.param({"preset": "ultrafast"}, "avc1.42C01F,mp4a.40.2", id="RFC6381-ultrafast-is-baseline"),
        pytest.param({"fps": None}, "avc1.64001F,mp4a.40.2", id="RFC6381-unknown-rate-is-30"),
        pytest.param({"audio_codec": None}, "avc1.64001F", id="RFC6381-no-audio"),
        pytest.param({"video_codec": None}, "mp4a.40.2", id="RFC6381-no-video"),
        pytest.param({"video_codec": "copy"}, "", id="RFC6381-copied-video-is-unknown"),
        pytest.param({"audio_codec": "copy"}, "", id="RFC6381-copied-audio-is-unknown"),
    ],
)
def test_codecs_say_what_x264_and_the_aac_encoder_write(changes: dict[str, object], expected: str) -> None:
    assert codecs(rung(A, **changes)) == expected  # type: ignore[arg-type]
