"""The HTTP front end on a real loopback port, with actors that record and answer, and a store in memory."""

import asyncio
import concurrent.futures
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import uvloop
from sanic import Sanic

from actors.base import BaseActor
from streamkit.database.rows import Page, StreamCounts
from streamkit.errors import ObjectNotFoundError
from streamkit.messages import (
    CheckDatabase,
    CountStreams,
    FindClip,
    FindPublishKey,
    FindStream,
    ListClips,
    ListSegments,
    ListSessions,
    ListStreams,
    PublishAnswer,
    PublishStream,
    UnpublishStream,
)
from streamkit.settings import Settings
from streamkit.snapshots import SnapshotBoard
from streamkit.storage.base import ObjectStat
from streamkit.storage.spool import Spool
from streamkit.types import Seconds
from streamkit.web.app import create_app
from streamkit.web.deps import WebDeps
from streamkit.web.gate import publish_gate
from streamkit.web.protocol import PunctualProtocol


class RecordingActor(BaseActor):
    """Records every message and answers by its type; a callable answer gets the message."""

    def __init__(self, *, received: list[Any], answers: dict[type, Any]) -> None:
        super().__init__()
        self.received = received
        self.answers = answers

    def on_receive(self, message: Any) -> Any:
        self.received.append(message)
        answer = self.answers[type(message)]
        return answer(message) if callable(answer) else answer


def later(value: Any) -> concurrent.futures.Future[Any]:
    """Return a Future of the value; an exception is raised by it."""
    future: concurrent.futures.Future[Any] = concurrent.futures.Future()
    if isinstance(value, Exception):
        future.set_exception(value)
    else:
        future.set_result(value)
    return future


class MemoryStore:
    """An ObjectStore in memory. `failure` is raised by every call; `gate` holds reads back while it is not set."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.failure: Exception | None = None
        self.reads: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        self.presigns = True

    def _find(self, name: str) -> bytes:
        self.reads.append(name)
        assert self.gate.wait(10)
        if self.failure is not None:
            raise self.failure
        if name not in self.objects:
            raise ObjectNotFoundError(f"{name} does not exist")
        return self.objects[name]

    def check(self) -> None:
        if self.failure is not None:
            raise self.failure

    def put_file(self, name: str, path: Path, *, content_type: str, cache_control: str) -> str:
        return self.put_bytes(name, path.read_bytes(), content_type=content_type, cache_control=cache_control)

    def put_bytes(self, name: str, data: bytes, *, content_type: str, cache_control: str) -> str:
        self.objects[name] = data
        return "etag"

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        data = self._find(name)[offset:]
        return data if length is None else data[:length]

    def stat(self, name: str) -> ObjectStat:
        return ObjectStat(name=name, size=len(self._find(name)), etag="etag", modified=0.0)

    def list(self, prefix: str) -> Iterator[ObjectStat]:
        return (self.stat(name) for name in sorted(self.objects) if name.startswith(prefix))

    def remove(self, names: "list[str]") -> None:
        for name in names:
            self.objects.pop(name, None)

    def presigned_get(self, name: str, *, expires: Seconds, headers: Mapping[str, str] | None = None) -> str | None:
        return f"http://store.test/{name}?signature=x" if self.presigns else None

    def close(self) -> None:
        self.objects.clear()


class FrontEnd:
    """What a test has in its hands."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.app: Sanic[Any, Any]
        self.board = SnapshotBoard()
        self.store = MemoryStore()
        self.spool = Spool()
        self.encoder: Callable[[], str] = lambda: "FFmpeg 7.0 at /usr/bin/ffmpeg."
        self.told_supervisor: list[Any] = []
        self.told_database: list[Any] = []
        self.supervisor_answers: dict[type, Any] = {PublishStream: PublishAnswer(), UnpublishStream: True}
        self.database_answers: dict[type, Any] = {
            CheckDatabase: lambda _: later(None),
            CountStreams: lambda _: later(StreamCounts(total=5, active=1, inactive=3, failed=1)),
            FindClip: lambda _: later(None),
            FindPublishKey: lambda _: later(None),
            FindStream: lambda _: later(None),
            ListClips: lambda m: later(Page(items=(), total=0, offset=m.offset, limit=m.limit)),
            ListSegments: lambda _: later(()),
            ListSessions: lambda m: later(Page(items=(), total=0, offset=m.offset, limit=m.limit)),
            ListStreams: lambda m: later(Page(items=(), total=0, offset=m.offset, limit=m.limit)),
        }
        self.supervisor = RecordingActor.start(received=self.told_supervisor, answers=self.supervisor_answers)
        self.database = RecordingActor.start(received=self.told_database, answers=self.database_answers)
        self.gate = publish_gate(settings, self.database)
        self.port = 0
        self.client = httpx.Client()

    @property
    def folder(self) -> Path:
        return self.settings.hls.output_dir

    def database_is_away(self, error: Exception) -> None:
        """Let every question fail with `error`."""
        for question in self.database_answers:
            self.database_answers[question] = lambda _: later(error)

    def get(self, path: str, **headers: str) -> httpx.Response:
        """GET with headers given as Python names."""
        return self.request("GET", path, **headers)

    def request(self, method: str, path: str, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.request(method, path, headers=named)


@contextlib.contextmanager
def running(settings: Settings) -> Iterator[FrontEnd]:
    """Serve on a free loopback port; everything has ended afterwards."""
    front = FrontEnd(settings)
    started: concurrent.futures.Future[int] = concurrent.futures.Future()
    loop = uvloop.new_event_loop()
    stop = asyncio.Event()
    thread = threading.Thread(target=_serve, args=(front, loop, started, stop), name="front-end")
    thread.start()
    try:
        front.port = started.result(timeout=10)
        front.client = httpx.Client(base_url=f"http://127.0.0.1:{front.port}", timeout=20)
        yield front
    finally:
        front.client.close()
        front.gate.close()
        front.store.gate.set()
        with contextlib.suppress(RuntimeError):  # it could not be started
            loop.call_soon_threadsafe(stop.set)
        thread.join(timeout=20)
        front.supervisor.stop()
        front.database.stop()


def _serve(front: FrontEnd, loop: Any, started: "concurrent.futures.Future[int]", stop: asyncio.Event) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(_run(front, started, stop))
        loop.run_until_complete(loop.shutdown_default_executor())
    except BaseException as error:
        if not started.done():
            started.set_exception(error)
        raise
    finally:
        loop.close()


async def _run(front: FrontEnd, started: "concurrent.futures.Future[int]", stop: asyncio.Event) -> None:
    Sanic.test_mode = True
    app = create_app(
        WebDeps(
            settings=front.settings,
            board=front.board,
            supervisor=front.supervisor,
            database=front.database,
            store=front.store,
            spool=front.spool,
            encoder_check=lambda: front.encoder(),  # noqa: PLW0108 - a test may change it
            gate=front.gate,
        )
    )
    front.app = app
    listener = socket.create_server(("127.0.0.1", 0))
    server = await app.create_server(sock=listener, protocol=PunctualProtocol, return_asyncio_server=True)
    assert server is not None
    await server.startup()
    await server.before_start()
    await server.start_serving()
    await server.after_start()
    started.set_result(listener.getsockname()[1])
    await stop.wait()
    await server.before_stop()
    server.close()
    await server.wait_closed()
    await server.after_stop()
