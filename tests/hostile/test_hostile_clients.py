"""Whatever a client or an RTMP server sends: a right answer with a reason, nothing outside, and no harm to others."""

import json
import re
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from conftest import SECRETS, Target
from fakes.front_end import running
from hostile_cases import NEIGHBOUR, ROUTES, VALID, Case, cases, webhooks
from servers.waiting import wait_until

from streamkit.settings import HlsSettings, Settings

pytestmark = [pytest.mark.integration]
AT_ONCE = 4
SECRET_OUTSIDE = "the secret outside"


@pytest.fixture(scope="module")
def before(target: Target) -> dict[str, object]:
    """What there was before anybody was hostile."""
    stream = target.production.live(NEIGHBOUR)
    assert stream is not None
    return {"tree": target.tree(), "stream": stream}


def complaint(target: Target, case: Case, more: dict[str, str]) -> str | None:
    """Return what is wrong with the answer, None for nothing."""
    status, head, body = target.send(case.raw(more))
    text = f"{head}\n{body}"
    wrong = {
        "no answer": status == 0,
        "an error of ours": status >= 500,
        "not refused": case.is_refused and 200 <= status < 400,
        "a traceback": "Traceback" in text,
        "a header of the client's": "\nX-Injected" in text,
        "what lies outside": SECRET_OUTSIDE in text or "root:x:0" in text,
        "a secret": any(secret in text for secret in SECRETS.values()),
        "no reason": status >= 400 and not _is_problem(head, body) and not _is_form(case, head),
    }
    found = [name for name, is_so in wrong.items() if is_so]
    return f"{case.name}: {', '.join(found)} ({status} {body[:200]})" if found else None


def _is_form(case: Case, head: str) -> bool:
    return case.path.startswith("/login") and "text/html" in head


def _is_problem(head: str, body: str) -> bool:
    if not body:
        return bool(re.search(r"content-length: [1-9]", head, re.IGNORECASE))  # HEAD and CONNECT
    try:
        return set(json.loads(body)["error"]) == {"code", "message"} and "application/json" in head
    except (ValueError, TypeError, KeyError):
        return False


def complaints(target: Target, sent: list[Case], more: dict[str, str]) -> list[str]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [one for one in pool.map(lambda case: complaint(target, case, more), sent) if one]


def test_every_route_has_its_cases_and_they_are_many(tmp_path: Path) -> None:
    settings = Settings(hls=HlsSettings(output_dir=tmp_path / "hls"))
    settings.hls.output_dir.mkdir()
    with running(settings) as front:
        routed: dict[str, set[str]] = {}
        for route in front.app.router.routes:
            path = "/" + re.sub(r"<(\w+)(:[^>]*)?>", r"{\1}", route.path)
            routed.setdefault(path, set()).update(route.methods - {"HEAD", "OPTIONS"})
    assert {path: set(methods) for path, methods in ROUTES.items()} == routed
    assert sum(len(list(cases(path))) for path in ROUTES) >= 1000
    assert len(list(webhooks())) >= 300


@pytest.mark.parametrize("path", ROUTES)
def test_a_route_answers_every_hostile_client_with_a_reason(
    target: Target, before: dict[str, object], path: str
) -> None:
    found = complaints(target, list(cases(path)), target.headers)
    if target.is_guarded:
        found += complaints(target, list(cases(path)), {})
    assert not found, "\n".join(found[:40])


def test_no_hostile_webhook_of_any_dialect_begins_a_stream(target: Target, before: dict[str, object]) -> None:
    sent = [_with_secret(target, case) for case in webhooks()]
    found = complaints(target, sent, {})
    assert not found, "\n".join(found[:40])
    streams = target.production.get("/stats")["streams"]
    assert [stream["stream_key"] for stream in streams] == [NEIGHBOUR]


def _with_secret(target: Target, case: Case) -> Case:
    joint = "&" if "?" in case.path else "?"
    path = f"{case.path}{joint}{target.webhook[1:]}" if target.webhook else case.path
    return Case(
        name=case.name,
        method=case.method,
        path=path,
        headers=case.headers,
        body=case.body,
        is_refused=case.is_refused,
    )


def test_a_hundred_duplicates_at_once_are_one_stream(target: Target, before: dict[str, object]) -> None:
    body = json.dumps({"call": "publish", "name": "twins", "clientid": 7, "addr": "127.0.0.1"}).encode()
    one = _with_secret(target, Case(name="twins", method="POST", path="/events/published", body=body))
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: target.send(one.raw({"Content-Type": "application/json"}))[0], range(100)))
    assert set(answers) <= {200, 409}, answers
    assert 200 in answers
    keys = [stream["stream_key"] for stream in target.production.get("/stats")["streams"]]
    assert keys.count("twins") == 1


def test_publishers_that_flap_leave_nothing(target: Target, before: dict[str, object]) -> None:
    for number in range(60):
        call = "publish" if number % 2 == 0 else "publish_done"
        body = json.dumps({"call": call, "name": "flapping", "clientid": number // 2}).encode()
        event = _with_secret(target, Case(name=call, method="POST", path="/events/published", body=body))
        status, _, text = target.send(event.raw({"Content-Type": "application/json"}))
        assert status in (200, 409), text
    wait_until(lambda: target.production.live("flapping") is None, what="the end of the stream that flapped", every=0.2)
    wait_until(lambda: target.production.live("twins") is None, what="the end of the twins, who never came", every=0.2)
    assert not target.production.encoders("flapping")


@pytest.fixture
def slow_clients(target: Target) -> Iterator[list[socket.socket]]:
    """Connections that send a byte now and then, and never all of a request."""
    begun = [
        b"GET /health HTTP/1.1\r\nHost: a\r\nX-Slow: ",
        b"POST /events/published HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{",
        b"POST /events/published HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
    ]
    with ExitStack() as cleanup:
        yield [_slow(cleanup, target, begun[number % len(begun)]) for number in range(60)]


def _slow(cleanup: ExitStack, target: Target, begun: bytes) -> socket.socket:
    connection = cleanup.enter_context(socket.create_connection(("127.0.0.1", target.production.port), timeout=60))
    connection.sendall(begun)
    return connection


def test_slow_clients_are_sent_away_and_hold_nobody_up(
    target: Target, before: dict[str, object], slow_clients: list[socket.socket]
) -> None:
    done = threading.Event()

    def trickle() -> None:
        while not done.wait(0.5):
            for connection in slow_clients:
                try:
                    connection.sendall(b"a")
                except OSError:
                    continue  # it was sent away

    thread = threading.Thread(target=trickle, name="slow clients")
    thread.start()
    try:
        for _ in range(20):
            assert target.production.client.get("/health").status_code == 200
        ends = [_end(connection) for connection in slow_clients]
    finally:
        done.set()
        thread.join()
    assert all(end == b"" or end.startswith(b"HTTP/1.1 40") for end in ends), ends[:3]


def _end(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except ConnectionResetError:  # the answer came before what was sent last
        return b""


def test_afterwards_the_neighbour_has_lost_nothing_and_nothing_lies_about(
    target: Target, before: dict[str, object]
) -> None:
    """The last: it looks at what all the others have done."""
    production = target.production
    was = before["stream"]
    assert isinstance(was, dict)
    production.wait(
        lambda: ((now := production.live(NEIGHBOUR)) and now["segments_listed"] > was["segments_listed"] + 2) or None,
        "more segments of the neighbour",
    )
    now = production.live(NEIGHBOUR)
    assert now is not None
    assert (now["session"], now["restarts"], now["segments_lost"]) == (was["session"], 0, 0)
    assert target.tree() == before["tree"]
    folders = {path.name for path in production.hls_folder.iterdir() if path.name != ".streamkit"}
    assert folders <= {NEIGHBOUR, "twins", "flapping"}
    log = production.log()
    assert "Traceback" not in log
    assert not [secret for secret in SECRETS.values() if secret in log]
    assert not [line for line in log.splitlines() if " CRITICAL " in line]
    assert VALID["stream_key"] == NEIGHBOUR
