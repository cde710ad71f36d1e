"""The HTTP front end: everything it serves, put together. The composition root runs it, in one process."""

import asyncio
from typing import Any

from sanic import Request, Sanic

from streamkit.web.access import TokenAccess
from streamkit.web.api import Api
from streamkit.web.api_table import api_endpoints, clip_endpoints
from streamkit.web.clips import ClipsApi
from streamkit.web.cors import Origins
from streamkit.web.deps import WebDeps
from streamkit.web.endpoints import register
from streamkit.web.errors import JsonErrorHandler
from streamkit.web.events import EventsApi
from streamkit.web.guards import Guards
from streamkit.web.hls import HlsApi
from streamkit.web.keys import KeysApi
from streamkit.web.login import LoginPages
from streamkit.web.media import Media
from streamkit.web.openapi import document
from streamkit.web.page import Pages
from streamkit.web.stats_feed import StatsFeed
from streamkit.web.watchers import WatchApi

CONFIG: dict[str, Any] = {
    "ACCESS_LOG": False,
    "REQUEST_MAX_SIZE": 64 * 1024,  # bytes of a body: an event has a few hundred
    "REQUEST_MAX_HEADER_SIZE": 16 * 1024,
    "REQUEST_TIMEOUT": 10,  # seconds to send the whole request
    "RESPONSE_TIMEOUT": 120,  # seconds for the whole answer: a long segment over a thin line
    "KEEP_ALIVE_TIMEOUT": 30,  # seconds between two requests: longer than any segment
    "FALLBACK_ERROR_FORMAT": "json",
}


class ParsedRequest(Request):
    """Sanic answers a URL that it cannot parse with a request of method NONE and the same URL, which fails again."""

    def __init__(self, url_bytes: bytes, headers: Any, version: str, method: str, *args: Any, **others: Any) -> None:
        super().__init__(b"*" if method == "NONE" else url_bytes, headers, version, method, *args, **others)


def create_app(deps: WebDeps) -> Sanic[Any, Any]:
    """Return the application. It creates no actor, store or connection; its threads end with the server."""
    app: Sanic[Any, Any] = Sanic(
        "streamkit", configure_logging=False, error_handler=JsonErrorHandler(), request_class=ParsedRequest
    )
    app.config.update(CONFIG)
    access = deps.access or TokenAccess(deps.settings)
    media = Media(deps.settings, deps.board, deps.store)
    clips = ClipsApi(deps)
    pages = Pages(deps)
    feed = StatsFeed(deps)
    endpoints = [
        *EventsApi(deps).endpoints(),
        *HlsApi(deps, media, access).endpoints(),
        *KeysApi(deps, access).endpoints(),
        *api_endpoints(Api(deps, access)),
        *clip_endpoints(clips),
        *WatchApi(feed).endpoints(),
        *LoginPages(deps).endpoints(),
        *pages.endpoints(),
    ]
    register(app, endpoints)
    pages.set_document(document(endpoints))
    guards = Guards(deps.settings)
    if guards.ask_anything:
        app.register_middleware(guards.check, "request")
    app.register_middleware(Origins(deps.settings.server.cors_origins).mark, "response")

    async def close_pools(_app: Sanic[Any, Any]) -> None:
        await asyncio.to_thread(media.close)
        await asyncio.to_thread(clips.close)

    async def let_watchers_go(_app: Sanic[Any, Any]) -> None:
        feed.close()

    app.register_listener(let_watchers_go, "before_server_stop")
    app.register_listener(close_pools, "after_server_stop")
    return app
