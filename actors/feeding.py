"""Feeding: the connection to one publisher's media, and whether anything comes from it.

Used by Encoding and the StreamActor alone, in the actor's thread.
"""

import socket
import time

from actors.services import Services
from streamkit.messages import SourceChanged, SourceDetected
from streamkit.pace import Pace
from streamkit.rtmp.feed import FeedListener
from streamkit.rtmp.loop import FeedHandle
from streamkit.types import Seconds, SourceInfo, SourceKind, StreamKey

SILENCE = Seconds(3.0)  # without a byte: more than any pause between two frames, the tick included


class Feeding:
    """At most one connection, numbered: what an older one reports is no longer meant. Times are monotonic."""

    def __init__(self, key: StreamKey, services: Services, listener: FeedListener) -> None:
        self._key = key
        self._rtmp = services.rtmp
        self._listener = listener
        self._handle: FeedHandle | None = None
        self._kind = services.default_source
        self._bytes = self._timestamp = 0
        self._timed_at = 0.0  # when a timestamp was another one than the one before
        self.number = 0
        self.moved_at = 0.0
        """When something came last."""
        self.is_changing = False
        """Whether the publisher is there and its source is another one now, which is not known yet."""
        self.source: SourceInfo | None = None
        """What the headers of the open connection say; None before they are in, and while they change."""

    @property
    def is_open(self) -> bool:
        """Whether a connection to the publisher's media is there or being tried."""
        return self._handle is not None

    def is_open_to(self, kind: SourceKind) -> bool:
        """Whether there is such a connection, to this kind of source."""
        return self._handle is not None and self._kind is kind

    def is_current(self, number: int) -> bool:
        """Whether this is the number of the open connection."""
        return self._handle is not None and number == self.number

    @property
    def is_silent(self) -> bool:
        """Whether nothing has come for a while."""
        return self._handle is None or time.monotonic() - self.moved_at > SILENCE

    @property
    def awaits_publisher(self) -> bool:
        """Whether nobody is known to be there. A pulled stream may be asked for all the while."""
        if self._handle is None:
            return True
        return self._kind is SourceKind.PULL and self.source is None and not self.is_changing

    @property
    def error(self) -> str | None:
        """Why the connection is not there yet, in one sentence, if it knows."""
        return self._handle.last_error if self._handle is not None else None

    @property
    def is_behind(self) -> bool:
        """Whether media wait for the encoder to read them."""
        return self._handle is not None and self._handle.is_behind

    def renew(self) -> None:
        """Have another encoder run begin with the next key frame, as if the source changed there."""
        if self._handle is not None:
            self._handle.renew()

    def open(self, kind: SourceKind) -> None:
        """Begin to connect; SourceDetected or SourceClosed with the new number follows."""
        self.number, self._kind = self.number + 1, kind
        self._bytes = self._timestamp = 0
        self._timed_at = self.moved_at = time.monotonic()
        opener = self._rtmp.open_ingest if kind is SourceKind.INGEST else self._rtmp.open_pull
        self._handle = opener(self._key, self.number, self._listener)

    def detected(self, message: SourceDetected) -> bool:
        """Remember the source; False when the connection is not the current one."""
        if not self.is_current(message.run):
            return False
        self.source, self.is_changing = message.source, False
        return True

    def changed(self, message: SourceChanged) -> bool:
        """Forget the source, which is another one now; False when the connection is not the current one."""
        if not self.is_current(message.run):
            return False
        self.source, self.is_changing = None, True
        return True

    def attach(self, stdin: socket.socket, pace: Pace | None, *, silence: bool) -> None:
        """Let FFmpeg read the media from the other end of `stdin`, which is closed when there is no connection."""
        if self._handle is None:
            stdin.close()
        else:
            self._handle.attach(stdin, pace, silence=silence)

    def close(self) -> None:
        """End the connection: FFmpeg reads the end of its input. A repeat does nothing."""
        if self._handle is not None:
            self._handle.close()
        self._handle, self.source, self.is_changing = None, None, False

    def note(self, now: float) -> None:
        """Look whether anything came. A source that is made to wait is not to blame for what it does not send."""
        if self._handle is None:
            return
        if self._handle.bytes_received != self._bytes or self._handle.is_paused:
            self._bytes, self.moved_at = self._handle.bytes_received, now
        if self._handle.newest_timestamp != self._timestamp or self._handle.is_paused:
            self._timestamp, self._timed_at = self._handle.newest_timestamp, now

    def explain_stall(self, limit: float) -> str:
        """Return why an encoder made nothing for `limit` seconds: media may come whose time does not go on."""
        if self.moved_at - self._timed_at > limit / 2:
            return "the timestamps of what the publisher sends stand still: its encoder must be started again"
        return f"FFmpeg made no progress for {limit:g} s"
