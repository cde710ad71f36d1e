"""What happened on one stream key: events go in through `apply`, and every question about it is answered here."""

from dataclasses import fields
from itertools import islice

from streamkit.encryption.keys import keys_path
from streamkit.hls.book import Book
from streamkit.hls.dvr import DvrWindow
from streamkit.hls.encoded import Encoded
from streamkit.hls.events import (
    CountersRestored,
    Event,
    FilesDeleted,
    MediaProbed,
    NumberForced,
    RunBegun,
    RunEnded,
    SegmentAcknowledged,
    SegmentLost,
    SegmentRecorded,
    SessionArchived,
    SessionEnded,
    SessionOpened,
    SheetStored,
)
from streamkit.hls.live import LiveWindow
from streamkit.hls.marks import Mark
from streamkit.hls.names import parse_init_name, parse_segment_name
from streamkit.hls.releases import Releases
from streamkit.hls.segments import MICRO, Segment, View
from streamkit.snapshots import SegmentCounts
from streamkit.types import (
    Epoch,
    MediaSequence,
    Rendition,
    RenditionName,
    RunPlan,
    Seconds,
    SessionId,
    StreamKey,
    UnixTime,
)

_MOST_FILES = 1000  # deleted at a time, so that one event of the journal stays small


class History:
    """Every session of one stream key that still matters. `Ledger` adds the decisions."""

    def __init__(
        self,
        key: StreamKey,
        *,
        window: Seconds,
        segment_duration: Seconds,
        release_deadline: Seconds,
        dvr: DvrWindow | None = None,
        key_url_base: str = "",
    ) -> None:
        self.key = key
        self.epoch = Epoch(0)
        self._next_sequence = 0
        self._next_discontinuity = 0
        self._nominal_us = round(segment_duration * MICRO)
        self._key_url_base = key_url_base
        self._books: list[Book] = []
        self._pending: dict[str, UnixTime] = {}  # closed at; in the order of closing
        self.pending_bytes = 0
        """Of the segments that are neither acknowledged nor lost."""
        windows = [
            LiveWindow(view, window=window, segment_duration=segment_duration, dvr=dvr if view is View.BUCKET else None)
            for view in View
        ]
        self._releases = Releases(self._books, windows, release_deadline)

    # ---- what happened -----------------------------------------------------------------------------------------

    def apply(self, event: Event) -> None:
        """Enter the event, then release what can be released. Events of forgotten sessions only raise the numbers."""
        match event:
            case CountersRestored():
                self._raise_numbers(event.next_sequence, event.next_discontinuity)
                self.epoch = max(self.epoch, event.epoch)
            case SessionOpened():
                self._open(event)
            case RunBegun():
                self._begin(event)
            case MediaProbed():
                self._see(event)
            case SegmentRecorded():
                self._close(event)
            case SegmentAcknowledged() | SegmentLost():
                self._settle(event)
            case NumberForced():
                self._releases.force(event.view, event.sequence, event.at)
            case RunEnded() | SessionEnded():
                self._end(event)
            case SessionArchived():
                if (book := self._book(event.session)) is not None:
                    book.archived = True
            case SheetStored():
                if (book := self._book(event.session)) is not None and event.number == len(book.sheets):
                    book.sheets.append(event)
            case FilesDeleted():
                for name in event.names:
                    self._delete(name)
        self._forget_old_books()

    def _open(self, event: SessionOpened) -> None:
        if event.epoch <= self.epoch:
            return
        if (before := self._open_book()) is not None:
            self._end(SessionEnded(session=before.session, at=event.at))
        self.epoch = event.epoch
        keys_at = f"{self._key_url_base}{keys_path(self.key, event.session)}"
        book = Book(
            event.session,
            event.epoch,
            opened_at=event.at,
            nominal_us=self._nominal_us,
            keys_at=keys_at,
            ladder=event.ladder,
        )
        self._books.append(book)

    def _begin(self, event: RunBegun) -> None:
        self._raise_numbers(event.first, event.discontinuity + 1)
        book = self._open_book()
        if book is not None and book.session == event.session and event.first >= book.end:
            book.begin_run(event)

    def _see(self, event: MediaProbed) -> None:
        book = self._book(event.session)
        if book is not None and book.runs and book.run_at(event.first).first == event.first:
            seen = Encoded(**{field.name: getattr(event, field.name) for field in fields(Encoded)})
            book.see(event.first, event.rendition, seen)

    def _close(self, event: SegmentRecorded) -> None:
        self._raise_numbers(event.sequence + 1, 0)
        book = self._book(event.session)
        if book is None or not book.takes(event.rendition, event.sequence):
            return
        book.record(event.rendition, event.sequence, event.size, round(event.duration * MICRO), event.closed_at)
        book.archived = False  # a late one: the playlists of the whole broadcast lack it
        if event.size:
            self._pending[book.name(event.rendition, event.sequence)] = event.closed_at
            self.pending_bytes += event.size
        else:
            book.lose(event.rendition, event.sequence)
        self._releases.advance(event.sequence, event.closed_at)

    def _settle(self, event: SegmentAcknowledged | SegmentLost) -> None:
        book = self._book(event.session)
        if book is None or self._pending.pop(book.name(event.rendition, event.sequence), None) is None:
            return
        self.pending_bytes -= book.size(event.rendition, event.sequence)
        if isinstance(event, SegmentLost):
            book.lose(event.rendition, event.sequence)
        else:
            book.store(event.rendition, event.sequence)
        self._releases.advance(event.sequence, event.at)

    def _end(self, event: RunEnded | SessionEnded) -> None:
        book = self._book(event.session)
        if book is None:
            return
        if book.runs:
            book.runs[-1].ended = True
        if isinstance(event, SessionEnded):
            book.ended_at = event.at
        self._releases.advance(book.end - 1, event.at)

    def _delete(self, name: str) -> None:
        init = parse_init_name(name)
        if init is not None:
            if (book := self._book(init.session)) is not None:
                book.delete_init(name)
        elif (found := self._find(name)) is not None and self._mark(name) is Mark.UPLOADED:
            found[0].delete(found[1], found[2])

    def _raise_numbers(self, next_sequence: int, next_discontinuity: int) -> None:
        self._next_sequence = max(self._next_sequence, next_sequence)
        self._next_discontinuity = max(self._next_discontinuity, next_discontinuity)

    def _forget_old_books(self) -> None:
        shown = [self.window(view).book for view in View]
        for book in self._books[:-1]:
            if book not in shown and book.is_finished:
                self._books.remove(book)

    # ---- questions ---------------------------------------------------------------------------------------------

    @property
    def session(self) -> SessionId | None:
        """The newest session, open or not."""
        return self._books[-1].session if self._books else None

    @property
    def sessions(self) -> tuple[SessionId, ...]:
        """Every session that is still known, newest first."""
        return tuple(book.session for book in reversed(self._books))

    @property
    def listed_from(self) -> int | None:
        """The first number of the newest session that a playlist in the bucket lists; None when none does."""
        window = self.window(View.BUCKET)
        return window.listed_from if window.book is not None and window.book is self.book() else None

    @property
    def is_open(self) -> bool:
        """True while the newest session has not ended."""
        return self._open_book() is not None

    @property
    def is_settled(self) -> bool:
        """True when every session has ended, is drained, archived, and has no local file: counters() says it all."""
        return all(book.is_finished for book in self._books)

    def counters(self) -> CountersRestored:
        """Return the numbers that must outlive every session."""
        return CountersRestored(
            epoch=self.epoch,
            next_sequence=MediaSequence(self._next_sequence),
            next_discontinuity=self._next_discontinuity,
        )

    def window(self, view: View) -> LiveWindow:
        """Return what the view's live playlists list; for reading only."""
        return self._releases.window(view)

    def book(self, session: SessionId | None = None) -> Book | None:
        """Return a session's segments (None: the newest session's); for reading only."""
        return self._book(session) if session is not None else (self._books[-1] if self._books else None)

    def segment(self, name: str) -> Segment | None:
        """Return the closed segment of this file name."""
        if self._mark(name) is Mark.MISSING or (found := self._find(name)) is None:
            return None
        book, rendition, sequence = found
        return book.segment(rendition, sequence, gap=False)

    @property
    def newest_key(self) -> int | None:
        """The number of the newest encryption key that the newest session uses; None when it uses none."""
        book = self.book()
        return None if book is None or not book.runs else book.newest_key

    def renditions(self) -> tuple[Rendition, ...]:
        """Return what the newest session's last run encodes, best first; empty before its first run."""
        book = self.book()
        return book.runs[-1].renditions if book is not None and book.runs else ()

    def listed(self, view: View, rendition: RenditionName) -> tuple[Segment, ...]:
        """Return what the rendition's live playlist lists in this view, gaps included, oldest first."""
        return tuple(self.window(view).segments(rendition))

    def pending(self) -> tuple[Segment, ...]:
        """Return every closed segment that is neither acknowledged nor lost, in the order of their closing."""
        found = (self.segment(name) for name in self._pending)
        return tuple(segment for segment in found if segment is not None)

    @property
    def pending_count(self) -> int:
        """How many closed segments are neither acknowledged nor lost."""
        return len(self._pending)

    def is_drained(self, session: SessionId | None = None) -> bool:
        """Return whether everything closed (of one session, or of all) is acknowledged or lost."""
        return all(book.is_drained for book in self._books if session in (None, book.session))

    def unarchived(self) -> tuple[SessionId, ...]:
        """Return the ended sessions whose whole-broadcast playlists are not known to be in the store, oldest first."""
        return tuple(
            book.session
            for book in self._books
            if book.ended_at is not None and not book.archived and not book.is_empty
        )

    def unfinished_run(self) -> tuple[RunPlan, MediaSequence] | None:
        """Return the open session's last run unless its end is recorded, and the first number to look for."""
        book = self._open_book()
        if book is None or not book.runs or book.runs[-1].ended:
            return None
        run = book.runs[-1]
        plan = RunPlan(renditions=run.renditions, segment_format=run.segment_format, key_rotation=run.key_rotation)
        return plan, MediaSequence(min(progress.next for progress in run.progress.values()))

    def takes(self, plan: RunPlan) -> bool:
        """Return whether the open session can go on with such a run: its playlists keep to one container."""
        book = self._open_book()
        return book is not None and (not book.runs or book.runs[-1].segment_format is plan.segment_format)

    def oldest_pending(self, now: UnixTime) -> Seconds:
        """Return for how many seconds the oldest pending segment has been closed; 0 when there is none."""
        oldest = next(iter(self._pending.values()), now)
        return Seconds(max(0.0, now - oldest))

    def counts(self, session: SessionId | None = None) -> SegmentCounts:
        """Return how far the segments of a session (None: the newest) have come."""
        book = self.book(session)
        if book is None:
            return SegmentCounts()
        return SegmentCounts(
            closed=book.closed, uploaded=book.uploaded, listed=book.listed, lost=book.lost, bytes=book.bytes
        )

    def expired_local(self, now: UnixTime, grace: Seconds) -> tuple[str, ...]:
        """Return segment files whose local copies may be deleted, until files_deleted says that they are.

        At most a thousand at once, the oldest first.

        Only files that the store acknowledged, and that have been out of every local playlist for at least `grace`
        seconds and their own duration plus that of the longest playlist that listed them (RFC 8216 6.2.2); or whose
        session ended `grace` seconds ago.
        """
        expired = (name for book in self._books for name in book.expired(now, grace))
        return tuple(islice(expired, _MOST_FILES))

    def expendable(self, now: UnixTime, grace: Seconds, size: int) -> tuple[str, ...]:
        """Return pending segments that could be given up, the oldest first, as many as make `size` bytes.

        No playlist here needs them, as in expired_local. At most a thousand at once.
        """
        found: list[str] = []
        for book in self._books:
            for name in book.expired(now, grace, Mark.CLOSED):
                if size <= 0 or len(found) == _MOST_FILES:
                    return tuple(found)
                if name in self._pending and (segment := self.segment(name)) is not None:
                    found.append(name)
                    size -= segment.size
        return tuple(found)

    # ---- helpers -----------------------------------------------------------------------------------------------

    def _book(self, session: SessionId) -> Book | None:
        return next((book for book in self._books if book.session == session), None)

    def _open_book(self) -> Book | None:
        newest = self._books[-1] if self._books else None
        return newest if newest is not None and newest.ended_at is None else None

    def _find(self, name: str) -> tuple[Book, RenditionName, MediaSequence] | None:
        parts = parse_segment_name(name)
        book = self._book(parts.session) if parts is not None else None
        if parts is None or book is None or book.name(parts.rendition, parts.sequence) != name:
            return None
        return book, parts.rendition, parts.sequence

    def _mark(self, name: str) -> Mark:
        found = self._find(name)
        return Mark.MISSING if found is None else found[0].mark(found[1], found[2])
