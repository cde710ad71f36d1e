"""What retention asks and changes. Used through the Repository; every change may be made twice."""

from typing import Any

import sqlalchemy as sa

from streamkit.database import queries
from streamkit.database.archive import Opener, moment
from streamkit.database.rows import ArchiveRow
from streamkit.database.tables import clips, segments, sessions
from streamkit.messages import (
    ExpireSession,
    FindLeftovers,
    FindNeeded,
    LeftoversRemoved,
    ListArchives,
    SessionRemoved,
    SessionUnlisted,
)
from streamkit.types import RenditionName, Seconds, SessionId, StreamKey, StreamState, UnixTime

SETTLED_AFTER = Seconds(300.0)  # from a session's end until the rows of its segments are final
MOST_ARCHIVES = 10_000  # at a time, the oldest
_ENDED = (StreamState.ENDED.value, StreamState.FAILED.value)


class RetentionRows:
    """`reading` opens a connection; `changing` one within a transaction."""

    def __init__(self, reading: Opener, changing: Opener) -> None:
        self._reading = reading
        self._changing = changing

    async def list_archives(self, message: ListArchives) -> tuple[ArchiveRow, ...]:
        """Return ended sessions, oldest first; what they take is summed up once, and kept in their rows."""
        query = (
            sa.select(sessions)
            .where(sessions.c.status.in_(_ENDED), sessions.c.ended_at.is_not(None), sessions.c.removed_at.is_(None))
            .order_by(sessions.c.session)
            .limit(MOST_ARCHIVES)
        )
        if not message.all_kept:
            query = query.where(sessions.c.expired_at.is_not(None))
        async with self._changing() as connection:
            if message.all_kept:
                await connection.execute(_sum_up(message.at))
            found = await connection.fetch_all(query)
        return tuple(_to_archive(record) for record in found)

    async def expire(self, message: ExpireSession) -> bool:
        """Mark the session; False when it was marked before. Who makes a clip of it now is refused."""
        change = (
            sa.update(sessions)
            .where(_is(sessions, message.key, message.session), sessions.c.expired_at.is_(None))
            .values(expired_at=moment(message.at))
            .returning(sessions.c.id)
        )
        async with self._changing() as connection:
            return await connection.fetch_one(change) is not None

    async def unlisted(self, message: SessionUnlisted) -> None:
        """Note when its objects may go."""
        await self._set(message.key, message.session, remove_after=moment(message.remove_after))

    async def removed(self, message: SessionRemoved) -> None:
        """Note that its objects are gone, and forget the rows of its segments."""
        needed = await self.needed(FindNeeded(key=message.key, session=message.session, at=message.at))
        where = [_is(segments, message.key, message.session), *(_outside(numbers) for numbers in needed)]
        async with self._changing() as connection:
            await connection.execute(sa.delete(segments).where(*where))
        await self._set(message.key, message.session, removed_at=moment(message.at))

    async def needed(self, message: FindNeeded) -> tuple[range, ...]:
        """Return the numbers that clips list, or listed until a moment ago."""
        gone = (clips.c.state == "deleted") & (clips.c.remove_after <= moment(message.at))
        query = sa.select(clips.c.first_sequence, clips.c.last_sequence).where(
            _is(clips, message.key, message.session), sa.not_(gone)
        )
        async with self._reading() as connection:
            found = await connection.fetch_all(query)
        return tuple(range(one["first_sequence"], one["last_sequence"] + 1) for one in found)

    async def leftovers(self, message: FindLeftovers) -> tuple[str, ...]:
        """Return stored segments below a number, but for those that clips need."""
        needed = await self.needed(FindNeeded(key=message.key, session=message.session, at=message.at))
        query = (
            sa.select(segments.c.name)
            .where(
                _is(segments, message.key, message.session),
                segments.c.sequence < message.before,
                segments.c.state == "uploaded",
                *(_outside(numbers) for numbers in needed),
            )
            .limit(message.limit)
        )
        async with self._reading() as connection:
            return tuple(one["name"] for one in await connection.fetch_all(query))

    async def leftovers_removed(self, message: LeftoversRemoved) -> None:
        """Forget the rows of these segments."""
        own = _is(segments, message.key, message.session)
        gone = sa.delete(segments).where(own, segments.c.name.in_(message.names))
        async with self._changing() as connection:
            await connection.execute(gone)

    async def _set(self, key: StreamKey, session: SessionId, **values: Any) -> None:
        async with self._changing() as connection:
            await connection.execute(sa.update(sessions).where(_is(sessions, key, session)).values(**values))


def _is(table: sa.Table, key: StreamKey, session: SessionId) -> Any:
    return sa.and_(table.c.stream_key == key, table.c.session == session)


def _outside(numbers: range) -> Any:
    return sa.or_(segments.c.sequence < numbers.start, segments.c.sequence >= numbers.stop)


def _sum_up(at: UnixTime) -> sa.Update:
    """Write what each ended session takes into its row, where that was not done."""
    stored = sa.select(sa.func.coalesce(sa.func.sum(segments.c.size), 0)).where(
        segments.c.stream_key == sessions.c.stream_key,
        segments.c.session == sessions.c.session,
        segments.c.state == "uploaded",
    )
    return (
        sa.update(sessions)
        .where(
            sessions.c.bytes.is_(None),
            sessions.c.status.in_(_ENDED),
            sessions.c.ended_at <= moment(UnixTime(at - SETTLED_AFTER)),
        )
        .values(bytes=sa.cast(stored.scalar_subquery(), sa.BigInteger))
    )


def _to_archive(record: Any) -> ArchiveRow:
    return ArchiveRow(
        stream_key=StreamKey(record["stream_key"]),
        session=SessionId(record["session"]),
        started_at=queries.to_time(record["started_at"]),
        ended_at=queries.to_time(record["ended_at"]),
        renditions=tuple(RenditionName(name) for name in record["renditions"]),
        bytes=record["bytes"] or 0,
        expired_at=queries.time_or_none(record["expired_at"]),
        remove_after=queries.time_or_none(record["remove_after"]),
    )
