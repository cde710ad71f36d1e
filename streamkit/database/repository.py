"""The only user of `databases`: opens, writes and reads, each with a time limit.

Made for one event loop. What `databases` does badly is avoided here: its transactions leak the pool's connection
when a commit fails or is cancelled, acquiring has no time limit, and a minimum pool size makes noise in an outage.
"""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import sqlalchemy as sa
from databases import Database
from databases.core import Connection

from streamkit.database import queries
from streamkit.database.archive import Archive
from streamkit.database.backlog import Save
from streamkit.database.connection import (
    APPLICATION_NAME,
    COMMAND_TIMEOUT,
    CONNECT_TIMEOUT,
    ERRORS,
    describe,
    first_line,
    is_rows_fault,
    is_sqlite,
    origin,
    unavailable,
)
from streamkit.database.migrate import upgrade
from streamkit.database.publish_keys import PublishKeys
from streamkit.database.retention import RetentionRows
from streamkit.database.rows import Page, SegmentRow, SessionRow, StreamCounts, StreamRow
from streamkit.database.upserts import Statement, statements
from streamkit.errors import DatabaseUnavailableError, StreamKitError
from streamkit.messages import (
    FindStream,
    ListSegments,
    ListSessions,
    ListStreams,
    StreamRecalled,
)
from streamkit.types import SessionId, StreamKey, UnixTime

READERS: Final = 3  # questions at a time: one connection of the pool is always left for what is to be written
READ_TIMEOUT: Final = 2.0  # seconds; the front end waits 3 s
ACQUIRE_TIMEOUT: Final = 3.0  # seconds, to be connected
WRITE_TIMEOUT: Final = 5.0  # seconds, for each transaction once it has a connection; each command of it has less
CLOSE_TIMEOUT: Final = 2.0  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is to be done in one go. `alive` is None, or the only streams that may go on saying they are active."""

    rows: tuple[Save, ...] = ()
    recalls: frozenset[StreamKey] = frozenset()
    alive: frozenset[StreamKey] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of the work: rows that can never be written, with the reason; numbers; streams that were ended."""

    rejected: tuple[tuple[Save, str], ...] = ()
    recalled: dict[StreamKey, StreamRecalled] = field(default_factory=dict)
    ended: tuple[StreamKey, ...] = ()


class Repository:
    """Every method raises DatabaseUnavailableError when the database is away or does not answer in time."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._sqlite = is_sqlite(url)
        self._database: Database | None = None
        self._turn = asyncio.Semaphore(READERS)
        self._problem: str | None = f"the database {describe(url)} has not been reached yet"
        self.archive = Archive(self._reading, self._changing)
        """Clips."""
        self.retention = RetentionRows(self._reading, self._changing)
        """What retention did to sessions."""
        self.publish_keys = PublishKeys(self._reading, self._changing)
        """Who may publish what."""

    async def carry_out(self, work: Work) -> Outcome:
        """Migrate and connect if that was not done since the last failure, then do the work.

        When it fails, all of it may be done again.
        """
        try:
            if self._problem is not None:
                await self._open()
            # Before the rows: what they say of streams that live now must come after.
            ended = await self._end_others(work.alive) if work.alive is not None else ()
            rejected = await self._write(work.rows)
            recalled = await self._recall(work.recalls)
        except StreamKitError as error:
            self._problem = str(error)
            raise
        self._problem = None
        return Outcome(rejected=tuple(rejected), recalled=recalled, ended=ended)

    async def check(self) -> None:
        """Raise unless the database answers and the last work succeeded."""
        await self._one(sa.select(1))
        if self._problem is not None:
            raise DatabaseUnavailableError(self._problem)

    async def close(self) -> None:
        """Disconnect; harmless when not connected."""
        if self._database is not None:
            database, self._database = self._database, None
            try:
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    await database.disconnect()
            except ERRORS as error:
                raise unavailable(self._url, error) from error

    # ---- reads

    async def list_streams(self, question: ListStreams) -> Page[StreamRow]:
        """Return a page of streams, the newest publish first."""
        query = queries.all_streams(active_only=question.active_only)
        records, total = await self._page(query, question)
        return Page(
            items=tuple(map(queries.to_stream, records)), total=total, offset=question.offset, limit=question.limit
        )

    async def find_stream(self, question: FindStream) -> StreamRow | None:
        """Return the stream's row, None when its key was never published."""
        record = await self._one(queries.one_stream(question.key))
        return None if record is None else queries.to_stream(record)

    async def list_sessions(self, question: ListSessions) -> Page[SessionRow]:
        """Return a page of the key's sessions, newest first."""
        records, total = await self._page(queries.sessions_of(question.key), question)
        return Page(
            items=tuple(map(queries.to_session, records)), total=total, offset=question.offset, limit=question.limit
        )

    async def list_segments(self, question: ListSegments) -> tuple[SegmentRow, ...]:
        """Return the newest session's last `limit` segments of one rendition, in order."""
        async with self._reading() as connection:
            found = await connection.fetch_one(queries.newest_session(question.key))
            session: SessionId | None = found["session"] if found else None
            if session is None:
                return ()
            rendition = question.rendition
            if rendition is None:
                rendition = queries.first_rendition(
                    await connection.fetch_all(queries.renditions_of(question.key, session))
                )
            if rendition is None:
                return ()
            query = queries.newest_segments(question.key, session, rendition, question.limit)
            return tuple(map(queries.to_segment, reversed(await connection.fetch_all(query))))

    async def count_streams(self) -> StreamCounts:
        """Return how many streams are known, by state."""
        async with self._reading() as connection:
            return queries.to_counts(await connection.fetch_all(queries.counts_by_status()))

    async def _page(self, query: sa.Select[Any], question: ListStreams | ListSessions) -> tuple[list[Any], int]:
        async with self._reading() as connection:
            total = await connection.fetch_val(queries.count(query))
            records = await connection.fetch_all(query.offset(question.offset).limit(question.limit))
            return list(records), int(total)

    async def _one(self, query: sa.Select[Any]) -> Any:
        async with self._reading() as connection:
            return await connection.fetch_one(query)

    # ---- work

    async def _open(self) -> None:
        await upgrade(self._url)
        if self._database is None:
            database = Database(self._url, **self._options())
            await database.connect()  # PostgreSQL: makes an empty pool; SQLite: nothing
            self._database = database
        if self._sqlite:
            async with self._working() as connection:
                await connection.fetch_one("PRAGMA journal_mode = WAL")  # readers and the writer do not wait

    async def _end_others(self, alive: Iterable[StreamKey]) -> tuple[StreamKey, ...]:
        alive, now = list(alive), _now()
        async with self._working() as connection:
            ended = await connection.fetch_all(queries.end_streams(alive, now))
            await connection.execute(queries.end_sessions(alive, now))
        return tuple(record["stream_key"] for record in ended)

    async def _write(self, rows: tuple[Save, ...]) -> list[tuple[Save, str]]:
        """Write what can be written, return the rest: a bad row fails its whole transaction, so halve until alone."""
        try:
            await self._write_together(self._statements(rows))
        except _RowsFaultError as fault:
            if len(rows) == 1:
                return [(rows[0], str(fault))]
        else:
            return []
        middle = len(rows) // 2
        return [*await self._write(rows[:middle]), *await self._write(rows[middle:])]

    def _statements(self, rows: tuple[Save, ...]) -> list[Statement]:
        try:
            return statements(rows, _now(), sqlite=self._sqlite)
        except (ValueError, TypeError, OverflowError, OSError) as error:
            raise _RowsFaultError(str(error)) from error

    async def _write_together(self, written: list[Statement]) -> None:
        if not written:
            return
        try:
            async with (
                self._connection() as connection,
                asyncio.timeout(WRITE_TIMEOUT),
                self._transaction(connection),
            ):
                for statement, values in written:
                    await connection.execute(statement, values)
        except (*ERRORS, UnicodeError) as error:
            if is_rows_fault(origin(error)):
                raise _RowsFaultError(first_line(origin(error))) from error
            raise unavailable(self._url, error) from error

    async def _recall(self, keys: Collection[StreamKey]) -> dict[StreamKey, StreamRecalled]:
        if not keys:
            return {}
        statement, values = queries.highest_numbers(keys, sqlite=self._sqlite)
        async with self._working() as connection:
            records = await connection.fetch_all(statement, values)
        return {record["stream_key"]: queries.to_recalled(record) for record in records}

    # ---- connections

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[Connection]:
        """A connection for a question of somebody who waits for the answer."""
        try:
            async with asyncio.timeout(READ_TIMEOUT), self._turn, self._connection() as connection:
                yield connection
        except ERRORS as error:
            raise unavailable(self._url, error) from error

    @asynccontextmanager
    async def _working(self) -> AsyncIterator[Connection]:
        try:
            async with asyncio.timeout(READ_TIMEOUT), self._connection() as connection:
                yield connection
        except ERRORS as error:
            raise unavailable(self._url, error) from error

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        """A connection of the pool; after an error that is no row's fault another takes its place.

        It may lead to a server that has become a standby, or nowhere: one that is made anew finds the right one.
        """
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(ACQUIRE_TIMEOUT):
                connection = await stack.enter_async_context(self._pool().connection())
            try:
                yield connection
            except (*ERRORS, asyncio.CancelledError) as error:
                if not self._sqlite and not is_rows_fault(origin(error)):
                    connection.raw_connection.terminate()
                raise

    @asynccontextmanager
    async def _changing(self) -> AsyncIterator[Connection]:
        async with self._reading() as connection, self._transaction(connection):
            yield connection

    @asynccontextmanager
    async def _transaction(self, connection: Connection) -> AsyncIterator[None]:
        raw: Any = connection.raw_connection
        if not self._sqlite:
            async with raw.transaction():
                yield
            return
        await raw.execute("BEGIN IMMEDIATE")
        yield
        await raw.commit()  # after an error the connection is closed, which rolls back

    def _pool(self) -> Database:
        if self._database is None:
            raise DatabaseUnavailableError(self._problem)
        return self._database

    def _options(self) -> dict[str, Any]:
        if self._sqlite:
            return {"factory": _SqliteConnection, "timeout": COMMAND_TIMEOUT}
        return {
            "min_size": 0,
            "max_size": 4,
            "timeout": CONNECT_TIMEOUT,
            "command_timeout": COMMAND_TIMEOUT,
            "max_inactive_connection_lifetime": 30.0,
            "server_settings": {"application_name": APPLICATION_NAME, "statement_timeout": "3000"},  # ms
        }


class _RowsFaultError(Exception):
    """A value or a reference in one of the rows is wrong."""


class _SqliteConnection(sqlite3.Connection):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.execute("PRAGMA foreign_keys = ON")
        self.execute("PRAGMA synchronous = NORMAL")  # with WAL: a power cut may undo the last rows, not break the file


def _now() -> UnixTime:
    return UnixTime(time.time())
