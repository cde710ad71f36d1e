"""`streamkit check` against a web server with right and wrong streams."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from media.media_kit import run_ffmpeg
from media.ts_kit import segment

from streamkit import cli
from streamkit.encryption.cipher import encrypt
from streamkit.errors import StreamKitError
from streamkit.playlist_check import StreamCheck, report

MULTIVARIANT = """#EXTM3U
#EXT-X-STREAM-INF:BANDWIDTH=120000,CODECS="avc1.42C01F,mp4a.40.2",RESOLUTION=1280x720,FRAME-RATE=25.000
720p.m3u8
"""
MEDIA = """#EXTM3U
#EXT-X-VERSION:3
#EXT-X-TARGETDURATION:1
#EXTINF:1.000,
0.ts
#EXTINF:1.000,
1.ts?token=secret
"""
END = "#EXT-X-ENDLIST\n"
FIRST, SEGMENT = segment(1.0), segment(2.0)
KEY = bytes(range(16))


class Handler(SimpleHTTPRequestHandler):
    extensions_map = {".m3u8": "application/vnd.apple.mpegurl", ".ts": "video/mp2t", "": "text/plain"}  # noqa: RUF012

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """Serve tmp_path, with a right stream that has ended in it."""
    (tmp_path / "playlist.m3u8").write_text(MULTIVARIANT)
    (tmp_path / "720p.m3u8").write_text(MEDIA + END)
    (tmp_path / "0.ts").write_bytes(FIRST)
    (tmp_path / "1.ts").write_bytes(SEGMENT)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def broken(url: str) -> dict[str, str]:
    found = [one for one in StreamCheck(url).findings() if one.problem is not None and not one.is_advice]
    return {one.rule: f"{one.where}: {one.problem}" for one in found}


def test_a_right_stream_keeps_every_rule(site: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", f"{site}/playlist.m3u8"]) == 0
    said = capsys.readouterr().out
    assert "WRONG" not in said
    assert "0 are broken" in said
    assert "an MPEG-TS segment is whole packets" in said


def test_a_media_playlist_can_be_checked_alone(site: str) -> None:
    assert broken(f"{site}/720p.m3u8") == {}


@pytest.mark.parametrize(
    ("name", "content", "rule", "said"),
    [
        ("1.ts", None, "every listed segment is there", "1.ts: 1.ts answers 404"),
        ("1.ts", b"", "every listed segment is there", "1.ts: it is empty"),
        ("1.ts", SEGMENT[:-1], "an MPEG-TS segment is whole packets", "1.ts: 13911 bytes"),
        ("1.ts", SEGMENT[:188] + b"X" + SEGMENT[189:], "an MPEG-TS segment is whole packets", "byte 188"),
        ("1.ts", segment(2.0, padding=200), "no segment exceeds BANDWIDTH", "bit/s, declared are 120000"),
        ("1.ts", b"G" * 188, "what is inside a segment can be read", "1.ts: it holds neither video nor audio"),
        ("1.ts", segment(2.1), "timestamps go on", "1.ts: its video begins +0.100 s off"),
        ("1.ts", segment(2.0, frames=22), "EXTINF is how long", "1.ts: it lasts 0.880 s, its EXTINF is 1"),
        ("1.ts", segment(2.0, audio=None), "timestamps go on", "1.ts: its audio is gone"),
        ("720p.m3u8", None, "every media playlist is there", "720p.m3u8 answers 404"),
        ("720p.m3u8", b"<html>", "every media playlist is there", "720p.m3u8 is no playlist"),
        ("720p.m3u8", b"\xff\xfe", "every media playlist is there", "not UTF-8"),
        (
            "playlist.m3u8",
            MULTIVARIANT.replace("720p.m3u8", "http://[").encode(),
            "every media playlist is there",
            "a URL cannot be fetched: its URL is not valid",
        ),
        (
            "playlist.m3u8",
            MULTIVARIANT.replace("720p.m3u8", "file:///x.m3u8").encode(),
            "every media playlist is there",
            "neither http nor https",
        ),
    ],
)
def test_what_is_wrong_is_named(
    name: str, content: bytes | None, rule: str, said: str, site: str, tmp_path: Path
) -> None:
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    found = broken(f"{site}/playlist.m3u8")
    (told,) = found
    assert told.startswith(rule)
    assert said in found[told]
    assert "secret" not in found[told]


def test_a_playlist_of_another_type_is_named(site: str, tmp_path: Path) -> None:
    (tmp_path / "playlist.txt").write_text(MULTIVARIANT)
    assert "text/plain" in broken(f"{site}/playlist.txt")["a playlist's Content-Type is that of playlists"]


def test_a_live_stream_that_stands_still_is_named(
    site: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "720p.m3u8").write_text(MEDIA)
    assert cli.main(["check", f"{site}/playlist.m3u8"]) == cli.RULES_BROKEN
    said = capsys.readouterr().out
    assert "WRONG  6.2.1      a live playlist gets a segment every 1.5 target durations" in said
    assert "720p.m3u8: nothing new for 1.5 target durations" in said
    assert cli.main(["check", "--no-reload", f"{site}/playlist.m3u8"]) == 0


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://127.0.0.1:1/x.m3u8?token=secret", "x.m3u8 cannot be fetched: nobody answers there"),
        ("file:///etc/passwd", "it is neither http nor https"),
        ("http://[::1", "its URL is not valid"),
        ("playlist.m3u8", "it is neither http nor https"),
    ],
)
def test_where_there_is_no_playlist_a_sentence_says_why(
    url: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["check", url]) == cli.NOT_AVAILABLE
    told = capsys.readouterr().err
    assert said in told
    assert "secret" not in told
    with pytest.raises(StreamKitError, match="there is no playlist to check"):
        list(StreamCheck(url).findings())


def test_the_report_has_a_line_per_rule(site: str) -> None:
    text, is_right = report(StreamCheck(f"{site}/playlist.m3u8").findings())
    assert is_right
    assert len(text.splitlines()) == len(set(text.splitlines()))


def test_advice_is_shown_and_breaks_nothing(site: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "0.ts").write_bytes(segment(1.0, idr=False))
    assert cli.main(["check", f"{site}/playlist.m3u8"]) == 0
    said = capsys.readouterr().out
    assert "advice Apple      every variant has AVERAGE-BANDWIDTH" in said
    assert "playlist.m3u8: line 2: no AVERAGE-BANDWIDTH" in said
    assert "0.ts: it begins with another picture" in said
    assert "0 are broken, " in said


def test_claimed_independent_segments_must_be(site: str, tmp_path: Path) -> None:
    claimed = MEDIA.replace("#EXT-X-VERSION:3", "#EXT-X-VERSION:3\n#EXT-X-INDEPENDENT-SEGMENTS")
    (tmp_path / "720p.m3u8").write_text(claimed + END)
    assert broken(f"{site}/playlist.m3u8") == {}
    (tmp_path / "1.ts").write_bytes(segment(2.0, idr=False))
    (rule,) = broken(f"{site}/playlist.m3u8")
    assert "every segment begins with an IDR" in rule


@pytest.mark.parametrize(
    ("before", "after", "rule", "said"),
    [
        ("avc1.42C01F", "avc1.42C01E", "CODECS names", "it holds avc1.42C01F, declared is avc1.42C01E,mp4a.40.2"),
        (",mp4a.40.2", "", "CODECS names", "it holds mp4a.40.2"),
        ("1280x720", "640x360", "RESOLUTION is", "it is to be shown at 1280x720, declared is 640x360"),
        ("25.000", "20.000", "no segment has more frames", "25.000, declared is 20"),
    ],
)
def test_what_is_declared_must_be_inside(
    before: str, after: str, rule: str, said: str, site: str, tmp_path: Path
) -> None:
    (tmp_path / "playlist.m3u8").write_text(MULTIVARIANT.replace(before, after))
    (found,) = broken(f"{site}/playlist.m3u8").items()
    assert found[0].startswith(rule)
    assert said in found[1]


def test_a_number_that_begins_elsewhere_in_another_variant_is_named(site: str, tmp_path: Path) -> None:
    second = MULTIVARIANT + MULTIVARIANT.partition("\n")[2].replace("720p", "360p")
    (tmp_path / "playlist.m3u8").write_text(second)
    (tmp_path / "360p.m3u8").write_text(MEDIA.replace("0.ts", "a.ts").replace("1.ts", "b.ts") + END)
    for offset, expected in ((0.0, 0), (0.2, 1)):
        (tmp_path / "a.ts").write_bytes(segment(1.0 + offset))
        (tmp_path / "b.ts").write_bytes(segment(2.0 + offset))
        found = broken(f"{site}/playlist.m3u8")
        assert len(found) == expected, found
    assert "b.ts: it begins +0.200 s from 1.ts" in found["the same number begins at the same time in every variant"]


def test_the_playlists_of_groups_are_checked_too(site: str, tmp_path: Path) -> None:
    sound = '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="Main",URI="sound.m3u8"\n#EXT-X-STREAM-INF:AUDIO="a",'
    (tmp_path / "playlist.m3u8").write_text(MULTIVARIANT.replace("#EXT-X-STREAM-INF:", sound))
    found = broken(f"{site}/playlist.m3u8")
    assert found == {"every media playlist is there": "sound.m3u8: sound.m3u8 answers 404"}


def test_encrypted_segments_are_looked_into_when_the_key_is_there(site: str, tmp_path: Path) -> None:
    key = bytes(range(16))
    (tmp_path / "0.ts").write_bytes(encrypt(FIRST, key, 0))
    (tmp_path / "1.ts").write_bytes(encrypt(SEGMENT, key, 7))
    told = MEDIA.replace("#EXTINF", '#EXT-X-KEY:METHOD=AES-128,URI="k"\n#EXTINF', 1)
    told = told.replace("#EXTINF:1.000,\n1", '#EXT-X-KEY:METHOD=AES-128,URI="k",IV=0x7\n#EXTINF:1.000,\n1')
    (tmp_path / "720p.m3u8").write_text(told + END)
    assert broken(f"{site}/playlist.m3u8") == {}, "who has no key cannot look inside"
    (tmp_path / "k").write_bytes(key)
    assert broken(f"{site}/playlist.m3u8") == {}
    (tmp_path / "k").write_bytes(bytes(16))
    assert list(broken(f"{site}/playlist.m3u8")) == ["an encrypted segment can be decrypted with its key"]


def test_an_initialization_section_that_is_missing_is_named_once(site: str, tmp_path: Path) -> None:
    told = MEDIA.replace("VERSION:3", 'VERSION:6\n#EXT-X-MAP:URI="init.mp4"')
    (tmp_path / "720p.m3u8").write_text(told + END)
    (found,) = [one for one in StreamCheck(f"{site}/playlist.m3u8").findings() if one.problem and not one.is_advice]
    assert (found.rule, found.problem) == ("every initialization section is there", "init.mp4 answers 404")


@pytest.mark.integration
@pytest.mark.parametrize("container", ["mpegts", "fmp4"])
def test_what_ffmpeg_writes_keeps_every_rule(container: str, site: str, tmp_path: Path) -> None:
    sources = "-f lavfi -i testsrc2=s=320x180:r=30000/1001:d=6 -f lavfi -i sine=d=6:r=48000"
    codecs = "-c:v libx264 -preset ultrafast -force_key_frames expr:gte(t+0.01,n_forced*2.002) -sc_threshold 0 -c:a aac"
    out = f"-f hls -hls_time 2 -hls_playlist_type vod -hls_segment_type {container} -master_pl_name all.m3u8 out.m3u8"
    run_ffmpeg(tmp_path, *sources.split(), *codecs.split(), *out.split())
    findings = list(StreamCheck(f"{site}/all.m3u8").findings())
    wrong = {(one.rule, one.problem) for one in findings if one.problem is not None and not one.is_advice}
    # FFmpeg declares what it was asked for, and x264 needs more in the first second.
    assert {rule for rule, _ in wrong} <= {"no segment exceeds BANDWIDTH"}, wrong
    rules = {one.rule for one in findings}
    assert {"EXTINF is how long a segment lasts", "timestamps go on from segment to segment"} <= rules
    assert ("every initialization section is there" in rules) == (container == "fmp4")


def test_the_token_goes_to_keys_alone(
    site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "0.ts").write_bytes(encrypt(FIRST, KEY, 0))
    (tmp_path / "1.ts").write_bytes(encrypt(SEGMENT, KEY, 1))
    told = MEDIA.replace("#EXTINF", '#EXT-X-KEY:METHOD=AES-128,URI="k"\n#EXTINF', 1)
    (tmp_path / "720p.m3u8").write_text(told + END)
    (tmp_path / "k").write_bytes(KEY)
    asked: dict[str, str | None] = {}
    monkeypatch.setattr(
        Handler, "log_request", lambda self, *_: asked.update({self.path: self.headers["Authorization"]})
    )
    assert cli.main(["check", f"{site}/playlist.m3u8", "--token", "T"]) == 0
    assert asked.pop("/k") == "Bearer T"
    assert len(asked) == 4
    assert set(asked.values()) == {None}
    assert "Bearer" not in capsys.readouterr().out


@pytest.mark.parametrize("vector", ["0x" + "1" * 33, "-1", "x"])
def test_a_vector_that_is_none_is_said(site: str, tmp_path: Path, vector: str) -> None:
    (tmp_path / "k").write_bytes(KEY)
    told = MEDIA.replace("#EXTINF", f'#EXT-X-KEY:METHOD=AES-128,URI="k",IV={vector}\n#EXTINF', 1)
    (tmp_path / "720p.m3u8").write_text(told + END)
    (tmp_path / "0.ts").write_bytes(encrypt(FIRST, KEY, 0))
    assert "an encrypted segment can be decrypted with its key" in broken(f"{site}/720p.m3u8")
