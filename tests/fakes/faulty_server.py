"""A TCP server on loopback that misbehaves on demand, or forwards to a real one."""

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress

Behaviour = Callable[["FaultyServer", socket.socket], None]


class FaultyServer:
    """Gives every connection to `behaviour`, in a thread of its own; `close()` ends them all."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.ending = threading.Event()
        self.connections = 0
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._run(self._accept)

    def close(self) -> None:
        self.ending.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)

    def keep(self, connection: socket.socket) -> socket.socket:
        """Shut this socket down in close()."""
        with self._lock:
            self._open.append(connection)
        return connection

    def _run(self, target: Callable[..., None], *args: object) -> None:
        self._threads.append(threading.Thread(target=target, args=args, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        while not self.ending.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._run(self._serve, self.keep(connection), self.behaviour)

    def _serve(self, connection: socket.socket, behaviour: Behaviour) -> None:
        with connection, suppress(OSError):
            behaviour(self, connection)


def read_request(connection: socket.socket) -> bytes:
    """Return the head of one request, after its body was read as well."""
    data = b""
    while b"\r\n\r\n" not in data:
        if not (more := connection.recv(65536)):
            raise ConnectionError("the client went away")
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    left = int(lengths[0]) - len(body) if lengths else 0
    while left > 0:
        left -= len(connection.recv(65536)) or left
    return head


def silent(server: FaultyServer, connection: socket.socket) -> None:
    """Accept and never say anything."""
    server.ending.wait()


def closes(server: FaultyServer, connection: socket.socket) -> None:
    """Read the request and close without an answer."""
    read_request(connection)


def resets(server: FaultyServer, connection: socket.socket) -> None:
    """Read the beginning of the request and break off with a TCP reset."""
    connection.recv(1000)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def trickles(server: FaultyServer, connection: socket.socket) -> None:
    """Answer one byte now and then, each well within the client's read timeout, for ever."""
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Endless: ")
    while not server.ending.wait(0.05):
        connection.sendall(b"x")


def sips(server: FaultyServer, connection: socket.socket) -> None:
    """Take the request so slowly that it lasts seconds, but never stand still for the client's read timeout."""
    while not server.ending.wait(0.02) and connection.recv(65536):
        pass


def babbles(server: FaultyServer, connection: socket.socket) -> None:
    """Answer something that is not HTTP."""
    read_request(connection)
    connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")


def breaks_off(server: FaultyServer, connection: socket.socket) -> None:
    """Promise a long body and close after a part of it."""
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nETag: x\r\n\r\nonly this")


def answers(status: int, body: bytes = b"", kind: str = "application/xml") -> Behaviour:
    """Answer with this status and close."""
    head = f"HTTP/1.1 {status} Whatever\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"

    def behaviour(server: FaultyServer, connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(head.encode() + b"Connection: close\r\n\r\n" + body)

    return behaviour


def forwards(endpoint: str, *, cut_after: int | None = None) -> Behaviour:
    """Pass everything on to `endpoint`; break off after `cut_after` bytes from the client."""
    host, port = endpoint.split(":")

    def pump(source: socket.socket, target: socket.socket, limit: int | None) -> None:
        with suppress(OSError):
            while (limit is None or limit > 0) and (data := source.recv(min(65536, limit or 65536))):
                target.sendall(data)
                limit = None if limit is None else limit - len(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def behaviour(server: FaultyServer, connection: socket.socket) -> None:
        with server.keep(socket.create_connection((host, int(port)))) as real:
            back = threading.Thread(target=pump, args=(real, connection, None), daemon=True)
            back.start()
            pump(connection, real, cut_after)
            back.join()

    return behaviour
