"""TCP for RTMP: reads in strides while media flow steadily.

asyncio's transports wake the loop for each packet. A live stream is some 80 small packets a second, and waking up
costs more than the work: reading what has come ten times a second halves the CPU (0.71 to 0.36 s per minute of one
2.5 Mbit/s stream, measured), seven times saves a little more, and FFmpeg wakes less often too. Closing is immediate
here, which keeps events in order.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from typing import Protocol

from streamkit.rtmp.sockets import Sockets, SocketWriter

log = logging.getLogger(__name__)

STRIDE = 0.15
"""Seconds between two reads of a steady stream, so half of it of delay on average; all streams read at the same moment.

Longer ones save little more, and make FFmpeg work in bursts that delay the uploads of what it has just closed.
"""
PROMPT_BYTES = 1_000_000
"""A connection's first bytes are read as they come: until players have something to play, every moment counts."""
_IDLE_STRIDES = 20  # without any data; then the next byte is awaited instead of asked for
_READ_SIZE = 65536
_BACKLOG = 128
_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)  # Linux; it holds until the next packet only
_ACCEPT_PAUSE = 1.0  # seconds, when no file descriptor is left


class Peer(Protocol):
    """Who uses a channel."""

    def data_received(self, data: bytes) -> None:
        """Take what came."""

    def connection_lost(self, error: OSError | None) -> None:
        """The connection is closed; `error` is None when either end closed it in order. Told once, from the loop."""


class TcpChannel(SocketWriter):
    """One connection: bytes in to `peer`, bytes out."""

    def __init__(self, sockets: Sockets, sock: socket.socket, peer: Peer) -> None:
        super().__init__(sockets, sock, drained=_nothing, broken=self._lost)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._peer = peer
        self._paused = self._awaits = False
        self._stride: asyncio.TimerHandle | None = None
        self._received = self._idle = 0
        self._error: OSError | None = None
        self.resume_reading()

    def pause_reading(self) -> None:
        """Read nothing until `resume_reading`: TCP then slows the other end down."""
        self._paused = True
        self._stop_reading()

    def resume_reading(self) -> None:
        """Go on reading."""
        self._paused, self._idle = False, 0
        if self.is_open and not self._awaits and self._stride is None:
            self._awaits = True
            self._sockets.loop.add_reader(self._sock, self._on_readable)

    def finish(self) -> None:
        """Read nothing more, and close when everything pending is sent. Idempotent."""
        self._stop_reading()
        super().finish()

    def abort(self) -> None:
        """Close now; the peer is told soon. Idempotent."""
        if self in self._sockets.open:
            self._stop_reading()
            self._sockets.loop.call_soon(self._tell_lost)
        super().abort()

    def _stop_reading(self) -> None:
        if self._awaits:
            self._awaits = False
            self._sockets.loop.remove_reader(self._sock)
        if self._stride is not None:
            self._stride.cancel()
            self._stride = None

    def _on_readable(self) -> None:
        self._read()
        if self._received > PROMPT_BYTES and self.is_open and not self._paused:
            self._stop_reading()
            self._next_stride()

    def _next_stride(self) -> None:
        loop = self._sockets.loop
        # round, not floor: timers may fire a little early, and must not then be set for the same moment again
        self._stride = loop.call_at((round(loop.time() / STRIDE) + 1) * STRIDE, self._on_stride)

    def _on_stride(self) -> None:
        self._stride = None
        size = self._read()
        self._idle = 0 if size else self._idle + 1
        if not self.is_open or self._paused:
            return
        if size == _READ_SIZE:
            self._stride = self._sockets.loop.call_later(0, self._on_stride)  # there is more
        elif self._idle < _IDLE_STRIDES:
            self._next_stride()
        else:
            self.resume_reading()

    def _read(self) -> int:
        """Pass on what has come. Returns how many bytes."""
        try:
            data = self._sock.recv(_READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            self._lost(error)
            return 0
        if not data:
            self.abort()
            return 0
        self._received += len(data)
        if self._received < PROMPT_BYTES:
            self._acknowledge()
        try:
            self._peer.data_received(data)
        except Exception:  # a mistake of ours ends this connection, not the loop that all streams share
            log.exception("an RTMP connection is closed after an internal error")
            self._lost(OSError("internal error"))
        return len(data)

    def _acknowledge(self) -> None:
        """Let the other end send its next small packet: servers write answers in pieces and wait 40 ms for our ACK."""
        if _QUICKACK is not None:
            self._sock.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)

    def _lost(self, error: OSError) -> None:
        self._error = error
        self.abort()

    def _tell_lost(self) -> None:
        self._peer.connection_lost(self._error)


async def connect(loop: asyncio.AbstractEventLoop, host: str, port: int) -> socket.socket:
    """Return a connected socket to the first of the host's addresses that answers. Raises OSError."""
    last: OSError | None = None
    for family, kind, protocol, _, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        sock = socket.socket(family, kind, protocol)
        sock.settimeout(0)
        try:
            await loop.sock_connect(sock, address)
        except OSError as error:
            sock.close()
            last = error
        except BaseException:  # cancelled: the socket must not stay open
            sock.close()
            raise
        else:
            return sock
    raise last or OSError(f"{host} has no address")


class Listener:
    """Accepts connections on one address until closed; each goes to `accepted`."""

    def __init__(self, sockets: Sockets, sock: socket.socket, accepted: Callable[[socket.socket], None]) -> None:
        self._loop, self._sock, self._accepted = sockets.loop, sock, accepted
        self._pause: asyncio.TimerHandle | None = None
        self._listen()

    @property
    def port(self) -> int:
        """The bound port."""
        return int(self._sock.getsockname()[1])

    def close(self) -> None:
        """Stop listening. Idempotent."""
        if self._sock.fileno() < 0:
            return
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._sock)
        self._sock.close()

    def _listen(self) -> None:
        self._pause = None
        self._loop.add_reader(self._sock, self._accept)

    def _accept(self) -> None:
        for _ in range(_BACKLOG):
            try:
                connection, _ = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                log.error("no RTMP publisher can be accepted for %g s: %s", _ACCEPT_PAUSE, error)
                self._loop.remove_reader(self._sock)
                self._pause = self._loop.call_later(_ACCEPT_PAUSE, self._listen)
                return
            self._accepted(connection)


async def listen(sockets: Sockets, host: str, port: int, accepted: Callable[[socket.socket], None]) -> Listener:
    """Listen on the first address of `host`; port 0 takes a free one. Raises OSError."""
    infos = await sockets.loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, address = infos[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    sock.settimeout(0)
    return Listener(sockets, sock, accepted)


def reason(error: OSError) -> str:
    """Return the operating system's reason in lower case, without numbers and addresses."""
    if isinstance(error, socket.gaierror):
        return "its name cannot be resolved"
    text = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
    return text[:1].lower() + text[1:]


def _nothing() -> None:
    """Small answers need no flow control."""
