"""Operators' endpoints need the admin token where there is one; addresses may ask so and so often."""

import base64
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from fakes.access import settings_with
from fakes.front_end import FrontEnd, running

from streamkit.snapshots import Playlist, StreamSnapshot
from streamkit.types import StreamKey, StreamState

TOKEN = "for-operators-only"
PRIVATE = [
    ("GET", "/stats"),
    ("GET", "/stats/events"),
    ("GET", "/streams"),
    ("GET", "/streams/active"),
    ("GET", "/streams/demo"),
    ("GET", "/streams/demo/clips"),
    ("POST", "/streams/demo/clips"),
    ("GET", "/streams/demo/clips/0123456789"),
    ("DELETE", "/streams/demo/clips/0123456789"),
    ("GET", "/docs"),
    ("GET", "/docs/openapi.json"),
    ("GET", "/docs/assets/swagger-ui.css"),
]
PUBLIC = [
    "/",
    "/watch",
    "/static/player.js",
    "/health",
    "/ready",
    "/hls/demo/playlist.m3u8",
    "/manifest?stream_key=demo",
]
Serve = Callable[..., FrontEnd]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """`serve(**access) -> FrontEnd` with the live stream demo."""
    with ExitStack() as stack:

        def start(**access: object) -> FrontEnd:
            front = stack.enter_context(running(settings_with(tmp_path, **access)))
            playlist = Playlist(name="playlist.m3u8", body=b"#EXTM3U\n")
            front.board.publish(
                StreamSnapshot(key=StreamKey("demo"), state=StreamState.LIVE, playlists={"playlist.m3u8": playlist})
            )
            return front

        yield start


def basic(password: str, user: str = "anybody") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def ask(front: FrontEnd, method: str, path: str, authorization: str | None = None) -> httpx.Response:
    headers = {} if authorization is None else {"Authorization": authorization}
    return front.client.request(method, path, headers=headers)


@pytest.mark.parametrize(("method", "path"), PRIVATE)
def test_what_operators_use_needs_the_admin_token(method: str, path: str, serve: Serve) -> None:
    front = serve(admin_token=TOKEN)
    answer = ask(front, method, path)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "admin_token"
    assert answer.headers["www-authenticate"] == 'Bearer realm="streamkit"'
    assert front.told_database == []


def test_every_endpoint_is_an_operator_s_or_known_to_be_none(serve: Serve) -> None:
    paths = ask(serve(), "GET", "/docs/openapi.json").json()["paths"]
    guarded = {(m.upper(), path) for path, methods in paths.items() for m, one in methods.items() if "security" in one}
    public = {(m.upper(), path) for path, methods in paths.items() for m in methods} - guarded
    assert {path for _, path in public} == {
        "/events/published",
        "/hls/{stream_key}/{name}",
        "/keys/{stream_key}/{session}/{number}",
        "/health",
        "/ready",
        "/manifest",
    }


@pytest.mark.parametrize("authorization", [f"Bearer {TOKEN.replace(' ', '-')}", basic(TOKEN)])
def test_a_program_sends_the_token_and_a_browser_a_password(authorization: str, serve: Serve) -> None:
    front = serve(admin_token=TOKEN)
    for method, path in PRIVATE:
        assert ask(front, method, path, authorization).status_code != 401


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer wrong-token-of-theirs", basic("wrong"), basic(""), "Basic ???", "Basic " + "A" * 5000,
     "Basic /w==", "Digest x", "Bearer é"],
)  # fmt: skip
def test_anything_else_is_401(authorization: str, serve: Serve) -> None:
    front = serve(admin_token=TOKEN)
    header = {"Authorization": authorization.encode()}
    assert front.client.get("/stats", headers=header).status_code == 401


def test_the_token_in_a_url_does_not_count(serve: Serve) -> None:
    assert ask(serve(admin_token="for-operators-only"), "GET", "/stats?token=for-operators-only").status_code == 401


def test_a_browser_is_sent_to_the_login_where_it_shows_a_page(serve: Serve) -> None:
    front = serve(admin_token=TOKEN)
    answer = front.client.get("/docs", headers={"Accept": "text/html,*/*"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/docs")
    assert front.client.get("/docs", headers={"Accept": "text/html", "Authorization": basic(TOKEN)}).status_code == 200


def test_players_and_probes_need_no_admin_token(serve: Serve) -> None:
    front = serve(admin_token=TOKEN)
    assert [ask(front, "GET", path).status_code for path in PUBLIC] == [200] * 7
    assert front.client.options("/stats").status_code == 204


def test_without_an_admin_token_everybody_operates(serve: Serve) -> None:
    front = serve()
    assert [ask(front, *where).status_code for where in PRIVATE if ask(front, *where).status_code == 401] == []


# ---- rates


def statuses(front: FrontEnd, path: str, times: int, **headers: str) -> list[int]:
    return [front.client.get(path, headers=headers).status_code for _ in range(times)]


def test_an_address_that_asks_too_often_is_told_when_to_come_back(serve: Serve) -> None:
    front = serve(request_rate=0.1)
    assert front.get("/stats").status_code == 200
    answer = front.get("/stats")
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "too_many_requests")
    assert 1 <= int(answer.headers["retry-after"]) <= 10
    webhook = front.client.post("/events/published", json={"stream_key": "a", "action": "publish"})
    assert webhook.status_code == 200, "one address tells of every publisher"
    assert front.get("/nothing/here").status_code == 429


def test_players_are_counted_apart(serve: Serve) -> None:
    front = serve(request_rate=0.1, player_rate=0.2)
    assert statuses(front, "/hls/demo/playlist.m3u8", 3) == [200, 200, 429]
    assert statuses(front, "/stats", 2) == [200, 429]


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_a_probe_is_answered_however_often_others_ask_from_its_address(path: str, serve: Serve) -> None:
    front = serve(request_rate=0.1)
    assert statuses(front, "/stats", 2) == [200, 429]
    assert set(statuses(front, path, 20)) == {200}


def test_behind_a_proxy_everybody_behind_it_has_an_own_count(serve: Serve) -> None:
    front = serve(request_rate=0.1, trusted_proxies=["127.0.0.1"])
    for address in ("192.0.2.1", "192.0.2.2"):
        assert statuses(front, "/stats", 2, **{"X-Forwarded-For": address}) == [200, 429]
    front = serve(request_rate=0.1)
    assert statuses(front, "/stats", 1, **{"X-Forwarded-For": "192.0.2.1"}) == [200]
    assert statuses(front, "/stats", 1, **{"X-Forwarded-For": "192.0.2.2"}) == [429]


def test_by_default_nobody_is_counted(serve: Serve) -> None:
    assert set(statuses(serve(), "/health", 200)) == {200}


@pytest.mark.parametrize("path", ["/events/published", "/streams/demo/clips", "/hls/demo/playlist.m3u8", "/stats"])
def test_a_body_that_is_too_large_is_413_everywhere(path: str, serve: Serve) -> None:
    answer = serve().client.post(path, content=b"x" * 70_000, headers={"Content-Type": "application/json"})
    assert answer.status_code in (413, 405)
