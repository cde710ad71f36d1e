"""What is asked and changed about clips and old sessions. Used through the Repository."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from databases.core import Connection

from streamkit.database import queries
from streamkit.database.rows import ClipRow, Page
from streamkit.database.tables import clips, sessions
from streamkit.messages import BeginClip, DeleteClip, FindClip, FindUnfinishedClips, FinishClip, ListClips
from streamkit.types import ClipId, MediaSequence, RenditionName, SessionId, StreamKey, UnixTime

MOST_UNFINISHED = 100  # clips at a time

Opener = Callable[[], AbstractAsyncContextManager[Connection]]


class Archive:
    """`reading` opens a connection; `changing` one within a transaction."""

    def __init__(self, reading: Opener, changing: Opener) -> None:
        self._reading = reading
        self._changing = changing

    # ---- clips

    async def begin_clip(self, message: BeginClip) -> ClipRow | None:
        """Note the clip, unless its session is unknown or is about to go.

        The session's row is written first: whoever marks it as expired waits for this, and then sees the clip.
        """
        kept = (
            sa.update(sessions)
            .where(_of(sessions, message.key, message.session), sessions.c.expired_at.is_(None))
            .values(revision=sessions.c.revision)
            .returning(sessions.c.id)
        )
        async with self._changing() as connection:
            if await connection.fetch_one(kept) is None:
                return None
            found = await connection.fetch_one(_clip(message.key, message.clip))
            if found is None:
                await connection.execute(sa.insert(clips).values(**_values(message)))
            elif found["state"] != "ready":  # begun anew: whoever clears up leaves it alone
                again = sa.update(clips).where(clips.c.id == found["id"])
                values = {"state": "pending", "remove_after": None, "created_at": moment(message.created_at)}
                await connection.execute(again.values(**values))
            found = await connection.fetch_one(_clip(message.key, message.clip))
        return None if found is None else _to_clip(found)

    async def finish_clip(self, message: FinishClip) -> bool:
        """Note that the store has the clip's playlists."""
        return await self._set(message, state="ready")

    async def delete_clip(self, message: DeleteClip) -> bool:
        """Note that the clip's playlists are gone, and when nobody needs its segments for it any more.

        A session that was removed but for those is looked at again then.
        """
        until = moment(message.remove_after)
        of_clip = sa.select(clips.c.session).where(_is_clip(message.key, message.clip)).scalar_subquery()
        again = (
            sa.update(sessions)
            .where(
                sessions.c.stream_key == message.key,
                sessions.c.session == of_clip,
                sessions.c.removed_at.is_not(None),
            )
            .values(removed_at=None, remove_after=until)
        )
        is_there = await self._set(message, state="deleted", remove_after=until)
        if not is_there:
            return False
        async with self._changing() as connection:
            await connection.execute(again)
        return True

    async def unfinished_clips(self, message: FindUnfinishedClips) -> tuple[ClipRow, ...]:
        """Return clips that were begun before then and are not ready, oldest first."""
        query = sa.select(clips).where(_is_unfinished(message.since)).order_by(clips.c.id).limit(MOST_UNFINISHED)
        async with self._reading() as connection:
            return tuple(_to_clip(one) for one in await connection.fetch_all(query))

    async def find_clip(self, message: FindClip) -> ClipRow | None:
        """Return the clip unless it was deleted."""
        async with self._reading() as connection:
            found = await connection.fetch_one(_clip(message.key, message.clip).where(clips.c.state != "deleted"))
        return None if found is None else _to_clip(found)

    async def list_clips(self, message: ListClips) -> Page[ClipRow]:
        """Return a page of the key's clips, newest first."""
        query = sa.select(clips).where(clips.c.stream_key == message.key, clips.c.state == "ready")
        page = query.order_by(clips.c.id.desc()).offset(message.offset).limit(message.limit)
        async with self._reading() as connection:
            total = await connection.fetch_val(queries.count(query))
            found = await connection.fetch_all(page)
        return Page(
            items=tuple(_to_clip(one) for one in found), total=int(total), offset=message.offset, limit=message.limit
        )

    async def _set(self, message: FinishClip | DeleteClip, **values: Any) -> bool:
        since = message.unfinished_since if isinstance(message, DeleteClip) else None
        is_meant = clips.c.state != "deleted" if since is None else _is_unfinished(since)
        change = (
            sa.update(clips).where(_is_clip(message.key, message.clip), is_meant).values(**values).returning(clips.c.id)
        )
        async with self._changing() as connection:
            return await connection.fetch_one(change) is not None


def moment(time: UnixTime) -> datetime:
    """Return the time as a database takes it."""
    return datetime.fromtimestamp(time, UTC)


def _of(table: sa.Table, key: StreamKey, session: SessionId) -> Any:
    return sa.and_(table.c.stream_key == key, table.c.session == session)


def _is_clip(key: StreamKey, clip: ClipId) -> Any:
    return sa.and_(clips.c.stream_key == key, clips.c.clip == clip)


def _is_unfinished(since: UnixTime) -> Any:
    return sa.and_(clips.c.state == "pending", clips.c.created_at < moment(since))


def _clip(key: StreamKey, clip: ClipId) -> sa.Select[Any]:
    return sa.select(clips).where(_is_clip(key, clip))


def _values(message: BeginClip) -> dict[str, Any]:
    return {
        "stream_key": message.key,
        "clip": message.clip,
        "session": message.session,
        "name": message.name,
        "state": "pending",
        "first_sequence": message.first,
        "last_sequence": message.last,
        "starts_at": moment(message.starts_at),
        "ends_at": moment(message.ends_at),
        "renditions": list(message.renditions),
        "created_at": moment(message.created_at),
    }


def _to_clip(record: Any) -> ClipRow:
    renditions = record["renditions"]
    names = json.loads(renditions) if isinstance(renditions, str) else renditions
    return ClipRow(
        stream_key=record["stream_key"],
        clip=record["clip"],
        session=record["session"],
        name=record["name"],
        state=record["state"],
        first=MediaSequence(record["first_sequence"]),
        last=MediaSequence(record["last_sequence"]),
        starts_at=queries.to_time(record["starts_at"]),
        ends_at=queries.to_time(record["ends_at"]),
        renditions=tuple(RenditionName(name) for name in names),
        created_at=queries.to_time(record["created_at"]),
    )
