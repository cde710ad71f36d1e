"""What both ends of an RTMP connection do: chunks, acknowledgements, pings, commands (RTMP 1.0 sections 5 to 7).

pyrtmp's session and message classes are not used: they are built on its chunk reader and serializers (see chunks.py
and amf0.py), answer neither pings nor releaseStream, have no play side, and importing them reconfigures logging.
"""

import logging
import os
import socket
import struct
from collections.abc import Mapping

from streamkit.errors import SourceError
from streamkit.rtmp import amf0, chunks
from streamkit.rtmp.amf0 import AmfValue
from streamkit.rtmp.chunks import ChunkReader, RtmpMessage
from streamkit.rtmp.errors import RtmpProtocolError
from streamkit.rtmp.sockets import Sockets
from streamkit.rtmp.tcp import TcpChannel

log = logging.getLogger(__name__)

VERSION = 3
SIGNATURE_SIZE = 1536  # of C1, S1, C2 and S2 (5.2.3 and 5.2.4)
ACK_WINDOW = 2_500_000
CHUNK_SIZE_OUT = 4096
CONTROL_STREAM, COMMAND_STREAM = 2, 3  # chunk streams that we write on

STREAM_BEGIN, STREAM_EOF, SET_BUFFER_LENGTH, PING_REQUEST, PING_RESPONSE = 0, 1, 3, 6, 7  # 7.1.7
_MEDIA = (chunks.AUDIO, chunks.VIDEO, chunks.DATA)


def signature() -> bytes:
    """Return a C1 or S1: time 0, version 0 (no digest: every peer then uses the simple handshake), random bytes."""
    return bytes(8) + os.urandom(SIGNATURE_SIZE - 8)


class RtmpConnection:
    """Base of both ends. Subclasses do the handshake and take media, commands and the end of the stream."""

    def __init__(self, sockets: Sockets, sock: socket.socket) -> None:
        self.channel = TcpChannel(sockets, sock, self)
        self._reader = ChunkReader()
        self._handshake = b""
        self._shaken = False
        self._chunk_size_out = chunks.DEFAULT_CHUNK_SIZE
        self._window = ACK_WINDOW
        self._received = self._acknowledged = 0

    # ---- what subclasses implement

    def connection_lost(self, error: OSError | None) -> None:
        """See tcp.Peer."""
        raise NotImplementedError

    def take_handshake(self, data: bytes) -> int | None:
        """Return how many bytes the finished handshake took, or None when more are needed."""
        raise NotImplementedError

    def take_media(self, messages: list[RtmpMessage]) -> None:
        """Take audio, video and data messages."""
        raise NotImplementedError

    def take_command(self, name: str, arguments: list[AmfValue]) -> None:
        """Take a command; `arguments` begin with the transaction id."""
        raise NotImplementedError

    def take_stream_eof(self) -> None:
        """The server says that the stream ended (7.1.7 Stream EOF)."""

    def fail(self, error: SourceError) -> None:
        """The peer broke the protocol: end the connection."""
        raise NotImplementedError

    # ---- receiving

    def data_received(self, data: bytes) -> None:
        """Take what came (see tcp.Peer)."""
        try:
            self._take(data)
        except SourceError as error:
            self.fail(error)

    def _take(self, data: bytes) -> None:
        self._received += len(data)
        if not self._shaken:
            self._handshake += data
            taken = self.take_handshake(self._handshake)
            if taken is None:
                return
            data, self._handshake, self._shaken = self._handshake[taken:], b"", True
        self._dispatch(self._reader.feed(data))
        if self._received - self._acknowledged >= self._window:
            self._acknowledged = self._received
            self.control(chunks.ACKNOWLEDGEMENT, struct.pack(">I", self._received & 0xFFFFFFFF))

    def _dispatch(self, messages: list[RtmpMessage]) -> None:
        media: list[RtmpMessage] = []
        for message in messages:
            if message.type_id in _MEDIA:
                media.append(message)
                continue
            if media:  # what came before a command is older than what the command says
                self.take_media(media)
                media = []
            self._other(message)
        if media:
            self.take_media(media)

    def _other(self, message: RtmpMessage) -> None:
        match message.type_id:
            case chunks.COMMAND:
                self._command(message.payload)
            case chunks.COMMAND_AMF3:  # one byte that says that AMF0 follows
                self._command(message.payload[1:])
            case chunks.USER_CONTROL:
                self._user_control(message.payload)
            case chunks.WINDOW_ACK_SIZE:
                self._window = max(int.from_bytes(message.payload[:4], "big") // 2, 4096)
            case _:
                pass  # acknowledgements, bandwidth hints, shared objects: nothing to do

    def _command(self, payload: bytes) -> None:
        name, *arguments = amf0.decode(payload) or [None]
        if not isinstance(name, str):
            raise RtmpProtocolError("an RTMP command has no name")
        log.debug("rtmp command %s", name)
        self.take_command(name, arguments or [0.0])

    def _user_control(self, payload: bytes) -> None:
        event = int.from_bytes(payload[:2], "big")
        if event == PING_REQUEST and len(payload) >= 6:
            self.user_control(PING_RESPONSE, int.from_bytes(payload[2:6], "big"))
        elif event == STREAM_EOF and len(payload) >= 2:
            self.take_stream_eof()

    # ---- sending

    def control(self, type_id: int, payload: bytes) -> None:
        """Send a protocol control message (5.4)."""
        self._send(RtmpMessage(type_id, 0, 0, payload), CONTROL_STREAM)

    def user_control(self, event: int, *values: int) -> None:
        """Send a user control message (7.1.7); each value takes four bytes."""
        self.control(chunks.USER_CONTROL, struct.pack(f">H{len(values)}I", event, *values))

    def command(self, *values: AmfValue, stream_id: int = 0) -> None:
        """Send a command: name, transaction id, arguments (7.1.1)."""
        self._send(RtmpMessage(chunks.COMMAND, stream_id, 0, amf0.encode(*values)), COMMAND_STREAM)

    def announce_chunk_size(self) -> None:
        """Send larger chunks from here on."""
        self.control(chunks.SET_CHUNK_SIZE, struct.pack(">I", CHUNK_SIZE_OUT))
        self._chunk_size_out = CHUNK_SIZE_OUT

    def _send(self, message: RtmpMessage, chunk_stream: int) -> None:
        wire = chunks.write_message(message, chunk_stream=chunk_stream, chunk_size=self._chunk_size_out)
        self.channel.write([wire])


def text_at(arguments: list[AmfValue], index: int) -> str:
    """Return the text argument at `index`, or '' when it is missing or not text."""
    value = arguments[index] if index < len(arguments) else None
    return value if isinstance(value, str) else ""


def status_of(arguments: list[AmfValue]) -> tuple[str, str, str]:
    """Return (level, code, description) of an onStatus, _result or _error; '' for what is missing."""
    info = next((value for value in reversed(arguments) if isinstance(value, Mapping)), {})
    level, code, description = (info.get(name) for name in ("level", "code", "description"))
    return (
        level if isinstance(level, str) else "",
        code if isinstance(code, str) else "",
        description if isinstance(description, str) else "",
    )
