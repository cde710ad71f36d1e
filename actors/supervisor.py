"""Supervisor: decides who may publish, and keeps one StreamActor per stream key alive.

Receives  PublishStream, UnpublishStream, CutClip, StopService (ask; front end and composition root);
          DrainService, StopOverdue (composition root);
          PublisherGone, PublisherFound, StreamSettled, StreamIdle, StreamStopped, ChildFailed (StreamActor);
          PublishersSeen (RtmpWatch); JoinOverdue, RestartStream, StopOverdue, LookWhetherDrained (timer)
Tells     BeginPublish, EndPublish, RecoverStream, ShutDown (StreamActor); ReconcileStreams (Database)
Owns      key -> StreamActor, the capacity, the restart policy, the RtmpWatch
Its death ends the service: nobody else can accept a publish.
"""

import contextlib
import logging
import random
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field, replace
from typing import Any

from actors.base import BaseActor, Ref, answer_publish, tell
from actors.deaths import MAX_RESTARTS, RESTART_WINDOW, Deaths
from actors.reconciling import Reconciling
from actors.services import Services
from actors.stopping import Stopping
from actors.stream import StreamActor
from streamkit.backoff import Backoff
from streamkit.errors import LadderError
from streamkit.hls.clip import Available, Cut
from streamkit.hls.journal import keys_to_recover
from streamkit.messages import (
    BeginPublish,
    ChildFailed,
    CutClip,
    DrainService,
    EndPublish,
    JoinOverdue,
    LookWhetherDrained,
    PublishAnswer,
    PublisherFound,
    PublisherGone,
    PublishersSeen,
    PublishStream,
    ReconcileStreams,
    RecoverStream,
    RestartStream,
    StopOverdue,
    StopService,
    StreamIdle,
    StreamSettled,
    StreamStopped,
    UnpublishStream,
)
from streamkit.reconciliation import Known
from streamkit.snapshots import StreamSnapshot
from streamkit.types import Seconds, SourceKind, StreamKey, StreamState, UnixTime

logger = logging.getLogger(__name__)

JOIN_TIMEOUT = Seconds(0.5)  # a publisher's first key frame is worth that much of its patience; it has about 10 s


@dataclass(slots=True, kw_only=True)
class _Entry:
    """What the Supervisor knows of a key. `publish` counts publishes; messages about older ones are stale."""

    ref: Ref
    source: SourceKind
    publish: int = 0
    publisher: str | None = None
    published_at: UnixTime | None = None
    ladder: str | None = None
    accepted_at: UnixTime = UnixTime(0.0)
    has_publisher: bool = False
    since: float = field(default_factory=time.monotonic)  # it has a publisher, or has none
    settled: bool = False
    deaths: Deaths = field(default_factory=Deaths)

    def becomes(self, *, has_publisher: bool) -> None:
        self.has_publisher, self.since = has_publisher, time.monotonic()

    @property
    def known(self) -> Known:
        return Known(
            publisher=self.publisher, has_publisher=self.has_publisher, is_settled=self.settled, since=self.since
        )


class Supervisor(BaseActor):
    """One per service."""

    def __init__(self, *, services: Services, on_death: Callable[[], None], on_drained: Callable[[], None]) -> None:
        super().__init__(name="supervisor")
        self._services, self._on_death = services, on_death
        self._entries: dict[StreamKey, _Entry] = {}
        self._backoff = Backoff(first=Seconds(0.1), limit=Seconds(5.0), random=random.random)
        self._joining: set[Future[PublishAnswer]] = set()
        self._stopping = Stopping(services, on_drained)
        self._reconciling = Reconciling(services)

    def on_start(self) -> None:
        """Resume what a killed service left behind, then let the database forget what nobody runs."""
        keys = keys_to_recover(self._services.state_folder)
        for key in keys:
            entry = self._spawn(key, self._services.default_source)
            tell(entry.ref, RecoverStream(publish=0, source=entry.source))
        tell(self._services.database, ReconcileStreams(keys=keys))
        self._reconciling.start(self.me)

    def on_receive(self, message: Any) -> Any:
        match message:
            case PublishStream():
                return self._publish(message)
            case UnpublishStream():
                return self._unpublish(message)
            case PublisherGone():
                return self._publisher_gone(message)
            case PublisherFound():
                return self._publisher_found(message)
            case PublishersSeen():
                return self._publishers_seen(message)
            case StreamSettled():
                return self._settled(message)
            case StreamIdle():
                return self._idle(message)
            case ChildFailed():
                return self._child_failed(message)
            case CutClip():
                return self._cut_clip(message)
            case JoinOverdue():
                return answer_publish(message.joined, message.ladder)
            case RestartStream():
                return self._restart(message.key)
            case StopService():
                streams = {key: entry.ref for key, entry in self._entries.items()}
                return self._stopping.stop(self.me, streams, message.deadline)
            case StreamStopped():
                return self._stopping.stream_stopped(message.key, message.pending, self._entries)
            case StopOverdue():
                return self._stopping.answer(self._entries)
            case DrainService():
                return self._stopping.drain(self.me)
            case LookWhetherDrained():
                return self._stopping.look(self.me, {key: entry.settled for key, entry in self._entries.items()})
            case _:
                return super().on_receive(message)

    def on_exit(self, error: BaseException | None) -> None:
        for entry in self._entries.values():
            entry.ref.stop(block=False)
        for joined in tuple(self._joining):
            with contextlib.suppress(InvalidStateError):  # it was answered at this very moment
                joined.set_result(PublishAnswer(code="stopping", refused="the service is stopping"))
        self._reconciling.close()
        self._stopping.answer(self._entries)
        if error is not None:
            self._on_death()

    # ---- publish and unpublish

    def _publish(self, message: PublishStream) -> Future[PublishAnswer]:
        key, entry = message.key, self._entries.get(message.key)
        answer: Future[PublishAnswer] = Future()
        refusal = self._refusal(message, entry)
        if refusal is not None:
            logger.warning("Refused a publish: %s", refusal.refused, extra={"key": key})
            answer.set_result(refusal)
            return answer
        takes_over = self._takes_over(message, entry)
        if entry is not None and entry.has_publisher and not takes_over:
            entry.publisher = entry.publisher or message.publisher
            answer.set_result(PublishAnswer(ladder=self._ladder_name(key, entry)))
            return answer
        entry = entry or self._spawn(key, message.source)
        entry.publish += 1
        entry.publisher, entry.published_at, entry.source = message.publisher, message.at, message.source
        entry.ladder = message.ladder
        entry.becomes(has_publisher=True)
        entry.settled = False
        entry.accepted_at = UnixTime(time.time())
        begin = BeginPublish(
            publish=entry.publish,
            source=message.source,
            ladder=message.ladder,
            takes_over=takes_over,
            joined=answer,
        )
        if not tell(entry.ref, begin):
            self._restart(key)  # it died; who publishes need not wait until it would have been tried again
        self._joining.add(answer)
        answer.add_done_callback(self._joining.discard)  # a set's own method is atomic in any thread
        overdue = JoinOverdue(joined=answer, ladder=self._ladder_name(key, entry))
        self._services.timers.after(JOIN_TIMEOUT, self.me, overdue)
        logger.info("Accepted a publish by %s", message.publisher or "an unnamed publisher", extra={"key": key})
        return answer

    def _refusal(self, message: PublishStream, entry: _Entry | None) -> PublishAnswer | None:
        is_running = entry is not None and not entry.settled
        if (refusal := self._stopping.refusal(is_running=is_running)) is not None:
            return refusal
        if entry is not None and entry.has_publisher and not self._takes_over(message, entry):
            if self._is_another(message, entry) or message.source is not entry.source:
                return PublishAnswer(code="busy", refused=f"stream {message.key} has a publisher already")
            return None
        try:
            self._services.settings.ladder_name_for(message.key, message.ladder)
        except LadderError as error:
            return PublishAnswer(code="ladder", refused=str(error))
        if (entry is None or entry.settled) and (full := self._services.load.refusal()) is not None:
            return PublishAnswer(code="capacity", refused=full)
        running = sum(not other.settled for key, other in self._entries.items() if key != message.key)
        limit = self._services.settings.limits.max_streams
        if running >= limit:
            return PublishAnswer(
                code="capacity", refused=f"{running} streams are running, limits.max_streams is {limit}"
            )
        return None

    def _takes_over(self, message: PublishStream, entry: _Entry | None) -> bool:
        """Return whether another publisher of the key is on air and has to go for this one."""
        if entry is None or not entry.has_publisher or message.source is not entry.source:
            return False
        return self._is_another(message, entry) and self._services.settings.takes_over(message.key)

    @staticmethod
    def _is_another(message: PublishStream, entry: _Entry) -> bool:
        return bool(message.publisher and entry.publisher and message.publisher != entry.publisher)

    def _ladder_name(self, key: StreamKey, entry: _Entry) -> str:
        return self._services.settings.ladder_name_for(key, entry.ladder)

    def _unpublish(self, message: UnpublishStream) -> bool:
        entry = self._entries.get(message.key)
        if entry is None or entry.settled or self._is_stale(message, entry):
            logger.debug("Ignored a late or unknown unpublish", extra={"key": message.key})
            return False
        entry.becomes(has_publisher=False)
        tell(entry.ref, EndPublish(publish=entry.publish))
        logger.info("The publisher left", extra={"key": message.key})
        return True

    @staticmethod
    def _is_stale(message: UnpublishStream, entry: _Entry) -> bool:
        if entry.source is SourceKind.INGEST:  # its connection is here: nobody else knows better
            return message.publisher != entry.publisher
        if message.publisher and entry.publisher:
            return message.publisher != entry.publisher
        # The same sender's clock where there is one; else ours, against which a sender's is only nearly right.
        return message.at is not None and message.at < (entry.published_at or entry.accepted_at)

    def _cut_clip(self, message: CutClip) -> Future[Cut | Available | None]:
        answer: Future[Cut | Available | None] = Future()
        answer.set_running_or_notify_cancel()  # from here on it cannot be cancelled, only answered
        entry = self._entries.get(message.key)
        if entry is None or not tell(entry.ref, replace(message, answer=answer)):
            answer.set_result(None)
        return answer

    # ---- what the StreamActors tell

    def _current(self, key: StreamKey, publish: int) -> _Entry | None:
        entry = self._entries.get(key)
        return entry if entry is not None and entry.publish == publish else None

    def _publisher_gone(self, message: PublisherGone) -> None:
        if (entry := self._current(message.key, message.publish)) is not None:
            entry.becomes(has_publisher=False)

    def _publisher_found(self, message: PublisherFound) -> None:
        if (entry := self._current(message.key, message.publish)) is not None:
            entry.becomes(has_publisher=True)
            entry.settled = False

    def _settled(self, message: StreamSettled) -> None:
        if (entry := self._current(message.key, message.publish)) is not None:
            entry.becomes(has_publisher=False)
            entry.settled = True

    def _publishers_seen(self, message: PublishersSeen) -> None:
        """Make good what webhooks did not tell, by the same ways as if they had."""
        if self._stopping.has_begun:
            return
        known = {key: entry.known for key, entry in self._entries.items()}
        found = self._reconciling.judge(message, known)
        for key, name in found.renamed.items():
            self._entries[key].publisher = name
        for key in found.departed:
            tell(self._entries[key].ref, EndPublish(publish=self._entries[key].publish, if_silent=True))
        for key, publisher in found.arrived:
            if self._services.settings.publish_mode_for(key) == "open":
                self._publish(PublishStream(key=key, publisher=publisher))
            elif (entry := self._entries.get(key)) is None or entry.settled:  # else its stream asks for it by itself
                # The status page does not show what it would have to show.
                logger.warning("It is not let in without its key or token: let it publish again", extra={"key": key})

    def _idle(self, message: StreamIdle) -> None:
        entry = self._current(message.key, message.publish)
        if entry is None or not entry.settled or self._stopping.has_begun:
            return
        del self._entries[message.key]
        entry.ref.stop(block=False)
        self._services.board.remove(message.key)

    # ---- supervision

    def _spawn(self, key: StreamKey, source: SourceKind) -> _Entry:
        ref = StreamActor.start(parent=self.me, key=key, services=self._services)
        entry = self._entries[key] = _Entry(ref=ref, source=source)
        return entry

    def _child_failed(self, message: ChildFailed) -> None:
        found = next(((k, e) for k, e in self._entries.items() if e.ref.actor_urn == message.urn), None)
        if found is None:
            self._reconciling.child_failed(message, self.me)
            return
        key, entry = found
        deaths = entry.deaths.add(time.monotonic())
        if self._stopping.has_begun:
            self._stopping.stream_stopped(key, 1, self._entries)
        elif deaths > MAX_RESTARTS:
            self._give_up(key, entry, message.error)
        else:
            delay = self._backoff.delay(deaths)
            logger.error("The stream's actor died and restarts: %s", message.error, extra={"key": key})
            self._services.timers.after(delay, self.me, RestartStream(key=key))

    def _restart(self, key: StreamKey) -> None:
        entry = self._entries.get(key)
        if entry is None or entry.ref.is_alive() or self._stopping.has_begun:
            return
        entry.ref, entry.settled = StreamActor.start(parent=self.me, key=key, services=self._services), False
        # What it says of the past must not be taken for the publish that goes on.
        publish = 0 if entry.has_publisher else entry.publish
        tell(entry.ref, RecoverStream(publish=publish, source=entry.source))
        if entry.has_publisher:
            tell(entry.ref, BeginPublish(publish=entry.publish, source=entry.source, ladder=entry.ladder))

    def _give_up(self, key: StreamKey, entry: _Entry, error: str) -> None:
        """Free its place, and try again slowly: what it closed must still reach the store, and its rows the truth."""
        sentence = f"gave up after {MAX_RESTARTS} restarts in {RESTART_WINDOW:g} s: {error}"
        logger.error("The stream failed: %s", sentence, extra={"key": key})
        entry.becomes(has_publisher=False)
        entry.settled = True
        self._services.timers.after(RESTART_WINDOW, self.me, RestartStream(key=key))
        self._services.board.publish(StreamSnapshot(key=key, state=StreamState.FAILED, last_error=sentence))
