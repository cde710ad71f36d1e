"""When a number becomes visible to players, in each view. Only the ledger calls this."""

from streamkit.hls.book import Book
from streamkit.hls.events import NumberForced
from streamkit.hls.live import LiveWindow
from streamkit.hls.marks import Mark
from streamkit.hls.runs import Run
from streamkit.hls.segments import View
from streamkit.types import MediaSequence, RenditionName, Seconds, UnixTime


class Releases:
    """Moves the live windows over `books`, the ledger's own list of sessions, oldest first.

    A number is ready for the local view when no rendition of its run may still close it, and for the bucket when
    it is released locally and everything closed of it is acknowledged or lost. The bucket so never leads.
    """

    def __init__(self, books: list[Book], windows: list[LiveWindow], deadline: Seconds) -> None:
        self._books = books
        self._windows = {window.view: window for window in windows}
        self._deadline = deadline
        self._newest_stored = -1  # the highest number that was ever ready for the bucket
        self._overtaken: tuple[int, UnixTime] | None = None  # the number the bucket waits for, overtaken since

    def window(self, view: View) -> LiveWindow:
        """Return the view's window."""
        return self._windows[view]

    def promised(self, book: Book) -> int:
        """Return the EXT-X-TARGETDURATION of the session's live playlists; 0 while there are none."""
        shown = [window for window in self._windows.values() if window.book is book and window.is_released]
        return max((window.target_duration for window in shown), default=0)

    def advance(self, touched: int, at: UnixTime) -> None:
        """Release every number that is ready; `touched` is the number that something just happened to."""
        for view in View:  # local first: the bucket's rule looks at it
            window = self._windows[view]
            ready = (book for book in self._newer_books(window) if self._is_ready(view, book, book.first))
            if (book := next(ready, None)) is not None:
                window.show(book, at)
            while window.book is not None and self._is_ready(view, window.book, window.cursor):
                window.release(at)
        self._watch_overtaking(touched, at)

    def force(self, view: View, sequence: int, at: UnixTime) -> None:
        """Release the number that the view waits for, with gaps; any other number changes nothing."""
        window = self._windows[view]
        book, head = self._head(window)
        if book is None or head != sequence:
            return
        if book is not window.book:
            window.show(book, at)
        window.release(at)
        self.advance(sequence, at)

    def overdue(self, now: UnixTime) -> NumberForced | None:
        """Return the forced release that is due: see Ledger.overdue."""
        for view, window in self._windows.items():
            book, head = self._head(window)
            since = None if book is None else self._waiting_since(view, book, head)
            if since is not None and since + self._deadline <= now:
                return NumberForced(view=view, sequence=MediaSequence(head), at=now)
        return None

    def _waiting_since(self, view: View, book: Book, head: int) -> UnixTime | None:
        if view is View.LOCAL:
            return book.closed_at(head)
        return self._overtaken[1] if self._overtaken is not None else None

    def _newer_books(self, window: LiveWindow) -> list[Book]:
        """Return the sessions with segments that came after the one the window shows, newest first.

        The first number of a newer session is released without waiting for what is left of an older one, which
        leaves the live playlists at that moment anyway.
        """
        start = 0 if window.book is None else self._books.index(window.book) + 1
        return [book for book in reversed(self._books[start:]) if not book.is_empty]

    def _head(self, window: LiveWindow) -> tuple[Book | None, int]:
        """Return the number that the window waits for, with its session; (None, 0) when it waits for none."""
        newer = self._newer_books(window)
        if newer:
            return newer[0], newer[0].first
        if window.book is None or window.cursor >= window.book.end:
            return None, 0
        return window.book, window.cursor

    def _is_ready(self, view: View, book: Book, sequence: int) -> bool:
        if not book.first <= sequence < book.end:
            return False
        run = book.run_at(sequence)
        return not any(self._waits(view, book, run, name, sequence) for name in run.progress)

    def _waits(self, view: View, book: Book, run: Run, name: RenditionName, sequence: int) -> bool:
        mark = book.mark(name, sequence)
        if view is View.LOCAL:
            return mark is Mark.MISSING and run.waits_for(name, sequence)
        if mark is Mark.MISSING:
            return sequence >= self._windows[View.LOCAL].cursor  # the local view decides whether it may still come
        return mark is Mark.CLOSED

    def _watch_overtaking(self, touched: int, at: UnixTime) -> None:
        """Note since when a number newer than the one that the bucket waits for has been complete there."""
        if touched > self._newest_stored and any(self._is_ready(View.BUCKET, book, touched) for book in self._books):
            self._newest_stored = touched
        book, head = self._head(self._windows[View.BUCKET])
        if book is None or self._newest_stored <= head:
            self._overtaken = None
        elif self._overtaken is None or self._overtaken[0] != head:
            self._overtaken = (head, at)
