"""GET /stats/events: a connection for each of those who watch the statistics."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from typing import Any

from sanic import HTTPResponse, Request

from streamkit.types import Seconds
from streamkit.web.endpoints import Answer, Endpoint
from streamkit.web.problems import ApiError
from streamkit.web.stats_feed import Frame, StatsFeed

MOST_WATCHERS = 64
HEARTBEAT = Seconds(15.0)
"""Without anything to tell a comment is sent, so that proxies keep the connection, and a dead one is noticed."""
SEND_TIMEOUT = Seconds(30.0)
"""For a watcher that takes nothing; what it misses meanwhile is not kept."""
LIFETIME = Seconds(3600.0)
"""Then it has to come back, as browsers do by themselves, and show again who it is."""
_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}
_TYPE = "text/event-stream; charset=utf-8"


class WatchApi:
    """Sends each watcher what changed since it was last sent something: one that is slow sees fewer moments."""

    def __init__(self, feed: StatsFeed) -> None:
        self._feed = feed

    def endpoints(self) -> list[Endpoint]:
        """Return the one endpoint."""
        return [
            Endpoint(
                path="/stats/events",
                handler=self.watch,
                operation="watch",
                tag="service",
                summary="The live streams and the machine, as server-sent events",
                description=(
                    "First 'all' with every stream, then 'stream' with one that changed, 'gone' with the key of one "
                    "that is over, and 'service' with the machine and its limits; once a second at most. At most "
                    f"{MOST_WATCHERS} may watch at a time. The connection ends after an hour: come back."
                ),
                answers={
                    200: Answer(description="Events, for as long as you stay.", media_type="text/event-stream"),
                    406: Answer(
                        description="Without 'Accept: text/event-stream', as EventSource sends.", schema="Error"
                    ),
                    503: Answer(description="Too many watch, or the service stops; see Retry-After.", schema="Error"),
                },
                cross_origin=False,
            )
        ]

    async def watch(self, request: Request) -> HTTPResponse | None:
        """Answer with events until the client leaves, is too slow, or an hour is over."""
        if request.method == "HEAD":
            return HTTPResponse(status=200, headers=_HEADERS, content_type=_TYPE)
        if "text/event-stream" not in request.headers.get("accept", ""):  # who takes anything would wait for the end
            raise ApiError(406, "not_acceptable", "These are events without an end: Accept: text/event-stream.")
        if self._feed.is_closed or self._feed.watchers >= MOST_WATCHERS:
            message = f"{MOST_WATCHERS} watch already, which is the most; or the service stops."
            raise ApiError(503, "too_many_watchers", message, headers={"Retry-After": "5"})
        async with self._feed.watching():
            response = await request.respond(content_type=_TYPE, headers=_HEADERS)
            try:
                async with contextlib.aclosing(self._texts()) as texts:
                    async for text in texts:
                        async with asyncio.timeout(SEND_TIMEOUT):
                            await response.send(text)
            except TimeoutError:
                _abort(request)
        return None

    async def _texts(self) -> AsyncGenerator[str, None]:
        """Yield what to send next; the whole of what is due in one text, and a comment when nothing is."""
        frame: Frame | None = None
        until = time.monotonic() + LIFETIME
        yield "retry: 2000\n\n"
        while time.monotonic() < until and not self._feed.is_closed:
            try:
                async with asyncio.timeout(HEARTBEAT):
                    newest = await self._feed.next_frame(frame)
            except TimeoutError:
                yield ": still here\n\n"
            else:
                yield newest.events_since(frame) or ": nothing new\n\n"
                frame = newest


def _abort(request: Request) -> None:
    """Close the connection without waiting for what the client does not take."""
    transport: Any = request.transport
    transport.abort()
