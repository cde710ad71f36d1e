"""The way of one connection's media: messages in, the owner told what they are, FLV out to the encoder."""

import logging
import socket
from collections.abc import Callable
from typing import Protocol

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
PAUSE_ABOVE, RESUME_BELOW = 512 * 1024, 64 * 1024
"""Bytes that the encoder has not read yet at which reading from the network stops and goes on."""


class FeedListener(Protocol):
    """Who owns a feed. Called in the RTMP loop's thread; must not block."""

    def source_joined(self, run: int) -> None:
        """The server plays the stream of connection `run` to us, or would not let us yet. Told at most once."""

    def source_detected(self, run: int, source: SourceInfo) -> None:
        """The headers of connection `run` are in. Told once."""

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
        self._paused = self._ended = self._closed = self._joined = False
        self._error: str | None = None

    @property
    def has_media(self) -> bool:
        """True once audio or video came."""
        return self._first_media is not None

    @property
    def is_paused(self) -> bool:
        """True while the encoder does not take what the source sends."""
        return self._paused

    def bind(self, run: int, listener: FeedListener) -> None:
        """Tell `listener` from now on, and at once what is known already."""
        self._run, self._listener = run, listener
        if self._stream.source is not None:
            tell(self.key, listener.source_detected, run, self._stream.source)
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
        for message in messages:
            self.bytes_received += len(message.payload)
            self._stream.push(message)
            if self._first_media is None and message.type_id in (chunks.AUDIO, chunks.VIDEO):
                self._first_media = self._sockets.loop.time()
        if self._stream.source is None:
            self._detect()
        if self._writer is not None:
            self._write(self._writer)

    def attach(self, sock: socket.socket) -> None:
        """Feed the encoder at the other end of `sock`, which is owned from here on; a former one's input ends."""
        if self._closed:
            sock.close()
            return
        self._drop_writer()
        self._writer = SocketWriter(self._sockets, sock, self._drained, self._broken)
        self._stream.join()
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

    def _detect(self) -> None:
        headers = self._stream.headers
        waited = 0.0 if self._first_media is None else self._sockets.loop.time() - self._first_media
        patience = VIDEO_WAIT if headers.announces_video and headers.video is None else HEADER_WAIT
        if not headers.complete and waited < patience:
            return
        source = self._stream.conclude()
        if source is not None:
            log.info("stream %s: source is %s", self.key, source)
            if self._listener is not None:
                tell(self.key, self._listener.source_detected, self._run, source)

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
