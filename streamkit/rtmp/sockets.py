"""Writing to non-blocking sockets without ever waiting for their reader."""

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Sequence

FINISH_DEADLINE = 5.0
"""Seconds that the other end gets to read what is pending before the socket is closed."""


class Sockets:
    """The loop and every socket that is open in it, so that none is left behind at the end."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.open: set[SocketWriter] = set()

    def abort_all(self) -> None:
        """Close every socket now."""
        for writer in list(self.open):
            writer.abort()


class SocketWriter:
    """Owns a socket, and sends bytes in order as fast as its reader takes them.

    `drained` is called in the loop whenever the reader caught up a little, `broken` once when it is gone.
    """

    def __init__(
        self, sockets: Sockets, sock: socket.socket, drained: Callable[[], None], broken: Callable[[OSError], None]
    ) -> None:
        sock.settimeout(0)
        self.pending = 0
        """Bytes that the reader has not taken yet."""
        self._sockets, self._sock, self._drained, self._broken = sockets, sock, drained, broken
        self._queue: deque[bytes | memoryview] = deque()
        self._waits = False  # for room, with a writer callback in the loop
        self._deadline: asyncio.TimerHandle | None = None
        sockets.open.add(self)

    @property
    def is_open(self) -> bool:
        """True until the socket is closed or only finishes what is pending."""
        return self in self._sockets.open and self._deadline is None

    def write(self, pieces: Sequence[bytes]) -> None:
        """Send the pieces, now or when there is room. Ignored once the socket is closed or finishing."""
        if not self.is_open:
            return
        data = b"".join(pieces)  # one long piece costs less than a list of many short ones, copying included
        if data:
            self._queue.append(data)
        self.pending += len(data)
        if not self._waits and not self._send() and self.is_open:
            self._waits = True
            self._sockets.loop.add_writer(self._sock, self._on_room)

    def finish(self) -> None:
        """Close the socket once everything pending is sent, at the latest 5 s from now. Idempotent."""
        if not self.is_open:
            return
        if self._queue:
            self._deadline = self._sockets.loop.call_later(FINISH_DEADLINE, self.abort)
        else:
            self.abort()

    def abort(self) -> None:
        """Close the socket now. Idempotent."""
        if self not in self._sockets.open:
            return
        self._sockets.open.discard(self)
        if self._deadline is not None:
            self._deadline.cancel()
        if self._waits:
            self._sockets.loop.remove_writer(self._sock)
        self._queue.clear()
        self.pending = 0
        self._sock.close()

    def _send(self) -> bool:
        """Send what there is room for. Returns whether nothing is left."""
        while self._queue:
            data = self._queue[0]
            try:
                sent = self._sock.send(data)
            except (BlockingIOError, InterruptedError):
                return False
            except OSError as error:
                self.abort()
                self._broken(error)
                return False
            self.pending -= sent
            if sent < len(data):
                self._queue[0] = memoryview(data)[sent:]
            else:
                self._queue.popleft()
        return True

    def _on_room(self) -> None:
        if self._send():
            self._waits = False
            self._sockets.loop.remove_writer(self._sock)
            if self._deadline is not None:
                self.abort()
                return
        if self.is_open:
            self._drained()
