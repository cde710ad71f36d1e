"""Plays one stream from an RTMP server (RTMP 1.0 section 7.2), and tries again until the stream is there."""

import asyncio
import logging
import socket
from collections.abc import Mapping

from streamkit.errors import SourceError
from streamkit.pace import Pace
from streamkit.rtmp import amf0, chunks
from streamkit.rtmp.amf0 import AmfValue
from streamkit.rtmp.chunks import RtmpMessage
from streamkit.rtmp.connection import (
    ACK_WINDOW,
    SET_BUFFER_LENGTH,
    SIGNATURE_SIZE,
    VERSION,
    RtmpConnection,
    signature,
    status_of,
)
from streamkit.rtmp.errors import RtmpProtocolError
from streamkit.rtmp.feed import Feed, FeedListener
from streamkit.rtmp.sockets import Sockets
from streamkit.rtmp.tcp import connect, reason
from streamkit.settings_rtmp import RtmpSettings
from streamkit.types import StreamKey

log = logging.getLogger(__name__)

FIRST_RETRY, LAST_RETRY = 0.05, 0.5
"""Seconds between attempts while the stream is not there yet."""
JOIN_TIMEOUT = 5.0
"""Seconds from the first packet to the answer to `play`."""
_BUFFER_MS = 1000
_LIVE_ONLY = -1000.0
"""`start` of `play`: live, never a recording of that name. 7.2.2.1 says -1 (seconds); servers read milliseconds as
librtmp and FFmpeg send them, and take every negative number as live."""
_PLAYS = "NetStream.Play.Start"
_ENDS = ("NetStream.Play.UnpublishNotify", "NetStream.Play.Stop", "NetStream.Play.Complete")
_CONNECT, _CREATE_STREAM = 1.0, 2.0  # our transaction ids


class PullConnection(RtmpConnection):
    """One attempt: handshake, connect, createStream, play, then media into the feed.

    `joined` resolves when the server accepted `play`; `closed` with None or the error when all is over.
    """

    def __init__(self, settings: RtmpSettings, feed: Feed, sockets: Sockets, sock: socket.socket) -> None:
        super().__init__(sockets, sock)
        self.joined: asyncio.Future[None] = sockets.loop.create_future()
        self.closed: asyncio.Future[str | None] = sockets.loop.create_future()
        self._settings, self._feed = settings, feed
        feed.flow = self.channel
        self.channel.write([bytes((VERSION,)), signature()])

    def connection_lost(self, error: OSError | None) -> None:
        self._finish(None if error is None else f"the connection to the RTMP server broke: {reason(error)}")

    def fail(self, error: SourceError) -> None:
        self._finish(str(error))

    def take_handshake(self, data: bytes) -> int | None:
        if data and data[0] != VERSION:
            raise RtmpProtocolError(f"the server speaks version {data[0]} of RTMP, or something else altogether")
        if len(data) < 1 + 2 * SIGNATURE_SIZE:
            return None
        self.channel.write([data[1 : 1 + SIGNATURE_SIZE]])  # C2 echoes S1
        app = self._settings.app
        properties: dict[str, AmfValue] = {
            "app": app,
            "flashVer": "LNX 9,0,124,2",
            "tcUrl": f"rtmp://{self._settings.server}:{self._settings.port}/{app}",
            "fpad": False,
            "capabilities": 15,
            "audioCodecs": 4071,
            "videoCodecs": 252,
            "videoFunction": 1,
            "fourCcList": ["av01", "vp09", "hvc1", "Opus", "fLaC", "ac-3", "ec-3"],
        }
        self.command("connect", _CONNECT, properties)
        return 1 + 2 * SIGNATURE_SIZE

    def take_media(self, messages: list[RtmpMessage]) -> None:
        self._feed.receive(messages)
        for message in messages:
            if message.type_id == chunks.DATA and b"onPlayStatus" in message.payload[:16]:
                self._status([value for value in amf0.decode(message.payload) if isinstance(value, Mapping)])

    def take_command(self, name: str, arguments: list[AmfValue]) -> None:
        if name == "onStatus":
            self._status(arguments)
        elif name == "_error" and arguments[0] in (_CONNECT, _CREATE_STREAM):
            _, code, description = status_of(arguments)
            self._finish(f"the RTMP server refused: {description or code or 'no reason given'}")
        elif name == "_result" and arguments[0] == _CONNECT:
            self.control(chunks.WINDOW_ACK_SIZE, ACK_WINDOW.to_bytes(4, "big"))
            self.command("createStream", _CREATE_STREAM, None)
        elif name == "_result" and arguments[0] == _CREATE_STREAM:
            self._play(arguments[-1])

    def take_stream_eof(self) -> None:
        if self._feed.has_media:
            self._finish(None)

    def _play(self, answer: AmfValue) -> None:
        if not isinstance(answer, int | float) or not 0 <= answer < 1 << 32:
            raise RtmpProtocolError("the server answered createStream without a stream id")
        stream_id = int(answer)
        self.command("play", 0.0, None, self._feed.key, _LIVE_ONLY, stream_id=stream_id)
        self.user_control(SET_BUFFER_LENGTH, stream_id, _BUFFER_MS)
        if not self.joined.done():
            self.joined.set_result(None)

    def _status(self, arguments: list[AmfValue]) -> None:
        level, code, description = status_of(arguments)
        if level == "error" or code.endswith(("StreamNotFound", "Play.Failed")):
            self._finish(f"the RTMP server does not play the stream: {description or code}")
        elif code in _ENDS and self._feed.has_media:
            self._finish(None)
        elif code == _PLAYS:
            self._feed.joined()

    def _finish(self, error: str | None) -> None:
        if not self.closed.done():
            self.closed.set_result(error)
        if not self.joined.done():
            self.joined.set_result(None)
        self.channel.abort()


class PullSource:
    """Keeps trying until media flow; then follows that one connection to its end."""

    def __init__(self, settings: RtmpSettings, key: StreamKey, sockets: Sockets) -> None:
        self.feed = Feed(key, sockets)
        self.last_error: str | None = None
        self._settings, self._sockets = settings, sockets
        self._task: asyncio.Task[None] | None = None

    @property
    def bytes_received(self) -> int:
        """Bytes of media so far."""
        return self.feed.bytes_received

    @property
    def newest_timestamp(self) -> int:
        """That of the newest frame, in ms; stands still while the publisher's clock does."""
        return self.feed.newest_timestamp

    @property
    def is_paused(self) -> bool:
        """True while the encoder does not take what the server sends."""
        return self.feed.is_paused

    @property
    def is_behind(self) -> bool:
        """See Feed.is_behind."""
        return self.feed.is_behind

    def renew(self) -> None:
        """See Feed.renew."""
        self.feed.renew()

    def start(self, run: int, listener: FeedListener) -> None:
        """Begin to try."""
        self.feed.bind(run, listener)
        self._task = self._sockets.loop.create_task(self._run())

    def attach(self, sock: socket.socket, pace: Pace | None, *, silence: bool) -> None:
        """See Feed.attach."""
        self.feed.attach(sock, pace, silence=silence)

    def close(self) -> None:
        """Leave the server and end the encoder's input. Idempotent."""
        self.feed.close()
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        delay = FIRST_RETRY
        while True:
            error = await self._attempt()
            if self.feed.has_media:
                self.feed.end(error)
                return
            self._note(error or "the RTMP server closed the connection before any media")
            await asyncio.sleep(delay)
            delay = min(delay * 1.5, LAST_RETRY)

    async def _attempt(self) -> str | None:
        """Play until the connection is over. Returns why, or None when it simply ended."""
        place = f"{self._settings.server}:{self._settings.port}"
        connection: PullConnection | None = None
        try:
            async with asyncio.timeout(JOIN_TIMEOUT):
                sock = await connect(self._sockets.loop, self._settings.server, self._settings.port)
                connection = PullConnection(self._settings, self.feed, self._sockets, sock)
                await connection.joined
            return await connection.closed
        except TimeoutError:
            return f"cannot play from the RTMP server {place}: no answer within {JOIN_TIMEOUT:g} s"
        except OSError as error:
            return f"cannot reach the RTMP server {place}: {reason(error)}"
        finally:
            if connection is not None:
                connection.channel.abort()

    def _note(self, error: str) -> None:
        """Log an error when it is a new one; a stream that is not there yet is tried twice a second."""
        if error != self.last_error:
            log.info("stream %s: %s; trying again", self.feed.key, error)
        self.last_error = error
        self.feed.joined()
