"""A TCP proxy on loopback that breaks the line between StreamKit and a real server, on demand and while it is used."""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

PIECE = 65_536  # bytes passed on at a time
SLOW_PIECE = 4096  # where the line is slow
RECEIVE_BUFFER = 16_384  # of the kernel: what is in it counts as arrived for the sender
PERSISTENT = ("latency", "rate", "silent")  # what strikes open connections without ending them


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What is wrong with the line; nothing by default. Several may be at once."""

    refuse: bool = False
    """Nobody listens."""
    reset: bool = False
    """Connections are broken off (RST) as soon as something is sent."""
    silent: bool = False
    """A black hole: connections are accepted, and nothing that is sent arrives or is answered."""
    unreachable: bool = False
    """Not even a connection is accepted: packets vanish, so only a connect timeout ends it."""
    latency: float = 0.0
    """Seconds that everything takes longer, in each direction."""
    rate: int | None = None
    """Bytes per second that all connections together may send to the server."""
    cut_after: int | None = None
    """Each connection is broken off after so many bytes to the server."""
    answer: bytes | None = None
    """An HTTP answer that is given instead of the server's; see `http_answer`."""
    methods: frozenset[str] = frozenset()
    """The HTTP methods that are answered so; empty: all."""


HEALTHY = Fault()


def http_answer(status: int, code: str, *, methods: tuple[str, ...] = (), retry_after: int | None = None) -> Fault:
    """Return a fault: S3's error `code` in an answer with this status to every request (with one of `methods`)."""
    body = f"<Error><Code>{code}</Code><Message>injected</Message><Resource>/</Resource></Error>".encode()
    head = [f"HTTP/1.1 {status} Injected", "Content-Type: application/xml", f"Content-Length: {len(body)}"]
    head += [f"Retry-After: {retry_after}"] if retry_after is not None else []
    answer = "\r\n".join([*head, "Connection: close", "", ""]).encode() + body
    return Fault(answer=answer, methods=frozenset(methods))


class FaultProxy:
    """Passes everything on to `target` ("host:port"), as `inject` says; `close()` ends it."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self.target = (host, int(port))
        self.accepted = 0
        """Connections so far."""
        self._fault = HEALTHY
        self._listener: socket.socket | None = None
        self._fresh: set[socket.socket] = set()  # accepted, and in nobody's hands yet
        self._fillers: list[socket.socket] = []
        self._free_at = 0.0  # when the line's rate allows the next byte
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._port = 0
        self._audible = asyncio.Event()
        self._audible.set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy to {target}", daemon=True)
        self._thread.start()
        self._call(self._listen)

    @property
    def port(self) -> int:
        return self._port

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self._port}"

    def retarget(self, target: str) -> None:
        """Lead new connections to another server, and break off those to the old one: a failover."""
        host, _, port = target.rpartition(":")
        self.target = (host, int(port))
        self._call(self._drop)

    def inject(self, fault: Fault) -> None:
        """From now on the line is like this. Connections stay open where that is part of the fault."""
        self._call(self._change, fault)

    def heal(self) -> None:
        """Undo the fault; connections that hung go on where they were."""
        self.inject(HEALTHY)

    def close(self) -> None:
        """End the thread and every connection."""
        self._call(self._end)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    # ---- in the loop's thread

    def _call(self, function: Callable[..., Coroutine[Any, Any, None]], *arguments: Any) -> None:
        asyncio.run_coroutine_threadsafe(function(*arguments), self._loop).result(10)

    async def _listen(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self._port))
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self._listener.setblocking(False)
        self._port = self._listener.getsockname()[1]
        self._loop.add_reader(self._listener, self._accept, self._listener)

    async def _stop_listening(self) -> None:
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
        for filler in self._fillers:
            filler.close()
        self._listener, self._fillers = None, []

    async def _change(self, fault: Fault) -> None:
        before, self._fault = self._fault, fault
        if fault == before:
            return
        (self._audible.clear if fault.silent else self._audible.set)()
        await self._stop_listening()
        if not any(getattr(fault, name) or getattr(before, name) for name in PERSISTENT):
            await self._drop()
        if fault.unreachable:
            self._accept_nobody()
        elif not fault.refuse:
            await self._listen()

    def _accept_nobody(self) -> None:
        """Fill the queue of a socket that never accepts: the kernel then ignores who else knocks."""
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", self._port))
        self._listener.listen(0)
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            with suppress(BlockingIOError):
                filler.connect(("127.0.0.1", self._port))
            self._fillers.append(filler)

    async def _drop(self) -> None:
        for writer in list(self._writers):
            abort(writer)

    async def _end(self) -> None:
        await self._stop_listening()
        await self._drop()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in self._fresh:
            connection.close()
        for _ in range(3):
            await asyncio.sleep(0)  # a transport that was aborted closes its socket a turn of the loop later

    def _accept(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except OSError:  # it went away again
            return
        self.accepted += 1
        self._fresh.add(connection)
        task = self._loop.create_task(self._serve_until_it_ends(connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve_until_it_ends(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=connection, limit=RECEIVE_BUFFER)
        self._fresh.discard(connection)
        self._writers.add(writer)
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            abort(writer)
            self._writers.discard(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = b""
        if self._fault.answer is not None:
            first = await self._answered(reader, writer, self._fault)
            if not first:
                return
        real_reader, real_writer = await asyncio.open_connection(*self.target)
        self._writers.add(real_writer)
        try:
            real_writer.write(first)
            back = asyncio.create_task(self._pump(real_reader, writer, counts=False))
            there = asyncio.create_task(self._pump(reader, real_writer, counts=True))
            done, _ = await asyncio.wait({back, there}, return_when=asyncio.FIRST_COMPLETED)
            for task in (back, there):
                task.cancel()
            await asyncio.gather(back, there, return_exceptions=True)
            if all(task.exception() is None and task.result() for task in done):
                await say_goodbye(writer)
        finally:
            abort(real_writer)
            self._writers.discard(real_writer)

    async def _answered(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: Fault) -> bytes:
        """Answer one request, or return it whole when its method is left to the server."""
        head = await reader.readuntil(b"\r\n\r\n")
        lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        body = await reader.readexactly(int(lengths[0])) if lengths else b""
        if fault.methods and head.split(b" ")[0].decode() not in fault.methods:
            line, _, rest = head.partition(b"\r\n")
            return line + b"\r\nConnection: close\r\n" + rest + body  # the next request is looked at too
        assert fault.answer is not None
        writer.write(fault.answer)
        await say_goodbye(writer)
        return b""

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counts: bool) -> bool:
        """Pass everything on, and return whether the sender had said all that it wanted."""
        passed = 0
        while data := await reader.read(SLOW_PIECE if self._fault.rate else PIECE):
            fault = self._fault
            if fault.latency:
                await asyncio.sleep(fault.latency)
            if fault.rate is not None and counts:
                await self._wait_turn(len(data) / fault.rate)
            await self._audible.wait()
            passed += len(data)
            if fault.reset or (counts and fault.cut_after is not None and passed > fault.cut_after):
                return False
            writer.write(data)
            await writer.drain()
        return True

    async def _wait_turn(self, seconds: float) -> None:
        """Wait until this much of the shared line is free."""
        now = self._loop.time()
        self._free_at = max(now, self._free_at) + seconds
        await asyncio.sleep(self._free_at - now)


async def say_goodbye(writer: asyncio.StreamWriter) -> None:
    """Close a connection behind the last byte that was written to it."""
    await writer.drain()
    writer.close()
    await writer.wait_closed()


def abort(writer: asyncio.StreamWriter) -> None:
    """Break a connection off as a crashed machine's neighbour does (RST); one that was closed before is no error."""
    raw = writer.get_extra_info("socket")
    if raw is not None and not writer.transport.is_closing():
        with suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
