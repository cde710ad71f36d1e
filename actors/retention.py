"""Retention: deletes from the object store what the settings say is not kept, in an order that nobody notices.

Receives  Wake (timer)
Asks      the Database, which never asks back
Owns      nothing that must outlive it: how far each broadcast's removal has come is in its row
Its death leaves everything in place; the next service goes on where it was.

A broadcast goes in three steps, each of them noted before the next: its row says that nothing may refer to it any
more; its playlists leave the bucket; and when nobody can be playing it any more, its objects do. A clip whose row
came before the first step keeps its segments. While a stream is live, or its actor has anything left to do for a
session, only what its playlists have long ceased to list may go, and that only where recordings are not kept.
"""

import logging
import time
from concurrent.futures import Future
from typing import Any

import pykka

from actors.base import BaseActor, Ref
from actors.timers import Timers
from streamkit.database.rows import ArchiveRow, ClipRow
from streamkit.errors import ObjectNotFoundError, StreamKitError
from streamkit.hls.clip import clip_playlists
from streamkit.hls.journal import keys_to_recover
from streamkit.hls.names import DVR, MULTIVARIANT, dvr_media_name, media_playlist_name, object_name
from streamkit.local_orphans import remove_orphans
from streamkit.messages import (
    DeleteClip,
    ExpireSession,
    FindLeftovers,
    FindNeeded,
    FindUnfinishedClips,
    LeftoversRemoved,
    ListArchives,
    Message,
    SessionRemoved,
    SessionUnlisted,
    Wake,
)
from streamkit.retention import Bounds, hold_of, object_prefixes, playlist_names, removable, to_expire
from streamkit.settings import STATE_FOLDER, Settings
from streamkit.snapshots import SnapshotBoard, StreamSnapshot
from streamkit.storage.base import ObjectStore
from streamkit.types import DvrKind, MediaSequence, Seconds, SessionId, StreamKey, UnixTime

logger = logging.getLogger(__name__)

ANSWER_TIMEOUT = 10.0  # seconds for the Database
MOST_SESSIONS = 20  # that one look unlists
MOST_OBJECTS = 500  # that one look removes of a session: other sessions and the stop of the service need not wait long
SOON = Seconds(1.0)  # until the next look when there was more to remove
ORPHANS_EVERY = Seconds(3600.0)
UNFINISHED_AFTER = Seconds(3600.0)  # until a clip whose playlists did not come will not get any
SEGMENT_MARGIN = Seconds(20.0)  # a segment's own duration and the overlap of a window, RFC 8216 6.2.2


class Retention(BaseActor):
    """One per service."""

    patience = 20  # one look asks the store for a great many things

    def __init__(
        self,
        *,
        settings: Settings,
        store: ObjectStore,
        database: Ref,
        board: SnapshotBoard,
        timers: Timers,
        parent: Ref | None = None,
    ) -> None:
        super().__init__(parent=parent, name="retention")
        self._settings, self._store, self._board = settings, store, board
        self._database, self._timers = database, timers
        self._bounds = Bounds()
        self._problem: str | None = None  # the last that was logged
        self._next_orphans = 0.0  # monotonic seconds
        self._has_more = False
        self._recovering: frozenset[StreamKey] = frozenset()

    def on_start(self) -> None:
        self._timers.after(Seconds(self._settings.retention.interval), self.me, Wake())

    def on_receive(self, message: Any) -> Any:
        match message:
            case Wake():
                return self._wake()
            case _:
                return super().on_receive(message)

    def _wake(self) -> None:
        self._has_more = False
        try:
            self._look(UnixTime(time.time()))
        except (StreamKitError, OSError, TimeoutError, pykka.Timeout, pykka.ActorDeadError) as error:
            problem = str(error) or type(error).__name__
            if problem != self._problem:
                logger.warning("Nothing is deleted for now: %s", problem)
            self._problem = problem
        except Exception:
            logger.exception("Retention failed in a way nobody foresaw, and tries again")
            self._problem = "unforeseen"
        else:
            self._problem = None
        wait = SOON if self._has_more and self._problem is None else Seconds(self._settings.retention.interval)
        self._timers.after(wait, self.me, Wake())

    def _look(self, now: UnixTime) -> None:
        self._recovering = frozenset(keys_to_recover(self._settings.hls.output_dir / STATE_FOLDER))
        self._remove_orphans()
        self._remove_leftovers(now)
        self._clear_up_clips(now)
        rows: tuple[ArchiveRow, ...] = self._ask(ListArchives(all_kept=self._settings.deletes_archives, at=now))
        idle = [row for row in rows if not self._is_busy(row)]
        for row, reason in to_expire(idle, self._settings.keep_for, now):
            if self._ask(ExpireSession(key=row.stream_key, session=row.session, at=now)):
                logger.info("Deleting session %s: %s", row.session, reason, extra={"key": row.stream_key})
        rows = self._ask(ListArchives(all_kept=False, at=now))
        for row in [row for row in rows if row.remove_after is None][:MOST_SESSIONS]:
            self._unlist(row)
        for row in rows:
            if row.remove_after is not None and row.remove_after <= now:
                self._remove(row, now)

    def _is_busy(self, row: ArchiveRow) -> bool:
        """Return whether the stream's actor may still write playlists of the session."""
        snapshot = self._board.get(row.stream_key)
        if snapshot is None:  # its actor may not have begun yet
            return row.stream_key in self._recovering
        return row.session in snapshot.sessions

    # ---- a broadcast that is not kept

    def _unlist(self, row: ArchiveRow) -> None:
        """Take its playlists away, or wait while a live stream shows its last window under names that it still uses."""
        key = row.stream_key
        found = [stat.name.rpartition("/")[2] for stat in self._store.list(object_name(key, row.session))]
        names = [f"storyboard_{row.session}.vtt", *found]
        lists = [*playlist_names(row.session, names), *self._last_windows(row)]
        snapshot = self._board.get(key)
        if self._is_busy(row) or (snapshot is not None and not snapshot.playlists.keys().isdisjoint(lists)):
            return
        self._store.remove([object_name(key, name) for name in lists])
        until = UnixTime(time.time() + hold_of(row, Seconds(self._settings.retention.grace)))
        self._ask(SessionUnlisted(key=key, session=row.session, remove_after=until))
        logger.info(
            "Removed %d playlists of session %s; its segments follow in %.0f s",
            len(lists), row.session, until - time.time(), extra={"key": key},
        )  # fmt: skip

    def _last_windows(self, row: ArchiveRow) -> list[str]:
        """Return the live and DVR playlists that still list the session's segments, the entry points first."""
        mine = f"_{row.session}_".encode()
        found: list[str] = []
        for entry, name_of in ((MULTIVARIANT, media_playlist_name), (DVR, dvr_media_name)):
            media = [name_of(name) for name in row.renditions]
            listing = [name for name in media if mine in self._read(row.stream_key, name)]
            body = self._read(row.stream_key, entry)
            if mine in body or any(f"\n{name}\n".encode() in body for name in listing):
                found.append(entry)
            found += listing
        return sorted(found, key=lambda name: name not in (MULTIVARIANT, DVR))

    def _read(self, key: StreamKey, name: str) -> bytes:
        try:
            return self._store.get(object_name(key, name))
        except ObjectNotFoundError:
            return b""

    def _remove(self, row: ArchiveRow, now: UnixTime) -> None:
        key, session = row.stream_key, row.session
        needed: tuple[range, ...] = self._ask(FindNeeded(key=key, session=session, at=now))
        stats = [stat for prefix in object_prefixes(session) for stat in self._store.list(object_name(key, prefix))]
        names = removable([stat.name.rpartition("/")[2] for stat in stats], needed)
        self._store.remove([object_name(key, name) for name in names[:MOST_OBJECTS]])
        if len(names) > MOST_OBJECTS:
            self._has_more = True
            return
        self._ask(SessionRemoved(key=key, session=session, at=now))
        kept = f"; {len(stats) - len(names)} objects stay for clips" if len(stats) > len(names) else ""
        logger.info("Deleted session %s from the store%s", session, kept, extra={"key": key})

    # ---- a broadcast that goes on and is not kept

    def _remove_leftovers(self, now: UnixTime) -> None:
        """Remove what the live playlists have not listed for as long as they and caches could still give it out."""
        live = [one for one in self._board.all() if one.session and not self._settings.keep_for(one.key).archive]
        self._bounds.keep_only((one.key, one.session) for one in live if one.session)
        for snapshot in live:
            if snapshot.session is not None and snapshot.listed_from is not None:
                self._bounds.note(snapshot.key, snapshot.session, snapshot.listed_from, now)
                self._remove_before(snapshot, snapshot.session, now)

    def _remove_before(self, snapshot: StreamSnapshot, session: SessionId, now: UnixTime) -> None:
        key = snapshot.key
        dvr, dvr_window = self._settings.dvr_for(key)
        longest = max(self._settings.window_for(key), 0.0 if dvr is DvrKind.NONE else dvr_window)
        then = UnixTime(now - longest - SEGMENT_MARGIN - self._settings.retention.grace)
        before = MediaSequence(self._bounds.before(key, session, then))
        if not before:
            return
        names: tuple[str, ...] = self._ask(
            FindLeftovers(key=key, session=session, before=before, at=now, limit=MOST_OBJECTS)
        )
        if names:
            self._store.remove([object_name(key, name) for name in names])
            self._ask(LeftoversRemoved(key=key, session=session, names=names))
            self._has_more |= len(names) == MOST_OBJECTS
            logger.info("Deleted %d segments that no playlist lists any more", len(names), extra={"key": key})

    # ---- clips

    def _clear_up_clips(self, now: UnixTime) -> None:
        """Delete what a crash left of clips that were being made: nobody was told of them."""
        since = UnixTime(now - UNFINISHED_AFTER)
        unfinished: tuple[ClipRow, ...] = self._ask(FindUnfinishedClips(since=since))
        for row in unfinished:
            self._store.remove([object_name(row.stream_key, name) for name in clip_playlists(row.clip, row.renditions)])
            until = UnixTime(now + row.ends_at - row.starts_at + self._settings.retention.grace)
            gone = DeleteClip(key=row.stream_key, clip=row.clip, remove_after=until, unfinished_since=since)
            if self._ask(gone):
                logger.info("Deleted clip %s, which was never finished", row.clip, extra={"key": row.stream_key})

    # ---- local disk

    def _remove_orphans(self) -> None:
        if time.monotonic() < self._next_orphans:
            return
        self._next_orphans = time.monotonic() + ORPHANS_EVERY
        count, size = remove_orphans(
            self._settings.hls.output_dir, lambda key: self._board.get(key) is not None, now=UnixTime(time.time())
        )
        if count:
            logger.info("Deleted %d local files (%d bytes) that no stream knows any more", count, size)

    def _ask(self, message: Message) -> Any:
        answer: Future[Any] = self._database.ask(message, block=True, timeout=ANSWER_TIMEOUT)
        return answer.result(ANSWER_TIMEOUT)
