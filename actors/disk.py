"""Disk: the segments of one stream on local disk: which go because nobody needs them, and which for lack of room.

Used by the Broadcast alone, in the StreamActor's thread.
"""

import logging
from collections.abc import Callable, Iterable

from actors.bucket import Bucket
from actors.rows import Rows
from actors.services import Services
from streamkit.hls.events import Event
from streamkit.hls.ledger import Ledger
from streamkit.messages import SegmentsGivenUp, UploadFailed
from streamkit.storage.spool import Waiting
from streamkit.types import Seconds, StreamKey, UnixTime

logger = logging.getLogger(__name__)


class Disk:
    """`record` journals an event of the ledger and applies it; `sync` makes the journal survive a power loss."""

    def __init__(
        self,
        key: StreamKey,
        services: Services,
        ledger: Ledger,
        bucket: Bucket,
        rows: Rows,
        *,
        record: Callable[[Event | None], bool],
        sync: Callable[[], None],
    ) -> None:
        self._key = key
        self._folder = services.stream_folder(key)
        self._spool = services.spool
        self._grace = Seconds(services.settings.hls.local_grace)
        self._ledger, self._bucket, self._rows = ledger, bucket, rows
        self._record, self._sync = record, sync

    def tick(self, now: UnixTime) -> None:
        """Delete the files that nobody needs any more, and give up the oldest of those that wait in a full spool."""
        self._delete(self._ledger.expired_local(now, self._grace))
        waiting = Waiting(
            segments=self._ledger.pending_count,
            bytes=self._ledger.pending_bytes,
            lag=self._ledger.oldest_pending(now),
            is_live=self._ledger.is_open,
        )
        excess = self._spool.report(self._key, waiting)
        if excess:
            self._bucket.give_up(self._ledger.expendable(now, self._grace, excess))

    def lose(self, message: UploadFailed | SegmentsGivenUp, now: UnixTime) -> str | None:
        """Enter what will never be stored, and return that as a sentence; None when nothing is lost with it."""
        if isinstance(message, SegmentsGivenUp):
            lost = self._enter(message.names, now)
            self._spool.give_up(len(lost))
            return f"{len(lost)} segments were given up, because there was no room for them" if lost else None
        lost = self._enter(self._bucket.gone(message.name), now) if message.gone else ()
        for name in lost:
            logger.error("Lost %s: %s", name, message.error, extra={"key": self._key})
        return f"{lost[-1]} was lost: {message.error}" if lost else None

    def _enter(self, names: Iterable[str], now: UnixTime) -> tuple[str, ...]:
        lost = tuple(name for name in names if self._record(self._ledger.lose(name, now)))
        for name in lost:
            if (segment := self._ledger.segment(name)) is not None:
                self._rows.segment(segment)
            (self._folder / name).unlink(missing_ok=True)
        return lost

    def close(self) -> None:
        """Wait for nothing any more."""
        self._spool.report(self._key, Waiting())

    def _delete(self, names: tuple[str, ...]) -> None:
        if names:
            self._sync()  # else what is stored would count as lost after a power loss
        for name in names:
            (self._folder / name).unlink(missing_ok=True)
        if names:
            self._record(self._ledger.files_deleted(names))
