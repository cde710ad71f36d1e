"""The sliding window of one view: which numbers the live playlists list now. Only the ledger moves it."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil

from streamkit.hls.book import Book
from streamkit.hls.dvr import DvrWindow
from streamkit.hls.encoded import Shape, shape
from streamkit.hls.marks import Mark
from streamkit.hls.rates import LiveRate
from streamkit.hls.runs import HEALTHY_LAG, Run, merge_renditions
from streamkit.hls.segments import MICRO, Segment, View
from streamkit.pace import copied_target
from streamkit.types import Rendition, RenditionName, Seconds, UnixTime

PRESENT_WITHIN = 3
"""A rendition with no segment in this many newest numbers is left out of the multivariant playlist."""
LEAST_TARGETS = 3  # target durations that a live playlist must not fall below (RFC 8216 6.2.2)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A released number: its shortest length, and the renditions that have it. Never changed (RFC 8216 6.2.1)."""

    sequence: int
    span_us: int
    listed: frozenset[RenditionName]


class LiveWindow:
    """The newest released numbers of one session, at least `window` seconds and three target durations of them."""

    def __init__(self, view: View, *, window: Seconds, segment_duration: Seconds, dvr: DvrWindow | None = None) -> None:
        self.view = view
        self.dvr = dvr
        """What the DVR playlists list of the numbers released here; None without them."""
        self.book: Book | None = None
        self.cursor = 0
        """The next number to release."""
        self.target_duration = self._least_target = ceil(segment_duration)
        self.renditions: tuple[Rendition, ...] = ()
        """Every rendition with a live media playlist: those of the newest released run first."""
        self._window_us = round(window * MICRO)
        self._run: Run | None = None
        self._runs: deque[tuple[int, Run]] = deque()  # of all that is listed, each with its first number
        self._span_us = self._longest_us = 0
        self._entries: deque[_Entry] = deque()
        self._rates: dict[RenditionName, LiveRate] = {}

    def show(self, book: Book, at: UnixTime) -> None:
        """Leave the session that was shown, released or not, and begin with the first number of `book`."""
        self._leave(at)
        self.book, self.cursor = book, book.first
        self.target_duration, self.renditions = self._least_target, ()
        self._run, self._rates, self._span_us, self._longest_us = None, {}, 0, 0
        self._entries.clear()
        self._runs.clear()
        if self.dvr is not None:
            self.dvr.show(book)

    def release(self, at: UnixTime) -> None:
        """List the number at the cursor as it is now, for ever, and let the oldest ones go."""
        book, sequence = self._book, self.cursor
        self._enter_run(book.run_at(sequence))
        names = [rendition.name for rendition in self.renditions]
        listed = frozenset(name for name in names if self._can_list(book.mark(name, sequence)))
        durations = {name: book.duration_us(name, sequence, gap=name not in listed) for name in names}
        self._grow_target(max(durations.values()))
        for name in listed:
            self._rates[name].add(book.size(name, sequence), durations[name], self.target_duration)
        shortest = min(durations.values())
        self._entries.append(_Entry(sequence, shortest, listed))
        self._span_us += shortest
        if self.dvr is not None:
            self.dvr.add(shortest, listed, least_us=self._least_us)
        if self.view is View.BUCKET:
            book.listed += len(listed)
        self.cursor += 1
        self._slide(at)

    @property
    def is_ended(self) -> bool:
        """True when nothing will be added: the broadcast is over and all of it is released (EXT-X-ENDLIST)."""
        return self.book is not None and self.book.ended_at is not None and self.cursor == self.book.end

    @property
    def listed_from(self) -> int | None:
        """The first number that the live or the DVR playlists list; None while they list none."""
        if not self._entries:
            return None
        first = self._entries[0].sequence
        return first if self.dvr is None else min(first, self.dvr.first)

    @property
    def is_released(self) -> bool:
        """True when there is something to list."""
        return bool(self._entries)

    def segments(self, name: RenditionName) -> Iterator[Segment]:
        """Yield what the rendition's live playlist lists, oldest first."""
        for entry in self._entries:
            yield self._book.segment(name, entry.sequence, gap=name not in entry.listed)

    def ahead(self, name: RenditionName) -> list[Segment]:
        """Return what the store has of this rendition beyond the released numbers; the bucket may list it already.

        Players need not wait there for the slowest upload of a number, and it will be released as it is listed now.
        Only a few numbers of the present run, and none that is longer than the target duration says.
        """
        if self.view is not View.BUCKET or not self._entries:
            return []
        book, found = self._book, list[Segment]()
        for sequence in range(self.cursor, min(book.end, self.cursor + HEALTHY_LAG)):
            duration = book.duration_us(name, sequence, gap=False)
            fits = (duration + MICRO // 2) // MICRO <= self.target_duration
            if not (fits and book.mark(name, sequence).is_stored and book.run_at(sequence) is self._run):
                break
            found.append(book.segment(name, sequence, gap=False))
        return found

    def present(self) -> tuple[Rendition, ...]:
        """Return the renditions that players should choose from, best first; never none.

        One that has missed several numbers in a row is left out until it comes back.
        """
        renditions = self._run.renditions if self._run else ()
        newest = [self._entries[-back] for back in range(1, min(PRESENT_WITHIN, len(self._entries)) + 1)]
        alive = tuple(rendition for rendition in renditions if any(rendition.name in one.listed for one in newest))
        return alive or renditions

    def rate(self, name: RenditionName) -> LiveRate:
        """Return what to declare of a rendition of the run; what the bucket lists ahead of the others included."""
        ahead = self.ahead(name)
        rate = replace(self._rates[name], measured=replace(self._rates[name].measured)) if ahead else self._rates[name]
        for segment in ahead:
            rate.add(segment.size, round(segment.duration * MICRO), self.target_duration)
        return rate

    def shape(self, rendition: Rendition) -> Shape:
        """Return what the runs of all that is listed really encode in the rendition: players get each of them."""
        return shape(
            rendition, [run.encoded[rendition.name] for _, run in reversed(self._runs) if rendition.name in run.encoded]
        )

    @property
    def _book(self) -> Book:
        if self.book is None:
            raise RuntimeError("the window shows no session yet")
        return self.book

    @property
    def _playlist_us(self) -> int:
        """The longest that any playlist of this window was; a rendition's own may be longer by some frames."""
        return self._longest_us + self.target_duration * MICRO

    @property
    def _least_us(self) -> int:
        return LEAST_TARGETS * self.target_duration * MICRO

    def _can_list(self, mark: Mark) -> bool:
        return mark.is_stored or (self.view is View.LOCAL and mark is Mark.CLOSED)

    def _enter_run(self, run: Run) -> None:
        if run is not self._run:
            self._run, self.renditions = run, merge_renditions(run.renditions, self.renditions)
            self._runs.append((self.cursor, run))
            for rendition in run.renditions:
                self._rates.setdefault(rendition.name, LiveRate()).promise(rendition)

    def _grow_target(self, longest_us: int) -> None:
        """Keep EXT-X-TARGETDURATION at or above every rounded EXTINF (RFC 8216 4.3.3.1).

        The value must not change, so it is chosen with the first released number: at least the configured segment
        duration, and with headroom for a copied source, whose key frames are not ours. Encoders, and the Pacer of
        copied video, keep to it. Should a segment be longer all the same, because somebody else's media are in its
        file, it grows: a too small value is worse, players would give up on the next segment.
        """
        longest = (longest_us + MICRO // 2) // MICRO
        copied = self._run is not None and any(one.video_codec == "copy" for one in self._run.renditions)
        if copied and not self._entries:
            longest = copied_target(longest_us / 1000, self._least_target)
        self.target_duration = max(self.target_duration, longest)

    def _slide(self, at: UnixTime) -> None:
        self._longest_us = max(self._longest_us, self._span_us)
        while self._span_us - self._entries[0].span_us >= max(self._window_us, self._least_us):
            if self.view is View.LOCAL:
                self._book.unlist(self._entries[0].sequence, at, self._playlist_us)
            self._span_us -= self._entries.popleft().span_us
        while len(self._runs) > 1 and self._runs[1][0] <= (self.listed_from or 0):
            self._runs.popleft()

    def _leave(self, at: UnixTime) -> None:
        if self.book is None or self.view is not View.LOCAL:
            return
        oldest = self._entries[0].sequence if self._entries else self.cursor
        for sequence in range(oldest, self.book.end):
            self.book.unlist(sequence, at, self._playlist_us)
