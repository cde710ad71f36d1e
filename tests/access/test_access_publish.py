"""The gate: who may publish, by mode, and while nobody can be asked."""

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.access import DEMO, KEY, TOKEN_SECRET, AuthServer, auth_server, row, settings_with

from streamkit.access.callback import MOST_WAITING, WORKERS, AuthCallback
from streamkit.access.keys import make_key
from streamkit.access.publish import MOST_KNOWN, KnownPublishers, PublishGate
from streamkit.access.signatures import is_signed
from streamkit.access.tokens import Purpose, make_token
from streamkit.errors import AuthorizationUnavailableError, DatabaseUnavailableError
from streamkit.publish_url import PublishArguments, PublishRequest
from streamkit.settings import StreamRule
from streamkit.types import PublishKeyId, Seconds, StreamKey, UnixTime

OTHER_KEY = make_key(bytes(37))
SOON = int(time.time()) + 3600
TOKEN = make_token(TOKEN_SECRET.encode(), DEMO, SOON, Purpose.PUBLISH)


class Keys:
    """In the place of the database."""

    def __init__(self, *rows: Any) -> None:
        self.rows = {row.id: row for row in rows}
        self.is_away = False

    async def find(self, key: PublishKeyId) -> Any:
        if self.is_away:
            raise DatabaseUnavailableError("the database refused the connection")
        return self.rows.get(key)


def ask(gate: PublishGate, stream: str = "demo", **arguments: str) -> str:
    """Return the refusal's code, '' when the publisher may go on."""
    request = PublishRequest(key=StreamKey(stream), arguments=PublishArguments(arguments))
    answer = asyncio.run(gate.refusal(request))
    return "" if answer is None else answer.code


def gate_of(folder: Path, keys: Keys | None = None, **access: Any) -> PublishGate:
    return PublishGate(settings_with(folder, **access), (keys or Keys()).find)


@pytest.fixture
def operator() -> Iterator[AuthServer]:
    with auth_server() as server:
        yield server


def test_everybody_may_publish_by_default_and_nobody_is_asked(tmp_path: Path) -> None:
    gate = gate_of(tmp_path)
    assert gate.admit is None
    assert ask(gate) == ask(gate, key="x", token="y") == ""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"key": KEY}, ""),
        ({}, "key_missing"),
        ({"key": "x"}, "key_refused"),
        ({"key": OTHER_KEY}, "key_refused"),
        ({"key": KEY[:-1] + "R"}, "key_refused"),
        ({"token": TOKEN}, "key_missing"),
    ],
)
def test_a_publish_key_is_asked_for(arguments: dict[str, str], code: str, tmp_path: Path) -> None:
    assert ask(gate_of(tmp_path, Keys(row()), publish="key"), **arguments) == code


@pytest.mark.parametrize(
    ("kept", "code"),
    [
        (row(stream="other"), "key_refused"),
        (row(revoked=5.0), "key_revoked"),
        (row(expires=5.0), "key_expired"),
        (row(expires=SOON), ""),
    ],
)
def test_a_key_counts_for_its_stream_until_it_expires_or_is_revoked(kept: Any, code: str, tmp_path: Path) -> None:
    assert ask(gate_of(tmp_path, Keys(kept), publish="key"), key=KEY) == code


@pytest.mark.parametrize(
    ("token", "code"),
    [
        (TOKEN, ""),
        (None, "token_missing"),
        ("1.x", "token_invalid"),
        (make_token(TOKEN_SECRET.encode(), DEMO, SOON), "token_refused"),  # one to play with
        (make_token(TOKEN_SECRET.encode(), StreamKey("other"), SOON, Purpose.PUBLISH), "token_refused"),
        (make_token(b"another secret", DEMO, SOON, Purpose.PUBLISH), "token_refused"),
        (make_token(TOKEN_SECRET.encode(), DEMO, 1_000_000_000, Purpose.PUBLISH), "token_expired"),
    ],
    ids=["good", "none", "junk", "to play", "of another stream", "of another secret", "expired"],
)
def test_a_token_is_asked_for(token: str | None, code: str, tmp_path: Path) -> None:
    arguments = {} if token is None else {"token": token}
    assert ask(gate_of(tmp_path, publish="token"), **arguments) == code


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"key": KEY}, ""),
        ({"token": TOKEN}, ""),
        ({}, "token_missing"),
        ({"key": OTHER_KEY, "token": TOKEN}, "key_refused"),
    ],
)
def test_either_may_be_enough(arguments: dict[str, str], code: str, tmp_path: Path) -> None:
    assert ask(gate_of(tmp_path, Keys(row()), publish="key_or_token"), **arguments) == code


def test_a_rule_asks_for_more_or_less_than_the_others(tmp_path: Path) -> None:
    settings = settings_with(tmp_path, publish="token").model_copy(
        update={"streams": (StreamRule(match="cam-*", publish="open"),)}
    )
    gate = PublishGate(settings, Keys().find)
    assert gate.admit is not None
    assert (ask(gate, "cam-1"), ask(gate, "demo")) == ("", "token_missing")


def test_no_refusal_and_no_log_line_shows_what_was_given(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    keys = Keys(row(revoked=5.0))
    gate = gate_of(tmp_path, keys, publish="key_or_token")
    caplog.set_level("DEBUG")
    for arguments in ({"key": KEY}, {"key": OTHER_KEY}, {"token": TOKEN[:-1] + "_"}, {"token": "hunter2"}):
        request = PublishRequest(key=DEMO, arguments=PublishArguments(arguments))
        said = f"{asyncio.run(gate.refusal(request))} {request!r} {keys.rows!r} {caplog.text}"
        assert not [secret for secret in arguments.values() if secret in said]
        assert KEY.partition("-")[2] not in said
    assert "Refused a publisher" in caplog.text


# ---- outages


@pytest.mark.parametrize(
    ("policy", "known", "stranger"), [("refuse", "x", "x"), ("known", "", "x"), ("accept", "", "")]
)
def test_what_happens_while_the_database_is_away_is_a_setting(
    policy: str, known: str, stranger: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keys = Keys(row(), row(OTHER_KEY))
    gate = gate_of(tmp_path, keys, publish="key", outage=policy)
    assert ask(gate, key=KEY) == ""
    keys.is_away = True
    away = {"x": "authorization_unavailable", "": ""}
    assert ask(gate, key=KEY) == away[known]
    assert ask(gate, key=OTHER_KEY) == away[stranger]
    assert ask(gate, key="no key at all") == "key_refused"
    assert f"access.outage: {policy}" in caplog.text


def test_who_was_revoked_or_has_expired_is_not_known_any_more(tmp_path: Path) -> None:
    keys = Keys(row())
    gate = gate_of(tmp_path, keys, publish="key")
    assert ask(gate, key=KEY) == ""
    keys.rows = {row().id: row(revoked=5.0)}
    assert ask(gate, key=KEY) == "key_revoked"
    keys.is_away = True
    assert ask(gate, key=KEY) == "authorization_unavailable"


def test_the_known_are_remembered_until_they_expire_and_only_so_many() -> None:
    known = KnownPublishers()
    old, new = PublishRequest(key=DEMO), PublishRequest(key=StreamKey("other"))
    known.add(old, UnixTime(5.0))
    assert not known.has(old)
    known.add(old, UnixTime(float("inf")))
    for number in range(MOST_KNOWN):
        known.add(PublishRequest(key=StreamKey(f"s{number}")), UnixTime(float("inf")))
    assert not known.has(old)
    assert not known.has(new)


# ---- the operator's own URL


def test_the_operator_is_asked_with_what_the_publisher_said(operator: AuthServer, tmp_path: Path) -> None:
    secret = "shared with the operator"
    gate = gate_of(tmp_path, publish="callback", callback_url=operator.url, callback_secret=secret)
    request = PublishRequest(
        key=DEMO, publisher="nginx:7@a", address="192.0.2.7", arguments=PublishArguments({"user": "u", "pass": "p"})
    )
    assert asyncio.run(gate.refusal(request)) is None
    gate.close()
    [(headers, body)] = operator.requests
    assert body == (
        b'{"action":"publish","stream_key":"demo","publisher":"nginx:7@a","address":"192.0.2.7",'
        b'"arguments":{"user":"u","pass":"p"}}'
    )
    assert headers["content-type"] == "application/json"
    signature = headers["x-streamkit-signature"]
    assert is_signed(secret.encode(), body, signature, UnixTime(time.time()), tolerance=Seconds(60))


@pytest.mark.parametrize(
    ("status", "code", "requests"),
    [
        (200, "", 1),
        (204, "", 1),
        (403, "publish_refused", 1),
        (404, "publish_refused", 1),
        (302, "authorization_unavailable", 3),
        (429, "authorization_unavailable", 3),
        (500, "authorization_unavailable", 3),
    ],
)
def test_2xx_lets_on_4xx_refuses_and_the_rest_is_asked_again(
    status: int, code: str, requests: int, operator: AuthServer, tmp_path: Path
) -> None:
    operator.answer = lambda _: status
    operator.headers = {"Location": operator.url.replace("/auth", "/elsewhere")}
    gate = gate_of(tmp_path, publish="callback", callback_url=operator.url, callback_retries=2)
    assert ask(gate) == code
    gate.close()
    assert len(operator.requests) == requests


def test_an_endless_answer_costs_nothing(operator: AuthServer, tmp_path: Path) -> None:
    operator.body = b"x" * 1_000_000
    operator.headers = {"Content-Length": "1000000000"}
    gate = gate_of(tmp_path, publish="callback", callback_url=operator.url)
    assert ask(gate) == ""
    gate.close()


def test_nobody_at_the_url_and_nobody_who_answers_are_outages(operator: AuthServer, tmp_path: Path) -> None:
    with auth_server() as gone:
        pass
    access: dict[str, Any] = {"publish": "callback", "callback_timeout": 0.1, "callback_retries": 1}
    gate = gate_of(tmp_path, callback_url=gone.url, **access)
    assert ask(gate) == "authorization_unavailable"
    gate.close()
    released = threading.Event()
    operator.answer = lambda _: 200 if released.wait(60) else 500
    gate = gate_of(tmp_path, callback_url=operator.url, **access)
    assert ask(gate) == "authorization_unavailable"
    gate.close()
    released.set()


def test_who_was_let_in_goes_on_while_the_operator_s_url_is_down(operator: AuthServer, tmp_path: Path) -> None:
    gate = gate_of(tmp_path, publish="callback", callback_url=operator.url, callback_retries=0)
    assert ask(gate, user="one") == ""
    operator.answer = lambda _: 503
    assert ask(gate, user="one") == ""
    assert ask(gate, user="two") == "authorization_unavailable"
    gate.close()


def test_who_was_refused_is_not_known_any_more(operator: AuthServer, tmp_path: Path) -> None:
    gate = gate_of(tmp_path, publish="callback", callback_url=operator.url, callback_retries=0)
    assert ask(gate, user="one") == ""
    operator.answer = lambda _: 403
    assert ask(gate, user="one") == "publish_refused"
    operator.answer = lambda _: 503
    assert ask(gate, user="one") == "authorization_unavailable"
    gate.close()


def test_another_address_is_another_publisher(operator: AuthServer, tmp_path: Path) -> None:
    gate = gate_of(tmp_path, publish="callback", callback_url=operator.url, callback_retries=0)
    here, there = (PublishRequest(key=DEMO, address=address) for address in ("192.0.2.7", "192.0.2.8"))
    assert asyncio.run(gate.refusal(here)) is None
    operator.answer = lambda _: 503
    assert asyncio.run(gate.refusal(here)) is None
    assert asyncio.run(gate.refusal(there)) is not None
    gate.close()


def test_asking_too_often_is_no_outage_that_lets_anybody_in(operator: AuthServer, tmp_path: Path) -> None:
    operator.answer = lambda _: 429
    gate = gate_of(tmp_path, publish="callback", callback_url=operator.url, callback_retries=0, outage="accept")
    assert ask(gate) == "authorization_unavailable"
    operator.answer = lambda _: 503
    assert ask(gate) == ""
    gate.close()


def test_more_publishers_than_can_wait_are_turned_away_at_once(operator: AuthServer, tmp_path: Path) -> None:
    released = threading.Event()
    operator.answer = lambda _: 200 if released.wait(60) else 500
    settings = settings_with(tmp_path, publish="callback", callback_url=operator.url, callback_timeout=5.0)
    callback = AuthCallback(settings.access)
    most = WORKERS + MOST_WAITING

    async def crowd() -> None:
        waiting = [asyncio.create_task(callback.may_publish(PublishRequest(key=DEMO))) for _ in range(most)]
        await asyncio.sleep(0)
        with pytest.raises(AuthorizationUnavailableError, match="too many"):
            await callback.may_publish(PublishRequest(key=DEMO))
        released.set()
        assert await asyncio.gather(*waiting) == [True] * most

    asyncio.run(crowd())
    callback.close()
