"""POST /events/published: what RTMP servers say -> the Supervisor -> an answer that lets the publisher on or not."""

from collections.abc import Mapping
from typing import Any

from sanic import HTTPResponse, Request

from streamkit.messages import PublishAnswer, PublishStream, UnpublishStream
from streamkit.publish_url import PublishRequest
from streamkit.types import Seconds
from streamkit.web.bridge import ask
from streamkit.web.deps import WebDeps
from streamkit.web.dialects import Dialect, EventAction, PublishEvent, parse_event
from streamkit.web.endpoints import Answer, Audience, Endpoint
from streamkit.web.problems import ApiError
from streamkit.web.responses import json_response
from streamkit.web.webhook_access import WebhookAccess

ASK_TIMEOUT = Seconds(2.0)
"""Publishers give up after about ten seconds of silence; a late acceptance would be worse than a refusal."""

REFUSALS: Mapping[str, tuple[int, dict[str, str]]] = {
    "busy": (409, {}),
    "ladder": (403, {}),
    "capacity": (429, {"Retry-After": "10"}),
    "stopping": (503, {"Retry-After": "10"}),
    "authorization_unavailable": (503, {"Retry-After": "2"}),
}
"""Codes of refusals -> status and headers, 403 for all others. 503 is no fault of the client."""


class EventsApi:
    """Webhooks of RTMP servers."""

    def __init__(self, deps: WebDeps) -> None:
        self._supervisor = deps.supervisor
        self._app = deps.settings.rtmp.app
        self._gate = deps.gate
        self._access = WebhookAccess(deps.settings)

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoint for all dialects."""
        refused = Answer(description="Refused: the RTMP server turns the publisher away.", schema="Error")
        answers = {200: Answer(description="Accepted, or needs nothing.", schema="EventAnswer")}
        answers |= dict.fromkeys((400, 403, 409, 422, 429, 503), refused)
        return [
            Endpoint(
                path="/events/published",
                methods=("POST", "GET"),
                handler=self.receive,
                audience=Audience.RTMP_SERVERS,
                operation="event",
                tag="events",
                summary="A publisher came or went",
                description=(
                    "Understands StreamKit's own JSON, nginx-rtmp's form (POST, and GET by `notify_method get`), SRS's "
                    "JSON and MediaMTX's authentication callback and hooks. Repeats are harmless. The answer "
                    "names the ladder; a publisher may ask for one of `selectable_ladders` by the argument `ladder` of "
                    "its URL or the field of that name. 403: it may not; 409: somebody else "
                    "has the key; 422: a wrong field; 429: no capacity; 503: the service stops or is overloaded."
                ),
                request_body=_REQUEST_BODY,
                answers=answers,
                has_head=False,
                cross_origin=False,  # no web page may publish in its visitor's name
            )
        ]

    async def receive(self, request: Request) -> HTTPResponse:
        """Answer 200 when the event was accepted, is a repeat, or needs nothing; else the reason as JSON."""
        self._access.check(request)
        event = parse_event(
            request.headers.get("content-type", ""), request.body, request.query_string, request.method, app=self._app
        )
        if event.action is EventAction.PUBLISH:
            return await self._publish(event)
        if event.action is EventAction.UNPUBLISH:
            return await self._unpublish(event)
        return _answer(event, "ignored")

    async def _publish(self, event: PublishEvent) -> HTTPResponse:
        answer: PublishAnswer | None
        assert event.key is not None  # noqa: S101 - only OTHER comes without a key
        answer = await self._gate.refusal(
            PublishRequest(key=event.key, publisher=event.publisher, address=event.address, arguments=event.arguments)
        )
        if answer is None:
            message = PublishStream(key=event.key, publisher=event.publisher, at=event.at, ladder=event.ladder)
            answer = await ask(self._supervisor, message, timeout=ASK_TIMEOUT)
        if answer.refused is None:
            return _answer(event, "accepted", answer.ladder)
        status, headers = REFUSALS.get(answer.code, (403, {}))
        raise ApiError(status, answer.code, answer.refused, headers=headers)

    async def _unpublish(self, event: PublishEvent) -> HTTPResponse:
        assert event.key is not None  # noqa: S101 - only OTHER comes without a key
        message = UnpublishStream(key=event.key, publisher=event.publisher, at=event.at)
        mattered: bool = await ask(self._supervisor, message, timeout=ASK_TIMEOUT)
        return _answer(event, "ended" if mattered else "ignored")


def _answer(event: PublishEvent, status: str, ladder: str = "") -> HTTPResponse:
    body: dict[str, Any] = {"status": status}
    if event.key is not None:
        body["stream_key"] = event.key
    if ladder:
        body["ladder"] = ladder
    if event.dialect is Dialect.SRS:
        body["code"] = 0  # SRS takes anything else for a refusal
    return json_response(body)


_FORM = "application/x-www-form-urlencoded"
_REQUEST_BODY: Mapping[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {"$ref": "#/components/schemas/Event"},
            "examples": {
                "publish": {"value": {"stream_key": "demo", "action": "publish", "timestamp": 1790000000}},
                "srs": {"value": {"action": "on_publish", "client_id": "9308h583", "app": "live", "stream": "demo"}},
                "mediamtx": {"value": {"action": "publish", "path": "live/demo", "protocol": "rtmp", "id": "b2c7"}},
            },
        },
        _FORM: {
            "schema": {"type": "object"},
            "examples": {"nginx": {"value": {"call": "publish", "name": "demo", "clientid": "7", "addr": "192.0.2.7"}}},
        },
    },
}
