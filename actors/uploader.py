"""Uploader: brings a stream's segments and playlists to the object store, however long that takes.

Receives  UploadSegment, UploadPlaylist, GiveUpSegments (StreamActor); SendDone, SendFailed (upload workers);
          RetryDue (timer)
Tells     the StreamActor: ObjectStored (from the worker), UploadFailed, SegmentsGivenUp
Owns      the queue of one stream. It holds paths and the newest playlists, never the bytes of segments.
Its death loses nothing that its parent still knows: every command may be repeated to a new one.

Segments start in the order given, but those of a broadcast that is over behind those of the one that is on air; at
most `in_flight` of them at once; one that failed keeps its place while it waits, so that an outage is probed by a few
and not by the whole backlog. Playlists do not queue behind segments; of each name one version is under way and the
newest one waits. Playlists of different names have no order.
"""

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from actors.base import BaseActor, Ref, tell
from actors.timers import Timers
from actors.upload_pool import UploadPool
from actors.upload_queue import Upload, UploadQueue
from streamkit.backoff import LIMIT, Backoff
from streamkit.errors import ObjectNotFoundError, StoreDeniedError, StoreError, StoreUnavailableError
from streamkit.hls import names
from streamkit.messages import (
    GiveUpSegments,
    Message,
    ObjectStored,
    SegmentsGivenUp,
    UploadFailed,
    UploadPlaylist,
    UploadSegment,
)
from streamkit.storage.base import ObjectStore
from streamkit.storage.health import UploadHealth
from streamkit.types import Seconds, StreamKey, UnixTime

logger = logging.getLogger(__name__)

REPORT_INTERVAL = Seconds(1.0)  # an upload's failures after its first are told this often at most
LONGEST_WAIT = Seconds(60.0)  # that a store may ask for (Retry-After)
REMEMBERED = 4096  # names of stored segments whose repeats are ignored


@dataclass(frozen=True, slots=True, kw_only=True)
class SendDone(Message):
    """Upload worker -> Uploader: the store acknowledged the object, and the StreamActor was told."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SendFailed(Message):
    """Upload worker -> Uploader: this attempt failed. `gone`: the local file vanished; `denied`: a human must act.

    `wait` is what the store asked for, in seconds.
    """

    name: str
    error: str
    gone: bool = False
    denied: bool = False
    wait: Seconds = Seconds(0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryDue(Message):
    """Timer -> Uploader: the wait after failed attempt number `attempt` is over. Late ones change nothing."""

    name: str
    attempt: int


def _live_cache_control(name: str) -> str:
    return names.cache_control(name, live=True)


class UploaderActor(BaseActor):
    """One per stream. `in_flight` bounds the segments of this stream that are sent at once."""

    def __init__(
        self,
        *,
        parent: Ref,
        key: StreamKey,
        store: ObjectStore,
        pool: UploadPool,
        timers: Timers,
        in_flight: int,
        health: UploadHealth | None = None,
        cache_control: Callable[[str], str] = _live_cache_control,
    ) -> None:
        super().__init__(parent=parent, name=f"uploader of {key}")
        self._key = key
        self._store = store
        self._pool = pool
        self._timers = timers
        self._in_flight = in_flight
        self._health = health or UploadHealth()
        self._cache_control = cache_control
        self._backoff = Backoff(random=random.random)
        self._segments = UploadQueue()  # until stored, gone or given up
        self._playlists: dict[str, Upload] = {}  # what is sent or waits for its retry
        self._newer: dict[str, UploadPlaylist] = {}  # what goes after the version that is being sent
        self._versions: dict[str, int] = {}  # the newest version ever given
        self._stored: dict[str, None] = {}  # the newest REMEMBERED segments, oldest first

    def on_receive(self, message: Message) -> None:
        """Handle one message, then send whatever may be sent."""
        match message:
            case UploadSegment():
                self._add_segment(message)
            case UploadPlaylist():
                self._add_playlist(message)
            case GiveUpSegments():
                self._give_up(message)
            case SendDone():
                self._done(message)
            case SendFailed():
                self._failed(message)
            case RetryDue():
                self._retry(message)
        self._send_what_may_go()

    def on_exit(self, error: BaseException | None) -> None:
        """Begin nothing more; what is being sent may finish, and its owner then hears of it."""
        self._pool.forget(self.actor_urn)
        for upload in self._all():
            upload.end_wait()

    # ---- commands

    def _add_segment(self, message: UploadSegment) -> None:
        if message.name not in self._segments and message.name not in self._stored:
            self._segments.add(message)

    def _add_playlist(self, message: UploadPlaylist) -> None:
        if message.version <= self._versions.get(message.name, -1):
            return
        self._versions[message.name] = message.version
        upload = self._playlists.setdefault(message.name, Upload(name=message.name, content=b""))
        if upload.sending:
            self._newer[message.name] = message
        else:
            upload.content, upload.version = message.body, message.version

    def _give_up(self, message: GiveUpSegments) -> None:
        dropped = []
        for name in message.names:
            upload = self._segments.get(name)
            if upload is not None and not upload.sending:
                upload.end_wait()
                self._segments.remove(name)
                dropped.append(name)
        tell(self.parent, SegmentsGivenUp(names=tuple(dropped)))

    # ---- what became of an attempt

    def _done(self, message: SendDone) -> None:
        upload = self._find(message.name)
        if upload is None:
            return
        self._remove(upload)
        for other in self._all():
            other.end_wait()  # the store works (again): nobody waits any longer for that

    def _failed(self, message: SendFailed) -> None:
        upload = self._find(message.name)
        if upload is None:
            return
        upload.sending = False
        upload.attempt += 1
        self._report(upload, message)
        if message.gone:
            self._segments.remove(upload.name)
            return
        if newer := self._newer.pop(upload.name, None):
            upload.content, upload.version = newer.body, newer.version
        delay = LIMIT if message.denied else max(message.wait, self._backoff.delay(upload.attempt))
        upload.timer = self._timers.after(delay, self.me, RetryDue(name=upload.name, attempt=upload.attempt))

    def _retry(self, message: RetryDue) -> None:
        upload = self._find(message.name)
        if upload is not None and upload.attempt == message.attempt:
            upload.end_wait()

    # ---- helpers

    def _send_what_may_go(self) -> None:
        for upload in self._playlists.values():
            self._send(upload)
        for segment, yields in self._segments.first(self._in_flight):
            self._send(segment, yields=yields)

    def _send(self, upload: Upload, *, yields: bool = False) -> None:
        if upload.sending or upload.timer is not None:
            return
        upload.sending = True
        delivery = _Delivery(
            uploader=self.me,
            owner=self.parent,
            name=upload.name,
            version=upload.version,
            object_name=names.object_name(self._key, upload.name),
            content=upload.content,
            cache_control=self._cache_control(upload.name),
            health=self._health,
        )
        job = partial(_deliver, delivery, self._store)
        self._pool.submit(self.actor_urn, job, urgent=isinstance(upload.content, bytes), yields=yields)

    def _remove(self, upload: Upload) -> None:
        if isinstance(upload.content, bytes):
            del self._playlists[upload.name]
            if newer := self._newer.pop(upload.name, None):
                self._playlists[upload.name] = Upload(name=newer.name, content=newer.body, version=newer.version)
            return
        self._segments.remove(upload.name)
        self._stored[upload.name] = None
        if len(self._stored) > REMEMBERED:
            del self._stored[next(iter(self._stored))]

    def _report(self, upload: Upload, failure: SendFailed) -> None:
        now = time.monotonic()
        if failure.gone or now - upload.reported_at >= REPORT_INTERVAL:
            upload.reported_at = now
            event = UploadFailed(name=upload.name, attempt=upload.attempt, error=failure.error, gone=failure.gone)
            tell(self.parent, event)

    def _find(self, name: str) -> Upload | None:
        return self._playlists.get(name) or self._segments.get(name)

    def _all(self) -> list[Upload]:
        """Everything that may be sent or wait: segments behind the first `in_flight` never do."""
        return [*self._playlists.values(), *(upload for upload, _ in self._segments.first(self._in_flight))]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Delivery:
    """One attempt: what goes where, and who hears of it."""

    uploader: Ref
    owner: Ref | None
    name: str
    version: int
    object_name: str
    content: Path | bytes
    cache_control: str
    health: UploadHealth


def _deliver(one: _Delivery, store: ObjectStore) -> None:
    """Run in a worker: one attempt, whose outcome is told whatever happens, or the upload would wait for ever.

    A playlist waits for the owner to hear of its segment, so the owner hears from here.
    """
    media_type, caching = names.content_type(one.name), one.cache_control
    try:
        if isinstance(one.content, bytes):
            store.put_bytes(one.object_name, one.content, content_type=media_type, cache_control=caching)
        else:
            store.put_file(one.object_name, one.content, content_type=media_type, cache_control=caching)
    except StoreError as error:
        gone = isinstance(error, ObjectNotFoundError) and isinstance(one.content, Path)
        denied = isinstance(error, StoreDeniedError)
        asked = error.retry_after if isinstance(error, StoreUnavailableError) else None
        wait = Seconds(min(asked or 0.0, LONGEST_WAIT))
        if not gone:
            one.health.failed(str(error), denied=denied)
        tell(one.uploader, SendFailed(name=one.name, error=str(error), gone=gone, denied=denied, wait=wait))
    except Exception as error:
        logger.exception("An upload of %s failed unexpectedly", one.object_name)
        one.health.failed(f"an upload failed in a way nobody foresaw: {type(error).__name__}")
        tell(one.uploader, SendFailed(name=one.name, error=f"{type(error).__name__}: {error}"))
    else:
        one.health.worked()
        tell(one.owner, ObjectStored(name=one.name, version=one.version, stored_at=UnixTime(time.time())))
        tell(one.uploader, SendDone(name=one.name))
