"""How far back the DVR playlists of one stream go: numbers and flags only. `dvr_text.py` writes them out."""

from collections import deque

from streamkit.hls.book import Book
from streamkit.hls.segments import MICRO
from streamkit.types import DvrKind, RenditionName, Seconds


class DvrWindow:
    """The numbers [first, end) of one session that the DVR playlists list; only the bucket's live window moves it.

    It follows what the object store has acknowledged, in the bucket and on this node alike: its segments are hours
    old, and are fetched from there. A byte a number and rendition is all that it adds to the session's book.
    """

    def __init__(self, window: Seconds | None) -> None:
        self.is_event = window is None
        """True when nothing is ever removed."""
        self.first = self.end = 0
        self._window_us = 0 if window is None else round(window * MICRO)
        self._origin = 0
        self._span_us = 0
        self._spans_us: deque[int] = deque()
        self._listed: dict[RenditionName, bytearray] = {}

    def show(self, book: Book) -> None:
        """Begin with the first number of `book`."""
        self.first = self.end = self._origin = book.first
        self._span_us = 0
        self._spans_us.clear()
        self._listed = {}

    def add(self, span_us: int, listed: frozenset[RenditionName], *, least_us: int) -> None:
        """List the next number, `span_us` long in the rendition that has it shortest, and let the oldest ones go.

        At least `least_us` stay, whatever the window is.
        """
        for name in listed:
            flags = self._listed.setdefault(name, bytearray())
            flags.extend(bytes(self.end - self._origin - len(flags)))
            flags.append(1)
        self.end += 1
        if self.is_event:
            return
        self._spans_us.append(span_us)
        self._span_us += span_us
        while self._span_us - self._spans_us[0] >= max(self._window_us, least_us):
            self._span_us -= self._spans_us.popleft()
            self.first += 1

    def has(self, name: RenditionName, sequence: int) -> bool:
        """Return whether the rendition has this number; False is a gap."""
        flags, index = self._listed.get(name, b""), sequence - self._origin
        return index < len(flags) and bool(flags[index])


def dvr_window(kind: DvrKind, window: Seconds) -> DvrWindow | None:
    """Return the window of a stream with this configuration; None when it has no DVR playlists."""
    if kind is DvrKind.NONE:
        return None
    return DvrWindow(None if kind is DvrKind.EVENT else window)
