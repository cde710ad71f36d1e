"""Many publishers of one small recording in one process: `python -m benchmarks.copies PORT SOURCE`, keys on stdin.

An FFmpeg per publisher would cost more than what is measured. Here the bytes of each tenth of a second are made once
and sent on every connection, each of which is somewhere else in the recording.
"""

import random
import selectors
import socket
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from servers.flv_publishing import Tag, connect, read_tags

from streamkit.rtmp import chunks
from streamkit.rtmp.chunks import ChunkReader, RtmpMessage, write_message

STEP = 0.1  # seconds of media that are sent at a time
PING, PONG = 6, 7  # user control events: RTMP 1.0 section 7.1.7


class Recording:
    """The recording as the bytes of each step, repeated for ever with timestamps that go on."""

    def __init__(self, tags: list[Tag]) -> None:
        frame = max(tag.timestamp for tag in tags) - max(tag.timestamp for tag in tags[:-8])
        self._length = max(tag.timestamp for tag in tags) + max(frame, 20)  # ms
        self._headers = [tag for tag in tags if _is_header(tag)]
        self._tags = [tag for tag in tags if not _is_header(tag)]
        self._made: dict[int, bytes] = {}

    def head(self) -> bytes:
        """Return what every publisher sends first."""
        return b"".join(_message(tag, 0) for tag in self._headers)

    def step(self, number: int) -> bytes:
        """Return the bytes of the step."""
        if number not in self._made:
            self._made[number] = self._make(round(number * STEP * 1000), round((number + 1) * STEP * 1000))
        return self._made[number]

    def _make(self, begin: int, end: int) -> bytes:
        found = []
        for loop in range(begin // self._length, end // self._length + 1):
            shift = loop * self._length
            found += [_message(tag, shift) for tag in self._tags if begin <= tag.timestamp + shift < end]
        return b"".join(found)


def _is_header(tag: Tag) -> bool:
    """Whether it is metadata or a decoder's configuration."""
    return tag.kind == chunks.DATA or (tag.kind in (chunks.AUDIO, chunks.VIDEO) and tag.payload[1] == 0)


def _message(tag: Tag, shift: int) -> bytes:
    return write_message(RtmpMessage(tag.kind, 1, tag.timestamp + shift, tag.payload), chunk_stream=4)


@dataclass(slots=True)
class Copy:
    """One publisher: its connection, and when its first step was due."""

    connection: socket.socket
    began: float
    steps: int = 0
    reader: ChunkReader = field(default_factory=ChunkReader)

    def send_what_is_due(self, recording: Recording, now: float) -> None:
        """Send every step whose time has come."""
        while self.began + self.steps * STEP <= now:
            self.connection.sendall(recording.step(self.steps))
            self.steps += 1

    def answer(self) -> None:
        """Read what the server says, and answer its pings: it hangs up on who is silent."""
        data = self.connection.recv(65536)
        if not data:
            raise ConnectionError("the RTMP server closed the connection of a publisher")
        for message in self.reader.feed(data):
            if message.type_id == chunks.USER_CONTROL and int.from_bytes(message.payload[:2], "big") == PING:
                pong = PONG.to_bytes(2, "big") + message.payload[2:6]
                self.connection.sendall(write_message(RtmpMessage(chunks.USER_CONTROL, 0, 0, pong), chunk_stream=2))


def publish(port: int, source: Path) -> None:
    """Publish every key that is read from standard input until that is closed."""
    recording = Recording(read_tags(source))
    copies: list[Copy] = []
    selector = selectors.DefaultSelector()
    done = threading.Event()

    def add() -> None:
        for line in sys.stdin:
            connection = connect(port, line.strip())
            connection.sendall(recording.head())
            copy = Copy(connection, time.monotonic() + random.random() * STEP)
            selector.register(connection, selectors.EVENT_READ, copy)
            copies.append(copy)
        done.set()

    threading.Thread(target=add, name="new publishers", daemon=True).start()
    while not done.wait(STEP / 5):
        for ready, _ in selector.select(0):
            ready.data.answer()
        for copy in copies:
            copy.send_what_is_due(recording, time.monotonic())


if __name__ == "__main__":
    publish(int(sys.argv[1]), Path(sys.argv[2]))
