"""The thread in which all RTMP connections live, and the only door to it for other threads."""

import asyncio
import logging
import socket
import threading
from collections.abc import Callable
from functools import partial
from typing import Protocol

from streamkit.errors import StreamKitError
from streamkit.pace import Pace
from streamkit.rtmp.feed import FeedListener
from streamkit.rtmp.ingest import Admit, Authorize, IngestServer, Unpublished
from streamkit.rtmp.ingest_source import IngestSource
from streamkit.rtmp.pull import PullSource
from streamkit.rtmp.sockets import Sockets
from streamkit.settings_rtmp import RtmpSettings
from streamkit.types import StreamKey

try:
    import uvloop
except ImportError:  # not made for every platform; the standard loop costs more CPU
    uvloop = None  # type: ignore[assignment]

log = logging.getLogger(__name__)

_START_TIMEOUT = 10.0


class Source(Protocol):
    """Where one run's media come from; lives in the loop's thread."""

    last_error: str | None

    @property
    def bytes_received(self) -> int: ...
    @property
    def is_paused(self) -> bool: ...
    @property
    def newest_timestamp(self) -> int: ...
    def start(self, run: int, listener: FeedListener) -> None: ...
    @property
    def is_behind(self) -> bool: ...
    def renew(self) -> None: ...
    def attach(self, sock: socket.socket, pace: Pace | None, *, silence: bool) -> None: ...
    def close(self) -> None: ...


class FeedHandle:
    """One run's feed, for any thread. Nothing here blocks."""

    def __init__(self, loop: "RtmpLoop", source: Source) -> None:
        self._loop, self._source = loop, source

    @property
    def bytes_received(self) -> int:
        """Bytes of media so far; stands still while the source stalls."""
        return self._source.bytes_received

    @property
    def newest_timestamp(self) -> int:
        """That of the newest frame, in ms; stands still while the publisher's clock does."""
        return self._source.newest_timestamp

    @property
    def is_paused(self) -> bool:
        """Whether the source is made to wait because the encoder does not take its media."""
        return self._source.is_paused

    @property
    def last_error(self) -> str | None:
        """Why the source is not there yet, in one sentence; None when there is nothing to say."""
        return self._source.last_error

    @property
    def is_behind(self) -> bool:
        """Whether media wait for the encoder to read them."""
        return self._source.is_behind

    def renew(self) -> None:
        """End the encoder's input at the next key frame, and keep what follows for the next one that is attached."""
        self._loop.call(self._source.renew)

    def attach(self, sock: socket.socket, pace: Pace | None = None, *, silence: bool = False) -> None:
        """Write FLV to `sock` from the oldest buffered, or else the next, key frame on. Takes ownership of `sock`.

        With a `pace`, which an encoder that copies the video needs, frames are marked where segments shall begin.
        With `silence`, video without sound has silence beside it. Its input ends with the source, with `close`, or with
        the next `attach`.
        """
        if not self._loop.call(partial(self._source.attach, sock, pace, silence=silence)):
            sock.close()

    def close(self) -> None:
        """Leave the source; the encoder reads what is pending and then EOF. Idempotent."""
        self._loop.call(self._loop.drop, self._source)


class RtmpLoop:
    """Owns the loop thread. `start` and `stop` are called once each by the composition root; the rest by anyone."""

    def __init__(self, settings: RtmpSettings) -> None:
        self._settings = settings
        self._loop: asyncio.AbstractEventLoop = (uvloop or asyncio).new_event_loop()
        self._sockets = Sockets(self._loop)
        self._ingest: IngestServer | None = None
        self._sources: set[Source] = set()
        self._thread = threading.Thread(target=self._run, name="rtmp-loop", daemon=True)
        self._lock = threading.Lock()  # orders calls before the stop, so that none is left in a dead loop
        self._open = False

    def start(self) -> None:
        """Start the thread."""
        self._open = True
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Close every connection and socket, and end the thread within `timeout` seconds. Idempotent.

        Raises StreamKitError when the thread does not end in time.
        """
        with self._lock:
            was_open, self._open = self._open, False
        if was_open:
            self._loop.call_soon_threadsafe(self._loop.stop)
        elif not self._loop.is_closed() and not self._thread.is_alive():
            self._loop.close()  # never started
        if self._thread.is_alive():
            self._thread.join(timeout)
            if self._thread.is_alive():
                raise StreamKitError(f"the RTMP loop did not stop within {timeout:g} s")

    def open_pull(self, key: StreamKey, run: int, listener: FeedListener) -> FeedHandle:
        """Play `key` from the configured server, trying until it is there. Events carry `run`."""
        return self._opened(PullSource(self._settings, key, self._sockets), run, listener)

    def open_ingest(self, key: StreamKey, run: int, listener: FeedListener) -> FeedHandle:
        """Take the media of the publisher connected for `key`; tells source_closed with an error if there is none."""
        return self._opened(IngestSource(lambda: self._ingest, key), run, listener)

    def start_ingest(
        self, host: str, port: int, authorize: Authorize, unpublished: Unpublished, admit: Admit | None = None
    ) -> int:
        """Listen for publishers and return the port (port 0 takes a free one). The callables run in the loop.

        Blocks until it listens. Raises StreamKitError when the port is taken.
        """
        server = IngestServer(self._settings.app, self._sockets, authorize, unpublished, admit)
        bound = asyncio.run_coroutine_threadsafe(server.listen(host, port), self._loop).result(_START_TIMEOUT)
        self._ingest = server
        return bound

    def call(self, function: Callable[..., None], *args: object) -> bool:
        """Have the loop call the function soon. Returns False, and does nothing, once the loop is stopping."""
        with self._lock:
            if self._open:
                self._loop.call_soon_threadsafe(function, *args)
            return self._open

    def drop(self, source: Source) -> None:
        """Close a source and forget it. Called in the loop."""
        self._sources.discard(source)
        source.close()

    def _opened(self, source: Source, run: int, listener: FeedListener) -> FeedHandle:
        self.call(self._begin, source, run, listener)
        return FeedHandle(self, source)

    def _begin(self, source: Source, run: int, listener: FeedListener) -> None:
        self._sources.add(source)
        source.start(run, listener)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(self._shut_down())
        finally:
            self._loop.close()

    async def _shut_down(self) -> None:
        for source in list(self._sources):
            self.drop(source)
        if self._ingest is not None:
            self._ingest.close()
        self._sockets.abort_all()
        await asyncio.sleep(0)  # connections are told of their end a turn later
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._loop.shutdown_default_executor()
