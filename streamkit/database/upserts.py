"""Turns rows to save into one statement per table, however many rows there are. Pure.

A statement's text is constant, so that SQLAlchemy and the database prepare it once: PostgreSQL unnests one array per
column, SQLite reads one JSON text. Late and repeated rows change nothing: each table has a condition for 'newer'.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Generic, TypeVar

import sqlalchemy as sa

from streamkit.database.backlog import Save
from streamkit.database.tables import segments, sessions, streams
from streamkit.messages import SaveSegment, SaveSession, SaveStream
from streamkit.types import UnixTime

Statement = tuple[str, dict[str, Any]]
Row = TypeVar("Row", SaveStream, SaveSession, SaveSegment)
_SQL_TYPES: dict[type[sa.types.TypeEngine[Any]], str] = {
    sa.Text: "text",
    sa.BigInteger: "bigint",
    sa.Float: "double precision",
    sa.Boolean: "boolean",
    sa.DateTime: "timestamptz",
    sa.JSON: "text",  # an array of JSON values would need a codec
}


def statements(rows: Iterable[Save], now: UnixTime, *, sqlite: bool) -> list[Statement]:
    """Return what writes `rows`, with its values, in the order of the foreign keys; no key may occur twice in them.

    Raises ValueError, TypeError, OverflowError or OSError when a value cannot be written at all.
    """
    rows = list(rows)
    written = [
        _STREAMS.statement([row for row in rows if isinstance(row, SaveStream)], now, sqlite=sqlite),
        _SESSIONS.statement([row for row in rows if isinstance(row, SaveSession)], now, sqlite=sqlite),
        _SEGMENTS.statement([row for row in rows if isinstance(row, SaveSegment)], now, sqlite=sqlite),
    ]
    return [statement for statement in written if statement is not None]


@dataclass(frozen=True)
class _Upsert(Generic[Row]):
    """How rows of one table are written. `values` gives a row's columns; times as UnixTime, JSON as text."""

    table: sa.Table
    keys: tuple[str, ...]
    columns: tuple[str, ...]
    values: Callable[[Row, UnixTime], tuple[Any, ...]]
    newer: str
    only_once: tuple[str, ...] = ()
    """Columns that the first write decides."""
    only_up: tuple[str, ...] = ()
    """Columns that never get smaller."""

    def statement(self, rows: list[Row], now: UnixTime, *, sqlite: bool) -> Statement | None:
        if not rows:
            return None
        records = [self.values(row, now) for row in rows]
        if sqlite:
            return self._sqlite, {"rows": _json([self._for_sqlite(record) for record in records])}
        columns = zip(*records, strict=True)
        return self._postgresql, {
            column: self._for_postgresql(column, values) for column, values in zip(self.columns, columns, strict=True)
        }

    @cached_property
    def _postgresql(self) -> str:
        arrays = ", ".join(f"CAST(:{column} AS {self._sql_type(column)}[])" for column in self.columns)
        selected = ", ".join(f"CAST({c} AS json)" if self._is(c, sa.JSON) else c for c in self.columns)
        source = f"SELECT {selected} FROM unnest({arrays}) AS new({', '.join(self.columns)})"  # noqa: S608 - our names
        return self._insert(source, larger="greatest")

    @cached_property
    def _sqlite(self) -> str:
        selected = ", ".join(f"json_extract(value, '$[{number}]')" for number in range(len(self.columns)))
        # Without WHERE, SQLite would take ON for a join's.
        source = f"SELECT {selected} FROM json_each(:rows) WHERE true"  # noqa: S608 - numbers
        return self._insert(source, larger="max")

    def _insert(self, source: str, *, larger: str) -> str:
        name = self.table.name
        changed = [column for column in self.columns if column not in self.keys + self.only_once]
        sets = ", ".join(
            f"{c} = {larger}(excluded.{c}, {name}.{c})" if c in self.only_up else f"{c} = excluded.{c}" for c in changed
        )
        return (
            f"INSERT INTO {name} ({', '.join(self.columns)}) {source} "
            f"ON CONFLICT ({', '.join(self.keys)}) DO UPDATE SET {sets} WHERE {self.newer}"
        )

    def _sql_type(self, column: str) -> str:
        return next(name for kind, name in _SQL_TYPES.items() if self._is(column, kind))

    def _is(self, column: str, kind: type[sa.types.TypeEngine[Any]]) -> bool:
        return isinstance(self.table.c[column].type, kind)

    def _for_postgresql(self, column: str, values: tuple[Any, ...]) -> list[Any]:
        return [_moment(value) for value in values] if self._is(column, sa.DateTime) else list(values)

    def _for_sqlite(self, record: tuple[Any, ...]) -> list[Any]:
        return [
            _sqlite_time(value) if self._is(column, sa.DateTime) else value
            for column, value in zip(self.columns, record, strict=True)
        ]


def _json(value: object) -> str:
    """Refuses NaN, which is no JSON, with ValueError instead of leaving it to the database."""
    return json.dumps(value, allow_nan=False, ensure_ascii=False)


def _prose(text: str | None) -> str | None:
    """Return what somebody else wrote so that every database takes it: no NUL, no lone surrogate."""
    return text and text.encode(errors="replace").decode().replace("\0", "?")


def _moment(time: UnixTime | None) -> datetime | None:
    return None if time is None else datetime.fromtimestamp(time, UTC)


def _sqlite_time(time: UnixTime | None) -> str | None:
    """Return SQLAlchemy's own format for SQLite, in UTC."""
    moment = _moment(time)
    return None if moment is None else moment.strftime("%Y-%m-%d %H:%M:%S.%f")


_STREAMS = _Upsert[SaveStream](
    table=streams,
    keys=("stream_key",),
    columns=(
        "stream_key", "status", "state", "started_at", "stopped_at", "created_at", "updated_at", "epoch", "revision",
        "next_sequence", "discontinuity_sequence", "last_error",
    ),
    values=lambda row, now: (
        row.key, row.state.status, row.state.value, row.started_at, row.stopped_at, now, now, row.epoch, row.revision,
        row.next_sequence, row.discontinuity_sequence, _prose(row.last_error),
    ),
    only_once=("created_at",),
    only_up=("next_sequence", "discontinuity_sequence"),
    newer="(excluded.epoch, excluded.revision) > (streams.epoch, streams.revision)",
)  # fmt: skip
_SESSIONS = _Upsert[SaveSession](
    table=sessions,
    keys=("stream_key", "session"),
    columns=(
        "stream_key", "session", "epoch", "revision", "status", "started_at", "ended_at", "end_reason", "renditions",
    ),
    values=lambda row, _: (
        row.key, row.session, row.epoch, row.revision, row.state.value, row.started_at, row.ended_at,
        _prose(row.end_reason), _json(row.renditions),
    ),
    newer="excluded.revision > sessions.revision",
)  # fmt: skip
_SEGMENTS = _Upsert[SaveSegment](
    table=segments,
    keys=("stream_key", "session", "rendition", "sequence"),
    columns=(
        "stream_key", "session", "rendition", "sequence", "name", "duration", "size", "program_date_time",
        "discontinuity", "state",
    ),
    values=lambda row, _: (
        row.key, row.session, row.rendition, row.sequence, row.name, row.duration, row.size, row.program_date_time,
        row.discontinuity, row.state,
    ),
    newer="segments.state = 'closed' AND excluded.state <> 'closed'",
)  # fmt: skip
