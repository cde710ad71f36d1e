import json
from typing import Any

import pytest

from streamkit.errors import InvalidStreamKeyError
from streamkit.web.dialects import Dialect, EventAction, PublishEvent, parse_event, parse_timestamp
from streamkit.web.problems import ApiError

FORM = "application/x-www-form-urlencoded"
NGINX = (
    "app=live&flashver=FMLE/3.0%20(compatible;%20FM&swfurl=&tcurl=rtmp://127.0.0.1/live&pageurl=&addr=127.0.0.1"
    "&clientid=7&call={call}&name={name}&type=live"
)


def from_json(document: Any, **options: str) -> PublishEvent:
    return parse_event("application/json", json.dumps(document).encode(), "", "POST", **options)


def from_form(text: str) -> PublishEvent:
    return parse_event(FORM, text.encode(), "", "POST")


def test_own_json_is_understood() -> None:
    event = from_json({"stream_key": "demo", "action": "publish", "timestamp": 1790000000})
    assert event == PublishEvent(
        action=EventAction.PUBLISH, dialect=Dialect.GENERIC, key="demo", publisher=None, at=1790000000
    )
    assert from_json({"stream_key": "demo", "action": "unpublish"}).action is EventAction.UNPUBLISH


def test_json_that_curl_sent_as_a_form_is_understood() -> None:
    event = parse_event(FORM, b' {"stream_key":"demo","action":"publish"}', "", "POST")
    assert event.key == "demo"


@pytest.mark.parametrize(
    ("call", "action"), [("publish", EventAction.PUBLISH), ("publish_done", EventAction.UNPUBLISH)]
)
def test_nginx_publish_and_publish_done_name_the_same_publisher(call: str, action: EventAction) -> None:
    event = from_form(NGINX.format(call=call, name="demo") + "&token=secret")
    expected = PublishEvent(action=action, dialect=Dialect.NGINX, key="demo", publisher="nginx:7@127.0.0.1")
    assert event == expected
    assert parse_event("", b"", NGINX.format(call=call, name="demo"), "GET") == expected


@pytest.mark.parametrize(
    "call", ["play", "play_done", "done", "update_publish", "update_play", "connect", "record_done"]
)
def test_other_nginx_events_need_nothing_whatever_their_name_is(call: str) -> None:
    assert from_form(NGINX.format(call=call, name="../etc")).action is EventAction.OTHER


@pytest.mark.parametrize(
    "text",
    [
        NGINX.format(call="publish", name="demo") + "&name=victim",
        NGINX.format(call="publish", name="demo") + "&call=publish_done",
        NGINX.format(call="publish", name="demo") + "&clientid=8",
        "call=publish_done&name=victim&" + NGINX.format(call="publish", name="demo"),
    ],
)
def test_a_publisher_cannot_pass_for_another_with_url_arguments(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        from_form(text)
    assert (caught.value.status, caught.value.code) == (422, "repeated_field")


def test_srs_publish_and_unpublish_name_the_same_publisher() -> None:
    fields = {
        "client_id": "9308h583",
        "vhost": "__defaultVhost__",
        "app": "live",
        "stream": "demo",
        "param": "?token=x",
    }
    publish = from_json({"action": "on_publish", **fields})
    assert publish == PublishEvent(
        action=EventAction.PUBLISH, dialect=Dialect.SRS, key="demo", publisher="srs:9308h583"
    )
    assert from_json({"action": "on_unpublish", **fields}).publisher == publish.publisher
    assert from_json({"action": "on_publish", **fields, "client_id": 1985}).publisher == "srs:1985"
    assert from_json({"action": "on_play", **fields}).action is EventAction.OTHER


def test_mediamtx_authentication_callback_is_understood() -> None:
    fields = {"user": "", "password": "", "ip": "127.0.0.1", "protocol": "rtmp", "id": "b2c7", "query": ""}
    event = from_json({**fields, "action": "publish", "path": "live/demo"})
    assert event == PublishEvent(
        action=EventAction.PUBLISH, dialect=Dialect.MEDIAMTX, key="demo", publisher="mediamtx:b2c7"
    )
    assert from_json({**fields, "action": "publish", "path": "in/demo"}, app="in").key == "demo"
    assert from_json({**fields, "action": "read", "path": "live/demo"}).action is EventAction.OTHER


def test_mediamtx_hooks_by_curl_name_the_same_publisher() -> None:
    ready = from_form("action=publish&path=live/demo&id=b2c7")
    gone = from_form("action=unpublish&path=live/demo&id=b2c7")
    assert (ready.action, ready.key) == (EventAction.PUBLISH, "demo")
    assert (gone.action, gone.publisher) == (EventAction.UNPUBLISH, ready.publisher)


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ([], "wrong_type"),
        ("publish", "wrong_type"),
        (None, "wrong_type"),
        ({}, "missing_field"),
        ({"action": "publish"}, "missing_field"),
        ({"stream_key": "demo"}, "missing_field"),
        ({"stream_key": "demo", "action": "start"}, "unknown_action"),
        ({"stream_key": "demo", "action": ["publish"]}, "wrong_type"),
        ({"stream_key": "demo", "action": "publish", "timestamp": "yesterday"}, "bad_timestamp"),
        ({"action": "on_publish", "client_id": "1"}, "missing_field"),
        ({"action": "on_publish", "client_id": {"a": 1}, "stream": "demo"}, "wrong_type"),
        ({"action": "on_publish", "client_id": "a\nb", "stream": "demo"}, "wrong_type"),
        ({"action": "publish", "path": 7}, "wrong_type"),
        ({"call": "rm", "name": "demo"}, "unknown_action"),
    ],
)
def test_a_wrong_field_is_422_and_says_which(document: Any, code: str) -> None:
    with pytest.raises(ApiError) as caught:
        from_json(document)
    assert (caught.value.status, caught.value.code) == (422, code)


@pytest.mark.parametrize(
    "key", ["", "-x", "a/b", "..", "a b", "é", "a" * 65, "%d", "a\x00", None, 7, ["demo"], {"a": 1}]
)
def test_a_wrong_stream_key_is_refused_in_every_dialect(key: Any) -> None:
    for document in ({"stream_key": key, "action": "publish"}, {"action": "on_publish", "stream": key}):
        with pytest.raises(InvalidStreamKeyError):
            from_json(document)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[1,",
        b'{"stream_key":NaN,"action":"publish"}',
        b'{"a":' + b"[" * 30000 + b"}",
        b'{"a":' + b"9" * 10000 + b"}",
        b"\xff\xfe{\x00",
    ],
)
def test_a_body_that_is_not_json_is_400(body: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        parse_event("application/json", body, "", "POST")
    assert caught.value.status == 400


def test_a_json_key_given_twice_is_refused() -> None:
    with pytest.raises(ApiError, match="stream_key"):
        parse_event("application/json", b'{"stream_key":"a","stream_key":"b","action":"publish"}', "", "POST")


@pytest.mark.parametrize("text", ["", "&&&", "&".join(f"f{n}=1" for n in range(200))])
def test_a_form_without_fields_or_with_too_many_is_400(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        from_form(text)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (None, None),
        ("", None),
        (0, 0),
        (1790000000, 1790000000),
        (1790000000.5, 1790000000.5),
        (1790000000500, 1790000000.5),
        ("1790000000", 1790000000),
        ("2026-11-22T15:36:00Z", 1795361760),
        ("2026-11-22T16:36:00+01:00", 1795361760),
        ("2026-11-22T15:36:00", 1795361760),
        ("2026-11-22T15:36:00.250Z", 1795361760.25),
    ],
)
def test_a_timestamp_is_seconds_milliseconds_or_iso_8601(given: Any, seconds: float | None) -> None:
    assert parse_timestamp(given) == seconds


@pytest.mark.parametrize(
    "given",
    [-1, True, [], {}, "soon", "2026-13-01", 1e300, 10**400, float("inf"), "9" * 400, "٣", "2026-11-22T99:00:00Z"],
)
def test_any_other_timestamp_is_422(given: Any) -> None:
    with pytest.raises(ApiError) as caught:
        parse_timestamp(given)
    assert caught.value.status == 422


def test_a_key_that_is_no_text_is_not_called_by_the_name_of_its_type() -> None:
    with pytest.raises(InvalidStreamKeyError, match="stream_key that is no text is not valid") as refused:
        parse_event("application/json", b'{"stream_key":1,"action":"publish"}', "", "POST")
    assert "int" not in str(refused.value).partition(":")[0]
