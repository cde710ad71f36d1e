"""Every rule of the conformance check: a right playlist keeps all, and one wrong line breaks exactly one."""

import pytest

from streamkit.hls.conformance import check_playlist, check_reload, check_variants
from streamkit.hls.parse import parse

MEDIA = """#EXTM3U
#EXT-X-VERSION:3
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-TARGETDURATION:2
#EXT-X-MEDIA-SEQUENCE:7
#EXT-X-DISCONTINUITY-SEQUENCE:1
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T10:00:00.000Z
#EXTINF:2.000000,
7.ts
#EXTINF:2.002000,
8.ts
#EXT-X-DISCONTINUITY
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T10:01:00.000Z
#EXT-X-GAP
#EXTINF:2.000000,
9.ts
#EXTINF:2.000000,
10.ts
"""
MULTIVARIANT = """#EXTM3U
#EXT-X-VERSION:3
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="sound, loud",URI="a.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=3000000,AVERAGE-BANDWIDTH=2500000,CODECS="avc1.64001F,mp4a.40.2",RESOLUTION=1280x720,AUDIO="a"
720p.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=900000,CODECS="avc1.64001E,mp4a.40.2"
360p.m3u8
"""


def broken(text: str) -> dict[str, str]:
    return {one.rule: one.problem for one in check_playlist("x.m3u8", parse(text)) if one.problem is not None}


def assert_breaks(text: str, before: str, after: str, rule: str, said: str) -> None:
    assert before in text
    found = broken(text.replace(before, after, 1))
    assert len(found) == 1, found
    (told, problem), *_ = found.items()
    assert rule in told
    assert said in problem


@pytest.mark.parametrize("text", [MEDIA, MULTIVARIANT, MEDIA + "#EXT-X-ENDLIST\n", MEDIA.replace("\n", "\r\n")])
def test_a_right_playlist_keeps_every_rule(text: str) -> None:
    assert broken(text) == {}


@pytest.mark.parametrize(
    ("before", "after", "rule", "said"),
    [
        ("#EXTM3U", "#EXTM3U8", "first line", "line 1"),
        ("#EXTM3U", "\ufeff#EXTM3U", "first line", "byte order mark"),
        ("#EXT-X-VERSION:3", "#EXT-X-VERSION:2", "EXT-X-VERSION", "needs 3"),
        ("#EXT-X-VERSION:3", "#EXT-X-VERSION:3\n#EXT-X-VERSION:3", "EXT-X-VERSION", "line 3: a second one"),
        ("#EXT-X-VERSION:3", "#EXT-X-VERSION:high", "EXT-X-VERSION", "no number"),
        ("#EXT-X-VERSION:3", '#EXT-X-VERSION:5\n#EXT-X-MAP:URI="i.mp4"', "EXT-X-VERSION", "EXT-X-MAP needs 6"),
        ("#EXT-X-TARGETDURATION:2\n", "", "EXT-X-TARGETDURATION is there", "0 times"),
        ("#EXT-X-TARGETDURATION:2", "#EXT-X-TARGETDURATION:2.5", "EXT-X-TARGETDURATION is there", "integer"),
        ("#EXTINF:2.002000,", "#EXTINF:2.502000,", "no EXTINF rounds", "line 11"),
        ("#EXTINF:2.002000,\n", "", "every segment has an EXTINF", "8.ts"),
        ("10.ts\n", "", "every segment has an EXTINF", "no URI follows"),
        ("#EXTINF:2.002000,", "#EXTINF:long,", "every segment has an EXTINF", "8.ts"),
        ("8.ts", "8.ts\n#EXT-X-MEDIA-SEQUENCE:7", "EXT-X-MEDIA-SEQUENCE", "a second one"),
        ("#EXT-X-DISCONTINUITY-SEQUENCE:1", "#EXT-X-DISCONTINUITY-SEQUENCE:-1", "EXT-X-DISC", "decimal"),
        ("#EXT-X-TARGETDURATION:2", "#EXT-X-TARGETDURATION:4", "three target durations", "12 s"),
        ("10:00:00.000Z", "10:00:00.000", "EXT-X-PROGRAM-DATE-TIME", "no time zone"),
        ("2026-11-22T10:00:00.000Z", "yesterday", "EXT-X-PROGRAM-DATE-TIME", "no ISO 8601 date"),
        ("10:01:00.000Z", "09:59:00.000Z", "EXT-X-PROGRAM-DATE-TIME", "-64.002 s"),
        ("8.ts", "8.m4s", "fMP4 segments have an EXT-X-MAP", "8.m4s has none"),
        ("#EXT-X-VERSION:3", '#EXT-X-VERSION:6\n#EXT-X-MAP:BYTERANGE="1@2"', "EXT-X-MAP", "no URI"),
        ("#EXT-X-VERSION:3", '#EXT-X-VERSION:3\n#EXT-X-KEY:METHOD=ROT13,URI="k"', "EXT-X-KEY has", "ROT13"),
        ("#EXT-X-VERSION:3", "#EXT-X-VERSION:3\n#EXT-X-KEY:METHOD=AES-128", "EXT-X-KEY has", "no URI"),
        ("#EXT-X-VERSION:3", '#EXT-X-VERSION:3\n#EXT-X-KEY:METHOD=AES-128,URI="k",IV=7', "EXT-X-KEY has", "IV"),
        ("#EXT-X-VERSION:3", '#EXT-X-VERSION:3\n#EXT-X-KEY:METHOD=AES-128,URI="k",KEYFORMAT="x"', "VERSION", "needs 5"),
        ("#EXT-X-VERSION:3", "#EXT-X-VERSION:3\n#EXT-X-PLAYLIST-TYPE:VOD", "PLAYLIST-TYPE", "without EXT-X-ENDLIST"),
        ("#EXT-X-VERSION:3", "#EXT-X-VERSION:3\n#EXT-X-PLAYLIST-TYPE:LIVE", "PLAYLIST-TYPE", "neither"),
    ],
)
def test_a_wrong_line_of_a_media_playlist_breaks_its_rule(before: str, after: str, rule: str, said: str) -> None:
    assert_breaks(MEDIA, before, after, rule, said)


@pytest.mark.parametrize(
    ("before", "after", "rule", "said"),
    [
        ("BANDWIDTH=3000000,", "", "BANDWIDTH", "missing"),
        ("BANDWIDTH=900000", "BANDWIDTH=lots", "BANDWIDTH", "line 6: BANDWIDTH is lots"),
        ("AVERAGE-BANDWIDTH=2500000", "AVERAGE-BANDWIDTH=3500000", "BANDWIDTH", "3500000"),
        ('CODECS="avc1.64001E,mp4a.40.2"', "FRAME-RATE=30.000", "CODECS", "line 6"),
        ('AUDIO="a"', 'AUDIO="b"', "group", "'b'"),
        ('NAME="sound, loud",', "", "NAME of its own", "line 3: no NAME"),
        ("TYPE=AUDIO,GROUP", "TYPE=AUDIO,DEFAULT=YES,AUTOSELECT=NO,GROUP", "one default", "AUTOSELECT=NO"),
        (
            "#EXT-X-STREAM",
            '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="sound, loud"\n#EXT-X-STREAM',
            "of its own",
            "a second",
        ),
        (
            "#EXT-X-STREAM",
            '#EXT-X-MEDIA:TYPE=SMELL,GROUP-ID="a",NAME="x"\n#EXT-X-STREAM',
            "of its own",
            "TYPE is SMELL",
        ),
        (
            "#EXT-X-STREAM",
            '#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",NAME="x"\n#EXT-X-STREAM',
            "of its own",
            "without a URI",
        ),
        ("360p.m3u8\n", "", "URI", "line 6: no URI follows"),
        ("#EXT-X-VERSION:3", "#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2", "not mixed", "EXT-X-TARGETDURATION"),
    ],
)
def test_a_wrong_line_of_a_multivariant_playlist_breaks_its_rule(before: str, after: str, rule: str, said: str) -> None:
    assert_breaks(MULTIVARIANT, before, after, rule, said)


def test_a_playlist_without_segments_is_named() -> None:
    assert "a segment is listed" in broken("#EXTM3U\n#EXT-X-TARGETDURATION:2\n")


def test_variants_with_other_target_durations_are_named() -> None:
    other = MEDIA.replace("TARGETDURATION:2", "TARGETDURATION:3")
    same = check_variants("x", [("a", parse(MEDIA)), ("b", parse(MEDIA))])
    differ = check_variants("x", [("a", parse(MEDIA)), ("b", parse(other))])
    assert [one.problem for one in same] == [None, None]
    assert [one.problem for one in differ] == ["they differ: a 2, b 3", None]


@pytest.mark.parametrize(
    ("before", "after"),
    [("DISCONTINUITY-SEQUENCE:1", "DISCONTINUITY-SEQUENCE:2"), ("#EXT-X-DISCONTINUITY\n", "")],
)
def test_variants_with_other_discontinuities_are_named(before: str, after: str) -> None:
    other = MEDIA.replace(before, after, 1)
    targets, jumps = check_variants("x", [("a", parse(MEDIA)), ("b", parse(other))])
    assert targets.problem is None
    assert "in a" in (jumps.problem or "")


NEXT = MEDIA.replace("SEQUENCE:7", "SEQUENCE:8", 1).replace("#EXTINF:2.000000,\n7.ts\n", "", 1)


@pytest.mark.parametrize(
    ("before", "after", "rule"),
    [
        (MEDIA, NEXT + "#EXTINF:2.000000,\n11.ts\n", None),
        (MEDIA, MEDIA, None),
        (NEXT, MEDIA, "media sequence"),
        (MEDIA, MEDIA.replace("Y-SEQUENCE:1", "Y-SEQUENCE:0"), "discontinuity sequence"),
        (MEDIA, MEDIA.replace("TARGETDURATION:2", "TARGETDURATION:3"), "target duration"),
        (MEDIA, MEDIA.replace("8.ts", "eight.ts"), "what is listed"),
        (MEDIA, MEDIA.replace("#EXT-X-GAP\n", ""), "what is listed"),
        (MEDIA, MEDIA.replace("#EXTINF:2.000000,\n10.ts\n", ""), "what is listed"),
        (MEDIA + "#EXT-X-ENDLIST\n", MEDIA, "stays ended"),
    ],
)
def test_a_change_that_players_must_not_see_breaks_its_rule(before: str, after: str, rule: str | None) -> None:
    wrong = [one.rule for one in check_reload("x", parse(before), parse(after)) if one.problem is not None]
    assert len(wrong) == (rule is not None), wrong
    assert rule is None or rule in wrong[0]
