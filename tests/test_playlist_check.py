"""`streamkit check` against a web server with right and wrong streams."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from streamkit import cli
from streamkit.errors import StreamKitError
from streamkit.playlist_check import StreamCheck, report

MULTIVARIANT = """#EXTM3U
#EXT-X-STREAM-INF:BANDWIDTH=100000,CODECS="avc1.64001F"
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
SEGMENT = (b"G" + bytes(187)) * 20


class Handler(SimpleHTTPRequestHandler):
    extensions_map = {".m3u8": "application/vnd.apple.mpegurl", ".ts": "video/mp2t", "": "text/plain"}  # noqa: RUF012

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """Serve tmp_path, with a right stream that has ended in it."""
    (tmp_path / "playlist.m3u8").write_text(MULTIVARIANT)
    (tmp_path / "720p.m3u8").write_text(MEDIA + END)
    for number in range(2):
        (tmp_path / f"{number}.ts").write_bytes(SEGMENT)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def broken(url: str) -> dict[str, str]:
    return {one.rule: f"{one.where}: {one.problem}" for one in StreamCheck(url).findings() if one.problem is not None}


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
        ("1.ts", SEGMENT[:-1], "an MPEG-TS segment is whole packets", "1.ts: 3759 bytes"),
        ("1.ts", SEGMENT[:188] + b"X" + SEGMENT[189:], "an MPEG-TS segment is whole packets", "byte 188"),
        ("1.ts", SEGMENT * 4, "no segment exceeds BANDWIDTH", "120320 bit/s, declared are 100000"),
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
    assert list(found) == [rule]
    assert said in found[rule]
    assert "secret" not in found[rule]


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
