"""The DVR playlists as text. Hours of entries are written once, and each new number only adds its own."""

from collections import deque

from streamkit.hls.dvr import DvrWindow
from streamkit.hls.ledger import Ledger
from streamkit.hls.live import LiveWindow
from streamkit.hls.multivariant import live_multivariant
from streamkit.hls.names import DVR, dvr_media_name
from streamkit.hls.render import entry_text, head_text, tail_text
from streamkit.hls.segments import Segment, View
from streamkit.types import RenditionName, SessionId


class DvrText:
    """What the ledger's DVR playlists say. Derived: a new one says the same, and takes longer the first time."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._session: SessionId | None = None
        self._tracks: dict[RenditionName, _Track] = {}

    def render(self) -> dict[str, bytes]:
        """Return the DVR playlist files by name; none without DVR, and while nothing is acknowledged.

        With one rendition the entry point is that rendition's media playlist, as in the live view.
        """
        window = self._ledger.window(View.BUCKET)
        if window.dvr is None or window.book is None or window.dvr.end == window.dvr.first:
            return {}
        if self._session != window.book.session:
            self._session, self._tracks = window.book.session, {}
        files = {
            dvr_media_name(rendition.name): self._track(rendition.name, window.dvr).body(window, window.dvr)
            for rendition in window.renditions
        }
        only = next(iter(files.values())) if len(files) == 1 else None
        return files | {DVR: only or live_multivariant(window, dvr_media_name).encode()}

    def _track(self, name: RenditionName, dvr: DvrWindow) -> "_Track":
        if name not in self._tracks:
            self._tracks[name] = _Track(name, dvr.first)
        return self._tracks[name]


class _Track:
    """One rendition's entries. The first one is written anew each time, since it says what later ones leave out."""

    def __init__(self, name: RenditionName, first: int) -> None:
        self._name = name
        self._first = self._end = first
        self._text = bytearray()  # the entries (first, end)
        self._sizes: deque[int] = deque()  # bytes of each entry in the text
        self._newest: Segment | None = None

    def body(self, window: LiveWindow, dvr: DvrWindow) -> bytes:
        """Return the whole playlist."""
        for sequence in range(self._end, dvr.end):
            self._append(self._segment(window, dvr, sequence))
        self._leave_out(dvr.first)
        first = self._segment(window, dvr, dvr.first)
        kind = "EVENT" if dvr.is_event else None
        head = head_text(first, target_duration=window.target_duration, kind=kind) + entry_text(first, None)
        return b"".join((head.encode(), self._text, tail_text(ended=window.is_ended).encode()))

    def _segment(self, window: LiveWindow, dvr: DvrWindow, sequence: int) -> Segment:
        if window.book is None:
            raise RuntimeError("the window shows no session")
        return window.book.segment(self._name, sequence, gap=not dvr.has(self._name, sequence))

    def _append(self, segment: Segment) -> None:
        if self._newest is not None:
            line = entry_text(segment, self._newest).encode()
            self._text += line
            self._sizes.append(len(line))
        self._newest, self._end = segment, segment.sequence + 1

    def _leave_out(self, first: int) -> None:
        gone = sum(self._sizes.popleft() for _ in range(first - self._first))
        del self._text[:gone]  # moves nothing: a bytearray keeps room at its front
        self._first = first
