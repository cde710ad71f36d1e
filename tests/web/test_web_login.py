"""Browsers log in with the admin token and get a cookie, which is signed, expires, and is sent by no other site."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.cookies import SimpleCookie
from pathlib import Path

import httpx
import pytest
from fakes.access import settings_with
from fakes.front_end import FrontEnd, running

from streamkit.types import UnixTime
from streamkit.web.browser_sessions import COOKIE, LIFETIME, BrowserSessions
from streamkit.web.login import next_path

TOKEN = "for-operators-only"
NOW = UnixTime(1_790_000_000.0)
Serve = Callable[..., FrontEnd]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    with ExitStack() as stack:

        def start(**access: object) -> FrontEnd:
            return stack.enter_context(running(settings_with(tmp_path, **{"admin_token": TOKEN, **access})))

        yield start


def log_in(front: FrontEnd, token: str = TOKEN, where: str = "/login", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return front.client.post(where, data={"token": token}, headers=named)


def test_the_right_token_opens_everything_by_a_cookie_that_no_script_reads(serve: Serve) -> None:
    front = serve()
    assert front.get("/stats").status_code == 401
    answer = log_in(front, where="/login?next=/docs")
    assert (answer.status_code, answer.headers["location"]) == (303, "/docs")
    cookie = SimpleCookie(answer.headers["set-cookie"])[COOKIE]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"], cookie["secure"]) == (True, "Strict", "/", "")
    assert TOKEN not in cookie.value
    assert front.get("/stats").status_code == 200, "the client keeps the cookie"
    assert front.get("/login").headers["location"] == "/", "who is logged in needs no form"


def test_a_wrong_token_shows_the_form_again_and_gives_no_cookie(serve: Serve) -> None:
    front = serve()
    assert "/static/base.css" in front.get("/login").text
    answer = log_in(front, "<script>alert(1)</script>")
    assert answer.status_code == 401
    assert "That is not the admin token." in answer.text
    assert "<script" not in answer.text
    assert "set-cookie" not in answer.headers
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_guessing_is_slowed_down(serve: Serve) -> None:
    front = serve()
    statuses = [log_in(front, "wrong").status_code for _ in range(7)]
    assert statuses[:5] == [401] * 5
    assert 429 in statuses[5:]
    assert front.get("/health").status_code == 200


def test_logging_out_takes_the_cookie_away(serve: Serve) -> None:
    front = serve()
    log_in(front)
    answer = front.client.post("/logout")
    assert answer.headers["location"] == "/login"
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert front.get("/stats").status_code == 401


@pytest.mark.parametrize(
    "headers",
    [{"Sec_Fetch_Site": "cross-site"}, {"Sec_Fetch_Site": "same-site"}, {"Origin": "https://evil.test"},
     {"Origin": "null"}, {"Origin": "http://[::1"}],
    ids=["cross", "sibling", "origin", "null", "broken"],
)  # fmt: skip
def test_no_other_site_logs_anybody_in(headers: dict[str, str], serve: Serve) -> None:
    front = serve()
    answer = log_in(front, **headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "other_site")
    own = log_in(front, Origin=f"http://127.0.0.1:{front.port}")
    assert own.status_code == 303


def test_over_https_the_cookie_never_goes_without_it(serve: Serve) -> None:
    forwarded = {"X_Forwarded_Proto": "https", "X_Forwarded_For": "192.0.2.1"}
    assert "; Secure" in log_in(serve(trusted_proxies=["127.0.0.1"]), **forwarded).headers["set-cookie"]
    assert "; Secure" not in log_in(serve(), **forwarded).headers["set-cookie"]


def test_without_an_admin_token_there_is_nothing_to_log_in_to(tmp_path: Path) -> None:
    with running(settings_with(tmp_path)) as front:
        assert front.get("/login").headers["location"] == "/"
        assert "set-cookie" not in log_in(front, "").headers


@pytest.mark.parametrize(
    "cookie", ["", "x", "a.b.c", "9" * 5000, "1790000000.0123456789abcdef." + "0" * 64, '"\\"', "é"]
)
def test_any_other_cookie_is_none(cookie: str, serve: Serve) -> None:
    header = f"{COOKIE}={cookie}".encode()
    assert serve().client.get("/stats", headers={"Cookie": header}).status_code == 401


@pytest.mark.parametrize("body", [b"", b"token", b"token=%ff%fe", b"\xff\xfe", b"&" * 1000 + b"token=x", b"a=b&" * 100])
def test_any_other_form_is_a_wrong_token(body: bytes, serve: Serve) -> None:
    assert serve().client.post("/login", content=body).status_code == 401


def test_a_cookie_holds_for_half_a_day_and_for_one_token() -> None:
    sessions = BrowserSessions(TOKEN.encode())
    value = sessions.issue(NOW)
    assert sessions.holds(value, NOW)
    assert BrowserSessions(TOKEN.encode()).holds(value, NOW), "it outlives a restart"
    assert not BrowserSessions(b"another token!!!").holds(value, NOW)
    assert not sessions.holds(value, UnixTime(NOW + LIFETIME))
    assert not sessions.holds(value, UnixTime(NOW - LIFETIME)), "from the future"
    expires, rest = value.split(".", 1)
    assert not sessions.holds(f"{int(expires) + 1}.{rest}", NOW)
    assert not sessions.holds(value[:-1] + ("0" if value[-1] != "0" else "1"), NOW)


@pytest.mark.parametrize(
    ("asked", "leads"),
    [("/docs", "/docs"), ("/watch/a-b_c", "/watch/a-b_c"), (None, "/"), ("", "/"), ("//evil.test", "/"),
     ("/\\evil.test", "/"), ("https://evil.test", "/"), ("/a\r\nSet-Cookie: x=y", "/"), ("/" + "a" * 999, "/")],
)  # fmt: skip
def test_a_login_leads_to_no_other_site(asked: str | None, leads: str) -> None:
    assert next_path(asked) == leads
