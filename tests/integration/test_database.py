"""The DatabaseActor while PostgreSQL stops, freezes, comes back: nothing is lost, nobody waits, errors are said."""

import concurrent.futures
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pykka
import pytest
from fakes.saves import KEY, SEGMENT, SESSION, STREAM
from servers.postgres import PgDatabase, PostgresServer
from servers.waiting import wait_until

from actors.database import DatabaseActor
from actors.timers import Timers
from streamkit.database.migrate import current_revision
from streamkit.errors import DatabaseUnavailableError
from streamkit.messages import (
    CheckDatabase,
    CountStreams,
    FindStream,
    FlushDatabase,
    ListSegments,
    ListSessions,
    ListStreams,
    Message,
    RecallStream,
    ReconcileStreams,
    SaveSegment,
)
from streamkit.types import Epoch, MediaSequence, Seconds, StreamKey, StreamState

pytestmark = pytest.mark.integration

Ref = pykka.ActorRef[DatabaseActor]
QUESTIONS = [
    ListStreams(offset=0, limit=10),
    FindStream(key=KEY),
    ListSessions(key=KEY, offset=0, limit=10),
    ListSegments(key=KEY),
    CountStreams(),
    CheckDatabase(),
]


@pytest.fixture
def start() -> Iterator[Callable[[str], Ref]]:
    timers, refs = Timers(), []

    def start_actor(url: str) -> Ref:
        refs.append(DatabaseActor.start(url=url, timers=timers))
        return refs[-1]

    yield start_actor
    for ref in refs:
        ref.stop()
    timers.stop()


@pytest.fixture
def database(start: Callable[[str], Ref], pg_database: PgDatabase) -> Ref:
    """Migrated and connected."""
    ref = start(pg_database.url)
    wait_until(lambda: ref.ask(CheckDatabase(), timeout=5).exception(timeout=15) is None, timeout=30)
    return ref


def ask(ref: Ref, message: Message) -> Any:
    return ref.ask(message, timeout=5).result(timeout=15)


def flush(ref: Ref, seconds: float = 10.0) -> int:
    return int(ask(ref, FlushDatabase(deadline=Seconds(seconds))))


def segment(sequence: int, state: str = "closed") -> SaveSegment:
    return replace(SEGMENT, sequence=MediaSequence(sequence), state=state)


def save_a_broadcast(ref: Ref, segments: int) -> None:
    for row in (STREAM, SESSION, *map(segment, range(segments))):
        ref.tell(row)


def assert_whole(ref: Ref, segments: int) -> None:
    assert ask(ref, FindStream(key=KEY)).status is StreamState.LIVE
    assert ask(ref, ListSessions(key=KEY, offset=0, limit=10)).total == 1
    assert [row.sequence for row in ask(ref, ListSegments(key=KEY))] == list(range(segments))


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: type(question).__name__)
def test_while_the_server_is_stopped_every_question_is_answered_with_what_is_wrong(
    database: Ref, postgres: PostgresServer, question: Message
) -> None:
    postgres.stop()
    with pytest.raises(DatabaseUnavailableError, match=r"(refused|closed) the connection"):
        ask(database, question)


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: type(question).__name__)
def test_while_the_server_is_frozen_every_question_ends_within_its_time(
    database: Ref, postgres: PostgresServer, question: Message
) -> None:
    postgres.freeze()
    with pytest.raises(DatabaseUnavailableError, match="did not answer in time"):
        ask(database, question)


def test_rows_saved_while_the_server_is_stopped_arrive_when_it_is_back(database: Ref, postgres: PostgresServer) -> None:
    postgres.stop()
    save_a_broadcast(database, 3000)
    assert flush(database, 0.5) == 3002
    with pytest.raises(DatabaseUnavailableError):
        ask(database, CheckDatabase())
    postgres.start()
    assert flush(database) == 0
    assert_whole(database, 3000)
    assert ask(database, CheckDatabase()) is None


def test_rows_saved_while_the_server_is_frozen_arrive_when_it_thaws(database: Ref, postgres: PostgresServer) -> None:
    postgres.freeze()
    save_a_broadcast(database, 300)
    assert flush(database, 1.0) == 302
    postgres.thaw()
    assert flush(database) == 0
    assert_whole(database, 300)


def test_questions_that_wait_for_a_connection_end_in_time_and_lose_none(
    database: Ref, postgres: PostgresServer
) -> None:
    postgres.freeze()
    answers = [database.ask(question, timeout=5) for question in QUESTIONS * 10]
    done, late = concurrent.futures.wait(answers, timeout=12)  # in turns on four connections they would take 30 s
    assert not late
    assert {type(answer.exception()) for answer in done} == {DatabaseUnavailableError}
    postgres.thaw()
    assert flush(database) == 0
    assert [ask(database, CountStreams()).total for _ in range(8)] == [0] * 8


def test_of_rows_that_changed_in_an_outage_the_newest_arrives(database: Ref, postgres: PostgresServer) -> None:
    save_a_broadcast(database, 1)
    assert flush(database) == 0
    postgres.stop()
    for row in (
        replace(STREAM, revision=2, state=StreamState.RECONNECTING),
        replace(STREAM, revision=3, state=StreamState.ENDED),
        segment(0, "uploaded"),
    ):
        database.tell(row)
    postgres.start()
    assert flush(database) == 0
    assert ask(database, FindStream(key=KEY)).status is StreamState.ENDED
    assert [row.state for row in ask(database, ListSegments(key=KEY))] == ["uploaded"]


def test_a_server_that_restarts_in_between_is_not_noticed(database: Ref, postgres: PostgresServer) -> None:
    assert ask(database, CheckDatabase()) is None
    postgres.stop()
    postgres.start()
    save_a_broadcast(database, 10)
    assert flush(database) == 0
    assert_whole(database, 10)


def test_a_node_that_starts_before_its_database_migrates_and_catches_up_when_it_comes(
    start: Callable[[str], Ref], pg_database: PgDatabase, postgres: PostgresServer
) -> None:
    postgres.stop()
    database = start(pg_database.url)
    save_a_broadcast(database, 5)
    with pytest.raises(DatabaseUnavailableError, match="refused the connection"):
        ask(database, CheckDatabase())
    postgres.start()
    assert flush(database) == 0
    assert current_revision(pg_database.url) is not None
    assert_whole(database, 5)


def test_what_waits_for_the_database_is_done_in_order_when_it_comes(
    start: Callable[[str], Ref], pg_database: PgDatabase, postgres: PostgresServer
) -> None:
    """The rows of the last service end, what was saved meanwhile stays, and the recall knows both."""
    before = start(pg_database.url)
    dead = replace(STREAM, key=StreamKey("dead"))
    before.tell(dead)
    before.tell(replace(STREAM, next_sequence=MediaSequence(70)))
    assert flush(before) == 0
    before.stop()
    postgres.stop()
    database = start(pg_database.url)
    database.tell(ReconcileStreams(keys=()))
    database.tell(replace(STREAM, epoch=Epoch(500), revision=0))
    heard: list[Any] = []
    answered = threading.Event()

    class Asker(pykka.ThreadingActor):
        def on_receive(self, message: Any) -> None:
            heard.append(message)
            answered.set()

    asker = Asker.start()
    database.tell(RecallStream(key=KEY, urn=asker.actor_urn))
    assert flush(database, 0.3) == 1
    assert not heard
    postgres.start()
    assert answered.wait(15)
    asker.stop()
    assert [(message.epoch, message.next_sequence) for message in heard] == [(500, 70)]
    assert ask(database, FindStream(key=dead.key)).status is StreamState.ENDED
    assert ask(database, FindStream(key=KEY)).status is StreamState.LIVE


def test_many_nodes_start_at_once_on_an_empty_database(start: Callable[[str], Ref], pg_database: PgDatabase) -> None:
    nodes = [start(pg_database.url) for _ in range(5)]
    for number, node in enumerate(nodes):
        node.tell(replace(STREAM, key=StreamKey(f"cam{number}")))
    assert [flush(node, 30.0) for node in nodes] == [0] * 5
    assert ask(nodes[0], CountStreams()).total == 5


@pytest.mark.parametrize("trouble", ["stop", "freeze"])
def test_an_actor_that_stops_during_an_outage_leaves_no_thread(
    pg_database: PgDatabase, postgres: PostgresServer, trouble: str
) -> None:
    timers = Timers()
    before = set(threading.enumerate())
    database = DatabaseActor.start(url=pg_database.url, timers=timers)
    assert flush(database) == 0
    getattr(postgres, trouble)()
    save_a_broadcast(database, 10)
    answers = [database.ask(question, timeout=5) for question in QUESTIONS]
    database.stop()
    for answer in answers:
        assert isinstance(answer.exception(timeout=15), DatabaseUnavailableError)
    wait_until(lambda: set(threading.enumerate()) <= before, what="the end of every thread")
    timers.stop()
