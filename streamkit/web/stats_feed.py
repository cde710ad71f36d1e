"""What those who watch are told, made once for all of them, and only while somebody watches."""

import asyncio
import contextlib
import itertools
import json
import logging
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from streamkit.advice import advice_for
from streamkit.machine import Machine, MachineLoad
from streamkit.snapshots import StreamSnapshot
from streamkit.types import Seconds, StreamKey, UnixTime
from streamkit.web.deps import WebDeps
from streamkit.web.responses import iso_time
from streamkit.web.views import live_view

logger = logging.getLogger(__name__)

EVERY = Seconds(1.0)
"""Between two looks at the snapshots: what changes more often is shown as it is then."""
MACHINE_EVERY = 2
"""Looks between two readings of the machine."""
NOTHING = MachineLoad()


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What all watchers may know at one moment. The texts are shared between frames, so that a slow watcher costs
    one table of references and no queue.
    """

    streams: Mapping[StreamKey, str] = field(default_factory=dict)
    service: str = "{}"

    def events_since(self, before: "Frame | None") -> str:
        """Return the events that lead from `before` here, '' for none; everything when there is no before."""
        if before is None:
            now = json.dumps(iso_time(UnixTime(time.time())))
            everything = f'{{"time":{now},"streams":[{",".join(self.streams.values())}]}}'
            return _event("all", everything) + _event("service", self.service)
        changed = [text for key, text in self.streams.items() if before.streams.get(key) is not text]
        gone = [key for key in before.streams if key not in self.streams]
        events = [_event("stream", text) for text in changed]
        events += [_event("gone", json.dumps({"stream_key": key})) for key in gone]
        if self.service != before.service:
            events.append(_event("service", self.service))
        return "".join(events)


def _event(name: str, data: str) -> str:
    return f"event: {name}\ndata: {data}\n\n"  # JSON of json.dumps has no line breaks


class StatsFeed:
    """Looks at the board only while somebody watches. For one event loop."""

    def __init__(self, deps: WebDeps) -> None:
        self._deps = deps
        self._machine = Machine(deps.settings.hls.output_dir)
        self._load: MachineLoad | None = None
        self._seen: dict[StreamKey, StreamSnapshot] = {}
        self._frame = Frame()
        self._turned = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._watchers = 0
        self.is_closed = False

    @property
    def watchers(self) -> int:
        """How many watch now."""
        return self._watchers

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Keep the frames coming for one more watcher."""
        self._watchers += 1
        if self._looking is None:
            self._look()
            self._looking = asyncio.create_task(self._keep_looking())
        try:
            yield
        finally:
            self._watchers -= 1
            if self._watchers == 0:
                self._stop()

    async def next_frame(self, before: Frame | None) -> Frame:
        """Return the newest frame as soon as it is another one than `before`, or the feed is closed."""
        while self._frame is before and not self.is_closed:
            await self._turned.wait()
        return self._frame

    def close(self) -> None:
        """Let every watcher go."""
        self.is_closed = True
        self._stop()
        self._turned.set()

    def _stop(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
        self._looking = None
        self._seen, self._frame, self._load = {}, Frame(), None

    async def _keep_looking(self) -> None:
        for number in itertools.count():
            if number % MACHINE_EVERY == 0:
                self._read_machine()
            await asyncio.sleep(EVERY)
            try:
                self._look()
            except Exception:
                logger.exception("The statistics could not be told to those who watch")

    def _read_machine(self) -> None:
        """Start a reading, unless the last one is not done: a disk that hangs must not stop the rest."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._note_load())

    async def _note_load(self) -> None:
        self._load = await asyncio.to_thread(self._machine.read)

    def _look(self) -> None:
        before = self._frame
        seen = {snapshot.key: snapshot for snapshot in self._deps.board.all()}
        streams = {}
        for key, snapshot in sorted(seen.items()):
            old = before.streams.get(key)
            text = old if old and self._seen.get(key) is snapshot else _text(feed_view(snapshot))
            streams[key] = old if old == text else text
        self._seen = seen
        service = _text(self._service())
        if streams != before.streams or service != before.service:
            self._frame = Frame(streams=streams, service=service)
            self._turn()

    def _turn(self) -> None:
        self._turned.set()
        self._turned = asyncio.Event()

    def _service(self) -> dict[str, Any]:
        """Return what is known of the service as a whole. Sizes in bytes, `cpu` from 0 to 1."""
        settings, spool, load = self._deps.settings, self._deps.spool, self._load or NOTHING
        counts = spool.counts
        return {
            "streams": sum(snapshot.state.is_active for snapshot in self._seen.values()),
            "max_streams": settings.limits.max_streams,
            "is_draining": self._deps.board.is_draining,
            "spool_segments": counts.segments,
            "spool_bytes": counts.bytes,
            "spool_given_up": counts.given_up,
            "spool_limit": settings.limits.spool_bytes,
            "uploads": spool.health.problem or spool.problem,
            "stuck": list(self._deps.stuck()),
            "cpu": None if load.cpu is None else round(load.cpu, 2),
            "processors": load.processors,
            "memory_used": load.memory_used,
            "memory_total": load.memory_total,
            "disk_free": load.disk_free,
            "disk_total": load.disk_total,
        }


def feed_view(snapshot: StreamSnapshot) -> dict[str, Any]:
    """Return what `/stats` says of the stream, without what only time changes, and with what to do about its error."""
    view = live_view(snapshot, UnixTime(0.0))
    del view["uptime"]
    if snapshot.poster is not None:
        view["poster_url"] = f"{view['poster_url']}?v={snapshot.poster.etag}"  # so that the browser sees the new one
    return view | {"is_playable": bool(snapshot.playlists), "advice": advice_for(snapshot.last_error)}


def _text(data: dict[str, Any]) -> str:
    return json.dumps(data, separators=(",", ":"))
