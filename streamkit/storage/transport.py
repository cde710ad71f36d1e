"""HTTP connections whose every request ends by a deadline, however slowly the other side trickles.

urllib3's read timeout is per recv: a server that sends one byte now and then would hold a request for ever.
Here each send and recv waits at most `idle` seconds and never past the deadline of the thread's request.
"""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import certifi
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from streamkit.types import Seconds

_PIECE = 1_048_576  # bytes given to one send, so that progress is noticed between pieces
_UNSENT = 65_536  # bytes that the kernel may hold back: more would count as sent, and the wait for an answer be in vain


class DeadlineExceededError(TimeoutError):
    """The request took too long in total, or its client is closing."""


class _Request(threading.local):
    """What the running thread's request may still wait for; nothing is limited outside of `deadline()`."""

    ends_at = float("inf")
    idle: float | None = None
    closing: threading.Event | None = None


_request = _Request()


@contextmanager
def deadline(total: Seconds, *, idle: Seconds, closing: threading.Event) -> Iterator[None]:
    """Limit the requests that this thread makes inside: `total` seconds for all, `idle` for each send or recv.

    When `closing` is set they end after at most `idle` seconds.
    """
    _request.ends_at, _request.idle, _request.closing = time.monotonic() + total, idle, closing
    try:
        yield
    finally:
        _request.__dict__.clear()


@contextmanager
def _patience(connection: socket.socket) -> Iterator[None]:
    """Limit one send or recv."""
    connection.settimeout(_time_left())
    try:
        yield
    except TimeoutError:
        _time_left()  # says so when it was the request's deadline that ended the wait
        raise


def _time_left() -> float | None:
    if _request.idle is None:
        return None
    left = _request.ends_at - time.monotonic()
    if left <= 0 or (_request.closing is not None and _request.closing.is_set()):
        raise DeadlineExceededError("the time for this request is over")
    return min(left, _request.idle)


def _send_all(connection: socket.socket, data: Any) -> None:
    rest = memoryview(data).cast("B")
    while rest:
        with _patience(connection):
            rest = rest[connection.send(rest[:_PIECE]) :]


class _PlainSocket(socket.socket):
    def recv_into(self, *args: Any) -> int:
        with _patience(self):
            return super().recv_into(*args)

    def sendall(self, data: Any, flags: int = 0, /) -> None:  # noqa: ARG002 - HTTP sets none
        _send_all(self, data)


class _TlsSocket(ssl.SSLSocket):
    def recv_into(self, *args: Any) -> int:
        with _patience(self):
            return super().recv_into(*args)

    def sendall(self, data: Any, flags: int = 0) -> None:  # noqa: ARG002 - HTTP sets none
        _send_all(self, data)


class _PlainConnection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        connected = super()._new_conn()
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT)
        return _PlainSocket(connected.family, connected.type, connected.proto, fileno=connected.detach())


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = HTTPSConnection  # its sockets come from the context's sslsocket_class


def connection_pool(
    *, connections: int, connect_timeout: Seconds, read_timeout: Seconds, use_tls: bool
) -> urllib3.PoolManager:
    """Return a pool that obeys `deadline()`, keeps `connections` open, and never retries or follows redirects.

    A redirect would repeat signed headers to whichever host a server names; retries belong to the caller.
    """
    pool = urllib3.PoolManager(
        num_pools=1,
        maxsize=connections,
        timeout=urllib3.Timeout(connect=connect_timeout, read=read_timeout),
        retries=urllib3.Retry(total=False, redirect=0, raise_on_redirect=False, raise_on_status=False),
        ssl_context=_tls_context() if use_tls else None,  # reading the authorities takes a while
    )
    pool.pool_classes_by_scheme = {"http": _PlainPool, "https": _TlsPool}
    return pool


def _tls_context() -> ssl.SSLContext:
    """Return a context that trusts the system's authorities (or SSL_CERT_FILE's) and Mozilla's."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    context.sslsocket_class = _TlsSocket
    return context
