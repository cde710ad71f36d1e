"""What is asked of the tables, and how their records become rows. Pure: nothing here is executed."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from streamkit.database.rows import SegmentRow, SessionRow, StreamCounts, StreamRow
from streamkit.database.tables import segments, sessions, streams
from streamkit.messages import StreamRecalled
from streamkit.types import (
    Epoch,
    MediaSequence,
    RenditionName,
    Seconds,
    SessionId,
    StreamKey,
    StreamState,
    UnixTime,
)

ACTIVE = tuple(state.value for state in StreamState if state.is_active)
STOPPED_WHILE_LIVE = "the service stopped while it was live"


def count(query: sa.Select[Any]) -> sa.Select[Any]:
    """Return the query for how many rows `query` has."""
    return sa.select(sa.func.count()).select_from(query.subquery())


def all_streams(*, active_only: bool) -> sa.Select[Any]:
    """Streams, the newest publish first."""
    query = sa.select(streams).order_by(streams.c.epoch.desc(), streams.c.id.desc())
    return query.where(streams.c.status == StreamState.LIVE.status) if active_only else query


def one_stream(key: StreamKey) -> sa.Select[Any]:
    """The stream's row, if there is one."""
    return sa.select(streams).where(streams.c.stream_key == key)


def counts_by_status() -> sa.Select[Any]:
    """(status, count) of every status that occurs."""
    return sa.select(streams.c.status, sa.func.count().label("count")).group_by(streams.c.status)


def sessions_of(key: StreamKey) -> sa.Select[Any]:
    """The key's sessions, newest first."""
    order = (sessions.c.epoch.desc(), sessions.c.id.desc())
    return sa.select(sessions).where(sessions.c.stream_key == key).order_by(*order)


def newest_session(key: StreamKey) -> sa.Select[Any]:
    """The id of the newest session of `key` that has a segment: ids sort by time; NULL when there is none."""
    newest = sa.func.max(segments.c.session).label("session")
    return sa.select(newest).where(segments.c.stream_key == key)


def renditions_of(key: StreamKey, session: SessionId) -> sa.Select[Any]:
    """The renditions of the session that have a segment, and what its row says (None without a row)."""
    row = sa.select(sessions.c.renditions).where(sessions.c.stream_key == key, sessions.c.session == session)
    return (
        sa.select(segments.c.rendition, row.scalar_subquery().label("ladder"))
        .where(segments.c.stream_key == key, segments.c.session == session)
        .group_by(segments.c.rendition)
        .order_by(segments.c.rendition)
    )


def newest_segments(key: StreamKey, session: SessionId, rendition: RenditionName, limit: int) -> sa.Select[Any]:
    """The last `limit` segments of the rendition, the newest first."""
    return (
        sa.select(segments)
        .where(segments.c.stream_key == key, segments.c.session == session, segments.c.rendition == rendition)
        .order_by(segments.c.sequence.desc())
        .limit(limit)
    )


def highest_numbers(keys: Iterable[StreamKey], *, sqlite: bool) -> tuple[str, dict[str, Any]]:
    """One record a key with the highest epoch, next_sequence and discontinuity_sequence known; NULLs where none are.

    As text with values: many publishes at once ask this, and compiling it costs more than answering it.
    """
    wanted = list(keys)
    return (_NUMBERS_SQLITE, {"keys": json.dumps(wanted)}) if sqlite else (_NUMBERS_POSTGRESQL, {"keys": wanted})


_NUMBERS = """
SELECT wanted.stream_key, streams.epoch AS stream_epoch, streams.next_sequence, streams.discontinuity_sequence,
       (SELECT max(epoch) FROM sessions WHERE stream_key = wanted.stream_key) AS session_epoch,
       (SELECT max(sequence) FROM segments WHERE stream_key = wanted.stream_key AND session =
           (SELECT max(session) FROM segments WHERE stream_key = wanted.stream_key)) AS last_sequence
FROM {source} LEFT JOIN streams ON streams.stream_key = wanted.stream_key
"""
_NUMBERS_POSTGRESQL = _NUMBERS.format(source="unnest(CAST(:keys AS text[])) AS wanted(stream_key)")
_NUMBERS_SQLITE = _NUMBERS.format(source="(SELECT value AS stream_key FROM json_each(:keys)) AS wanted")


def end_streams(alive: Iterable[StreamKey], now: UnixTime) -> sa.Update:
    """End every stream that says it is active and is not `alive`; returns their keys."""
    moment = datetime.fromtimestamp(now, UTC)
    return (
        sa.update(streams)
        .where(streams.c.status == StreamState.LIVE.status, streams.c.stream_key.not_in(list(alive)))
        .values(
            status=StreamState.ENDED.status,
            state=StreamState.ENDED.value,
            stopped_at=sa.func.coalesce(streams.c.stopped_at, sa.literal(moment, streams.c.stopped_at.type)),
            updated_at=moment,
            last_error=STOPPED_WHILE_LIVE,
        )
        .returning(streams.c.stream_key)
    )


def end_sessions(alive: Iterable[StreamKey], now: UnixTime) -> sa.Update:
    """End every session that says it is active, except the newest one of each stream that is `alive`."""
    moment = datetime.fromtimestamp(now, UTC)
    other = sessions.alias("other")
    newest = sa.select(sa.func.max(other.c.epoch)).where(other.c.stream_key == sessions.c.stream_key)
    is_alive = sessions.c.stream_key.in_(list(alive)) & (sessions.c.epoch == newest.scalar_subquery())
    return (
        sa.update(sessions)
        .where(sessions.c.status.in_(ACTIVE), sa.not_(is_alive))
        .values(
            status=StreamState.ENDED.value,
            ended_at=sa.func.coalesce(sessions.c.ended_at, sa.literal(moment, sessions.c.ended_at.type)),
            end_reason=sa.func.coalesce(sessions.c.end_reason, STOPPED_WHILE_LIVE),
        )
    )


def to_stream(record: Any) -> StreamRow:
    """Return a record of `streams` as a row."""
    return StreamRow(
        id=record["id"],
        stream_key=record["stream_key"],
        status=StreamState(record["state"]),
        started_at=time_or_none(record["started_at"]),
        stopped_at=time_or_none(record["stopped_at"]),
        created_at=to_time(record["created_at"]),
        updated_at=to_time(record["updated_at"]),
        last_error=record["last_error"],
    )


def to_session(record: Any) -> SessionRow:
    """Return a record of `sessions` as a row."""
    return SessionRow(
        id=record["id"],
        stream_key=record["stream_key"],
        session=record["session"],
        status=StreamState(record["status"]),
        started_at=to_time(record["started_at"]),
        ended_at=time_or_none(record["ended_at"]),
        end_reason=record["end_reason"],
        renditions=tuple(record["renditions"]),
        expired_at=time_or_none(record["expired_at"]),
    )


def to_segment(record: Any) -> SegmentRow:
    """Return a record of `segments` as a row."""
    return SegmentRow(
        session=record["session"],
        rendition=record["rendition"],
        sequence=record["sequence"],
        name=record["name"],
        duration=Seconds(record["duration"]),
        size=record["size"],
        program_date_time=to_time(record["program_date_time"]),
        discontinuity=record["discontinuity"],
        state=record["state"],
    )


def to_recalled(record: Any) -> StreamRecalled:
    """Return a record of `highest_numbers` as the numbers that the next session begins at."""
    last = record["last_sequence"]
    return StreamRecalled(
        epoch=Epoch(max(record["stream_epoch"] or 0, record["session_epoch"] or 0)),
        next_sequence=MediaSequence(max(record["next_sequence"] or 0, 0 if last is None else last + 1)),
        discontinuity_sequence=record["discontinuity_sequence"] or 0,
    )


def to_counts(records: Iterable[Any]) -> StreamCounts:
    """Return the records of `counts_by_status` as totals."""
    by_status = {record["status"]: int(record["count"]) for record in records}
    return StreamCounts(
        total=sum(by_status.values()),
        active=by_status.get(StreamState.LIVE.status, 0),
        inactive=by_status.get(StreamState.ENDED.status, 0),
        failed=by_status.get(StreamState.FAILED.status, 0),
    )


def first_rendition(records: list[Any]) -> RenditionName | None:
    """Return which rendition of `renditions_of` the ladder names first, else the first by name, None for none."""
    present = [RenditionName(record["rendition"]) for record in records]
    ladder = (records[0]["ladder"] or []) if records else []
    return next((RenditionName(name) for name in ladder if name in present), present[0] if present else None)


def to_time(moment: datetime) -> UnixTime:
    """SQLite gives back naive times, which are UTC."""
    return UnixTime((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def time_or_none(moment: datetime | None) -> UnixTime | None:
    return None if moment is None else to_time(moment)
