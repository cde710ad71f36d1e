import pytest
from fakes.front_end import FrontEnd

from streamkit.messages import PublishAnswer, PublishStream, UnpublishStream
from streamkit.types import Seconds, StreamKey
from streamkit.web import events

PATH = "/events/published"
KEY = StreamKey("demo")


def post_json(front: FrontEnd, **fields: object) -> tuple[int, dict[str, object]]:
    answer = front.client.post(PATH, json=fields)
    return answer.status_code, answer.json()


def test_a_publish_is_answered_when_the_supervisor_accepted_it(front: FrontEnd) -> None:
    answered = post_json(front, stream_key="demo", action="publish", timestamp=1790000000)
    assert answered == (200, {"status": "accepted", "stream_key": "demo"})
    assert front.told_supervisor == [PublishStream(key=KEY, publisher=None, at=1790000000.0)]


def test_an_unpublish_says_whether_it_mattered(front: FrontEnd) -> None:
    assert post_json(front, stream_key="demo", action="unpublish")[1]["status"] == "ended"
    front.supervisor_answers[UnpublishStream] = False
    assert post_json(front, stream_key="demo", action="unpublish") == (200, {"status": "ignored", "stream_key": "demo"})


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_nginx_publish_and_its_end_carry_the_same_publisher(front: FrontEnd, method: str) -> None:
    for call in ("publish", "publish_done"):
        fields = {"app": "live", "addr": "127.0.0.1", "clientid": "7", "call": call, "name": "demo", "type": "live"}
        options = {"data": fields} if method == "POST" else {"params": fields}
        assert front.client.request(method, PATH, **options).status_code == 200  # type: ignore[arg-type]
    publish, unpublish = front.told_supervisor
    assert publish == PublishStream(key=KEY, publisher="nginx:7@127.0.0.1")
    assert unpublish == UnpublishStream(key=KEY, publisher="nginx:7@127.0.0.1")


def test_srs_is_answered_code_zero_also_for_what_needs_nothing(front: FrontEnd) -> None:
    fields = {"client_id": "9308h583", "vhost": "v", "app": "live", "stream": "demo"}
    for action in ("on_publish", "on_unpublish", "on_play", "on_connect"):
        status, body = post_json(front, action=action, **fields)
        assert (status, body["code"]) == (200, 0)
    assert [type(message) for message in front.told_supervisor] == [PublishStream, UnpublishStream]


def test_mediamtx_is_answered_also_for_its_own_readers(front: FrontEnd) -> None:
    fields = {"user": "", "password": "", "ip": "::1", "protocol": "rtmp", "id": "b2c7", "query": ""}
    assert post_json(front, action="publish", path="live/demo", **fields)[0] == 200
    assert post_json(front, action="read", path="live/demo", **fields) == (200, {"status": "ignored"})
    assert front.told_supervisor == [PublishStream(key=KEY, publisher="mediamtx:b2c7")]


@pytest.mark.parametrize(
    ("options", "key"),
    [
        pytest.param({"json": {"stream_key": "demo", "action": "publish", "ladder": "mobile"}}, KEY, id="StreamKit"),
        pytest.param({"data": {"call": "publish", "name": "demo", "ladder": "mobile", "token": "x"}}, KEY, id="nginx"),
        pytest.param(
            {"json": {"action": "on_publish", "stream": "demo", "param": "?token=x&ladder=mobile"}}, KEY, id="SRS"
        ),
        pytest.param(
            {"json": {"action": "publish", "path": "live/demo", "query": "ladder=mobile&token=x"}}, KEY, id="MediaMTX"
        ),
    ],
)
def test_the_ladder_in_a_publish_url_is_asked_for_and_answered(
    front: FrontEnd, options: dict[str, object], key: StreamKey
) -> None:
    front.supervisor_answers[PublishStream] = PublishAnswer(ladder="mobile")
    answer = front.client.post(PATH, **options)  # type: ignore[arg-type]
    assert (answer.status_code, answer.json()["ladder"]) == (200, "mobile")
    [told] = front.told_supervisor
    assert (told.key, told.ladder) == (key, "mobile")  # type: ignore[attr-defined]


@pytest.mark.parametrize("param", ["", "?", "?token=x", "?ladder=", "?" + "a=1&" * 200])
def test_arguments_without_a_ladder_leave_it_to_the_configuration(front: FrontEnd, param: str) -> None:
    assert post_json(front, action="on_publish", client_id="1", stream="demo", param=param)[0] == 200
    assert front.told_supervisor == [PublishStream(key=KEY, publisher="srs:1")]


@pytest.mark.parametrize(
    ("code", "status"), [("ladder", 403), ("busy", 409), ("capacity", 429), ("stopping", 503), ("unheard-of", 403)]
)
def test_a_refusal_rejects_the_publisher_with_the_reason(front: FrontEnd, code: str, status: int) -> None:
    front.supervisor_answers[PublishStream] = PublishAnswer(code=code, refused="there is a reason")
    answered = post_json(front, action="on_publish", client_id="1", stream="demo")
    assert answered == (status, {"error": {"code": code, "message": "there is a reason"}})


def test_a_wrong_key_is_refused_before_the_supervisor_hears_of_it(front: FrontEnd) -> None:
    status, body = post_json(front, stream_key="../etc/passwd", action="publish")
    assert status == 422
    assert body["error"]["code"] == "invalid_stream_key"  # type: ignore[index]
    assert front.told_supervisor == []


def test_a_supervisor_that_stopped_is_503_with_retry_after(front: FrontEnd) -> None:
    front.supervisor.stop()
    answer = front.client.post(PATH, json={"stream_key": "demo", "action": "publish"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
    assert int(answer.headers["retry-after"]) > 0


def test_a_supervisor_that_is_too_slow_is_503(front: FrontEnd, monkeypatch: pytest.MonkeyPatch) -> None:
    import concurrent.futures

    monkeypatch.setattr(events, "ASK_TIMEOUT", Seconds(0.05))
    front.supervisor_answers[PublishStream] = concurrent.futures.Future()
    assert post_json(front, stream_key="demo", action="publish")[0] == 503


def test_a_supervisor_that_fails_unexpectedly_is_500_with_a_reference_and_no_detail(
    front: FrontEnd, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("password=hunter2")

    front.supervisor_answers[PublishStream] = fail
    status, body = post_json(front, stream_key="demo", action="publish")
    message = body["error"]["message"]  # type: ignore[index]
    assert status == 500
    assert "hunter2" not in message
    reference = message.rsplit(" ", 1)[1].rstrip(".")
    assert any(reference in record.getMessage() and record.exc_info for record in caplog.records)
