"""RTMP's chunk stream: bytes to messages and messages to bytes (RTMP 1.0 section 5.3).

pyrtmp's reader is not used: bit strings make it slow, an extended timestamp on a continuation chunk becomes payload
(every stream older than 4.66 h breaks), a type 3 chunk that starts a message loses its delta, and three-byte chunk
stream ids are read in the wrong byte order.
"""

import struct
from typing import NamedTuple

from streamkit.rtmp.errors import RtmpProtocolError

SET_CHUNK_SIZE, ABORT, ACKNOWLEDGEMENT, USER_CONTROL, WINDOW_ACK_SIZE, SET_PEER_BANDWIDTH = 1, 2, 3, 4, 5, 6
AUDIO, VIDEO, COMMAND_AMF3, DATA, COMMAND = 8, 9, 17, 18, 20

DEFAULT_CHUNK_SIZE = 128
MAX_HELD = 16 * 1024 * 1024
"""Bytes of unfinished messages that a reader holds at most, over all chunk streams (a message is below 16 MiB)."""
MAX_CHUNK_STREAMS = 64

_EXTENDED = 0xFFFFFF
_MAX_PIECES = 512  # chunks of one message that are kept apart before they are put together
_HEADER_SIZES = (11, 7, 3, 0)  # by chunk type, 5.3.1.2


class RtmpMessage(NamedTuple):
    """One message. `timestamp` in ms modulo 2^32."""

    type_id: int
    stream_id: int
    timestamp: int
    payload: bytes


class _ChunkStream:
    """What the chunks of one chunk stream inherit from the chunk before (5.3.1.2), and its unfinished message."""

    __slots__ = ("body", "extended", "field", "length", "missing", "pieces", "stream_id", "timestamp", "type_id")

    def __init__(self) -> None:
        self.timestamp = 0  # of the current message, ms
        self.field = 0  # the last timestamp or delta that was sent
        self.extended = False  # the last one came as an extended timestamp
        self.length = 0
        self.type_id = 0
        self.stream_id = 0
        self.missing = 0  # bytes of the current message still to come; 0 between messages
        self.pieces: list[bytes] = []
        self.body = bytearray()  # what came before `pieces` in a message of very many chunks

    def drop(self) -> int:
        """Forget the unfinished message; return how many bytes of it were there."""
        held = self.length - self.missing
        self.pieces, self.body, self.missing = [], bytearray(), 0
        return held


class ChunkReader:
    """Turns the bytes of one connection, cut anywhere, into messages. Set Chunk Size and Abort are obeyed inside."""

    def __init__(self) -> None:
        self.chunk_size = DEFAULT_CHUNK_SIZE
        self._streams: dict[int, _ChunkStream] = {}
        self._rest = b""  # the beginning of a chunk header
        self._current = _ChunkStream()  # the stream whose chunk is being read
        self._left = 0  # bytes of that chunk still to come
        self._held = 0

    def feed(self, data: bytes) -> list[RtmpMessage]:
        """Return the messages that `data` completes, in order. After an RtmpProtocolError the connection is over."""
        if self._rest:
            data, self._rest = self._rest + data, b""
        messages: list[RtmpMessage] = []
        position, end = 0, len(data)
        while position < end:
            if not self._left:
                after_header = self._read_header(data, position)
                if after_header is None:
                    self._rest = data[position:]
                    break
                position = after_header
            taken = min(self._left, end - position)
            self._take(data[position : position + taken], messages)
            position += taken
        return messages

    def _take(self, piece: bytes, messages: list[RtmpMessage]) -> None:
        stream = self._current
        self._left -= len(piece)
        stream.missing -= len(piece)
        if stream.missing:
            self._hold(stream, piece)
            return
        if stream.pieces or stream.body:
            self._held -= stream.length - len(piece)
            stream.pieces.append(piece)
            piece = b"".join((stream.body, *stream.pieces))
            stream.drop()
        self._complete(RtmpMessage(stream.type_id, stream.stream_id, stream.timestamp, piece), messages)

    def _hold(self, stream: _ChunkStream, piece: bytes) -> None:
        self._held += len(piece)
        if self._held > MAX_HELD:
            raise RtmpProtocolError(f"the unfinished RTMP messages are larger than {MAX_HELD} bytes")
        if piece:
            stream.pieces.append(piece)
        if len(stream.pieces) > _MAX_PIECES:
            stream.body += b"".join(stream.pieces)
            stream.pieces.clear()

    def _complete(self, message: RtmpMessage, messages: list[RtmpMessage]) -> None:
        if message.type_id == SET_CHUNK_SIZE:
            self._set_chunk_size(message.payload)
        elif message.type_id == ABORT:
            self._abort(message.payload)
        else:
            messages.append(message)

    def _set_chunk_size(self, payload: bytes) -> None:  # 5.4.1
        size = int.from_bytes(payload[:4], "big")
        if len(payload) < 4 or not 1 <= size <= 0x7FFFFFFF:
            raise RtmpProtocolError(f"the RTMP chunk size {size} is not allowed: it must be 1 to 2147483647")
        self.chunk_size = size

    def _abort(self, payload: bytes) -> None:  # 5.4.2
        stream = self._streams.get(int.from_bytes(payload[:4], "big"))
        if stream is not None and stream.missing:
            self._held -= stream.drop()

    def _read_header(self, data: bytes, position: int) -> int | None:
        """Return where the chunk's payload begins, or None when its header is not whole yet (nothing changed then)."""
        kind, chunk_stream = data[position] >> 6, data[position] & 63
        position += 1
        if chunk_stream < 2:  # 5.3.1.1: the id is in one or two more bytes, low byte first
            more = chunk_stream + 1
            if len(data) < position + more:
                return None
            chunk_stream = 64 + int.from_bytes(data[position : position + more], "little")
            position += more
        stream = self._streams.get(chunk_stream)
        if stream is None:
            stream = self._new_stream(chunk_stream, kind)
        if kind == 3:
            return self._inherit(stream, data, position)
        if stream.missing:
            raise RtmpProtocolError(f"an RTMP message on chunk stream {chunk_stream} begins inside another one")
        return self._begin(stream, kind, data, position)

    def _new_stream(self, chunk_stream: int, kind: int) -> _ChunkStream:
        if kind > 1:  # librtmp does begin its control stream with a type 1 chunk
            raise RtmpProtocolError(f"RTMP chunk stream {chunk_stream} begins with a type {kind} chunk")
        if len(self._streams) >= MAX_CHUNK_STREAMS:
            raise RtmpProtocolError(f"more than {MAX_CHUNK_STREAMS} RTMP chunk streams are in use")
        self._streams[chunk_stream] = stream = _ChunkStream()
        return stream

    def _begin(self, stream: _ChunkStream, kind: int, data: bytes, position: int) -> int | None:
        """Start a message from a type 0, 1 or 2 chunk (5.3.1.2.1 to 5.3.1.2.3)."""
        after = position + _HEADER_SIZES[kind]
        field = int.from_bytes(data[position : position + 3], "big")
        extended = field == _EXTENDED
        if len(data) < after + 4 * extended:
            return None
        if extended:
            field = int.from_bytes(data[after : after + 4], "big")
        if kind < 2:
            stream.length = int.from_bytes(data[position + 3 : position + 6], "big")
            stream.type_id = data[position + 6]
        if kind == 0:
            stream.stream_id = int.from_bytes(data[position + 7 : position + 11], "little")
            stream.timestamp = 0
        self._start(stream, field, extended=extended)
        return after + 4 * extended

    def _inherit(self, stream: _ChunkStream, data: bytes, position: int) -> int | None:
        """Continue a message, or start one with the fields of the one before (5.3.1.2.4 and 5.3.1.3)."""
        if stream.extended:
            if len(data) < position + 4:
                return None
            field = int.from_bytes(data[position : position + 4], "big")
            # Some writers leave the field out on continuation chunks: then these four bytes are payload.
            if not stream.missing or field == stream.field:
                position += 4
        else:
            field = stream.field
        if stream.missing:
            self._current, self._left = stream, min(self.chunk_size, stream.missing)
        else:
            # After a type 0 chunk the delta is that chunk's timestamp: strange, but so say 5.3.1.2.4 and FFmpeg.
            self._start(stream, field, extended=stream.extended)
        return position

    def _start(self, stream: _ChunkStream, field: int, *, extended: bool) -> None:
        stream.timestamp = (stream.timestamp + field) & 0xFFFFFFFF
        stream.field, stream.extended = field, extended
        stream.missing = stream.length
        self._current, self._left = stream, min(self.chunk_size, stream.length)


def write_message(message: RtmpMessage, *, chunk_stream: int, chunk_size: int = DEFAULT_CHUNK_SIZE) -> bytes:
    """Return the message as one type 0 chunk and as many type 3 chunks as it takes. `chunk_stream` is 2 to 63."""
    timestamp, payload = message.timestamp & 0xFFFFFFFF, message.payload
    extended = struct.pack(">I", timestamp) if timestamp >= _EXTENDED else b""
    head = bytes((chunk_stream,)) + min(timestamp, _EXTENDED).to_bytes(3, "big")
    head += struct.pack(">I", len(payload) << 8 | message.type_id) + struct.pack("<I", message.stream_id) + extended
    between = bytes((0xC0 | chunk_stream,)) + extended
    pieces = [payload[start : start + chunk_size] for start in range(0, len(payload), chunk_size)]
    return head + between.join(pieces)
