"""The way of one connection's media: messages in, the owner told what they are, FLV out to the encoder."""

import logging
import socket
from collections.abc import Callable
from typing import Protocol

from streamkit.pace import Pace
from streamkit.rtmp import chunks
from streamkit.rtmp.chunks import RtmpMessage
from streamkit.rtmp.flv_stream import FlvStream
from streamkit.rtmp.sockets import Sockets, SocketWriter
from streamkit.rtmp.tcp import TcpChannel
from streamkit.types import SourceInfo, StreamKey

log = logging.getLogger(__name__)

HEADER_WAIT = 1.0
"""Seconds after the first media in which both headers are waited for; then what is there counts."""
VIDEO_WAIT = 10.0
"""The same when onMetaData promises video: a server may hold its header back until the next key frame."""
SETTLE, LONGEST_SETTLE = 0.5, 8.0
"""Seconds from the first sign of a changed source to the conclusion of what it is now: signs come together. The time
doubles with every change, so that a source that does not rest cannot keep the encoder restarting."""
SETTLED_AFTER = 60.0
"""Seconds without a change after which the next one is looked at as the first."""
PAUSE = 3.0
"""Seconds without any message after which the media between are taken for missing if the timestamps jumped."""
PAUSE_ABOVE, RESUME_BELOW = 512 * 1024, 64 * 1024
"""Bytes that the encoder has not read yet at which reading from the network stops and goes on."""


class FeedListener(Protocol):
    """Who owns a feed. Called in the RTMP loop's thread; must not block."""

    def source_joined(self, run: int) -> None:
        """The server plays the stream of connection `run` to us, or would not let us yet. Told at most once."""

    def source_detected(self, run: int, source: SourceInfo) -> None:
        """The headers of connection `run` are in. Told once, and once more after every source_changed."""

    def source_ready(self, run: int) -> None:
        """Media that an encoder can begin with are there. Told once, after the first source_detected."""

    def source_changed(self, run: int) -> None:
        """The source is not what was detected any more: the encoder's input has ended, and another can be attached
        after the next source_detected. What the publisher sends meanwhile is kept."""

    def source_closed(self, run: int, error: str | None) -> None:
        """Connection `run` ended; `error` is None when the publisher simply went away. Told at most once."""


class Feed:
    """One connection's media. Everything here runs in the loop's thread.

    It outlives its encoder (another can be attached) and its source (what is buffered can still be encoded).
    """

    def __init__(self, key: StreamKey, sockets: Sockets) -> None:
        self.key = key
        self.bytes_received = 0
        self.flow: TcpChannel | None = None
        """Where the media come from: reading is paused while the encoder is too far behind."""
        self._sockets = sockets
        self._stream = FlvStream()
        self._writer: SocketWriter | None = None
        self._run = 0
        self._listener: FeedListener | None = None
        self._first_media: float | None = None
        self._paused = self._ended = self._closed = self._joined = self._ready = False
        self._changing_since: float | None = None
        self._settle, self._detected_at, self._received_at = SETTLE / 2, 0.0, 0.0
        self._error: str | None = None

    @property
    def has_media(self) -> bool:
        """True once audio or video came."""
        return self._first_media is not None

    @property
    def newest_timestamp(self) -> int:
        """That of the newest frame, in ms; stands still while the publisher's clock does."""
        return self._stream.newest

    @property
    def is_paused(self) -> bool:
        """True while the encoder does not take what the source sends."""
        return self._paused

    @property
    def is_behind(self) -> bool:
        """True while media wait for the encoder to read them."""
        return self._writer is not None and self._writer.pending > 0

    def renew(self) -> None:
        """End the encoder's input at the next key frame; the listener hears of it as of a changed source."""
        self._stream.renew()

    def bind(self, run: int, listener: FeedListener) -> None:
        """Tell `listener` from now on, and at once what is known already."""
        self._run, self._listener = run, listener
        if self._stream.source is not None and self._changing_since is None:
            tell(self.key, listener.source_detected, run, self._stream.source)
            self._tell_ready()
        if self._ended:
            tell(self.key, listener.source_closed, run, self._error)

    def joined(self) -> None:
        """The publisher need not wait for us: what it sends from now on comes here, or cannot. Idempotent."""
        if not self._joined and self._listener is not None:
            self._joined = True
            tell(self.key, self._listener.source_joined, self._run)

    def receive(self, messages: list[RtmpMessage]) -> None:
        """Take audio, video and data messages. Raises SourceError when their headers are of no use."""
        if self._ended or self._closed:
            return
        now = self._sockets.loop.time()
        if self._first_media is not None and now - self._received_at > PAUSE:
            self._stream.note_pause()
        self._received_at = now
        for message in messages:
            self.bytes_received += len(message.payload)
            self._stream.push(message)
            if self._first_media is None and message.type_id in (chunks.AUDIO, chunks.VIDEO):
                self._first_media = now
        if self._stream.source is None:
            self._detect(now)
        if self._writer is not None:
            self._write(self._writer)
        if remark := self._stream.take_remark():
            log.warning("stream %s: %s", self.key, remark)
        if self._stream.has_changed and not self._stream.is_joined:
            self._follow_change(now)
        self._tell_ready()

    def attach(self, sock: socket.socket, pace: Pace | None = None, *, silence: bool = False) -> None:
        """Feed the encoder at the other end of `sock`, which is owned from here on; a former one's input ends.

        An encoder that copies the video needs the pace of its segments; one whose renditions have sound that the source
        does not have, `silence`.
        """
        if self._closed or self._changing_since is not None:  # it is an encoder for a source that is no more
            sock.close()
            return
        self._drop_writer()
        self._writer = SocketWriter(self._sockets, sock, self._drained, self._broken)
        self._stream.join(pace, silence=silence)
        self._write(self._writer)
        if self._ended:
            self._drop_writer()

    def end(self, error: str | None) -> None:
        """The source ended: tell the owner, and end the encoder's input after what is pending. Idempotent."""
        if self._ended:
            return
        self._ended, self._error = True, error
        if self._listener is not None:
            tell(self.key, self._listener.source_closed, self._run, error)
        self._drop_writer()

    def close(self) -> None:
        """The owner is done: nothing is told any more, and the encoder's input ends. Idempotent."""
        self._closed, self._listener = True, None
        self._drop_writer()

    def _detect(self, now: float) -> None:
        headers = self._stream.headers
        waited = 0.0 if self._first_media is None else now - self._first_media
        patience = VIDEO_WAIT if headers.announces_video and headers.video is None else HEADER_WAIT
        if headers.complete or waited >= patience:
            self._conclude(now)

    def _conclude(self, now: float) -> None:
        source = self._stream.conclude()
        if source is not None:
            self._detected_at = now
            log.info("stream %s: source is %s", self.key, source)
            if self._listener is not None:
                tell(self.key, self._listener.source_detected, self._run, source)

    def _follow_change(self, now: float) -> None:
        """End the encoder's input where it cannot follow; conclude what the source is now when that has settled."""
        if self._changing_since is None:
            log.info("stream %s: the source changes", self.key)
            rests = now - self._detected_at > SETTLED_AFTER
            self._changing_since, self._settle = now, SETTLE if rests else min(2 * self._settle, LONGEST_SETTLE)
            self._drop_writer()
            if self._listener is not None:
                tell(self.key, self._listener.source_changed, self._run)
        if now - self._changing_since >= self._settle:
            self._changing_since = None
            self._conclude(now)

    def _tell_ready(self) -> None:
        if not self._ready and self._listener is not None and self._stream.source is not None:
            self._ready = self._stream.can_begin or self._stream.is_joined
            if self._ready:
                tell(self.key, self._listener.source_ready, self._run)

    def _write(self, writer: SocketWriter) -> None:
        writer.write(self._stream.take())
        if writer.pending > PAUSE_ABOVE and not self._paused and self.flow is not None:
            self._paused = True
            self.flow.pause_reading()

    def _drained(self) -> None:
        if self._paused and (self._writer is None or self._writer.pending < RESUME_BELOW):
            self._paused = False
            if self.flow is not None:
                self.flow.resume_reading()

    def _broken(self, error: OSError) -> None:
        log.info("stream %s: the encoder stopped reading: %s", self.key, error)
        self._drop_writer()

    def _drop_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.finish()
            self._stream.leave()
            self._drained()


def tell(key: StreamKey, callback: Callable[..., None], *args: object) -> None:
    """Call a feed's owner; what it raises is logged and goes no further."""
    try:
        callback(*args)
    except Exception:  # an owner's mistake must not end the loop that all streams share
        log.exception("stream %s: the feed's owner failed to take an event", key)
