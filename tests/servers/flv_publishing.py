"""A publisher by hand, for what FFmpeg would put right before it sends it: FLV tags go out exactly as given."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from streamkit.rtmp import amf0, chunks
from streamkit.rtmp.chunks import ChunkReader, RtmpMessage, write_message

TIMEOUT = 20.0
_FILE_HEADER, _TAG_HEADER, _HANDSHAKE = 13, 11, 1536
_AVC_FRAME = 1


@dataclass(frozen=True, slots=True)
class Tag:
    """One FLV tag: when it is sent, and what its timestamp says (both in ms)."""

    send_at: int
    timestamp: int
    kind: int
    payload: bytes


Edit = Callable[[list[Tag]], list[Tag]]


def read_tags(path: Path) -> list[Tag]:
    """Return the tags of an FLV file."""
    data = path.read_bytes()
    tags, at = [], _FILE_HEADER
    while at < len(data):
        size = int.from_bytes(data[at + 1 : at + 4], "big")
        timestamp = int.from_bytes(data[at + 4 : at + 7], "big") | data[at + 7] << 24
        tags.append(Tag(timestamp, timestamp, data[at], data[at + _TAG_HEADER : at + _TAG_HEADER + size]))
        at += _TAG_HEADER + size + 4
    return tags


def jumping(*, after: int, by: int) -> Edit:
    """Return an edit that moves the timestamps from `after` ms on by `by` ms; a wrap at 2^32 is the publisher's."""
    return lambda tags: [replace(tag, timestamp=tag.timestamp + (by if tag.send_at >= after else 0)) for tag in tags]


def standing_still(*, after: int) -> Edit:
    """Return an edit whose publisher goes on sending, and says `after` ms of everything from then on."""
    return lambda tags: [replace(tag, timestamp=min(tag.timestamp, after)) for tag in tags]


def without_metadata(tags: list[Tag]) -> list[Tag]:
    """Leave onMetaData out, as minimal clients do."""
    return [tag for tag in tags if tag.kind != chunks.DATA]


def with_negative_offsets(tags: list[Tag]) -> list[Tag]:
    """Let pictures be decoded 200 ms late, so that they are to be shown before that: negative composition times."""
    return sorted((_decoded_late(tag) for tag in tags), key=lambda tag: tag.send_at)


def _decoded_late(tag: Tag) -> Tag:
    if tag.kind != chunks.VIDEO or tag.payload[1] != _AVC_FRAME:
        return tag
    shown_after = int.from_bytes(tag.payload[2:5], "big", signed=True) - 200
    payload = tag.payload[:2] + shown_after.to_bytes(3, "big", signed=True) + tag.payload[5:]
    return Tag(tag.send_at + 200, tag.timestamp + 200, tag.kind, payload)


def publish_tags(port: int, key: str, tags: list[Tag]) -> None:
    """Publish the tags in real time and leave; OSError or AssertionError when the server does not want them."""
    with closing(connect(port, key)) as connection:
        started = time.monotonic()
        for tag in tags:
            time.sleep(max(0.0, started + tag.send_at / 1000 - time.monotonic()))
            message = RtmpMessage(tag.kind, 1, tag.timestamp & 0xFFFFFFFF, tag.payload)
            connection.sendall(write_message(message, chunk_stream=4))
        connection.sendall(_command("FCUnpublish", 5.0, None, key) + _command("deleteStream", 6.0, None, 1.0))
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            """What it still says is of no interest, but it must be read before the connection is closed."""


def connect(port: int, key: str) -> socket.socket:
    """Return a connection on which the tags of a broadcast may be sent."""
    connection = socket.create_connection(("127.0.0.1", port), TIMEOUT)
    try:
        _begin(connection, port, key)
    except (OSError, AssertionError):
        connection.close()
        raise
    return connection


def _begin(connection: socket.socket, port: int, key: str) -> None:
    connection.sendall(b"\x03" + bytes(_HANDSHAKE))
    answer = _exactly(connection, 1 + 2 * _HANDSHAKE)
    connection.sendall(answer[1 : 1 + _HANDSHAKE])
    answers = _answers(connection)
    properties: dict[str, amf0.AmfValue] = {"app": "live", "tcUrl": f"rtmp://127.0.0.1:{port}/live"}
    connection.sendall(_command("connect", 1.0, properties))
    assert next(answers)[0] == "_result"
    connection.sendall(_command("createStream", 2.0, None))
    assert next(answers)[0] == "_result"
    connection.sendall(_command("publish", 3.0, None, key, "live", stream=1))
    said = next(answers)
    status = said[-1]
    assert isinstance(status, dict), said
    assert status["code"] == "NetStream.Publish.Start", said


def _command(*values: amf0.AmfValue, stream: int = 0) -> bytes:
    return write_message(RtmpMessage(chunks.COMMAND, stream, 0, amf0.encode(*values)), chunk_stream=3)


def _answers(connection: socket.socket) -> Iterator[list[amf0.AmfValue]]:
    reader = ChunkReader()
    while data := connection.recv(65536):
        for message in reader.feed(data):
            if message.type_id == chunks.COMMAND:
                yield amf0.decode(message.payload)
    raise AssertionError("the server closed the connection")


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        received = connection.recv(count - len(data))
        assert received, "the server closed the connection in the handshake"
        data += received
    return data
