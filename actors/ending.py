"""Ending: how a publish ends, and the broadcast that it became, with its last segment kept and stored.

A service that stops may also leave the broadcast open: the next start goes on with it.

Used by the StreamActor alone, in its thread.
"""

import logging
import time

from actors.base import Ref, tell
from actors.broadcast import Broadcast
from actors.encoding import Encoding
from actors.life import Life
from streamkit.ffmpeg.state import StreamEvent
from streamkit.messages import StreamSettled, StreamStopped
from streamkit.types import Seconds, StreamKey, StreamState, UnixTime

logger = logging.getLogger(__name__)


class Ending:
    """Tells `parent` StreamSettled when no encoder is needed any more, and StreamStopped when the service stops."""

    def __init__(
        self,
        key: StreamKey,
        parent: Ref | None,
        broadcast: Broadcast,
        encoding: Encoding,
        life: Life,
        patience: Seconds,
    ) -> None:
        self._key, self._parent, self._patience = key, parent, patience
        self._broadcast, self._encoding, self._life = broadcast, encoding, life
        self._extra = {"key": key}
        self._reason, self._failed = "", False
        self._is_stopping = False
        self.is_pending = False
        """Whether the session ends as soon as FFmpeg's last segment is collected."""
        self.is_left = False
        """Whether the broadcast is left open to the next start: no publisher's end is its end any more."""

    @property
    def is_final(self) -> bool:
        """Whether no encoder may begin: a session waits for its last segment, or the service stops."""
        return self.is_pending or self._is_stopping

    def begin(self, publish: int, event: StreamEvent, reason: str) -> None:
        """End the publish; its session, if it became one, as soon as FFmpeg has closed its last segment."""
        self._encoding.close_feed()
        self._encoding.end_slate()
        self._life.move(event)
        self._life.wait(self._patience)
        if not self.is_pending:  # else an older publish's session still waits for its last segment
            self._reason, self._failed = reason, self._life.state is StreamState.FAILED
            self.is_pending = self._broadcast.is_open
        tell(self._parent, StreamSettled(key=self._key, publish=publish))
        if not self.is_pending:
            logger.info("Ended without a broadcast: %s", reason, extra=self._extra)
            self.complete()
        elif not self._encoding.has_run:
            self.end_session()

    def end_session(self) -> None:
        """Close the playlists; the stream has ended when the store has everything."""
        self.is_pending = False
        self._broadcast.end(UnixTime(time.time()), self._reason, failed=self._failed)
        logger.info("The broadcast ended: %s", self._reason, extra=self._extra)
        self.when_drained()

    def stop(self, publish: int, *, keeps: bool) -> None:
        """The service stops: end now, or leave an open broadcast to the next start; say when everything is stored."""
        self._is_stopping = True
        if keeps and self._broadcast.is_open and not self.is_pending:
            self._leave_open()
        elif self._life.state.is_active and self._life.state is not StreamState.FINISHING:
            self.begin(publish, StreamEvent.UNPUBLISHED_FINAL, "the service stopped")
        self.when_drained()

    def _leave_open(self) -> None:
        """Keep the last segment, but end neither the session nor its playlists: it waits, for as long as it takes."""
        self.is_left = True
        self._encoding.close_feed()
        self._encoding.end_slate()
        self._life.enter(StreamState.RECONNECTING)
        self._life.wait_no_longer()
        logger.info("The broadcast is left open for the next start", extra=self._extra)

    def when_drained(self) -> None:
        """Complete the end as soon as the store has everything; a repeat does nothing."""
        if self.is_left and not self._encoding.has_run and self._broadcast.is_drained:
            tell(self._parent, StreamStopped(key=self._key, pending=0))
        if self.is_pending or self._broadcast.is_open or not self._broadcast.is_drained:
            return
        if self._life.state in (StreamState.FINISHING, StreamState.FAILED) and not self._life.has_ended:
            self.complete()
        if self._is_stopping:
            tell(self._parent, StreamStopped(key=self._key, pending=0))

    def complete(self) -> None:
        """Await nothing any more."""
        self._broadcast.stopped(UnixTime(time.time()))
        self._life.end()
