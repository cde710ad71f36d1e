"""Writing to FFmpeg's stdin without ever waiting for it."""

import asyncio
import socket
from collections import deque
from collections.abc import Callable

FINISH_DEADLINE = 5.0
"""Seconds that an encoder gets to read what is pending before its input ends."""


class Pipes:
    """Opens writers, and knows the open ones so that none is left behind at the end."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.open: set[PipeWriter] = set()

    def writer(self, sock: socket.socket, drained: Callable[[], None], broken: Callable[[], None]) -> "PipeWriter":
        """Return a writer that owns `sock`. `drained` and `broken` (once) are called in the loop."""
        return PipeWriter(self, sock, drained, broken)

    def abort_all(self) -> None:
        """Close every socket now."""
        for writer in list(self.open):
            writer.abort()


class PipeWriter:
    """Sends bytes in order as fast as the reader takes them; `pending` says how far behind it is, in bytes."""

    def __init__(
        self, pipes: Pipes, sock: socket.socket, drained: Callable[[], None], broken: Callable[[], None]
    ) -> None:
        sock.settimeout(0)
        self._pipes, self._sock, self._drained, self._broken = pipes, sock, drained, broken
        self._queue: deque[memoryview] = deque()
        self._finishing: asyncio.TimerHandle | None = None
        self.pending = 0
        pipes.open.add(self)

    def write(self, data: bytes) -> None:
        """Send the bytes, now or when the reader has room. Ignored once the writer is closed or finishing."""
        if self._finishing is not None or self not in self._pipes.open or not data:
            return
        if self._queue:
            self._enqueue(memoryview(data))
            return
        sent = self._send(memoryview(data))
        if sent is not None and sent < len(data):
            self._enqueue(memoryview(data)[sent:])
            self._pipes.loop.add_writer(self._sock, self._on_writable)

    def finish(self) -> None:
        """End the reader's input after what is pending, at the latest 5 s from now."""
        if self not in self._pipes.open or self._finishing is not None:
            return
        if not self._queue:
            self.abort()
        else:
            self._finishing = self._pipes.loop.call_later(FINISH_DEADLINE, self.abort)

    def abort(self) -> None:
        """Close the socket now; nothing is called any more. Idempotent."""
        if self not in self._pipes.open:
            return
        self._pipes.open.discard(self)
        if self._finishing is not None:
            self._finishing.cancel()
        if self._queue:
            self._pipes.loop.remove_writer(self._sock)
        self._queue.clear()
        self.pending = 0
        self._sock.close()

    def _enqueue(self, data: memoryview) -> None:
        self._queue.append(data)
        self.pending += len(data)

    def _send(self, data: memoryview) -> int | None:
        """Return how many bytes went out; None when the reader is gone (the writer is closed then)."""
        try:
            return self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            self.abort()
            self._broken()
            return None

    def _on_writable(self) -> None:
        while self._queue:
            sent = self._send(self._queue[0])
            if not sent:
                return
            self.pending -= sent
            if sent < len(self._queue[0]):
                self._queue[0] = self._queue[0][sent:]
                break
            self._queue.popleft()
        if not self._queue:
            self._pipes.loop.remove_writer(self._sock)
            if self._finishing is not None:
                self.abort()
                return
        self._drained()
