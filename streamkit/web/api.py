"""Health, statistics, streams and manifests as JSON. Live facts come from the board, history from the database."""

import asyncio
import time
from typing import Any

from sanic import HTTPResponse, Request

from streamkit import __version__
from streamkit.database.rows import Page, SegmentRow, SessionRow, StreamCounts, StreamRow
from streamkit.errors import ActorUnavailableError, DatabaseUnavailableError
from streamkit.messages import CountStreams, FindStream, ListSegments, ListSessions, ListStreams, Message
from streamkit.types import Seconds, UnixTime
from streamkit.web.access import PlayerAccess
from streamkit.web.bridge import ask
from streamkit.web.deps import WebDeps
from streamkit.web.errors import not_found
from streamkit.web.params import path_key, query_key, query_page, query_rendition
from streamkit.web.readiness import Readiness
from streamkit.web.responses import iso_time, json_response
from streamkit.web.views import live_view, manifest_view, page_view, playlist_path, session_view, stream_view

DATABASE_TIMEOUT = Seconds(3.0)
COUNT_TIMEOUT = Seconds(1.0)
"""/stats is polled, and says more without the database than it would too late."""
MANIFEST_LIMIT = 43_200
"""Segments of a manifest: a day of two-second ones."""


class Api:
    """What dashboards and probes read."""

    def __init__(self, deps: WebDeps, access: PlayerAccess) -> None:
        self._deps = deps
        self._access = access
        self._readiness = Readiness(deps)
        self._started = time.monotonic()

    # ---- health

    async def health(self, _request: Request) -> HTTPResponse:
        """Answer 200 while the process serves at all."""
        uptime = round(time.monotonic() - self._started, 3)
        return json_response({"status": "ok", "version": __version__, "uptime": uptime})

    async def ready(self, _request: Request) -> HTTPResponse:
        """Answer 200 for 'ok' and 'degraded', 503 for 'down'."""
        report = await self._readiness.report()
        return json_response(report, 503 if report["status"] == "down" else 200)

    # ---- streams

    async def stats(self, _request: Request) -> HTTPResponse:
        """Answer with the counts and every live stream; without the database the totals are null, and why."""
        now = UnixTime(time.time())
        live = sorted((s for s in self._deps.board.all() if s.state.is_active), key=lambda s: s.key)
        body: dict[str, Any] = {
            "time": iso_time(now),
            "total_streams": None,
            "active_streams": len(live),
            "inactive_streams": None,
            "error_streams": None,
            "note": None,
        }
        try:
            counts: StreamCounts = await ask(self._deps.database, CountStreams(), timeout=COUNT_TIMEOUT)
        except (ActorUnavailableError, DatabaseUnavailableError):
            body["note"] = "The database cannot be reached now: the totals are unknown, the live streams are not."
        else:
            body |= {
                "total_streams": counts.total,
                "active_streams": counts.active,
                "inactive_streams": counts.inactive,
                "error_streams": counts.failed,
            }
        spool = self._deps.spool.counts
        body |= {"spool_segments": spool.segments, "spool_bytes": spool.bytes, "spool_given_up": spool.given_up}
        body["streams"] = [live_view(snapshot, now) for snapshot in live]
        return json_response(body)

    async def streams(self, request: Request) -> HTTPResponse:
        """Answer with a page of all streams, newest publish first."""
        return await self._stream_page(request, active_only=False)

    async def active_streams(self, request: Request) -> HTTPResponse:
        """Answer with a page of the active streams."""
        return await self._stream_page(request, active_only=True)

    async def stream(self, request: Request, stream_key: str) -> HTTPResponse:
        """Answer with one stream and a page of its sessions."""
        key = path_key(stream_key)
        offset, limit = query_page(request)
        row: StreamRow | None
        sessions: Page[SessionRow]
        row, sessions = await asyncio.gather(
            self._ask(FindStream(key=key)), self._ask(ListSessions(key=key, offset=offset, limit=limit))
        )
        snapshot = self._deps.board.get(key)
        if row is None and snapshot is None:
            raise not_found(f"There is no stream {key}.")
        items = [session_view(session) for session in sessions.items]
        body = stream_view(key, row, snapshot, UnixTime(time.time()))
        return json_response(
            {**body, "playlist_url": playlist_path(key), "sessions": page_view(sessions, "items", items)}
        )

    async def manifest(self, request: Request) -> HTTPResponse:
        """Answer with the stored segments of the newest session."""
        key, rendition = query_key(request), query_rendition(request)
        if self._deps.settings.needs_token_to_play(key):
            await self._access.check(request, key)
        message = ListSegments(key=key, rendition=rendition, limit=MANIFEST_LIMIT)
        rows: tuple[SegmentRow, ...] = await self._ask(message)
        if not rows and self._deps.board.get(key) is None and await self._ask(FindStream(key=key)) is None:
            raise not_found(f"There is no stream {key}.")
        if not rows and rendition is not None:
            raise not_found(f"Stream {key} has no segments of a rendition {rendition}.")
        base = self._deps.settings.hls.cdn_base_url.rstrip("/")
        return json_response(manifest_view(key, rows, base=base, truncated=len(rows) >= MANIFEST_LIMIT))

    async def _stream_page(self, request: Request, *, active_only: bool) -> HTTPResponse:
        offset, limit = query_page(request)
        page: Page[StreamRow] = await self._ask(ListStreams(offset=offset, limit=limit, active_only=active_only))
        now = UnixTime(time.time())
        items = [stream_view(row.stream_key, row, self._deps.board.get(row.stream_key), now) for row in page.items]
        return json_response(page_view(page, "streams", items))

    async def _ask(self, message: Message) -> Any:
        try:
            return await ask(self._deps.database, message, timeout=DATABASE_TIMEOUT)
        except ActorUnavailableError as error:
            raise DatabaseUnavailableError(str(error)) from error
