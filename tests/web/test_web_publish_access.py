"""Publish keys and tokens in the webhooks of every RTMP server, and whose webhooks count at all."""

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from fakes.access import KEY, TOKEN_SECRET, auth_server, row, settings_with
from fakes.front_end import FrontEnd, later, running

from streamkit.access.tokens import Purpose, make_token
from streamkit.errors import DatabaseUnavailableError
from streamkit.messages import FindPublishKey, PublishStream
from streamkit.types import StreamKey

PATH = "/events/published"
SECRET = "what webhooks must know"
Serve = Callable[..., FrontEnd]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """`serve(**access) -> FrontEnd`."""
    with ExitStack() as stack:
        yield lambda **access: stack.enter_context(running(settings_with(tmp_path, **access)))


def publishes(argument: str) -> dict[str, dict[str, Any]]:
    """Return the publish of each RTMP server, for a URL with this argument."""
    name, _, value = argument.partition("=")
    query = f"?{argument}"
    return {
        "generic": {"json": {"stream_key": "demo", "action": "publish", name: value}},
        "nginx-rtmp": {"data": {"call": "publish", "name": "demo", "clientid": "7", "addr": "192.0.2.7", name: value}},
        "SRS": {
            "json": {"action": "on_publish", "client_id": "7", "stream": "demo", "ip": "192.0.2.7", "param": query}
        },
        "MediaMTX": {
            "json": {"action": "publish", "path": "live/demo", "id": "b2", "ip": "192.0.2.7", "query": argument}
        },
    }


def token(stream: str = "demo", *, lives: int = 600, purpose: Purpose = Purpose.PUBLISH) -> str:
    return make_token(TOKEN_SECRET.encode(), StreamKey(stream), int(time.time()) + lives, purpose)


def post(front: FrontEnd, **request: Any) -> tuple[int, str]:
    """Return status and code."""
    answer = front.client.post(PATH, **request)
    return answer.status_code, answer.json().get("error", answer.json()).get("code", "")


SERVERS = list(publishes("a=b"))


@pytest.mark.parametrize("server", SERVERS)
def test_a_token_in_the_publish_url_lets_the_publisher_on(server: str, serve: Serve) -> None:
    front = serve(publish="token")
    assert front.client.post(PATH, **publishes(f"token={token()}")[server]).status_code == 200
    assert [message.key for message in front.told_supervisor] == ["demo"]


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize(
    ("argument", "code"),
    [
        ("other=x", "token_missing"),
        ("token=junk", "token_invalid"),
        (f"token={token('other')}", "token_refused"),
        (f"token={token(purpose=Purpose.PLAY)}", "token_refused"),
        (f"token={token(lives=-5)}", "token_expired"),
    ],
    ids=["none", "junk", "of another stream", "to play", "expired"],
)
def test_without_a_good_token_the_supervisor_hears_of_nobody(
    server: str, argument: str, code: str, serve: Serve
) -> None:
    front = serve(publish="token")
    assert post(front, **publishes(argument)[server]) == (403, code)
    assert front.told_supervisor == []


@pytest.mark.parametrize("server", SERVERS)
def test_a_publish_key_is_looked_up_by_its_id_alone(server: str, serve: Serve) -> None:
    front = serve(publish="key")
    front.database_answers[FindPublishKey] = lambda _: later(row())
    assert front.client.post(PATH, **publishes(f"key={KEY}")[server]).status_code == 200
    assert front.told_database == [FindPublishKey(id=row().id)]
    front.database_answers[FindPublishKey] = lambda _: later(row(revoked=5.0))
    assert post(front, **publishes(f"key={KEY}")[server]) == (403, "key_revoked")
    assert len(front.told_supervisor) == 1


def test_nginx_s_get_carries_the_token_too(serve: Serve) -> None:
    front = serve(publish="token")
    fields = {"call": "publish", "name": "demo", "clientid": "7"}
    assert front.client.get(PATH, params={**fields, "token": token()}).status_code == 200
    assert front.client.get(PATH, params=fields).status_code == 403


def test_a_token_given_twice_or_as_something_else_is_none(serve: Serve) -> None:
    twice = {"content": b"call=publish&name=demo&token=a&token=b"}
    number = {"json": {"stream_key": "demo", "action": "publish", "token": 7}}
    front = serve(publish="token")
    assert [post(front, **twice)[0], post(front, **number)[0]] == [403, 403]
    assert front.told_supervisor == []


def test_where_nobody_asks_for_a_token_its_form_is_of_no_interest(serve: Serve) -> None:
    front = serve(publish="open")
    fields = {"content": b"call=publish&name=demo&token=a&token=b"}
    assert front.client.post(PATH, **fields).status_code == 200


def test_who_leaves_needs_no_token(serve: Serve) -> None:
    front = serve(publish="token")
    assert front.client.post(PATH, json={"stream_key": "demo", "action": "unpublish"}).status_code == 200


def test_a_database_that_is_away_is_503_with_retry_after_and_lets_the_known_on(serve: Serve) -> None:
    front = serve(publish="key")
    front.database_answers[FindPublishKey] = lambda _: later(DatabaseUnavailableError("away"))
    answer = front.client.post(PATH, **publishes(f"key={KEY}")["nginx-rtmp"])
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "authorization_unavailable")
    assert int(answer.headers["retry-after"]) > 0
    front.database_answers[FindPublishKey] = lambda _: later(row())
    assert front.client.post(PATH, **publishes(f"key={KEY}")["nginx-rtmp"]).status_code == 200
    front.database.stop()
    assert front.client.post(PATH, **publishes(f"key={KEY}")["nginx-rtmp"]).status_code == 200


@pytest.mark.parametrize("server", SERVERS)
def test_the_operator_s_url_is_told_the_arguments_and_the_publisher_s_address(server: str, serve: Serve) -> None:
    with auth_server() as operator:
        operator.answer = lambda body: 204 if json.loads(body)["arguments"].get("pass") == "right" else 401
        front = serve(publish="callback", callback_url=operator.url)
        assert front.client.post(PATH, **publishes("pass=right")[server]).status_code == 200
        assert post(front, **publishes("pass=wrong")[server]) == (403, "publish_refused")
        told = json.loads(operator.requests[0][1])
    assert told["arguments"] == {"pass": "right"}
    assert told["address"] == (None if server == "generic" else "192.0.2.7")
    assert [type(message) for message in front.told_supervisor] == [PublishStream]


def test_an_answer_that_is_slow_holds_nobody_else_up(serve: Serve) -> None:
    asked, released = threading.Event(), threading.Event()

    def answer(_: bytes) -> int:
        asked.set()
        return 204 if released.wait(60) else 500

    with auth_server() as operator:
        operator.answer = answer
        front = serve(publish="callback", callback_url=operator.url, callback_timeout=5.0)
        waiting = threading.Thread(target=lambda: post(front, **publishes("a=b")["SRS"]))
        waiting.start()
        assert asked.wait(60)
        assert front.get("/health").status_code == 200
        released.set()
        waiting.join()
    assert [message.key for message in front.told_supervisor] == ["demo"]


# ---- whose webhooks count

PUBLISH = {"stream_key": "demo", "action": "publish"}


def test_webhooks_count_only_from_the_addresses_that_are_allowed(serve: Serve) -> None:
    front = serve(webhook_addresses=["192.0.2.0/24", "::1"])
    assert post(front, json=PUBLISH) == (403, "webhook_address")
    assert post(front, json=PUBLISH, headers={"X-Forwarded-For": "192.0.2.7"}) == (403, "webhook_address")
    assert front.get(PATH + "?call=publish&name=demo").status_code == 403
    assert front.told_supervisor == []


def test_an_allowed_address_counts_also_behind_a_proxy_that_is_trusted(serve: Serve) -> None:
    assert post(serve(webhook_addresses=["127.0.0.0/8"]), json=PUBLISH)[0] == 200
    front = serve(webhook_addresses=["192.0.2.0/24"], trusted_proxies=["127.0.0.1"])
    assert post(front, json=PUBLISH, headers={"X-Forwarded-For": "192.0.2.7"})[0] == 200
    assert post(front, json=PUBLISH, headers={"X-Forwarded-For": "192.0.2.7, 203.0.113.1"})[0] == 403
    assert post(front, json=PUBLISH)[0] == 403


@pytest.mark.parametrize(
    ("request_parts", "status"),
    [
        ({"params": {"secret": SECRET}}, 200),
        ({"headers": {"X-StreamKit-Secret": SECRET}}, 200),
        ({"headers": {"Authorization": "Bearer what-webhooks-must-know"}}, 403),
        ({}, 403),
        ({"params": {"secret": SECRET + "x"}}, 403),
        ({"headers": {"X-StreamKit-Secret": ""}}, 403),
        ({"headers": {"X-StreamKit-Secret": "é".encode()}}, 403),
    ],
)
def test_webhooks_must_know_the_secret(request_parts: dict[str, Any], status: int, serve: Serve) -> None:
    front = serve(webhook_secret=SECRET)
    assert post(front, json=PUBLISH, **request_parts)[0] == status
    assert len(front.told_supervisor) == (status == 200)


def test_a_publisher_cannot_bring_the_secret_in_its_own_arguments(serve: Serve) -> None:
    front = serve(webhook_secret=SECRET)
    assert post(front, data={"call": "publish", "name": "demo", "secret": SECRET}) == (403, "webhook_secret")


def test_nobody_learns_from_a_wrong_secret_whether_the_event_is_right(serve: Serve) -> None:
    assert post(serve(webhook_secret=SECRET), content=b"no event at all") == (403, "webhook_secret")


def signed(body: bytes, *, at: float | None = None) -> dict[str, Any]:
    second = int(time.time() if at is None else at)
    mac = hmac.new(SECRET.encode(), f"{second}.".encode() + body, hashlib.sha256).hexdigest()
    return {"content": body, "headers": {"X-StreamKit-Signature": f"t={second},v1={mac}"}}


@pytest.mark.parametrize("only", [False, True])
def test_a_signature_shows_that_the_secret_is_known(only: bool, serve: Serve) -> None:
    front = serve(webhook_secret=SECRET, webhook_signed=only)
    body = json.dumps(PUBLISH).encode()
    assert post(front, **signed(body))[0] == 200
    assert post(front, **signed(body, at=time.time() - 400))[0] == 403
    assert post(front, **{**signed(body), "content": body.replace(b"demo", b"show")})[0] == 403
    assert post(front, content=body, params={"secret": SECRET})[0] == (403 if only else 200)


def test_the_signature_of_a_body_says_nothing_about_a_query(serve: Serve) -> None:
    front = serve(webhook_secret=SECRET, webhook_signed=True)
    event = {"call": "publish", "name": "other"}
    answer = front.client.request("GET", PATH, params=event, **signed(json.dumps(PUBLISH).encode()))
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "webhook_secret")
    assert front.told_supervisor == []


def test_refusals_and_logs_show_no_secret(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    front = serve(webhook_secret=SECRET, publish="token")
    wrong, good = "almost the right secret", token("other")
    answers = [
        front.client.post(PATH, json=PUBLISH, params={"secret": wrong}),
        front.client.post(PATH, params={"secret": SECRET}, **publishes(f"token={good}")["nginx-rtmp"]),
        front.client.post(PATH, params={"secret": SECRET}, **publishes(f"token={good}")["SRS"]),
    ]
    assert [answer.status_code for answer in answers] == [403, 403, 403]
    ours = "\n".join(record.getMessage() for record in caplog.records if not record.name.startswith("http"))
    said = ours + "".join(answer.text for answer in answers)
    assert not [secret for secret in (SECRET, wrong, good, TOKEN_SECRET) if secret in said]
