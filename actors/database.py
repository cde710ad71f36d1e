"""DatabaseActor: keeps what is to be saved until the database has it, and answers questions about what was saved.

Receives  SaveStream, SaveSession, SaveSegment, RecallStream, ConfirmRows (StreamActor); ReconcileStreams (Supervisor);
          ListStreams, FindStream, ListSessions, ListSegments, CountStreams, CheckDatabase, BeginClip, FinishClip,
          DeleteClip, FindClip, ListClips, FindPublishKey (front end, ask); ListArchives, ExpireSession,
          SessionUnlisted, SessionRemoved, FindNeeded, FindLeftovers, LeftoversRemoved, FindUnfinishedClips (Retention,
          ask); FlushDatabase (composition root, ask); Wake (timer, its own loop)
Tells     StreamRecalled, RowsSettled (StreamActor)
Owns      the thread 'db-loop' with the only connections to the database, and a bounded backlog of rows
Its death loses the rows that wait; streams go on without it. What does not fit into the backlog is dropped, and told
again by its StreamActor from the ledger when there is room.

The actor's thread only keeps state. At most one piece of work is under way in the loop; when it is done, a Wake looks
at the result and starts the next with all that came meanwhile. What fails is kept and tried again.
"""

import concurrent.futures
import logging
import random
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, TypeVar

import pykka

from actors.answering import answer_question
from actors.base import BaseActor, Ref, tell
from actors.timers import Timers
from streamkit.backoff import Backoff
from streamkit.database.backlog import BATCH_SEGMENTS, Backlog, Save
from streamkit.database.loop import LoopThread
from streamkit.database.repository import Outcome, Repository, Work
from streamkit.errors import DatabaseUnavailableError, StreamKitError
from streamkit.messages import (
    BeginClip,
    CheckDatabase,
    ConfirmRows,
    CountStreams,
    DeleteClip,
    ExpireSession,
    FindClip,
    FindLeftovers,
    FindNeeded,
    FindPublishKey,
    FindStream,
    FindUnfinishedClips,
    FinishClip,
    FlushDatabase,
    LeftoversRemoved,
    ListArchives,
    ListClips,
    ListSegments,
    ListSessions,
    ListStreams,
    RecallStream,
    ReconcileStreams,
    RowsSettled,
    SaveSegment,
    SaveSession,
    SaveStream,
    SessionRemoved,
    SessionUnlisted,
    Wake,
)
from streamkit.types import Seconds, StreamKey

logger = logging.getLogger(__name__)
T = TypeVar("T")

FIRST_RETRY: Final = Seconds(0.1)
RETRY_LIMIT: Final = Seconds(2.0)
FEWEST_SEGMENTS: Final = 50  # in a piece of work, however slow the database is
GATHER: Final = Seconds(0.2)  # a piece of work costs about 1 ms of CPU, a row in it 0.02 ms
STOP_GRACE: Final = Seconds(1.0)  # for what is under way when the actor stops
DROP_REPORT: Final = Seconds(60.0)


class DatabaseActor(BaseActor):
    """One per service. Migrates and connects by itself, as soon as the database is there."""

    def __init__(
        self,
        *,
        url: str,
        timers: Timers,
        backlog: Backlog | None = None,
        parent: Ref | None = None,
        name: str = "database",
    ) -> None:
        super().__init__(parent=parent, name=name)
        self._timers = timers
        self._repository = Repository(url)
        self._loop: LoopThread | None = None
        self._backlog = Backlog() if backlog is None else backlog  # an empty one is false
        self._recalls: dict[str, StreamKey] = {}
        self._confirms: dict[str, ConfirmRows] = {}  # by actor
        self._covered: tuple[ConfirmRows, ...] = ()  # all that they ask for is in the work under way
        self._most_segments = BATCH_SEGMENTS  # in one piece of work: fewer where the database is slow
        self._alive: frozenset[StreamKey] | None = None
        self._saved: set[StreamKey] | None = set()  # until the first ReconcileStreams was carried out
        self._flushes: list[tuple[float, concurrent.futures.Future[int]]] = []
        self._work = Work()
        self._flight: concurrent.futures.Future[Outcome] | None = None
        self._is_open = False
        self._gathering = False
        self._gathered_at = 0.0  # monotonic seconds at which the rows that wait may be written
        self._backoff = Backoff(random=random.random, first=FIRST_RETRY, limit=RETRY_LIMIT)
        self._failures = 0  # in a row
        self._told: set[str] = set()  # problems that were logged since the database last worked
        self._not_before = 0.0  # monotonic seconds
        self._reported_drops = 0
        self._next_drop_report = 0.0  # monotonic seconds

    def on_start(self) -> None:
        self._loop = LoopThread("db-loop")
        self._start_work()

    def on_receive(self, message: Any) -> Any:
        match message:
            case SaveStream() | SaveSession() | SaveSegment():
                return self._save(message)
            case ConfirmRows():
                return self._confirm(message)
            case RecallStream():
                return self._recall(message)
            case ReconcileStreams():
                return self._reconcile(message)
            case ListStreams():
                return self._read(partial(self._repository.list_streams, message))
            case FindStream():
                return self._read(partial(self._repository.find_stream, message))
            case ListSessions():
                return self._read(partial(self._repository.list_sessions, message))
            case ListSegments():
                return self._read(partial(self._repository.list_segments, message))
            case CountStreams():
                return self._read(self._repository.count_streams)
            case CheckDatabase():
                return self._read(self._repository.check)
            case BeginClip():
                return self._read(partial(self._repository.archive.begin_clip, message))
            case FinishClip():
                return self._read(partial(self._repository.archive.finish_clip, message))
            case DeleteClip():
                return self._read(partial(self._repository.archive.delete_clip, message))
            case FindClip():
                return self._read(partial(self._repository.archive.find_clip, message))
            case FindUnfinishedClips():
                return self._read(partial(self._repository.archive.unfinished_clips, message))
            case ListClips():
                return self._read(partial(self._repository.archive.list_clips, message))
            case ListArchives():
                return self._read(partial(self._repository.retention.list_archives, message))
            case ExpireSession():
                return self._read(partial(self._repository.retention.expire, message))
            case SessionUnlisted():
                return self._read(partial(self._repository.retention.unlisted, message))
            case SessionRemoved():
                return self._read(partial(self._repository.retention.removed, message))
            case FindNeeded():
                return self._read(partial(self._repository.retention.needed, message))
            case FindLeftovers():
                return self._read(partial(self._repository.retention.leftovers, message))
            case LeftoversRemoved():
                return self._read(partial(self._repository.retention.leftovers_removed, message))
            case FindPublishKey():
                return self._read(partial(self._repository.publish_keys.find, message))
            case FlushDatabase():
                return self._flush(message)
            case Wake():
                return self._wake()
            case _:
                return super().on_receive(message)

    def on_exit(self, error: BaseException | None) -> None:
        if self._loop is not None:
            try:
                self._loop.stop(self._repository.close, grace=STOP_GRACE)
            except DatabaseUnavailableError as problem:
                logger.warning("The connections were given up: %s", problem)
        self._finish_work()
        if self._backlog:
            logger.warning("Stopped with %d rows not written", len(self._backlog))
        for _, answer in self._flushes:
            answer.set_result(len(self._backlog))

    # ---- commands

    def _save(self, row: Save) -> None:
        self._backlog.add(row)
        if self._saved is not None:
            self._saved.add(row.key)
        self._report_drops()
        if not self._gathering:
            self._gathering = True
            self._gathered_at = time.monotonic() + GATHER
            self._timers.after(GATHER, self.me, Wake())

    def _recall(self, message: RecallStream) -> None:
        self._recalls[message.urn] = message.key
        self._wake()

    def _confirm(self, message: ConfirmRows) -> None:
        self._confirms[message.urn] = message
        if not self._backlog and self._flight is None:
            self._settle(tuple(self._confirms.values()))

    def _reconcile(self, message: ReconcileStreams) -> None:
        self._alive = frozenset(message.keys)
        self._wake()

    def _flush(self, message: FlushDatabase) -> concurrent.futures.Future[int]:
        answer: concurrent.futures.Future[int] = concurrent.futures.Future()
        answer.set_running_or_notify_cancel()  # from here on it cannot be cancelled, only answered
        self._flushes.append((time.monotonic() + message.deadline, answer))
        self._timers.after(message.deadline, self.me, Wake())
        self._not_before = 0.0
        self._wake()
        return answer

    def _read(self, question: Callable[[], Coroutine[Any, Any, T]]) -> concurrent.futures.Future[T]:
        self._gathered_at = 0.0
        self._wake()
        loop = self._running_loop
        return loop.submit(answer_question(question, loop, after=self._flight))

    # ---- work

    def _wake(self) -> None:
        self._finish_work()
        self._start_work()
        self._answer_flushes()
        self._report_drops()

    def _start_work(self) -> None:
        if self._flight is not None or not self._is_work_due(time.monotonic()):
            return
        self._gathering = False
        alive = None if self._alive is None else self._alive | (self._saved or set())
        rows = self._backlog.batch(self._most_segments)
        self._covered = tuple(self._confirms.values()) if len(rows) == len(self._backlog) else ()
        self._work = Work(rows=rows, recalls=frozenset(self._recalls.values()), alive=alive)
        self._flight = self._running_loop.submit(self._repository.carry_out(self._work))
        me = self.me
        self._flight.add_done_callback(lambda _: tell(me, Wake()))

    def _is_work_due(self, now: float) -> bool:
        if now < self._not_before:
            return False
        if not self._is_open or self._recalls or self._alive is not None:
            return True
        return bool(self._backlog) and (now >= self._gathered_at or bool(self._flushes))

    def _finish_work(self) -> None:
        if self._flight is None or not self._flight.done():
            return
        flight, self._flight = self._flight, None
        try:
            outcome = flight.result()
        except concurrent.futures.CancelledError:
            return  # the actor is stopping
        except StreamKitError as error:
            self._retry_later(error)
        except Exception as error:
            logger.exception("Work for the database failed in a way nobody foresaw, and is tried again")
            self._retry_later(error)
        else:
            self._work_done(outcome)

    def _retry_later(self, error: Exception) -> None:
        self._failures += 1
        self._most_segments = max(FEWEST_SEGMENTS, self._most_segments // 2)
        if str(error) not in self._told:
            self._told.add(str(error))
            logger.warning("%s; streams go on, %d rows wait", error, len(self._backlog))
        wait = self._backoff.delay(self._failures)
        self._is_open = False
        self._not_before = time.monotonic() + wait
        self._timers.after(wait, self.me, Wake())

    def _work_done(self, outcome: Outcome) -> None:
        if self._failures:
            logger.warning("The database is there after %d failures in a row", self._failures)
        self._failures, self._told = 0, set()
        self._most_segments = min(BATCH_SEGMENTS, self._most_segments * 2)
        self._is_open = True
        self._backlog.discard(self._work.rows)
        for row, reason in outcome.rejected:
            logger.error(
                "A %s can never be written and is dropped: %s", type(row).__name__, reason, extra={"key": row.key}
            )
        if self._work.alive is not None:
            self._alive, self._saved = None, None
            if outcome.ended:
                logger.warning("Ended streams that a stopped service left active: %s", ", ".join(outcome.ended))
        self._answer_recalls(outcome)
        self._settle(self._covered)

    def _settle(self, confirms: tuple[ConfirmRows, ...]) -> None:
        for one in confirms:
            if self._confirms.get(one.urn) is one:
                del self._confirms[one.urn]
            is_complete = one.key not in self._backlog.dropped_keys
            self._backlog.dropped_keys.discard(one.key)
            actor = pykka.ActorRegistry.get_by_urn(one.urn)
            tell(actor, RowsSettled(mark=one.mark, is_complete=is_complete, by=self.actor_urn))

    def _answer_recalls(self, outcome: Outcome) -> None:
        for urn, key in list(self._recalls.items()):
            if key in outcome.recalled:
                del self._recalls[urn]
                tell(pykka.ActorRegistry.get_by_urn(urn), self._backlog.recall(key, outcome.recalled[key]))

    def _answer_flushes(self) -> None:
        now, is_done = time.monotonic(), not self._backlog and self._flight is None
        for flush in list(self._flushes):
            deadline, answer = flush
            if is_done or now >= deadline:
                self._flushes.remove(flush)
                answer.set_result(len(self._backlog))

    def _report_drops(self) -> None:
        new, now = self._backlog.dropped - self._reported_drops, time.monotonic()
        if new and now >= self._next_drop_report:
            self._reported_drops += new
            self._next_drop_report = now + DROP_REPORT
            logger.warning(
                "The backlog is full: %d of the oldest segment rows will be told again from the journals", new
            )

    @property
    def _running_loop(self) -> LoopThread:
        if self._loop is None:
            raise RuntimeError("the actor was not started")
        return self._loop
