"""The DatabaseActor on a real SQLite file and on PostgreSQL: what is saved, asked, recalled and reconciled."""

import concurrent.futures
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pykka
import pytest
from fakes.saves import KEY, SEGMENT, SESSION, STREAM
from servers.waiting import wait_until

from actors.base import BaseActor
from actors.database import DatabaseActor
from actors.timers import Timers
from streamkit.database.backlog import Backlog
from streamkit.database.queries import STOPPED_WHILE_LIVE
from streamkit.database.rows import SessionRow, StreamCounts, StreamRow
from streamkit.errors import DatabaseUnavailableError
from streamkit.messages import (
    CheckDatabase,
    ConfirmRows,
    CountStreams,
    FindStream,
    FlushDatabase,
    ListSegments,
    ListSessions,
    ListStreams,
    Message,
    RecallStream,
    ReconcileStreams,
    RowsSettled,
    SaveStream,
    StreamRecalled,
)
from streamkit.types import Epoch, MediaSequence, RenditionName, Seconds, SessionId, StreamKey, StreamState, UnixTime

Ask = Callable[[Message], Any]
P720, P480 = RenditionName("720p"), RenditionName("480p")


class Listener(BaseActor):
    """Remembers what it is told."""

    def __init__(self, heard: queue.SimpleQueue[Any]) -> None:
        super().__init__()
        self.heard = heard

    def on_receive(self, message: Any) -> None:
        self.heard.put(message)


@pytest.fixture
def timers() -> Iterator[Timers]:
    timers = Timers()
    yield timers
    timers.stop()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.integration)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path}/streamkit.db"
    return str(request.getfixturevalue("pg_database").url)


@pytest.fixture
def start(timers: Timers) -> Iterator[Callable[..., pykka.ActorRef[DatabaseActor]]]:
    refs: list[pykka.ActorRef[DatabaseActor]] = []

    def start_actor(url: str, **options: Any) -> pykka.ActorRef[DatabaseActor]:
        refs.append(DatabaseActor.start(url=url, timers=timers, **options))
        return refs[-1]

    yield start_actor
    for ref in refs:
        ref.stop()


@pytest.fixture
def database(start: Callable[..., pykka.ActorRef[DatabaseActor]], url: str) -> pykka.ActorRef[DatabaseActor]:
    """Migrated and connected."""
    ref = start(url)
    wait_until(lambda: is_there(ref), timeout=30, what="the database")
    return ref


@pytest.fixture
def ask(database: pykka.ActorRef[DatabaseActor]) -> Ask:
    return asker(database)


@pytest.fixture
def listener() -> Iterator[tuple[pykka.ActorRef[Listener], Any]]:
    heard: queue.SimpleQueue[Any] = queue.SimpleQueue()
    ref = Listener.start(heard)
    yield ref, heard
    ref.stop()


def asker(database: pykka.ActorRef[DatabaseActor]) -> Ask:
    return lambda message: database.ask(message, timeout=10).result(timeout=10)


def is_there(database: pykka.ActorRef[DatabaseActor]) -> bool:
    return database.ask(CheckDatabase(), timeout=10).exception(timeout=10) is None


def save(database: pykka.ActorRef[DatabaseActor], *rows: Message) -> None:
    """Return when the rows are in the database."""
    for row in rows:
        database.tell(row)
    assert asker(database)(FlushDatabase(deadline=Seconds(10.0))) == 0


def stream(key: str, epoch: int, state: StreamState = StreamState.LIVE) -> SaveStream:
    return replace(STREAM, key=StreamKey(key), epoch=Epoch(epoch), state=state)


# ---- upserts


def test_a_saved_stream_is_found_with_all_that_was_saved(database: pykka.ActorRef[Any], ask: Ask) -> None:
    save(database, replace(STREAM, stopped_at=UnixTime(160.25), last_error="it's 100% :gone\nreally"))
    row = ask(FindStream(key=KEY))
    expected = StreamRow(
        id=row.id,
        stream_key=KEY,
        status=StreamState.LIVE,
        started_at=UnixTime(100.0),
        stopped_at=UnixTime(160.25),
        created_at=row.created_at,
        updated_at=row.created_at,
        last_error="it's 100% :gone\nreally",
    )
    assert row == expected


def test_a_stream_that_was_never_saved_is_none(ask: Ask) -> None:
    assert ask(FindStream(key=KEY)) is None


def test_a_changed_stream_keeps_its_id_and_its_creation(database: pykka.ActorRef[Any], ask: Ask) -> None:
    save(database, STREAM)
    first = ask(FindStream(key=KEY))
    save(database, replace(STREAM, revision=2, state=StreamState.ENDED, stopped_at=UnixTime(200.0)))
    second = ask(FindStream(key=KEY))
    assert second == replace(first, status=StreamState.ENDED, stopped_at=UnixTime(200.0), updated_at=second.updated_at)
    assert second.updated_at > first.updated_at


@pytest.mark.parametrize(
    "late",
    [
        pytest.param({"revision": 1}, id="older revision"),
        pytest.param({"revision": 2}, id="same revision"),
        pytest.param({"epoch": Epoch(99), "revision": 50}, id="older epoch"),
    ],
)
def test_a_late_stream_changes_nothing(database: pykka.ActorRef[Any], ask: Ask, late: dict[str, Any]) -> None:
    save(database, replace(STREAM, revision=2))
    before = ask(FindStream(key=KEY))
    save(database, replace(STREAM, state=StreamState.FAILED, **late))
    assert ask(FindStream(key=KEY)) == before


def test_a_newer_epoch_wins_with_a_lower_revision(database: pykka.ActorRef[Any], ask: Ask) -> None:
    save(database, replace(STREAM, revision=9, state=StreamState.ENDED))
    save(database, replace(STREAM, epoch=Epoch(101), revision=0, state=StreamState.ACCEPTED))
    assert ask(FindStream(key=KEY)).status is StreamState.ACCEPTED


def test_a_session_is_listed_with_all_that_was_saved(database: pykka.ActorRef[Any], ask: Ask) -> None:
    ended = replace(SESSION, ended_at=UnixTime(150.5), end_reason="the publisher left", renditions=(P720, P480))
    save(database, STREAM, ended)
    page = ask(ListSessions(key=KEY, offset=0, limit=10))
    assert page.items == (
        SessionRow(
            id=page.items[0].id,
            stream_key=KEY,
            session=SessionId("s1"),
            status=StreamState.LIVE,
            started_at=UnixTime(100.0),
            ended_at=UnixTime(150.5),
            end_reason="the publisher left",
            renditions=(P720, P480),
        ),
    )


def test_an_older_revision_of_a_session_changes_nothing(database: pykka.ActorRef[Any], ask: Ask) -> None:
    save(database, STREAM, replace(SESSION, revision=2, state=StreamState.ENDED))
    save(database, replace(SESSION, revision=1))
    assert ask(ListSessions(key=KEY, offset=0, limit=1)).items[0].status is StreamState.ENDED


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (["closed", "uploaded"], "uploaded"),
        (["closed", "lost"], "lost"),
        (["uploaded", "closed"], "uploaded"),
        (["uploaded", "lost"], "uploaded"),
        (["lost", "closed"], "lost"),
    ],
)
def test_a_segment_only_moves_forward(
    database: pykka.ActorRef[Any], ask: Ask, states: list[str], expected: str
) -> None:
    for state in states:
        save(database, replace(SEGMENT, state=state))
    assert [row.state for row in ask(ListSegments(key=KEY))] == [expected]


def test_a_segment_is_listed_with_all_that_was_saved(database: pykka.ActorRef[Any], ask: Ask) -> None:
    saved = replace(SEGMENT, discontinuity=True, duration=Seconds(1.9866), program_date_time=UnixTime(1.8e9 + 0.125))
    save(database, saved)
    (row,) = ask(ListSegments(key=KEY))
    names = ("session", "rendition", "sequence", "name", "duration", "size", "program_date_time", "discontinuity")
    assert [getattr(row, name) for name in names] == [getattr(saved, name) for name in names]
    assert row.discontinuity is True


def test_many_rows_told_at_once_are_all_written(database: pykka.ActorRef[Any], ask: Ask) -> None:
    segments = [replace(SEGMENT, sequence=MediaSequence(number)) for number in range(5000)]
    save(database, STREAM, SESSION, *segments, *[replace(row, state="uploaded") for row in segments])
    rows = ask(ListSegments(key=KEY))
    assert [(row.sequence, row.state) for row in rows] == [(number, "uploaded") for number in range(5000)]


def test_text_that_no_database_takes_is_replaced(database: pykka.ActorRef[Any], ask: Ask) -> None:
    save(database, replace(STREAM, last_error="a\0b\udcffc"))
    assert ask(FindStream(key=KEY)).last_error == "a?b?c"


# ---- questions


def test_streams_are_paged_newest_publish_first(database: pykka.ActorRef[Any], ask: Ask) -> None:
    save(database, *[stream(f"cam{number}", 100 + number) for number in (3, 1, 5, 2, 4)])
    page = ask(ListStreams(offset=1, limit=2))
    assert [row.stream_key for row in page.items] == ["cam4", "cam3"]
    assert (page.total, page.offset, page.limit) == (5, 1, 2)


def test_a_page_past_the_end_is_empty_and_knows_the_total(database: pykka.ActorRef[Any], ask: Ask) -> None:
    save(database, STREAM)
    page = ask(ListStreams(offset=50, limit=10))
    assert (page.items, page.total) == ((), 1)


def test_only_active_streams_are_listed_when_asked(database: pykka.ActorRef[Any], ask: Ask) -> None:
    save(database, *[stream(f"cam-{state}", 100, state) for state in StreamState])
    page = ask(ListStreams(offset=0, limit=100, active_only=True))
    active = {state for state in StreamState if state.is_active}
    assert {row.status for row in page.items} == active
    assert page.total == len(active)


def test_streams_are_counted_by_state(database: pykka.ActorRef[Any], ask: Ask) -> None:
    assert ask(CountStreams()) == StreamCounts(total=0, active=0, inactive=0, failed=0)
    save(database, *[stream(f"cam-{state}", 100, state) for state in StreamState], stream("x", 1, StreamState.FAILED))
    assert ask(CountStreams()) == StreamCounts(total=8, active=5, inactive=1, failed=2)


def test_sessions_of_one_key_are_paged_newest_first(database: pykka.ActorRef[Any], ask: Ask) -> None:
    other = StreamKey("other")
    sessions = [replace(SESSION, session=SessionId(f"s{number}"), epoch=Epoch(100 + number)) for number in (2, 1, 3)]
    save(database, STREAM, replace(STREAM, key=other), *sessions, replace(SESSION, key=other))
    page = ask(ListSessions(key=KEY, offset=0, limit=2))
    assert ([row.session for row in page.items], page.total) == (["s3", "s2"], 3)


def test_segments_are_of_the_newest_session_that_has_any(database: pykka.ActorRef[Any], ask: Ask) -> None:
    newer = replace(SEGMENT, session=SessionId("s2"))
    empty = replace(SESSION, session=SessionId("s3"), epoch=Epoch(103))
    save(database, STREAM, empty, SEGMENT, newer)
    assert [row.session for row in ask(ListSegments(key=KEY))] == ["s2"]
    assert ask(ListSegments(key=StreamKey("nobody"))) == ()


def test_segments_are_of_the_rendition_that_the_session_names_first(database: pykka.ActorRef[Any], ask: Ask) -> None:
    audio = replace(SEGMENT, rendition=RenditionName("audio"))
    save(database, STREAM, replace(SESSION, renditions=(RenditionName("1080p"), P720, audio.rendition)), audio, SEGMENT)
    assert [row.rendition for row in ask(ListSegments(key=KEY))] == [P720]
    assert [row.rendition for row in ask(ListSegments(key=KEY, rendition=audio.rendition))] == ["audio"]


def test_a_limit_keeps_the_last_segments_in_order(database: pykka.ActorRef[Any], ask: Ask) -> None:
    save(database, *[replace(SEGMENT, sequence=MediaSequence(number)) for number in (9, 10, 11)])
    assert [row.sequence for row in ask(ListSegments(key=KEY, limit=2))] == [10, 11]


def test_a_question_sees_what_its_asker_saved_just_before(database: pykka.ActorRef[Any], ask: Ask) -> None:
    assert ask(CheckDatabase()) is None
    database.tell(STREAM)
    assert ask(FindStream(key=KEY)) is not None


# ---- recall


def test_an_unknown_key_is_recalled_with_zeros(database: pykka.ActorRef[Any], listener: Any) -> None:
    ref, heard = listener
    database.tell(RecallStream(key=KEY, urn=ref.actor_urn))
    assert heard.get(timeout=10) == StreamRecalled(
        epoch=Epoch(0), next_sequence=MediaSequence(0), discontinuity_sequence=0
    )


def test_the_highest_numbers_of_streams_sessions_and_segments_are_recalled(
    start: Callable[..., pykka.ActorRef[Any]], url: str, listener: Any
) -> None:
    before = start(url)
    save(
        before, STREAM, replace(SESSION, epoch=Epoch(130)), SEGMENT,
        replace(SEGMENT, session=SessionId("s2"), sequence=MediaSequence(41)), stream("another", 999),
    )  # fmt: skip
    before.stop()
    ref, heard = listener
    start(url).tell(RecallStream(key=KEY, urn=ref.actor_urn))
    assert heard.get(timeout=10) == StreamRecalled(
        epoch=Epoch(130), next_sequence=MediaSequence(42), discontinuity_sequence=2
    )


def test_numbers_never_go_back_when_a_session_began_without_a_recall(
    database: pykka.ActorRef[Any], listener: Any
) -> None:
    save(database, replace(STREAM, next_sequence=MediaSequence(50)))
    save(database, replace(STREAM, epoch=Epoch(200), next_sequence=MediaSequence(3), discontinuity_sequence=0))
    ref, heard = listener
    database.tell(RecallStream(key=KEY, urn=ref.actor_urn))
    recalled = heard.get(timeout=10)
    assert (recalled.epoch, recalled.next_sequence, recalled.discontinuity_sequence) == (200, 50, 2)


def test_rows_that_were_told_before_a_recall_count(database: pykka.ActorRef[Any], listener: Any) -> None:
    ref, heard = listener
    database.tell(STREAM)
    database.tell(SEGMENT)
    database.tell(RecallStream(key=KEY, urn=ref.actor_urn))
    assert heard.get(timeout=10).next_sequence == 8


def test_a_recall_for_a_dead_actor_harms_nobody(database: pykka.ActorRef[Any], ask: Ask) -> None:
    database.tell(RecallStream(key=KEY, urn="urn:uuid:gone"))
    assert ask(CountStreams()).total == 0


# ---- reconciliation


def test_rows_that_a_killed_service_left_active_end_and_the_others_stay(
    start: Callable[..., pykka.ActorRef[Any]], url: str
) -> None:
    before = start(url)
    save(
        before, stream("mine", 100), stream("dead", 101), stream("over", 102, StreamState.FAILED),
        *[replace(SESSION, key=StreamKey(key)) for key in ("mine", "dead")],
        replace(SESSION, key=StreamKey("mine"), session=SessionId("s0"), epoch=Epoch(90)),
    )  # fmt: skip
    before.stop()
    database = start(url)
    ask = asker(database)
    database.tell(ReconcileStreams(keys=(StreamKey("mine"),)))
    save(database)
    rows = {row.stream_key: row for row in ask(ListStreams(offset=0, limit=10)).items}
    assert {key: row.status for key, row in rows.items()} == {"mine": "live", "dead": "ended", "over": "failed"}
    assert rows[StreamKey("dead")].last_error == STOPPED_WHILE_LIVE
    assert rows[StreamKey("dead")].stopped_at is not None
    (dead,) = ask(ListSessions(key=StreamKey("dead"), offset=0, limit=9)).items
    assert (dead.status, dead.end_reason) == (StreamState.ENDED, STOPPED_WHILE_LIVE)
    assert dead.ended_at == rows[StreamKey("dead")].stopped_at
    mine = ask(ListSessions(key=StreamKey("mine"), offset=0, limit=9)).items
    assert [(row.session, row.status) for row in mine] == [("s1", StreamState.LIVE), ("s0", StreamState.ENDED)]


def test_what_was_saved_before_the_reconciliation_is_left_alone(database: pykka.ActorRef[Any], ask: Ask) -> None:
    save(database, STREAM, SESSION)
    database.tell(ReconcileStreams(keys=()))
    save(database)
    assert ask(FindStream(key=KEY)).status is StreamState.LIVE


def test_a_reconciled_stream_can_go_live_again(start: Callable[..., pykka.ActorRef[Any]], url: str) -> None:
    before = start(url)
    save(before, STREAM)
    before.stop()
    database = start(url)
    database.tell(ReconcileStreams(keys=()))
    save(database, replace(STREAM, epoch=Epoch(101), revision=0))
    assert asker(database)(FindStream(key=KEY)).status is StreamState.LIVE


# ---- bad rows, bounds, stopping


@pytest.mark.parametrize(
    "poison",
    [
        pytest.param(replace(SESSION, key=StreamKey("unknown")), id="session without a stream"),
        pytest.param(replace(SEGMENT, name=None), id="missing value"),
        pytest.param(replace(SEGMENT, program_date_time=UnixTime(1e300)), id="impossible time"),
        pytest.param(replace(SEGMENT, name="\ud800"), id="text that has no bytes"),
    ],
)
def test_a_row_that_can_never_be_written_is_named_and_holds_up_nobody(
    database: pykka.ActorRef[Any], ask: Ask, caplog: pytest.LogCaptureFixture, poison: Message
) -> None:
    good = [replace(SEGMENT, sequence=MediaSequence(number)) for number in (10, 11, 12)]
    save(database, STREAM, SESSION, good[0], poison, *good[1:])
    assert [row.sequence for row in ask(ListSegments(key=KEY))] == [10, 11, 12]
    assert ask(ListSessions(key=KEY, offset=0, limit=9)).total == 1
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.key for record in errors] == [poison.key]
    assert f"A {type(poison).__name__} can never be written and is dropped: " in errors[0].getMessage()


def test_a_full_backlog_says_how_many_segments_it_dropped(
    start: Callable[..., pykka.ActorRef[Any]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    database = start(f"sqlite+aiosqlite:///{tmp_path}/missing/db", backlog=Backlog(max_segments=2))
    for number in range(5):
        database.tell(replace(SEGMENT, sequence=MediaSequence(number)))
    database.tell(STREAM)
    assert asker(database)(FlushDatabase(deadline=Seconds(0.1))) == 3
    assert "The backlog is full: 1 of the oldest segment rows" in caplog.text


def test_who_asks_hears_when_everything_is_written(
    database: pykka.ActorRef[Any], ask: Ask, listener: tuple[pykka.ActorRef[Listener], Any]
) -> None:
    ref, heard = listener
    for number in range(3):
        database.tell(replace(SEGMENT, sequence=MediaSequence(number)))
    database.tell(ConfirmRows(key=KEY, urn=ref.actor_urn, mark=3))
    assert heard.get(timeout=10) == RowsSettled(mark=3, is_complete=True, by=database.actor_urn)
    database.tell(ConfirmRows(key=KEY, urn=ref.actor_urn, mark=4))
    assert heard.get(timeout=10) == RowsSettled(mark=4, is_complete=True, by=database.actor_urn)


def test_who_asks_hears_when_rows_were_dropped_and_of_nobody_elses(
    start: Callable[..., pykka.ActorRef[Any]], url: str, listener: tuple[pykka.ActorRef[Listener], Any]
) -> None:
    ref, heard = listener
    database = start(url, backlog=Backlog(max_segments=2))
    for number in range(5):
        database.tell(replace(SEGMENT, sequence=MediaSequence(number)))
    database.tell(ConfirmRows(key=KEY, urn=ref.actor_urn, mark=5))
    assert heard.get(timeout=10) == RowsSettled(mark=5, is_complete=False, by=database.actor_urn)
    database.tell(replace(SEGMENT, key=StreamKey("other")))
    database.tell(ConfirmRows(key=KEY, urn=ref.actor_urn, mark=6))
    assert heard.get(timeout=10) == RowsSettled(mark=6, is_complete=True, by=database.actor_urn)


def test_a_database_that_is_not_there_is_said_and_used_as_soon_as_it_is(
    start: Callable[..., pykka.ActorRef[Any]], tmp_path: Path
) -> None:
    folder = tmp_path / "later"
    database = start(f"sqlite+aiosqlite:///{folder}/db")
    ask = asker(database)
    database.tell(STREAM)
    with pytest.raises(DatabaseUnavailableError, match="unable to open database file"):
        ask(CheckDatabase())
    with pytest.raises(DatabaseUnavailableError, match="unable to open database file"):
        ask(FindStream(key=KEY))
    folder.mkdir()
    save(database)
    assert ask(FindStream(key=KEY)).stream_key == KEY
    assert ask(CheckDatabase()) is None


def test_a_locked_file_delays_rows_and_loses_none(start: Callable[..., pykka.ActorRef[Any]], tmp_path: Path) -> None:
    database = start(f"sqlite+aiosqlite:///{tmp_path}/db")
    ask = asker(database)
    save(database, STREAM)
    holder = sqlite3.connect(tmp_path / "db")
    holder.execute("BEGIN IMMEDIATE")
    database.tell(SEGMENT)
    assert ask(FlushDatabase(deadline=Seconds(0.2))) == 1
    holder.rollback()
    holder.close()
    save(database)
    assert len(ask(ListSegments(key=KEY))) == 1


def test_stopping_answers_a_flush_that_waits(start: Callable[..., pykka.ActorRef[Any]], tmp_path: Path) -> None:
    database = start(f"sqlite+aiosqlite:///{tmp_path}/missing/db")
    database.tell(STREAM)
    answer: concurrent.futures.Future[int] = database.ask(FlushDatabase(deadline=Seconds(60.0)), timeout=10)
    database.stop()
    assert answer.result(timeout=10) == 1


def test_a_stopped_actor_leaves_no_thread(start: Callable[..., pykka.ActorRef[Any]], url: str) -> None:
    before = set(threading.enumerate())
    database = start(url)
    save(database, STREAM)
    answers = [database.ask(CountStreams(), timeout=10) for _ in range(20)]
    database.stop()
    for answer in answers:
        assert isinstance(answer.exception(timeout=10), DatabaseUnavailableError | None)
    wait_until(lambda: set(threading.enumerate()) <= before, what="the end of every thread")
