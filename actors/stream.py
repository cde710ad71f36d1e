"""StreamActor: one stream key's life, from an accepted publish to a finished broadcast.

Receives  BeginPublish, EndPublish, RecoverStream, ShutDown (Supervisor);
          SourceJoined, SourceDetected, SourceClosed (feed);
          EncoderProgressed, EncoderExited (FFmpeg reader); SegmentClosed, FolderScanned (SegmentWatcher);
          ObjectStored, UploadFailed (Uploader); StreamRecalled (Database); ChildFailed (its children); Tick (timer)
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
from actors.encoding import Encoding
from actors.services import Services
from actors.timers import Timer
from streamkit.errors import StreamKitError
from streamkit.ffmpeg.state import StreamEvent, next_state
from streamkit.messages import (
    BeginPublish,
    ChildFailed,
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
    SegmentClosed,
    ShutDown,
    SourceClosed,
    SourceDetected,
    SourceJoined,
    StreamIdle,
    StreamRecalled,
    StreamSettled,
    StreamStopped,
    Tick,
    UploadFailed,
)
from streamkit.types import Seconds, SourceKind, StreamKey, StreamState, UnixTime

logger = logging.getLogger(__name__)

TICK = Seconds(1.0)
IDLE_TICK = Seconds(10.0)  # of a stream that has ended and only waits to be forgotten
RECALL_TIMEOUT = Seconds(1.0)  # then a new session goes on without what the database remembers
SHOWN_AFTER_END = Seconds(60.0)  # how long an ended stream stays in /stats, with its reason


class StreamActor(BaseActor):
    """One per stream key that is, or lately was, on air."""

    def __init__(self, *, parent: Ref, key: StreamKey, services: Services) -> None:
        super().__init__(parent=parent, name=f"stream {key}")
        self._key = key
        self._services = services
        self._settings = services.settings
        self._extra = {"key": key}
        self._state = StreamState.ACCEPTED
        self._publish = 0
        self._kind = services.default_source
        self._joined: Future[PublishAnswer] | None = None
        self._ticker: Timer | None = None
        self._publisher_left = True
        self._deadline: float | None = None  # monotonic; when the present state's wait is over
        self._recall_deadline = 0.0
        self._ended_at = 0.0
        self._end_reason = ""
        self._ending = False  # the session ends as soon as FFmpeg's last segment is collected
        self._stopping = False

    def on_start(self) -> None:
        self._broadcast = Broadcast(self._key, self._services, self.me)
        self._encoding = Encoding(self._key, self._services, self.me)
        self._next_tick(TICK)

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
                self._end_when_drained()
            case UploadFailed():
                self._broadcast.upload_failed(message)
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
        self._publish_snapshot()
        return None

    def on_exit(self, error: BaseException | None) -> None:
        self._encoding.close()
        self._broadcast.close()

    # ---- publish and unpublish

    def _begin_publish(self, message: BeginPublish) -> None:
        self._publish, self._kind, self._publisher_left = message.publish, message.source, False
        self._joined = message.joined
        self._next_tick(TICK)
        self._move(StreamEvent.PUBLISH)
        if self._state in (StreamState.CONNECTING, StreamState.RECONNECTING):
            self._wait(self._settings.sessions.connect_timeout)
        if self._ending or not self._broadcast.is_open:
            self._broadcast.announce(UnixTime(time.time()), self._state)
            self._recall_deadline = time.monotonic() + RECALL_TIMEOUT
            tell(self._services.database, RecallStream(key=self._key, urn=self.actor_urn))
        if self._encoding.has_feed or self._kind is SourceKind.INGEST:
            answer_publish(self._joined)
        if not self._encoding.has_feed:
            self._encoding.open_feed(self._kind)

    def _end_publish(self, message: EndPublish) -> None:
        if message.publish != self._publish:
            return
        self._publisher_left = True
        self._encoding.close_feed()
        self._source_lost("the publisher left")

    # ---- the source

    def _source_joined(self, message: SourceJoined) -> None:
        if self._encoding.is_current(message.run):
            answer_publish(self._joined)

    def _source_detected(self, message: SourceDetected) -> None:
        if self._encoding.source_detected(message):
            self._move(StreamEvent.SOURCE_DETECTED)
            self._start_encoder()

    def _source_closed(self, message: SourceClosed) -> None:
        if self._encoding.source_closed(message):
            if message.error is not None:
                self._broadcast.note_error(message.error)
            self._source_lost(message.error or "the publisher's connection ended")

    def _source_lost(self, reason: str) -> None:
        """A broadcast waits for its publisher, and asks the RTMP server for it unless it said goodbye."""
        if self._state not in (StreamState.CONNECTING, StreamState.LIVE):
            return
        was_live = self._state is StreamState.LIVE
        tell(self.parent, PublisherGone(key=self._key, publish=self._publish))
        if not was_live:
            self._finish(StreamEvent.SOURCE_LOST, reason)
            return
        self._move(StreamEvent.SOURCE_LOST)
        window = self._settings.reconnect_window_for(self._key)
        self._wait(window)
        logger.info("Waiting %g s for the publisher: %s", window, reason, extra=self._extra)
        if not window:
            self._finish(StreamEvent.WINDOW_PASSED, reason)
        else:
            self._ask_for_publisher()

    def _ask_for_publisher(self) -> None:
        """A pulled stream may still be there although its connection ended: the RTMP server knows."""
        if not self._publisher_left and self._kind is SourceKind.PULL:
            self._encoding.open_feed(self._kind)

    # ---- the encoder

    def _start_encoder(self) -> None:
        now = time.monotonic()
        if self._ending or not self._state.is_active or not self._encoding.is_ready(now):
            return
        if not self._broadcast.knows_numbers and now < self._recall_deadline:
            return
        try:
            renditions = self._encoding.plan()
            if not self._broadcast.is_open:
                self._broadcast.open(UnixTime(time.time()))
            first = self._broadcast.begin_run(renditions)
            self._encoding.start(self._broadcast.session, renditions, first)
        except StreamKitError as error:
            self._give_up(str(error))

    def _segment_closed(self, message: SegmentClosed) -> None:
        self._broadcast.segment_closed(message)
        is_fed = self._encoding.segment_closed(message.run)
        if is_fed and self._state in (StreamState.CONNECTING, StreamState.RECONNECTING):
            self._move(StreamEvent.FIRST_SEGMENT_LISTED)
            self._deadline = None
            tell(self.parent, PublisherFound(key=self._key, publish=self._publish))

    def _run_ended(self, message: FolderScanned) -> None:
        failure = self._encoding.run_ended(message.run)
        self._broadcast.end_run()
        if self._ending:
            self._end_session()
        elif failure is not None:
            self._encoder_failed(failure)
        self._start_encoder()

    def _encoder_failed(self, failure: str) -> None:
        self._broadcast.note_error(failure)
        self._move(StreamEvent.ENCODER_FAILED)
        if self._encoding.has_failed_too_often:
            self._give_up(failure)

    def _give_up(self, reason: str) -> None:
        logger.error("The stream failed: %s", reason, extra=self._extra)
        self._broadcast.note_error(reason)
        self._finish(StreamEvent.GAVE_UP, reason)

    # ---- the end

    def _finish(self, event: StreamEvent, reason: str) -> None:
        """End the publish; its session, if it became one, as soon as FFmpeg has closed its last segment."""
        self._encoding.close_feed()
        self._end_reason, self._ending = reason, self._broadcast.is_open
        self._move(event)
        self._wait(self._settings.sessions.finish_deadline)
        tell(self.parent, StreamSettled(key=self._key, publish=self._publish))
        if not self._ending:
            logger.info("Ended without a broadcast: %s", reason, extra=self._extra)
            self._ended()
        elif not self._encoding.has_run:
            self._end_session()

    def _end_session(self) -> None:
        """Close the playlists; the stream has ended when the store has everything."""
        self._ending = False
        self._broadcast.end(UnixTime(time.time()), self._end_reason, failed=self._state is StreamState.FAILED)
        logger.info("The broadcast ended: %s", self._end_reason, extra=self._extra)
        self._end_when_drained()

    def _end_when_drained(self) -> None:
        if self._ending or self._broadcast.is_open or not self._broadcast.is_drained:
            return
        if self._state is StreamState.FINISHING:
            self._ended()
        if self._stopping:
            tell(self.parent, StreamStopped(key=self._key, pending=0))

    def _ended(self) -> None:
        self._deadline, self._ended_at = None, time.monotonic()
        self._broadcast.stopped(UnixTime(time.time()))
        self._move(StreamEvent.DRAINED)

    # ---- start and stop of the service

    def _recover(self, message: RecoverStream) -> None:
        """Go on after a crash: the session waits for its publisher as if it had just lost it."""
        self._publish, self._kind, self._publisher_left = message.publish, message.source, False
        run = self._broadcast.recover()
        if run is not None:
            self._encoding.collect(*run)
        if self._broadcast.is_open:
            self._state = StreamState.RECONNECTING
            self._wait(self._settings.reconnect_window_for(self._key))
            self._ask_for_publisher()
        else:
            self._state = StreamState.FINISHING
            self._wait(self._settings.sessions.finish_deadline)
            tell(self.parent, StreamSettled(key=self._key, publish=self._publish))
        self._broadcast.state_changed(self._state)
        logger.warning("Recovered after a crash: %s", self._state, extra=self._extra)
        self._end_when_drained()

    def _shut_down(self) -> None:
        if self._stopping:
            return
        self._stopping, self._publisher_left = True, True
        if self._state.is_active and not self._ending and self._state is not StreamState.FINISHING:
            self._finish(StreamEvent.UNPUBLISHED_FINAL, "the service stopped")
        self._end_when_drained()

    def _next_tick(self, delay: Seconds) -> None:
        if self._ticker is not None:
            self._ticker.cancel()
        self._ticker = self._services.timers.after(delay, self.me, Tick())

    def _wait(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds

    def _tick(self) -> None:
        now = time.monotonic()
        self._next_tick(TICK if self._state.is_active or not self._broadcast.is_tidy else IDLE_TICK)
        self._broadcast.tick(UnixTime(time.time()))
        if (stall := self._encoding.check(now)) is not None:
            self._broadcast.note_error(stall)
            self._source_lost(stall)
        if self._deadline is not None and now >= self._deadline:
            self._deadline = None
            self._overdue()
        self._start_encoder()
        self._end_when_drained()
        if not self._state.is_active and now - self._ended_at > SHOWN_AFTER_END and self._broadcast.is_tidy:
            tell(self.parent, StreamIdle(key=self._key, publish=self._publish))

    def _overdue(self) -> None:
        seconds = self._settings.sessions.connect_timeout
        match self._state:
            case StreamState.CONNECTING:
                why = self._encoding.feed_error
                reason = f"nothing playable came within {seconds:g} s of the publish" + (f": {why}" if why else "")
                self._broadcast.note_error(reason)
                self._finish(StreamEvent.NO_MEDIA, reason)
            case StreamState.RECONNECTING:
                self._finish(StreamEvent.WINDOW_PASSED, "the publisher did not come back")
            case StreamState.FINISHING:
                self._broadcast.note_error(f"{self._broadcast.pending} objects still wait for the object store")
                self._ended()

    def _move(self, event: StreamEvent) -> None:
        state = next_state(self._state, event)
        if state is None or state is self._state:
            return
        logger.info("%s -> %s (%s)", self._state, state, event, extra=self._extra)
        self._state = state
        self._broadcast.state_changed(state)

    def _child_failed(self, message: ChildFailed) -> None:
        """Replace a dead child; too many deaths are this actor's own failure."""
        logger.error("%s died and is replaced: %s", message.name, message.error, extra=self._extra)
        self._encoding.child_failed(message.urn)
        self._broadcast.child_failed(message.urn)

    def _publish_snapshot(self) -> None:
        encoding = self._encoding
        self._services.board.publish(self._broadcast.snapshot(encoding.source, encoding.progress, encoding.restarts))
