"""Clips: a time range of a broadcast as playlists of its own, over the same segments.

The range is trimmed to what the store has. A clip's row is written before its playlists are, and goes after them:
retention leaves alone whatever a row needs, and no playlist is there that no row knows.
"""

import time
from functools import partial
from typing import Any

from sanic import HTTPResponse, Request

from streamkit.database.rows import ClipRow, Page, SessionRow
from streamkit.errors import ActorUnavailableError, DatabaseUnavailableError, ObjectNotFoundError
from streamkit.hls.clip import Available, Cut, clip_files, clip_id_of, clip_playlists, cut_texts, media_names
from streamkit.hls.names import (
    cache_control,
    clip_media_name,
    clip_multivariant_name,
    content_type,
    object_name,
    parse_clip_id,
    vod_multivariant_name,
)
from streamkit.messages import BeginClip, CutClip, DeleteClip, FindClip, FindStream, FinishClip, ListClips, ListSessions
from streamkit.storage.base import ObjectStore
from streamkit.types import ClipId, Seconds, SessionId, StreamKey, UnixTime
from streamkit.web.bridge import ask
from streamkit.web.cache import BlockingPool
from streamkit.web.clip_requests import ClipRequest, parse_clip_request
from streamkit.web.deps import WebDeps
from streamkit.web.errors import not_found
from streamkit.web.params import path_key, query_page
from streamkit.web.problems import ApiError
from streamkit.web.responses import iso_time, json_response
from streamkit.web.views import page_view

ASK_TIMEOUT = Seconds(3.0)
CUT_TIMEOUT = Seconds(5.0)  # the StreamActor may be busy with a broadcast of many hours
WORKERS, MAX_WAITING = 2, 16  # blocking work: a cut of a whole day takes a second
MOST_SESSIONS = 5  # that are looked at when none is named
SLACK = Seconds(60.0)  # a row's times are the publish's, the media's come a little later


class ClipsApi:
    """POST, GET and DELETE of clips."""

    def __init__(self, deps: WebDeps) -> None:
        self._deps = deps
        self._store = deps.store
        self._hold = Seconds(deps.settings.retention.grace)
        self._pool = BlockingPool("web-clips", workers=WORKERS, waiting=MAX_WAITING)

    async def clips(self, request: Request, stream_key: str) -> HTTPResponse:
        """List the stream's clips, or make one."""
        key = path_key(stream_key)
        if request.method == "POST":
            return await self._create(key, parse_clip_request(request.headers.get("content-type", ""), request.body))
        offset, limit = query_page(request)
        page: Page[ClipRow] = await self._ask(ListClips(key=key, offset=offset, limit=limit))
        if not page.total:
            await self._require_stream(key)
        return json_response(page_view(page, "clips", [clip_view(row) for row in page.items]))

    async def clip(self, request: Request, stream_key: str, clip: str) -> HTTPResponse:
        """Answer with one clip, or delete it."""
        key = path_key(stream_key)
        clip_id = parse_clip_id(clip)
        row: ClipRow | None = None if clip_id is None else await self._ask(FindClip(key=key, clip=clip_id))
        if row is None or (request.method != "DELETE" and row.state != "ready"):
            raise not_found(f"Stream {key} has no such clip.")
        if request.method != "DELETE":
            return json_response(clip_view(row))
        await self._pool.run(
            partial(self._store.remove, [object_name(key, name) for name in clip_playlists(row.clip, row.renditions)])
        )
        hold = row.ends_at - row.starts_at + self._hold  # RFC 8216 6.2.2: who plays it may go on to its end
        await self._ask(DeleteClip(key=key, clip=row.clip, remove_after=UnixTime(time.time() + hold)))
        return HTTPResponse(status=204, headers={"cache-control": "no-store"})

    def close(self) -> None:
        """End the threads; blocks until the last call ended."""
        self._pool.close()

    # ---- making one

    async def _create(self, key: StreamKey, wanted: ClipRequest) -> HTTPResponse:
        await self._require_stream(key)
        cut = await self._cut(key, wanted)
        clip = clip_id_of(key, cut, wanted.name)
        row: ClipRow | None = await self._ask(_begin(key, clip, cut, wanted.name))
        if row is None:
            raise ApiError(409, "session_gone", f"The session {cut.session} is not kept any more.")
        is_new = row.state != "ready"
        if is_new:
            await self._pool.run(partial(put_files, self._store, key, clip_files(clip, cut)))
            await self._ask(FinishClip(key=key, clip=clip))
        return json_response(clip_view(row), 201 if is_new else 200, {"location": f"/streams/{key}/clips/{clip}"})

    async def _cut(self, key: StreamKey, wanted: ClipRequest) -> Cut:
        message = CutClip(key=key, session=wanted.session, span=wanted.span)
        found: Cut | Available | None = await ask(self._deps.supervisor, message, timeout=CUT_TIMEOUT)
        best = found if isinstance(found, Available) else None
        for session in [] if isinstance(found, Cut) else await self._stored_sessions(key, wanted):
            if best is not None and session == best.session:
                continue
            found = await self._pool.run(partial(cut_stored, self._store, key, session, wanted.span))
            if isinstance(found, Cut):
                break
            best = best or found
        if isinstance(found, Cut):
            return found
        raise _nothing(wanted, best)

    async def _stored_sessions(self, key: StreamKey, wanted: ClipRequest) -> list[SessionId]:
        """Return the sessions that may have the range, newest first."""
        page: Page[SessionRow] = await self._ask(ListSessions(key=key, offset=0, limit=500))
        if wanted.session is not None:
            return [row.session for row in page.items if row.session == wanted.session]
        ended = [row for row in page.items if row.ended_at is not None]
        span = wanted.span
        overlapping = [
            row.session
            for row in ended
            if (span.start <= 0 or span.start <= (row.ended_at or 0) + SLACK)
            and (span.end <= 0 or span.end >= row.started_at - SLACK)
        ]
        return overlapping[:MOST_SESSIONS] or [row.session for row in ended[:1]]

    async def _require_stream(self, key: StreamKey) -> None:
        if self._deps.board.get(key) is None and await self._ask(FindStream(key=key)) is None:
            raise not_found(f"There is no stream {key}.")

    async def _ask(self, message: Any) -> Any:
        try:
            return await ask(self._deps.database, message, timeout=ASK_TIMEOUT)
        except ActorUnavailableError as error:
            raise DatabaseUnavailableError(str(error)) from error


def cut_stored(store: ObjectStore, key: StreamKey, session: SessionId, span: Any) -> Cut | Available | None:
    """Return the clip of a broadcast whose playlists the store has; None when it has none. Blocks."""
    try:
        entry = store.get(object_name(key, vod_multivariant_name(session))).decode()
        media = {name: store.get(object_name(key, name)).decode() for name in media_names(entry)}
        return cut_texts(session, entry, media, span)
    except (ObjectNotFoundError, ValueError):  # removed meanwhile, or not written by us
        return None


def put_files(store: ObjectStore, key: StreamKey, files: dict[str, bytes]) -> None:
    """Store a clip's playlists, the one that names the others last. Blocks."""
    for name, body in files.items():
        headers = {"content_type": content_type(name), "cache_control": cache_control(name, live=False)}
        store.put_bytes(object_name(key, name), body, **headers)


def clip_view(row: ClipRow) -> dict[str, Any]:
    """Return a row of `clips` with the addresses of its playlists. Durations in seconds."""
    return {
        "id": row.clip,
        "stream_key": row.stream_key,
        "session": row.session,
        "name": row.name,
        "from": iso_time(row.starts_at),
        "to": iso_time(row.ends_at),
        "duration": round(row.ends_at - row.starts_at, 3),
        "first_sequence": row.first,
        "last_sequence": row.last,
        "created_at": iso_time(row.created_at),
        "playlist_url": f"/{object_name(row.stream_key, clip_multivariant_name(row.clip))}",
        "renditions": [
            {"name": name, "url": f"/{object_name(row.stream_key, clip_media_name(row.clip, name))}"}
            for name in row.renditions
        ],
    }


def _begin(key: StreamKey, clip: ClipId, cut: Cut, name: str) -> BeginClip:
    return BeginClip(
        key=key,
        clip=clip,
        session=cut.session,
        name=name,
        first=cut.first,
        last=cut.last,
        starts_at=cut.start,
        ends_at=cut.end,
        renditions=cut.renditions,
        created_at=UnixTime(time.time()),
    )


def _nothing(wanted: ClipRequest, best: Available | None) -> ApiError:
    if best is None:
        where = "the stream" if wanted.session is None else f"session {wanted.session}"
        return ApiError(422, "nothing_stored", f"Nothing of {where} is stored, so there is nothing to cut.")
    start, end = iso_time(best.start), iso_time(best.end)
    return ApiError(422, "bad_range", f"Nothing is stored in this range; session {best.session} has {start} to {end}.")
