"""GET /stats/events: what those who watch are told, and what slow, vanished and too many of them cost: nothing."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fakes.access import settings_with
from fakes.front_end import FrontEnd, running
from servers.waiting import wait_until

from streamkit.snapshots import Picture, StreamSnapshot
from streamkit.types import StreamKey, StreamState
from streamkit.web import watchers
from streamkit.web.stats_feed import Frame, StatsFeed
from streamkit.web.watchers import MOST_WATCHERS

PATH = "/stats/events"
ACCEPT = "text/event-stream"
Event = tuple[str, dict[str, Any]]


def snapshot(key: str = "demo", **known: Any) -> StreamSnapshot:
    return StreamSnapshot(key=StreamKey(key), **({"state": StreamState.LIVE} | known))


@contextmanager
def watching(front: FrontEnd, **headers: str) -> Iterator[Iterator[Event]]:
    """Yield the events of one connection."""
    with front.client.stream("GET", PATH, headers={"Accept": ACCEPT, **headers}) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield events(answer)


def events(answer: httpx.Response) -> Iterator[Event]:
    name = ""
    for line in answer.iter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


def next_of(stream: Iterator[Event], name: str) -> dict[str, Any]:
    return next(data for found, data in stream if found == name)


@pytest.fixture
def feed(front: FrontEnd, monkeypatch: pytest.MonkeyPatch) -> StatsFeed:
    """The feed that the front end uses, found by its first connection."""
    made: list[StatsFeed] = []
    original = StatsFeed.watching

    def noting(self: StatsFeed) -> Any:
        made.append(self)
        return original(self)

    monkeypatch.setattr(StatsFeed, "watching", noting)
    with watching(front) as stream:
        next(stream)
    wait_until(lambda: made[0].watchers == 0, what="the connection to be noticed as closed", every=0.05)
    return made[0]


def test_who_comes_is_told_everything_and_then_only_what_changes(front: FrontEnd) -> None:
    front.board.publish(snapshot(fps=25.0))
    front.board.publish(snapshot("other"))
    with watching(front) as stream:
        everything = next_of(stream, "all")
        assert [one["stream_key"] for one in everything["streams"]] == ["demo", "other"]
        assert everything["time"].endswith("Z")
        assert next_of(stream, "service")["max_streams"] == front.settings.limits.max_streams
        front.board.publish(snapshot(fps=24.0))
        assert next_of(stream, "stream")["fps"] == 24.0
        front.board.remove(StreamKey("other"))
        assert next_of(stream, "gone") == {"stream_key": "other"}


def test_an_error_comes_with_what_to_do_and_a_picture_with_its_version(front: FrontEnd) -> None:
    poster = Picture(name="poster.jpg", body=b"jpeg")
    front.board.publish(snapshot(last_error="the publisher sent nothing for 10 s", poster=poster))
    with watching(front) as stream:
        found = next_of(stream, "all")["streams"][0]
    assert found["advice"].startswith("Look at the publisher")
    assert found["poster_url"] == f"/hls/demo/poster.jpg?v={poster.etag}"


def test_nothing_is_looked_at_while_nobody_watches(front: FrontEnd, feed: StatsFeed) -> None:
    looked: list[int] = []
    original = front.board.all
    front.board.all = lambda: looked.append(1) or original()  # type: ignore[func-returns-value, method-assign]
    assert feed._looking is None
    assert feed._frame == Frame()
    front.board.publish(snapshot())
    front.get("/health")
    assert not looked
    with watching(front) as stream:
        next_of(stream, "all")
    assert looked


def test_a_watcher_that_vanishes_leaves_nothing_behind(front: FrontEnd, feed: StatsFeed) -> None:
    with ExitStack() as stack:
        sockets = [stack.enter_context(connection(front)) for _ in range(10)]
        wait_until(lambda: feed.watchers == 10, what="ten watchers", every=0.05)
        for one in sockets[:5]:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # ends with a reset
    wait_until(lambda: feed.watchers == 0 and feed._looking is None, what="nobody to be left", every=0.05)


@contextmanager
def connection(front: FrontEnd) -> Iterator[socket.socket]:
    """Yield the socket of a watcher that reads nothing by itself."""
    with socket.create_connection(("127.0.0.1", front.port), timeout=60) as one:
        one.sendall(f"GET {PATH} HTTP/1.1\r\nHost: x\r\nAccept: {ACCEPT}\r\n\r\n".encode())
        assert one.recv(12) == b"HTTP/1.1 200"
        yield one


def test_one_more_than_may_watch_is_told_to_come_back(front: FrontEnd, feed: StatsFeed) -> None:
    with ExitStack() as stack:
        for _ in range(MOST_WATCHERS):
            stack.enter_context(connection(front))
        answer = front.get(PATH, Accept=ACCEPT)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "too_many_watchers")
        assert answer.headers["retry-after"] == "5"
        assert front.get("/health").status_code == 200
    wait_until(lambda: feed.watchers == 0, what="nobody to be left", every=0.05)


def test_a_watcher_that_takes_nothing_is_let_go(
    front: FrontEnd, feed: StatsFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchers, "SEND_TIMEOUT", 0.2)
    monkeypatch.setattr("streamkit.web.stats_feed.EVERY", 0.01)
    with connection(front):
        for number in range(100_000):
            front.board.publish(snapshot(last_error=f"{number} " + "x" * 500_000))
            if feed.watchers == 0:
                break
            front.get("/health")  # gives the loop its turn
    assert feed.watchers == 0
    assert front.get("/health").status_code == 200


def test_a_slow_watcher_sees_fewer_moments_and_the_last_one() -> None:
    frames = [Frame(streams={StreamKey("demo"): f'{{"n":{n}}}'}) for n in range(3)]
    assert frames[2].events_since(frames[0]) == 'event: stream\ndata: {"n":2}\n\n'
    assert frames[2].events_since(frames[2]) == ""
    assert Frame().events_since(frames[2]) == 'event: gone\ndata: {"stream_key": "demo"}\n\n'


def test_silence_is_broken_by_comments_and_the_connection_does_not_last_for_ever(
    front: FrontEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchers, "HEARTBEAT", 0.01)
    monkeypatch.setattr(watchers, "LIFETIME", 0.5)
    text = front.get(PATH, Accept=ACCEPT).text
    assert text.startswith("retry: 2000\n\n")
    assert "\n: still here\n\n" in text


def test_a_service_that_stops_lets_its_watchers_go(tmp_path: Path) -> None:
    with ExitStack() as service, socket.socket() as watcher:
        front = service.enter_context(running(settings_with(tmp_path)))
        watcher.connect(("127.0.0.1", front.port))
        watcher.settimeout(60)
        watcher.sendall(f"GET {PATH} HTTP/1.1\r\nHost: x\r\nAccept: {ACCEPT}\r\nConnection: close\r\n\r\n".encode())
        assert watcher.recv(12) == b"HTTP/1.1 200"
        closing = threading.Thread(target=service.close)
        closing.start()
        rest = b"".join(iter(lambda: watcher.recv(65_536), b""))
        closing.join(60)
        assert rest.endswith(b"0\r\n\r\n"), "the answer has an end"


def test_who_does_not_ask_for_events_is_not_left_waiting(front: FrontEnd) -> None:
    assert front.get(PATH).json()["error"]["code"] == "not_acceptable"
    head = front.client.head(PATH)
    assert (head.status_code, head.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")


def test_it_is_for_operators(tmp_path: Path) -> None:
    with running(settings_with(tmp_path, admin_token="for-operators-only")) as front:
        assert front.get(PATH).status_code == 401
        assert front.client.head(PATH).status_code == 401
        with watching(front, Authorization="Bearer for-operators-only") as stream:
            next_of(stream, "all")


def test_a_look_that_fails_is_not_the_last_one(front: FrontEnd, caplog: pytest.LogCaptureFixture) -> None:
    original, failures = front.board.all, iter([True])
    with watching(front) as stream:
        next_of(stream, "all")

        def failing() -> Any:
            if next(failures, False):
                raise RuntimeError("broken")
            return original()

        front.board.all = failing  # type: ignore[method-assign]
        front.board.publish(snapshot())
        assert next_of(stream, "stream")["stream_key"] == "demo"
    assert "could not be told" in caplog.text
