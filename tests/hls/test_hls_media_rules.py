"""Every rule about what is inside segments, and all advice: what is right keeps them, one change breaks one."""

from dataclasses import replace
from fractions import Fraction

import pytest

from streamkit.hls.authoring import advise, advise_variants
from streamkit.hls.conformance import Finding
from streamkit.hls.media_rules import Piece, check_alignment, check_pieces
from streamkit.hls.parse import parse
from streamkit.media.info import AudioInfo, MediaInfo, Picture, Timeline, VideoInfo

HEVC = "hvc1.1.6.L93.90"
DECLARED = {"CODECS": "avc1.64001F,mp4a.40.2", "RESOLUTION": "1280x720", "FRAME-RATE": "29.970"}
FPS = Fraction(30000, 1001)


def piece(number: int = 0, *, at: float = 1.0, late: float = 0.02, **changes: object) -> Piece:
    start = Fraction(at) + number * 60 / FPS
    times = tuple(start + frame / FPS for frame in range(60))
    video = VideoInfo(codec="avc1.64001F", picture=Picture(1280, 720, FPS), starts_with_idr=True,
                      timeline=Timeline(times=times, end=start + 60 / FPS))  # fmt: skip
    sound = tuple(start + Fraction(late) + frame * Fraction(1024, 48000) for frame in range(94))
    audio = AudioInfo(codec="mp4a.40.2", channels=2, sample_rate=48000,
                      timeline=Timeline(times=sound, end=sound[-1] + Fraction(1024, 48000)))  # fmt: skip
    whole = Piece(name=f"{number}.ts", number=number, duration=2.002, discontinuity=False, is_mp4=False,
                  media=MediaInfo(video=video, audio=audio))  # fmt: skip
    return replace(whole, **changes)  # type: ignore[arg-type]


def video(of: Piece, **changes: object) -> Piece:
    assert of.media.video is not None
    return replace(of, media=replace(of.media, video=replace(of.media.video, **changes)))  # type: ignore[arg-type]


def wrong(findings: list[Finding]) -> dict[str, str]:
    return {one.rule: f"{one.where}: {one.problem}" for one in findings if one.problem is not None}


def judged(*pieces: Piece, declared: dict[str, str] = DECLARED, independent: bool = True) -> dict[str, str]:
    return wrong(list(check_pieces(list(pieces), declared, independent=independent)))


def test_right_media_keep_every_rule() -> None:
    assert judged(piece(0), piece(1), piece(2)) == {}
    assert judged(piece(0), piece(7, at=50.0, discontinuity=True)) == {}, "numbers that were not fetched in between"
    assert judged(piece(0), piece(1, at=50.0, discontinuity=True)) == {}
    assert judged() == {}


def test_timestamps_may_begin_anew_after_26_hours() -> None:
    wrap = Fraction(1 << 33, 90_000)
    before, after = piece(0, at=float(wrap) - 2.002), piece(1, at=-2.002)
    assert judged(before, after) == {}


@pytest.mark.parametrize(
    ("pieces", "rule", "said"),
    [
        ([video(piece(), starts_with_idr=False)], "with EXT-X-INDEPENDENT-SEGMENTS", "another picture"),
        ([video(piece(), codec="avc1.640020")], "CODECS names", "it holds avc1.640020"),
        ([video(piece(), codec="avc1.4D401F")], "CODECS names", "it holds avc1.4D401F, declared is avc1.64001F"),
        ([video(piece(), picture=Picture(1280, 718, FPS))], "RESOLUTION", "1280x718, declared is 1280x720"),
        ([video(piece(), picture=Picture(1280, 720, FPS, Fraction(4, 3)))], "RESOLUTION", "1707x720"),
        ([piece(duration=2.1)], "EXTINF", "it lasts 2.002 s, its EXTINF is 2.1"),
        ([piece(0), piece(1, at=1.5)], "timestamps go on", "1.ts: its video begins +0.500 s off"),
        ([piece(0), piece(1, late=0.2)], "timestamps go on", "1.ts: its audio begins +0.17"),
        ([piece(late=0.3)], "audio and video", "+0.300 s"),
    ],
)
def test_one_change_breaks_one_rule(pieces: list[Piece], rule: str, said: str) -> None:
    found = judged(*pieces)
    assert len(found) == 1, found
    assert next(iter(found)).startswith(rule)
    assert said in next(iter(found.values()))


@pytest.mark.parametrize(
    ("declared", "found", "plays"),
    [
        ("avc1.640028", "avc1.64001f", True),
        ("avc1.64001f", "avc1.64001F", True),
        ("avc1.64001E", "avc1.64001F", False),
        ("hvc1.1.6.L120.90", HEVC, True),
        ("hvc1.1.6.L90.90", HEVC, False),
        ("hvc1.2.4.L120.90", HEVC, False),
        ("hvc1", HEVC, False),
        ("av01.0.04M.08", "av01.0.04M.08", True),
    ],
)
def test_a_declared_codec_covers_lower_levels_of_itself(*, declared: str, found: str, plays: bool) -> None:
    problems = judged(video(piece(is_mp4=True), codec=found), declared=DECLARED | {"CODECS": f"{declared},mp4a.40.5"})
    assert (problems == {}) is plays, problems


def test_more_frames_than_declared_are_named() -> None:
    found = judged(piece(), declared=DECLARED | {"FRAME-RATE": "25"})
    assert found == {"no segment has more frames than FRAME-RATE": "0.ts: 29.970, declared is 25"}


@pytest.mark.parametrize(
    ("one", "rule"),
    [
        (video(piece(), codec=HEVC), "HEVC is in fMP4"),
        (video(piece(is_mp4=True), codec=HEVC.replace("hvc1", "hev1")), "HEVC has the sample entry hvc1"),
        (video(piece(), starts_with_idr=False), "every segment begins with an IDR"),
    ],
)
def test_what_apple_asks_for_is_advice(one: Piece, rule: str) -> None:
    findings = [found for found in check_pieces([one], {}, independent=False) if found.problem is not None]
    assert [(found.rule, found.is_advice) for found in findings] == [(rule, True)]


def test_the_same_number_begins_within_a_frame_everywhere() -> None:
    right = {"a": [piece(0), piece(1)], "b": [piece(1, at=1.03), piece(2)]}
    assert wrong(list(check_alignment(right))) == {}
    late = {"a": [piece(0), piece(1)], "b": [piece(1, at=1.04)]}
    (said,) = wrong(list(check_alignment(late))).values()
    assert said == "1.ts: it begins +0.040 s from 1.ts"


# ---- advice about playlists ------------------------------------------------------------------------------------

MULTIVARIANT = """#EXTM3U
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-STREAM-INF:BANDWIDTH=3000000,AVERAGE-BANDWIDTH=2500000,CODECS="avc1.64001F",RESOLUTION=1280x720,FRAME-RATE=30
720p.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=70000,AVERAGE-BANDWIDTH=65000,CODECS="mp4a.40.2"
audio.m3u8
"""
MEDIA = """#EXTM3U
#EXT-X-TARGETDURATION:6
#EXT-X-MEDIA-SEQUENCE:4
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T10:00:00.000Z
#EXTINF:6,
4.ts
#EXTINF:6,
5.ts
"""


@pytest.mark.parametrize(
    ("text", "before", "after", "rule", "said"),
    [
        (MULTIVARIANT, ",RESOLUTION=1280x720", "", "RESOLUTION", "line 3: no RESOLUTION"),
        (MULTIVARIANT, ",FRAME-RATE=30", "", "FRAME-RATE", "line 3"),
        (MULTIVARIANT, "FRAME-RATE=30", "FRAME-RATE=120", "60 frames", "FRAME-RATE is 120"),
        (MULTIVARIANT, ",AVERAGE-BANDWIDTH=65000", "", "AVERAGE-BANDWIDTH", "line 5"),
        (MULTIVARIANT, "=2500000", "=1400000", "twice", "BANDWIDTH 3000000, AVERAGE-BANDWIDTH 1400000"),
        (MULTIVARIANT, "#EXT-X-INDEPENDENT-SEGMENTS\n", "", "INDEPENDENT", "not there"),
        (MEDIA, "DURATION:6", "DURATION:10", "target duration is 6 s", "it is 10 s"),
        (MEDIA, "#EXT-X-PROGRAM-DATE-TIME:2026-11-22T10:00:00.000Z\n", "", "dates", "none"),
    ],
)
def test_one_line_needs_one_piece_of_advice(text: str, before: str, after: str, rule: str, said: str) -> None:
    assert wrong(advise("x", parse(text))) == {}
    assert before in text
    findings = advise("x", parse(text.replace(before, after, 1)))
    assert all(one.is_advice for one in findings)
    ((told, problem),) = wrong(findings).items()
    assert rule in told
    assert said in problem


def test_variants_with_other_boundaries_are_named() -> None:
    other = MEDIA.replace("#EXTINF:6,\n5", "#EXTINF:4,\n5")
    assert advise_variants("x", [("a", parse(MEDIA)), ("b", parse(MEDIA))]).problem is None
    assert advise_variants("x", [("a", parse(MEDIA)), ("b", parse(other))]).problem == (
        "number 5 lasts 6 s in a, 4 s in b"
    )


def test_a_track_that_is_announced_may_be_empty_for_some_segments() -> None:
    """RFC 8216 4.3.2.3: the number, type and identifiers of tracks count, and the next segment has the same."""
    silent = replace(piece(0).media, audio=None, announces_audio=True)
    assert judged(piece(0, media=silent), piece(1)) == {}
    assert judged(piece(0), piece(1, media=replace(piece(1).media, audio=None, announces_audio=True))) == {}


def test_a_track_that_was_not_announced_needs_a_discontinuity() -> None:
    without = replace(piece(0).media, audio=None)
    assert judged(piece(0, media=without), piece(1)) == {
        "timestamps go on from segment to segment": "1.ts: its audio begins"
    }
    gone = replace(piece(1).media, audio=None)
    assert judged(piece(0), piece(1, media=gone)) == {
        "timestamps go on from segment to segment": "1.ts: its audio is gone"
    }
