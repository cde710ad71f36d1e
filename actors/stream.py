"""StreamActor: one stream key's life, from an accepted publish to a finished broadcast.

Receives  BeginPublish, EndPublish, RecoverStream, ShutDown (Supervisor);
          SourceJoined, SourceDetected, SourceReady, SourceChanged, SourceClosed (feed);
          EncoderProgressed, EncoderExited (FFmpeg reader); SegmentClosed, FolderScanned (SegmentWatcher);
          ObjectStored, UploadFailed, SegmentsGivenUp (Uploader); StreamRecalled, RowsSettled (Database); ChildFailed;
          Tick (timer)
Tells     PublisherGone, PublisherFound, StreamSettled, StreamIdle, StreamStopped (Supervisor)
Owns      the ledger and its journal (Broadcast), the feed and FFmpeg (Encoding), SegmentWatcher and Uploader
Its death ends its FFmpeg; the Supervisor starts another, which goes on from the journal.
"""

import logging
import time
from concurrent.futures import Future
from typing import Any

from actors.base import BaseActor, Ref, answer_publish, tell
from actors.broadcast import Broadcast
from actors.deaths import MAX_RESTARTS, Deaths
from actors.encoding import Encoding
from actors.ending import Ending
from actors.life import Life
from actors.services import Services
from actors.timers import Ticker
from streamkit.errors import StreamKitError
from streamkit.ffmpeg.state import StreamEvent
from streamkit.messages import (
    BeginPublish,
    ChildFailed,
    CutClip,
    EncoderExited,
    EncoderProgressed,
    EndPublish,
    FolderScanned,
    ObjectStored,
    PublishAnswer,
    PublisherFound,
    PublisherGone,
    RecallStream,
    RecoverStream,
    RowsSettled,
    SegmentClosed,
    SegmentsGivenUp,
    ShutDown,
    SourceChanged,
    SourceClosed,
    SourceDetected,
    SourceJoined,
    SourceReady,
    StreamIdle,
    StreamRecalled,
    StreamSettled,
    Tick,
    UploadFailed,
)
from streamkit.types import RunPlan, Seconds, SourceKind, StreamKey, StreamState, UnixTime

logger = logging.getLogger(__name__)

TICK = Seconds(1.0)
IDLE_TICK = Seconds(10.0)  # of a stream that has ended and only waits to be forgotten
RECALL_TIMEOUT = Seconds(1.0)  # then a new session goes on without what the database remembers


class StreamActor(BaseActor):
    """One per stream key that is, or lately was, on air."""

    def __init__(self, *, parent: Ref, key: StreamKey, services: Services) -> None:
        super().__init__(parent=parent, name=f"stream {key}")
        self._key, self._services = key, services
        self._settings, self._extra = services.settings, {"key": key}
        self._publish = 0
        self._kind = services.default_source
        self._joined: Future[PublishAnswer] | None = None
        self._publisher_left, self._is_idle, self._recall_deadline = True, False, 0.0
        self._deaths = Deaths()

    def on_start(self) -> None:
        self._broadcast = Broadcast(self._key, self._services, self.me)
        self._encoding = Encoding(self._key, self._services, self.me)
        self._life = Life(self._key, self._broadcast.state_changed)
        patience = Seconds(self._settings.sessions.finish_deadline)
        self._ending = Ending(self._key, self.parent, self._broadcast, self._encoding, self._life, patience)
        self._ticker = Ticker(self._services.timers, self.me, Tick())
        self._ticker.next(TICK)

    def on_receive(self, message: Any) -> Any:
        match message:
            case BeginPublish():
                self._begin_publish(message)
            case EndPublish():
                self._end_publish(message)
            case RecoverStream():
                self._recover(message)
            case SourceJoined():
                self._source_joined(message)
            case SourceDetected():
                self._source_detected(message)
            case SourceReady():
                self._source_ready(message)
            case SourceChanged():
                self._source_changed(message)
            case SourceClosed():
                self._source_closed(message)
            case EncoderProgressed():
                self._encoding.progressed(message)
            case EncoderExited():
                self._encoding.exited(message)
            case SegmentClosed():
                self._segment_closed(message)
            case FolderScanned():
                self._run_ended(message)
            case ObjectStored():
                self._broadcast.stored(message)
                self._ending.when_drained()
            case UploadFailed() | SegmentsGivenUp() | RowsSettled() | CutClip():
                self._broadcast.hear(message)
            case StreamRecalled():
                self._broadcast.recalled(message)
                self._start_encoder()
            case ChildFailed():
                self._child_failed(message)
            case ShutDown():
                self._shut_down()
            case Tick():
                self._tick()
            case _:
                return super().on_receive(message)
        if self.actor_inbox.empty():  # else the next message shows what this one changed too
            self._show()
        return None

    @property
    def _state(self) -> StreamState:
        return self._life.state

    def on_exit(self, error: BaseException | None) -> None:
        self._encoding.close()
        self._broadcast.close()

    # ---- publish and unpublish

    def _begin_publish(self, message: BeginPublish) -> None:
        self._publish, self._kind, self._publisher_left = message.publish, message.source, False
        self._joined, self._is_idle = message.joined, False
        self._ticker.next(TICK)
        self._life.begin(StreamEvent.PUBLISH)
        if self._state in (StreamState.CONNECTING, StreamState.RECONNECTING):
            self._life.wait(self._settings.sessions.connect_timeout)
        kept = "" if self._ending.is_pending else self._broadcast.ladder
        self._encoding.planning.choose_ladder(message.ladder, kept=kept)
        if self._ending.is_pending or not self._broadcast.is_open:
            self._encoding.forgive()
            self._broadcast.announce(UnixTime(time.time()), self._state)
            self._recall_deadline = time.monotonic() + RECALL_TIMEOUT
            tell(self._services.database, RecallStream(key=self._key, urn=self.actor_urn))
        if message.takes_over:
            self._await_first_segment(StreamEvent.SOURCE_CHANGED)
        if message.takes_over or not self._encoding.feed.is_open_to(self._kind):
            self._encoding.open_feed(self._kind)
            if self._kind is SourceKind.PULL:
                return  # the publisher waits for SourceJoined
        answer_publish(self._joined, self._encoding.planning.ladder)

    def _end_publish(self, message: EndPublish) -> None:
        if message.publish != self._publish or (message.if_silent and not self._encoding.feed.is_silent):
            return
        self._publisher_left = True
        self._encoding.close_feed()
        self._source_lost("the publisher left")

    # ---- the source

    def _source_joined(self, message: SourceJoined) -> None:
        if self._encoding.feed.is_current(message.run):
            answer_publish(self._joined, self._encoding.planning.ladder)

    def _source_detected(self, message: SourceDetected) -> None:
        if self._encoding.feed.detected(message):
            self._await_first_segment(StreamEvent.SOURCE_DETECTED)
            self._start_encoder()

    def _source_ready(self, message: SourceReady) -> None:
        if self._encoding.feed.is_current(message.run):
            self._encoding.end_slate()

    def _source_changed(self, message: SourceChanged) -> None:
        """Another run of the same session encodes what the publisher sends from now on."""
        if self._encoding.source_changed(message):
            self._await_first_segment(StreamEvent.SOURCE_CHANGED)

    def _await_first_segment(self, event: StreamEvent) -> None:
        """The publisher is there: from now on its first segment is awaited."""
        self._life.move(event)
        if self._state is StreamState.RECONNECTING:
            self._life.wait(self._settings.sessions.connect_timeout)

    def _source_closed(self, message: SourceClosed) -> None:
        if self._encoding.source_closed(message):
            if message.error is not None:
                self._broadcast.note_error(message.error)
            self._source_lost(message.error or "the publisher's connection ended")

    def _source_lost(self, reason: str) -> None:
        """A broadcast waits for its publisher, and asks the RTMP server for it unless it said goodbye."""
        is_lost = self._state in (StreamState.CONNECTING, StreamState.LIVE, StreamState.RECONNECTING)
        if not is_lost or self._ending.is_left:
            return
        tell(self.parent, PublisherGone(key=self._key, publish=self._publish))
        if self._state is StreamState.CONNECTING:
            self._finish(StreamEvent.SOURCE_LOST, reason)
            return
        was_live = self._state is StreamState.LIVE
        self._life.move(StreamEvent.SOURCE_LOST)
        self._life.wait_at_most(window := self._settings.reconnect_window_for(self._key))
        logger.info("Waiting %g s for the publisher: %s", window, reason, extra=self._extra)
        if not window:
            self._finish(StreamEvent.WINDOW_PASSED, reason)
        elif was_live:  # else at the next tick: a server that hangs up at once is not asked without a pause
            self._ask_for_publisher()

    def _ask_for_publisher(self) -> None:
        """A pulled stream may still be there although its connection ended: the RTMP server knows."""
        is_asked = self._publisher_left or self._encoding.feed.is_open
        if self._state is StreamState.RECONNECTING and not is_asked and self._kind is SourceKind.PULL:
            self._encoding.open_feed(self._kind)

    # ---- the encoder

    def _start_encoder(self) -> None:
        now = time.monotonic()
        if self._ending.is_final or not self._state.is_active or not self._encoding.is_ready(now):
            return
        if not self._broadcast.knows_numbers and now < self._recall_deadline:
            return
        try:
            plan = self._encoding.planning.publisher(self._encoding.feed.source, self._broadcast.renditions)
            self._open_session(plan)
            self._encoding.start(plan, self._broadcast.begin_run(plan))
        except StreamKitError as error:
            self._give_up(str(error))
        except OSError as error:  # the journal cannot be written: the next tick tries again
            logger.error("No encoder can start: %s", error.strerror or error, extra=self._extra)

    def _show_slate(self) -> None:
        """Give players something to see while the publisher is gone: another run, in the same renditions."""
        if self._state is not StreamState.RECONNECTING or self._ending.is_final or not self._encoding.may_show_slate:
            return
        plan = self._encoding.planning.slate(self._broadcast.renditions)
        if plan is not None and self._broadcast.takes(plan):
            self._encoding.start_slate(plan, self._broadcast.begin_run(plan))

    def _open_session(self, plan: RunPlan) -> None:
        """Open a session unless one is open that goes on; a configuration that changed may not allow that."""
        now = UnixTime(time.time())
        if self._broadcast.is_open and not self._broadcast.takes(plan):
            self._broadcast.end(now, "the segment format changed", failed=False)
        if not self._broadcast.is_open:
            self._broadcast.open(now, self._encoding.planning.ladder)

    def _segment_closed(self, message: SegmentClosed) -> None:
        self._broadcast.segment_closed(message)
        is_fed = self._encoding.segment_closed(message.run)
        if is_fed and self._state in (StreamState.CONNECTING, StreamState.RECONNECTING):
            self._life.move(StreamEvent.FIRST_SEGMENT_LISTED)
            self._life.wait_no_longer()
            tell(self.parent, PublisherFound(key=self._key, publish=self._publish))

    def _run_ended(self, message: FolderScanned) -> None:
        failure = self._encoding.run_ended(message.run)
        self._broadcast.end_run()
        if self._ending.is_pending:
            self._ending.end_session()
        elif failure is not None:
            self._encoder_failed(failure)
        self._start_encoder()
        self._show_slate()

    def _encoder_failed(self, failure: str) -> None:
        self._broadcast.note_error(failure)
        self._life.move(StreamEvent.ENCODER_FAILED)
        if self._encoding.has_failed_too_often:
            self._give_up(failure)

    def _give_up(self, reason: str, event: StreamEvent = StreamEvent.GAVE_UP) -> None:
        logger.error("The stream failed: %s", reason, extra=self._extra)
        self._broadcast.note_error(reason)
        self._finish(event, reason)

    # ---- the end

    def _finish(self, event: StreamEvent, reason: str) -> None:
        self._ending.begin(self._publish, event, reason)

    # ---- start and stop of the service

    def _recover(self, message: RecoverStream) -> None:
        """Go on where the last service stopped: the session waits for its publisher as if it had just lost it."""
        self._publish, self._kind, self._publisher_left = message.publish, message.source, False
        self._encoding.planning.choose_ladder(None, kept=self._broadcast.ladder)
        run = self._broadcast.recover()
        if run is not None:
            self._encoding.collect(*run)
        if self._broadcast.is_open:
            logger.info("Resuming session %s", self._broadcast.session, extra=self._extra)
            self._life.enter(StreamState.RECONNECTING)
            self._life.wait(self._settings.reconnect_window_for(self._key))
            self._ask_for_publisher()
        else:
            logger.info("Storing what the last service left of an ended broadcast", extra=self._extra)
            self._life.enter(StreamState.ENDED)
            self._life.end()
            tell(self.parent, StreamSettled(key=self._key, publish=self._publish))

    def _shut_down(self) -> None:
        self._publisher_left = True
        self._ending.stop(self._publish, keeps=self._settings.sessions.on_stop == "keep")

    def _tick(self) -> None:
        self._ticker.next(TICK if self._state.is_active or not self._broadcast.is_tidy else IDLE_TICK)
        self._broadcast.tick(UnixTime(time.time()))
        if (stall := self._encoding.check(time.monotonic())) is not None:
            self._broadcast.note_error(stall)
            self._source_lost(stall)
        if self._life.is_overdue():
            self._overdue()
        self._ask_for_publisher()
        self._start_encoder()
        self._show_slate()
        self._ending.when_drained()
        self._is_idle = self._life.may_be_forgotten and self._broadcast.is_tidy

    def _overdue(self) -> None:
        seconds = self._settings.sessions.connect_timeout
        match self._state:
            case StreamState.CONNECTING:
                why = f": {self._encoding.feed.error}" if self._encoding.feed.error else ""
                reason = f"nothing playable came within {seconds:g} s of the publish{why}"
                self._give_up(reason, StreamEvent.NO_MEDIA)
            case StreamState.RECONNECTING:
                self._finish(StreamEvent.WINDOW_PASSED, "the publisher did not come back")
            case StreamState.FINISHING:
                self._broadcast.note_error(f"{self._broadcast.pending} objects still wait for the object store")
                self._ending.complete()

    def _child_failed(self, message: ChildFailed) -> None:
        """Replace a dead child; too many deaths are this actor's own failure."""
        logger.error("%s died and is replaced: %s", message.name, message.error, extra=self._extra)
        if self._deaths.add(time.monotonic()) > MAX_RESTARTS:
            raise RuntimeError(f"{message.name} died again and again: {message.error}")
        self._encoding.child_failed(message.urn)
        self._broadcast.child_failed(message.urn)

    def _show(self) -> None:
        """Publish a snapshot, but never one after StreamIdle: nobody would remove it again."""
        if self._is_idle:
            tell(self.parent, StreamIdle(key=self._key, publish=self._publish))
            return
        self._services.board.publish(self._broadcast.snapshot(self._encoding))
