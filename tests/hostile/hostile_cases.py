"""What a hostile client sends, for every route and every webhook dialect. A case is a name, and what is sent."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

ROUTES = {
    "/": ("GET",),
    "/docs": ("GET",),
    "/docs/assets/{name}": ("GET",),
    "/docs/openapi.json": ("GET",),
    "/events/published": ("GET", "POST"),
    "/health": ("GET",),
    "/hls/{stream_key}/{name}": ("GET",),
    "/keys/{stream_key}/{session}/{number}": ("GET",),
    "/login": ("GET", "POST"),
    "/logout": ("POST",),
    "/manifest": ("GET",),
    "/ready": ("GET",),
    "/static/vendor/{name}": ("GET",),
    "/static/{name}": ("GET",),
    "/stats": ("GET",),
    "/stats/events": ("GET",),
    "/streams": ("GET",),
    "/streams/active": ("GET",),
    "/streams/{stream_key}": ("GET",),
    "/streams/{stream_key}/clips": ("GET", "POST"),
    "/streams/{stream_key}/clips/{clip}": ("GET", "DELETE"),
    "/watch": ("GET",),
    "/watch/{stream_key}": ("GET",),
}
"""Every path of the application with its methods; a test holds it against the router."""

PAGES = ("/login", "/logout", "/watch/{stream_key}")
"""For people in a browser: they may answer the same page to anything, or lead to another."""
NEIGHBOUR = "neighbour"
"""A stream on air, for whose names there is something to be found."""
VALID = {"stream_key": NEIGHBOUR, "name": "playlist.m3u8", "session": "s1k2m3n4", "number": "0", "clip": "0123456789"}

NAMES = {
    "dots": "%2e%2e",
    "dots and slash": "..%2f..%2fetc%2fpasswd",
    "twice encoded": "%252e%252e%252fetc%252fpasswd",
    "backslashes": "..%5c..%5cetc%5cpasswd",
    "overlong dots": "%c0%ae%c0%ae%c0%af",
    "full-width dots": "%EF%BC%8E%EF%BC%8E%EF%BC%8F",
    "absolute": "%2fetc%2fpasswd",
    "drive": "C:%5cwindows",
    "NUL": "%00",
    "NUL within": "playlist.m3u8%00.ts",
    "line feed": "a%0ab",
    "header": "a%0d%0aX-Injected:%201",
    "space": "%20",
    "percent": "%",
    "half an escape": "%zz",
    "not UTF-8": "%ff%fe",
    "surrogate": "%ed%a0%80",
    "right to left": "a%E2%80%AEb",
    "zero width": "a%E2%80%8Bb",
    "combining": "a" + "%CC%81" * 200,
    "homoglyph": "%D0%B5xample",
    "emoji": "%F0%9F%8E%A5",
    "10 kB": "a" * 10_000,
    "65 characters": "a" * 65,
    "big number": "9" * 4000,
    "negative": "-1",
    "option": "-i",
    "option with a value": "-f%20lavfi",
    "FFmpeg's pattern": "%25d",
    "protocol": "file:%2f%2f%2fetc%2fpasswd",
    "concat": "concat:a%7cb",
    "address within": "http:%2f%2f127.0.0.1:1%2f",
    "metadata service": "rtmp:%2f%2f169.254.169.254%2flive%2fx",
    "user and host": "a@127.0.0.1",
    "shell": "%24(touch%20pwned)",
    "pipe": "%7ctouch%20pwned",
    "quote": "'%20OR%201=1%20--",
    "markup": "%3Cscript%3Ealert(1)%3C%2fscript%3E",
    "template": "%7b%7b7*7%7d%7d",
    "hidden": ".streamkit",
    "journal": "neighbour.journal",
    "parameter": "a;b=c",
}
"""Values of a path parameter or a query parameter, as they stand in a URL."""

QUERIES = {
    "huge limit": "limit=" + "9" * 400,
    "negative limit": "limit=-1",
    "float limit": "limit=1e9",
    "hexadecimal limit": "limit=0x10",
    "Arabic digits": "limit=%D9%A3",
    "NUL limit": "limit=%00",
    "list": "limit=[]",
    "huge offset": "offset=" + "9" * 400,
    "twice": "offset=1&offset=2&stream_key=a&stream_key=b&token=a&token=b",
    "500 parameters": "&".join(f"a{n}={n}" for n in range(500)),
    "not UTF-8": "%ff=%ff&limit=%ff",
    "only separators": "&&==&",
    "token of another kind": "token=" + "A" * 3000,
    "method by query": "_method=DELETE&X-HTTP-Method-Override=DELETE",
}

HEADERS = {
    "range backwards": {"Range": "bytes=9-1"},
    "300 ranges": {"Range": "bytes=" + "0-0," * 300},
    "huge range": {"Range": "bytes=-" + "9" * 4000},
    "range of lines": {"Range": "lines=1-2"},
    "range of all and more": {"Range": "bytes=0-99999999999999999999"},
    "many quotes": {"If-None-Match": '"' * 2000},
    "many weak tags": {"If-None-Match": "W/" * 1000},
    "if-range": {"If-Range": "x" * 3000, "Range": "bytes=0-1"},
    "not a date": {"If-Modified-Since": "yesterday"},
    "not a number": {"Accept-Encoding": "gzip;q=nan,*;q=-1"},
    "host": {"Host": "evil.test:99999"},
    "forwarded": {"X-Forwarded-For": "' OR 1=1", "Forwarded": "for=127.0.0.1", "X-Forwarded-Host": "evil.test"},
    "bearer of nothing": {"Authorization": "Bearer "},
    "huge bearer": {"Authorization": "Bearer " + "A" * 8000},
    "basic": {"Authorization": "Basic " + "/" * 200},
    "cookies": {"Cookie": "=;=" * 500},
    "upgrade": {"Upgrade": "websocket", "Connection": "Upgrade"},
    "null origin": {"Origin": "null"},
    "file referer": {"Referer": "file:///etc/passwd"},
    "override": {"X-HTTP-Method-Override": "DELETE"},
}

METHODS = ("PUT", "PATCH", "TRACE", "CONNECT", "PROPFIND", "G" * 200, "QUERY")

BODIES = {
    "empty": b"",
    "NUL": b"\x00",
    "not UTF-8": b"\xff\xfe",
    "open object": b"{",
    "list": b"[]",
    "null": b"null",
    "number": b"42",
    "text": b'"publish"',
    "cut off": b'{"stream_key":',
    "infinity": b'{"stream_key":1e999,"action":"publish","from":1e999,"to":-1e999}',
    "NaN": b'{"stream_key":"demo","action":"publish","timestamp":NaN,"from":NaN,"to":NaN}',
    "surrogate": b'{"stream_key":"\\ud800","action":"publish","name":"\\ud800"}',
    "operator": b'{"stream_key":{"$ne":null},"action":"publish","from":{"$gt":0},"to":[]}',
    "deep list": b"[" * 60_000,
    "deep object": b'{"a":' * 10_000,
    "long number": b'{"from":' + b"9" * 5000 + b',"to":' + b"9" * 5000 + b"}",
    "9000 fields": b"&".join(b"f%d=1" % n for n in range(9000)),
    "60 kB": b"a" * 60_000,
    "70 kB": b"a" * 70_000,
    "prototype": b'{"__proto__":{"admin":true},"constructor":{"prototype":{}}}',
    "entity": b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>',
    "YAML": b"!!python/object/apply:os.system ['touch pwned']",
    "pickle": b"\x80\x04\x95\x0f\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94.",
}
MEDIA_TYPES = (
    "application/json",
    "application/x-www-form-urlencoded",
    "text/plain",
    "multipart/form-data",
    "application/json; charset=utf-7",
)

VALUES: dict[str, Any] = {
    "null": None,
    "true": True,
    "number": 7,
    "float": 1e308,
    "huge number": 10**400,
    "list": ["a"],
    "object": {"$ne": None},
    "empty": "",
    "space": " ",
    "dots": "../../etc/passwd",
    "absolute": "/etc/passwd",
    "NUL": "a\0b",
    "line feed": "a\nX-Injected: 1",
    "option": "-i",
    "options": "x -f lavfi -i testsrc",
    "pattern": "%d%s%n",
    "protocol": "file:///etc/passwd",
    "concat": "concat:/etc/passwd|/etc/hosts",
    "address": "rtmp://169.254.169.254/live/x",
    "shell": "$(touch pwned)`touch pwned`",
    "quote": "'; DROP TABLE streams; --",
    "10 kB": "a" * 10_000,
    "surrogate": "\ud800",
    "right to left": "a\u202eb",
    "combining": "a" + "\u0301" * 100,
    "homoglyph": "\u0435xample",
    "full width": "\uff0e\uff0e\uff0f",
    "dot": "a.b",
}
"""Values of the field that names the stream; none of them may begin one."""

DIALECTS: dict[str, tuple[str, dict[str, Any]]] = {
    "generic": ("stream_key", {"action": "publish", "stream_key": "x", "timestamp": 1, "ladder": "default"}),
    "nginx-rtmp": ("name", {"call": "publish", "name": "x", "clientid": 7, "addr": "127.0.0.1", "app": "live"}),
    "SRS": ("stream", {"action": "on_publish", "stream": "x", "client_id": "7", "ip": "127.0.0.1", "param": "?a=b"}),
    "MediaMTX": ("path", {"action": "publish", "path": "live/x", "id": "7", "ip": "127.0.0.1", "query": "a=b"}),
}
"""The field that names the stream, and a publish that is well formed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One request."""

    name: str
    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    is_refused: bool = False
    """Whether nothing but a 4xx is right; otherwise it may be harmless, and a 2xx or 3xx is as good."""

    def raw(self, more: dict[str, str]) -> bytes:
        """Return the bytes of the request."""
        named = {"Host": "a", "Connection": "close", "Content-Length": str(len(self.body)), **more, **self.headers}
        lines = [f"{self.method} {self.path} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items())]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + self.body


def cases(path: str) -> Iterator[Case]:
    """Yield every case of a route."""
    yield from _names(path)
    concrete = path.format(**VALID)
    for name, query in QUERIES.items():
        yield Case(name=f"query: {name}", method="GET", path=f"{concrete}?{query}")
    for name, headers in HEADERS.items():
        yield Case(name=f"header: {name}", method="GET", path=concrete, headers=headers)
    for method in METHODS:
        yield Case(name=f"method: {method[:9]}", method=method, path=concrete, body=b"x", is_refused=True)
    if "POST" not in ROUTES[path]:
        yield Case(name="method: POST", method="POST", path=concrete, body=b"x", is_refused=True)
        return
    for name, body in BODIES.items():
        for kind in MEDIA_TYPES:
            yield Case(
                name=f"body: {name}, {kind}",
                method="POST",
                path=concrete,
                headers={"Content-Type": kind},
                body=body,
                is_refused=path not in PAGES,
            )


def _names(path: str) -> Iterator[Case]:
    for parameter in (name for name in VALID if f"{{{name}}}" in path):
        for name, value in NAMES.items():
            found = path.format(**{**VALID, parameter: value})
            harmless = path in PAGES or (parameter == "stream_key" and name == "negative")
            yield Case(name=f"{parameter}: {name}", method="GET", path=found, is_refused=not harmless)
    if path == "/manifest":
        for name, value in NAMES.items():
            yield Case(name=f"stream_key: {name}", method="GET", path=f"{path}?stream_key={value}", is_refused=True)


def webhooks() -> Iterator[Case]:
    """Yield every dialect's publish with each hostile value in the field that names the stream, and in all others."""
    for dialect, (key_field, fields) in DIALECTS.items():
        for name, value in VALUES.items():
            wrong = {**fields, key_field: f"live/{value}" if dialect == "MediaMTX" and _is_text(value) else value}
            yield _json(f"{dialect}, {key_field}: {name}", wrong, is_refused=True)
            for other in sorted(fields.keys() - {key_field, "action", "call"}):
                yield _json(f"{dialect}, {other}: {name}", {**fields, other: value, key_field: "../x"}, is_refused=True)
    for name, value in NAMES.items():
        body = f"call=publish&name={value}&clientid=1".encode()
        yield _form(f"nginx-rtmp form, name: {name}", body)
        query = f"/events/published?call=publish&clientid=1&name={value}"
        yield Case(name=f"nginx-rtmp query, name: {name}", method="GET", path=query, is_refused=True)
    twice = quote(NEIGHBOUR)
    yield _form("nginx-rtmp form, name twice", f"call=publish&name={twice}&name=other&clientid=1".encode())
    yield _form("nginx-rtmp form, another client", f"call=publish_done&name={twice}&clientid=1&clientid=2".encode())


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _json(name: str, fields: dict[str, Any], *, is_refused: bool) -> Case:
    return Case(
        name=name,
        method="POST",
        path="/events/published",
        headers={"Content-Type": "application/json"},
        body=json.dumps(fields).encode(),
        is_refused=is_refused,
    )


def _form(name: str, body: bytes) -> Case:
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    return Case(name=name, method="POST", path="/events/published", headers=kind, body=body, is_refused=True)
