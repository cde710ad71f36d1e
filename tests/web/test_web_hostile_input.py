"""Nothing a client sends gives a 5xx, a traceback, or a byte from outside the stream's folder."""

import json
import socket

import pytest
from fakes.front_end import FrontEnd

SECRET = "the secret outside"
SEGMENT = "segment_s1k2m3n4_720p_1.ts"
HUGE = "9" * 4000

PATHS = [
    "/hls/../../etc/passwd",
    "/hls/%2e%2e/%2e%2e/etc/passwd",
    "/hls/%2e%2e/secret.ts",
    "/hls/..%2fsecret.ts",
    "/hls/..%2f..%2f/secret.ts",
    "/hls/demo/..%2f..%2fsecret.ts",
    "/hls/demo/%2e%2e%2f%2e%2e%2fsecret.ts",
    "/hls/demo/%252e%252e%252fsecret.ts",
    "/hls/demo/..%5c..%5csecret.ts",
    "/hls/demo/../secret.ts",
    "/hls/demo/%00",
    "/hls/demo/playlist.m3u8%00.ts",
    "/hls/%00/playlist.m3u8",
    "/hls/demo%00/playlist.m3u8",
    "/hls//playlist.m3u8",
    "/hls/demo/",
    "/hls/demo//",
    "/hls/demo",
    "/hls/",
    "/hls/./playlist.m3u8",
    "/hls/%20/playlist.m3u8",
    "/hls/-i/playlist.m3u8",
    "/hls/%25d/playlist.m3u8",
    "/hls/%ff%fe/playlist.m3u8",
    "/hls/%/playlist.m3u8",
    "/hls/%zz/playlist.m3u8",
    "/hls/%F0%9F%8E%A5/playlist.m3u8",
    "/hls/%EF%BC%8E%EF%BC%8E/playlist.m3u8",
    "/hls/" + "a" * 65 + "/playlist.m3u8",
    "/hls/" + "a" * 5000 + "/playlist.m3u8",
    "/hls/demo/segment_s1k2m3n4_720p_" + HUGE + ".ts",
    "/hls/demo/segment_s1k2m3n4_720p_-1.ts",
    "/hls/demo/segment_s1k2m3n4_720p_1.TS",
    "/hls/demo/" + SEGMENT + "%0a",
    "/hls/demo/" + SEGMENT + "%0d%0aX-Injected:%201",
    "/hls/demo/CON.m3u8",
    "/hls/demo/playlist.m3u8;x=1",
    "/hls/demo/.s1k2m3n4_720p.m3u8",
    "/streams/%2e%2e",
    "/streams/%00",
    "/streams/" + HUGE,
    "/streams/a%2Fb",
    "/streams/demo%0d%0aX-Injected:%201",
    "/streams?limit=" + HUGE,
    "/streams?limit=-1",
    "/streams?limit=1e9",
    "/streams?limit=0x10",
    "/streams?limit=%D9%A3",
    "/streams?offset=" + HUGE,
    "/streams?offset=1&offset=2",
    "/streams?limit=%00",
    "/streams?" + "&".join(f"a{n}={n}" for n in range(500)),
    "/streams?%ff=%ff&limit=%ff",
    "/streams/active?limit=[]",
    "/streams/demo?limit=null",
    "/manifest",
    "/manifest?stream_key",
    "/manifest?stream_key=../../etc/passwd",
    "/manifest?stream_key=%00",
    "/manifest?stream_key=a&stream_key=b",
    "/manifest?stream_key=demo&rendition=%00",
    "/manifest?stream_key=demo&rendition=" + "a" * 5000,
    "/manifest?stream_key=' OR 1=1 --".replace(" ", "%20"),
    "/events/published",
    "/events/published?call=publish&name=../x",
    "/events/published?call=publish&name=a&name=b",
    "/events/published?action=publish&stream_key=demo",
    "/static/..%2f..%2fapp.py",
    "/static/vendor/..%2fplayer.js",
    "/docs/assets/..%2f__init__.py",
    "/docs/assets/swagger-ui.css.map",
    "/docs/openapi.json/x",
    "//etc/passwd",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/.env",
    "/?stream=%00%ff<script>",
    "/\\..\\..\\etc",
]
BODIES = [
    b"",
    b"\x00",
    b"\xff\xfe",
    b"{",
    b"[]",
    b"null",
    b"42",
    b'"publish"',
    b'{"stream_key":',
    b'{"stream_key":1e999,"action":"publish"}',
    b'{"stream_key":"\\ud800","action":"publish"}',
    b'{"stream_key":"demo","action":"\\udfff"}',
    b'{"stream_key":"demo","action":"publish","timestamp":-1}',
    b'{"stream_key":"demo","action":"publish","timestamp":1e308}',
    b'{"stream_key":"demo","action":"publish","timestamp":' + b"9" * 5000 + b"}",
    b'{"stream_key":{"$ne":null},"action":"publish"}',
    b'{"stream_key":"-i /etc/passwd","action":"publish"}',
    b'{"stream_key":"a","stream_key":"b","action":"publish"}',
    b'{"action":"on_publish","stream":null,"client_id":[]}',
    b'{"action":"publish","path":"live/../../etc"}',
    b'{"action":"publish","path":{}}',
    b'{"action":true,"stream_key":"demo"}',
    b"[" * 60000,
    b'{"a":' * 10000,
    b"call=publish",
    b"call=publish&name=%00",
    b"call=publish&name=%ff",
    b"call=publish&name=a%2Fb&clientid=1",
    b"call=publish&name=demo&clientid=%0a",
    b"call=%00&name=demo",
    b"&=&=&",
    b"a" * 60000,
    b"&".join(b"f%d=1" % n for n in range(9000)),
]
HEADERS = [
    {"Range": "bytes=9-1"},
    {"Range": "bytes=" + "0-0," * 300},
    {"Range": "bytes=-" + HUGE},
    {"Range": "\x01bytes=0-"},
    {"Range": "lines=1-2"},
    {"If-None-Match": '"' * 2000},
    {"If-None-Match": "W/" * 1000},
    {"If-Range": "x" * 3000, "Range": "bytes=0-1"},
    {"If-Modified-Since": "yesterday"},
    {"Accept-Encoding": "gzip;q=nan,*;q=-1"},
    {"Accept-Encoding": ",;" * 1000},
    {"Origin": "null\x00"},
    {"Content-Type": "application/json; charset=utf-7"},
    {"Host": "evil.test:99999"},
    {"X-Forwarded-For": "' OR 1=1"},
    {"Cookie": "=;=" * 500},
    {"Upgrade": "websocket", "Connection": "Upgrade"},
]
METHODS = ["PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "PROPFIND", "get", "G" * 200, "POST", "QUERY"]
RAW = [
    b"\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET /\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET http://evil.test/hls HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nNo colon\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20000 + b"\r\n\r\n",
    b"POST /events/published HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
    b"POST /events/published HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
    b"POST /events/published HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n",
    b"POST /events/published HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na",
    b"POST /events/published HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /events/published HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: miracles\r\n\r\na",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
]


@pytest.fixture
def guarded(front: FrontEnd) -> FrontEnd:
    for name in ("secret.ts", "../secret.ts"):
        (front.folder / name).write_text(SECRET)
    return front


def send(front: FrontEnd, raw: bytes, *, half_close: bool = False) -> tuple[int, str]:
    """Return status and text of the answer to these bytes; a closed connection counts as status 0."""
    with socket.create_connection(("127.0.0.1", front.port), timeout=10) as connection:
        connection.sendall(raw)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return int(answer.split(b" ", 2)[1]) if answer else 0, answer.decode(errors="replace")


def request(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    named = {"Host": "a", "Connection": "close", "Content-Length": str(len(body)), **headers}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items())]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def check(status: int, text: str, *, refused: bool = True) -> None:
    assert status < 500, text
    assert SECRET not in text
    assert "Traceback" not in text
    assert "\nX-Injected" not in text
    if refused:
        assert status >= 400, text
        head, _, body = text.partition("\r\n\r\n")
        if body:
            assert set(json.loads(body)["error"]) == {"code", "message"}
            assert "application/json" in head


def test_the_inputs_are_many() -> None:
    assert len(PATHS) + len(BODIES) + len(HEADERS) + len(METHODS) + len(RAW) >= 140


def test_hostile_paths_are_refused(guarded: FrontEnd) -> None:
    harmless = ("/?", "/streams?a0", "/hls/demo/../", "/streams?%ff")
    for path in PATHS:
        status, text = send(guarded, request("GET", path, {}))
        check(status, text, refused=not path.startswith(harmless))
    assert guarded.told_supervisor == []


def test_hostile_events_are_refused(guarded: FrontEnd) -> None:
    for body in BODIES:
        for media_type in (
            "application/json",
            "application/x-www-form-urlencoded",
            "text/plain",
            "",
            "multipart/form-data",
        ):
            check(*send(guarded, request("POST", "/events/published", {"Content-Type": media_type}, body)))
    assert guarded.told_supervisor == []


def test_hostile_headers_do_no_harm(guarded: FrontEnd) -> None:
    for path in ("/hls/demo/playlist.m3u8", "/hls/demo/" + SEGMENT, "/stats", "/"):
        for headers in HEADERS:
            check(*send(guarded, request("GET", path, headers)), refused=False)


def test_other_methods_are_refused(guarded: FrontEnd) -> None:
    for path in ("/health", "/hls/demo/playlist.m3u8", "/", "/docs"):
        for method in METHODS:
            status, text = send(guarded, request(method, path, {}, b"x"))
            check(status, text, refused=method != "get")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/hls/demo/playlist.m3u8", {"GET", "HEAD", "OPTIONS"}),
        ("/streams/demo", {"GET", "HEAD", "OPTIONS"}),
        ("/stats", {"GET", "HEAD", "OPTIONS"}),
        ("/events/published", {"GET", "POST", "OPTIONS"}),
    ],
)
def test_405_says_what_is_allowed(front: FrontEnd, path: str, allowed: set[str]) -> None:
    answer = front.request("DELETE", path)
    assert answer.status_code == 405  # RFC 9110 15.5.6
    assert set(answer.headers["allow"].split(", ")) == allowed


@pytest.mark.parametrize("byte", [b"\x00", b"\x01", b"\t", b"\x7f", b"\xff"])
def test_a_url_that_cannot_be_parsed_is_answered_and_no_error_of_ours(
    guarded: FrontEnd, byte: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    status, text = send(guarded, b"GET /health" + byte + b"x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert status == 400
    check(status, text)
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR", "CRITICAL")] == []


def test_bytes_that_are_no_request_are_refused_or_dropped(guarded: FrontEnd) -> None:
    for raw in RAW:
        status, text = send(guarded, raw, half_close=True)
        check(status, text, refused=status != 0 and not raw.startswith((b"GET http://", b"GET *", b"OPTIONS *")))


def test_a_body_beyond_the_limit_is_413(guarded: FrontEnd) -> None:
    status, text = send(guarded, request("POST", "/events/published", {}, b"a" * 70_000))
    assert status == 413
    check(status, text)


def test_clients_that_leave_at_once_are_no_error(guarded: FrontEnd, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(20):
        send(guarded, request("GET", "/streams/demo", {}), half_close=True)
        send(guarded, request("GET", "/hls/demo/playlist.m3u8", {}), half_close=True)
    assert guarded.get("/health").status_code == 200
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR", "CRITICAL")] == []
