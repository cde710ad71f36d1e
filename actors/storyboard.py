"""Storyboard: one stream's small pictures, from single files that FFmpeg draws to sheets in the bucket and their index.

Used by the Broadcast alone, in the StreamActor's thread. A picture waits on disk until its sheet is stored, so nothing
is lost with a crash. A sheet is made when it is full, when pictures of another size follow, or when the broadcast is
over; the journal then says what it shows, and only then the index names it.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from actors.bucket import Bucket
from streamkit import jpeg
from streamkit.ffmpeg.pictures import FOLDER, Thumbnail, parse_thumbnail
from streamkit.hls.book import Book
from streamkit.hls.events import Event, SheetStored
from streamkit.hls.ledger import Ledger
from streamkit.hls.names import sheet_name, storyboard_name
from streamkit.hls.storyboard import render_storyboard
from streamkit.settings_pictures import PictureSettings
from streamkit.types import MediaSequence, SessionId

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Sheet:
    """A sheet on its way to the store, and the files that it is made of."""

    event: SheetStored
    files: list[Path]

    @property
    def name(self) -> str:
        return sheet_name(self.event.session, self.event.number)


@dataclass(frozen=True, slots=True)
class _Run:
    """Where a run's media is on the broadcast's timeline, as far as its segments are closed, in microseconds."""

    offset_us: int
    length_us: int

    def has(self, one: Thumbnail) -> bool:
        """Return whether a closed segment shows what the picture shows; one that FFmpeg was killed in never will."""
        return one.ms * 1000 < self.length_us


class Storyboard:
    """`record` journals an event of the ledger and applies it. At most one sheet is under way."""

    def __init__(
        self,
        ledger: Ledger,
        bucket: Bucket,
        record: Callable[[Event | None], bool],
        folder: Path,
        settings: PictureSettings,
    ) -> None:
        self._ledger = ledger
        self._bucket = bucket
        self._record = record
        self._folder = folder / FOLDER
        self._columns, self._full = settings.storyboard_columns, settings.storyboard_columns * settings.storyboard_rows
        self._sheet: _Sheet | None = None
        self._looked_at: tuple[list[Thumbnail], bool] | None = None  # nothing came of these files

    @property
    def name(self) -> str | None:
        """The index of the newest session, None while it lists nothing."""
        book = self._ledger.book()
        return storyboard_name(book.session) if book is not None and book.sheets else None

    def begin_run(self, session: SessionId, first: MediaSequence) -> None:
        """Forget what an encoder drew that began at this number as well, but never closed a segment."""
        for found in self._found():
            if (found.session, found.first) == (session, first):
                self._delete([found])

    def look(self) -> None:
        """Put the next sheet of what FFmpeg has drawn, unless one is under way."""
        if self._sheet is not None:
            return
        found, is_open = self._found(), self._ledger.is_open
        if (found, is_open) == self._looked_at:
            return
        self._looked_at = (found, is_open)
        for session in dict.fromkeys(one.session for one in found):
            self._look_at([one for one in found if one.session == session], self._ledger.book(session))
            if self._sheet is not None:
                return

    def stored(self) -> None:
        """The store took something: the journal and the index say so if it was the sheet."""
        sheet = self._sheet
        if sheet is None or not self._bucket.has([sheet.name]):
            return
        self._sheet = None
        self._record(sheet.event)
        self._bucket.forget([sheet.name])
        for path in sheet.files:
            path.unlink(missing_ok=True)
        self.put(sheet.event.session)
        self.look()

    def put(self, session: SessionId | None = None) -> None:
        """Store the index of a session (None: the newest) as it is now."""
        book = self._ledger.book(session)
        if book is None or not book.sheets:
            return
        name = storyboard_name(book.session)
        body = render_storyboard(book.sheets, end_ms=book.offset_us(book.end) // 1000).encode()
        self._bucket.put({name: body}, entry=name)

    def _look_at(self, found: list[Thumbnail], book: Book | None) -> None:
        runs = _runs(book, {one.first for one in found}) if book is not None else {}
        self._delete([one for one in found if one.first not in runs])
        if book is None:
            return
        usable = [one for one in found if one.first in runs and runs[one.first].has(one)]
        pictures = [(one, body) for one in usable[: self._full + 1] if (body := self._read(one)) is not None]
        alike = list(takewhile(lambda picture: jpeg.head(picture[1]) == jpeg.head(pictures[0][1]), pictures))
        is_complete = len(alike) >= self._full or len(alike) < len(pictures) or book.ended_at is not None
        if alike and is_complete:
            self._begin(book, alike[: self._full], runs)

    def _begin(self, book: Book, pictures: list[tuple[Thumbnail, bytes]], runs: "dict[int, _Run]") -> None:
        columns = min(self._columns, len(pictures))
        size = jpeg.layout(pictures[0][1])
        event = SheetStored(
            session=book.session,
            number=len(book.sheets),
            columns=columns,
            width=size.width,
            height=size.height,
            cell_width=size.cell_width,
            cell_height=size.cell_height,
            starts=tuple(runs[one.first].offset_us // 1000 + one.ms for one, _ in pictures),
        )
        self._sheet = _Sheet(event, [self._folder / one.name for one, _ in pictures])
        body = jpeg.tile([body for _, body in pictures], columns)
        self._bucket.put({self._sheet.name: body}, entry=self._sheet.name)

    def _found(self) -> list[Thumbnail]:
        """Return the single pictures on disk, oldest first."""
        try:
            found = [parse_thumbnail(path.name) for path in self._folder.iterdir()]
        except OSError:
            return []
        return sorted((one for one in found if one is not None), key=lambda one: (one.session, one.first, one.ms))

    def _read(self, one: Thumbnail) -> bytes | None:
        """Return the picture; one that is of no use is deleted."""
        try:
            body = (self._folder / one.name).read_bytes()
            jpeg.layout(body)
        except (OSError, ValueError) as error:
            logger.warning("%s is left out of the storyboard: %s", one.name, error)
            self._delete([one])
            return None
        return body

    def _delete(self, found: list[Thumbnail]) -> None:
        for one in found:
            (self._folder / one.name).unlink(missing_ok=True)


def _runs(book: Book, firsts: set[int]) -> dict[int, _Run]:
    """Return the media of the runs that begin at these numbers; others do not exist any more."""
    ends = [run.first for run in book.runs[1:]] + [book.end]
    found = {}
    for run, end in zip(book.runs, ends, strict=True):
        if run.first in firsts:
            offset_us = book.offset_us(run.first)
            found[run.first] = _Run(offset_us, book.offset_us(end) - offset_us)
    return found
