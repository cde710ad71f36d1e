"""The segments of one broadcast, in columns: about 60 bytes a number, so that a day of four renditions is 3 MB."""

from array import array
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from math import inf

from streamkit.hls.names import segment_name
from streamkit.hls.segments import MICRO, Segment, SegmentState
from streamkit.types import Epoch, MediaSequence, Rendition, RenditionName, Seconds, SessionId, UnixTime

_FARTHEST_SKIP = 1000  # numbers; a file named beyond that is not the encoder's next segment
HEALTHY_LAG = 3  # numbers that a rendition may be behind and still be waited for


class Mark(IntEnum):
    """What a book knows of one segment; one byte each."""

    MISSING = 0  # never closed
    CLOSED = 1
    UPLOADED = 2
    LOST = 3
    DELETED = 4  # uploaded, and its local file was deleted

    @property
    def is_stored(self) -> bool:
        """True when the object store has it."""
        return self in (Mark.UPLOADED, Mark.DELETED)

    @property
    def has_file(self) -> bool:
        """True while its file is on local disk."""
        return self in (Mark.CLOSED, Mark.UPLOADED)


_MARKS = tuple(Mark)  # by value: looked up for every rendition of every event
_STATES = {
    Mark.MISSING: SegmentState.LOST,
    Mark.CLOSED: SegmentState.CLOSED,
    Mark.UPLOADED: SegmentState.UPLOADED,
    Mark.LOST: SegmentState.LOST,
    Mark.DELETED: SegmentState.UPLOADED,
}


@dataclass(slots=True)
class Progress:
    """How far a rendition has come in a run: the number it closes next, and the media before it."""

    next: int
    elapsed_us: int = 0


@dataclass(slots=True)
class Run:
    """One life of the encoder: from `first` to the first number of the next run."""

    first: int
    discontinuity: int
    starts_discontinuity: bool
    renditions: tuple[Rendition, ...]
    progress: dict[RenditionName, Progress]
    anchor_us: int | None = None
    ended: bool = False

    def waits_for(self, name: RenditionName, sequence: int) -> bool:
        """Return whether the rendition may still close this number: it closes in order, and is not far behind."""
        following = self.progress[name].next
        return not self.ended and following <= sequence < following + HEALTHY_LAG


@dataclass(slots=True)
class _Track:
    """One rendition's columns, by number."""

    marks: bytearray = field(default_factory=bytearray)
    durations_us: "array[int]" = field(default_factory=lambda: array("Q"))
    sizes: "array[int]" = field(default_factory=lambda: array("Q"))

    def extend(self, count: int) -> None:
        self.marks.extend(bytes(count))
        self.durations_us.extend([0] * count)
        self.sizes.extend([0] * count)


class Book:
    """The numbers [first, end) of one session, the same for every rendition: who lacks one has a gap there."""

    def __init__(self, session: SessionId, epoch: Epoch, *, opened_at: UnixTime, nominal_us: int) -> None:
        self.session = session
        self.epoch = epoch
        self.first = 0
        self.runs: list[Run] = []
        self.opened_at = opened_at
        self.ended_at: UnixTime | None = None
        self.archived = False
        self.closed = self.uploaded = self.listed = self.lost = self.bytes = 0
        self._nominal_us = nominal_us
        self._tracks: dict[RenditionName, _Track] = {}
        self._starts_us = array("q")
        self._lengths_us = array("Q")
        self._closed_at = array("d")
        self._unlisted_at = array("d")  # when the number left the local playlists; inf while it may be listed
        self._hold = array("d")  # seconds that its files must stay after that
        self._files_from = 0  # index of the first number that may still have local files

    # ---- what happens ------------------------------------------------------------------------------------------

    def begin_run(self, first: int, discontinuity: int, renditions: tuple[Rendition, ...]) -> None:
        """Begin a run at `first`; a last run without a segment is replaced, any other ends."""
        if self.runs and self.runs[-1].first == self.end:
            self.runs.pop()
        elif self.runs:
            self.runs[-1].ended = True
            skipped = first - self.end  # none, unless the journal was damaged
            self._add_numbers(first - 1, self._end_us + (skipped - 1) * self._nominal_us, 0.0)
        if not self.runs:
            self.first = first
        progress = {rendition.name: Progress(next=first) for rendition in renditions}
        self.runs.append(Run(first, discontinuity, first != self.first, renditions, progress))
        for name in progress:
            if name not in self._tracks:
                self._tracks[name] = _Track()
                self._tracks[name].extend(len(self._starts_us))

    def record(self, name: RenditionName, sequence: int, size: int, duration_us: int, closed_at: float) -> None:
        """Enter a closed segment.

        A number's date is the run's first date plus the media before it, summed exactly, as the rendition saw it
        that closed the number first: renditions differ by less than a frame, and agree on the date.
        """
        run = self.run_at(sequence)
        progress = run.progress[name]
        if sequence >= progress.next:
            progress.elapsed_us += (sequence - progress.next) * self._nominal_us
            if run.anchor_us is None:
                began_us = round(closed_at * MICRO) - duration_us - progress.elapsed_us
                run.anchor_us = max(began_us, self._end_us)
            self._add_numbers(sequence, run.anchor_us + progress.elapsed_us, closed_at, duration_us)
            progress.elapsed_us += duration_us
            progress.next = sequence + 1
        track, index = self._tracks[name], sequence - self.first
        track.marks[index] = Mark.CLOSED
        track.durations_us[index] = duration_us
        track.sizes[index] = size
        self.closed += 1
        self._files_from = min(self._files_from, index)

    def store(self, name: RenditionName, sequence: int) -> None:
        """Enter the store's acknowledgement."""
        track, index = self._tracks[name], sequence - self.first
        track.marks[index] = Mark.UPLOADED
        self.uploaded += 1
        self.bytes += track.sizes[index]

    def lose(self, name: RenditionName, sequence: int) -> None:
        """Enter that the segment will never be stored."""
        self._tracks[name].marks[sequence - self.first] = Mark.LOST
        self.lost += 1

    def delete(self, name: RenditionName, sequence: int) -> None:
        """Enter that the stored segment's local file was deleted."""
        self._tracks[name].marks[sequence - self.first] = Mark.DELETED
        while self._files_from < len(self._starts_us) and not self._has_files(self._files_from):
            self._files_from += 1

    def unlist(self, sequence: int, at: UnixTime, playlist_us: int) -> None:
        """Enter that the number left the local playlists, the longest of which had `playlist_us` (RFC 8216 6.2.2)."""
        index = sequence - self.first
        self._unlisted_at[index] = at
        self._hold[index] = (playlist_us + self.longest_us(sequence)) / MICRO

    def _add_numbers(self, last: int, start_us: int, closed_at: float, length_us: int | None = None) -> None:
        """Make room up to number `last`, which begins at `start_us`; skipped ones before it have nominal length."""
        count = last + 1 - self.end
        for before in range(count - 1, -1, -1):
            self._starts_us.append(start_us - before * self._nominal_us)
            self._lengths_us.append(self._nominal_us if before or length_us is None else length_us)
            self._closed_at.append(closed_at)
            self._unlisted_at.append(inf)
            self._hold.append(0.0)
        for track in self._tracks.values():
            track.extend(max(0, count))

    # ---- what is known -----------------------------------------------------------------------------------------

    @property
    def end(self) -> int:
        """The number after the last that any rendition closed."""
        return self.first + len(self._starts_us)

    @property
    def is_empty(self) -> bool:
        """True until the first segment is closed."""
        return not self._starts_us

    @property
    def _end_us(self) -> int:
        return 0 if self.is_empty else self._starts_us[-1] + self._lengths_us[-1]

    def run_at(self, sequence: int) -> Run:
        """Return the run that the number belongs to."""
        return self.runs[bisect_right(self.runs, sequence, key=lambda run: run.first) - 1]

    def renditions(self) -> tuple[Rendition, ...]:
        """Return every rendition of the session: the newest run's in its order, then older ones."""
        known = {rendition.name: rendition for run in reversed(self.runs) for rendition in reversed(run.renditions)}
        return merge_renditions(self.runs[-1].renditions if self.runs else (), tuple(known.values()))

    def mark(self, name: RenditionName, sequence: int) -> Mark:
        """Return what is known of a segment; MISSING also for numbers that do not exist (yet)."""
        track, index = self._tracks.get(name), sequence - self.first
        return _MARKS[track.marks[index]] if track is not None and 0 <= index < len(track.marks) else Mark.MISSING

    def takes(self, name: RenditionName, sequence: int) -> bool:
        """Return whether this segment can be recorded: new, of a run that has the rendition, and not too far off."""
        if not self.runs or not self.first <= sequence <= self.end + _FARTHEST_SKIP:
            return False
        late = self.ended_at is not None and sequence >= self.end
        known = self.mark(name, sequence) is not Mark.MISSING
        return not late and not known and name in self.run_at(sequence).progress

    @property
    def is_drained(self) -> bool:
        """True when everything closed is stored or lost."""
        return self.closed == self.uploaded + self.lost

    @property
    def is_finished(self) -> bool:
        """True when the session can be forgotten: over, stored with its playlists, and off the disk."""
        over = self.ended_at is not None and (self.archived or self.is_empty)
        return over and self.is_drained and not self.has_files

    def closed_at(self, sequence: int) -> UnixTime:
        """Return when the first rendition closed the number."""
        return UnixTime(self._closed_at[sequence - self.first])

    def duration_us(self, name: RenditionName, sequence: int, *, gap: bool) -> int:
        """Return the segment's length; a gap has that of the number, which a late segment does not change."""
        index = sequence - self.first
        return self._lengths_us[index] if gap else self._tracks[name].durations_us[index]

    def size(self, name: RenditionName, sequence: int) -> int:
        """Return the segment's bytes; 0 for a missing one."""
        return self._tracks[name].sizes[sequence - self.first]

    def has_stored(self, name: RenditionName) -> bool:
        """Return whether the store has any segment of the rendition."""
        return any(_MARKS[mark].is_stored for mark in self._tracks[name].marks)

    def longest_us(self, sequence: int) -> int:
        """Return the number's length in the rendition that has it longest."""
        index = sequence - self.first
        return max(self._lengths_us[index], *(track.durations_us[index] for track in self._tracks.values()))

    def segment(self, name: RenditionName, sequence: int, *, gap: bool) -> Segment:
        """Return the entry for a rendition and number of this book."""
        run, index = self.run_at(sequence), sequence - self.first
        number = MediaSequence(sequence)
        return Segment(
            session=self.session,
            rendition=name,
            sequence=number,
            name=segment_name(self.session, name, number),
            duration=Seconds(self.duration_us(name, sequence, gap=gap) / MICRO),
            program_date_time=UnixTime(self._starts_us[index] / MICRO),
            size=self.size(name, sequence),
            discontinuity=run.discontinuity,
            starts_discontinuity=run.starts_discontinuity and sequence == run.first,
            state=_STATES[self.mark(name, sequence)],
            gap=gap,
        )

    def whole(self, name: RenditionName) -> Iterator[Segment]:
        """Yield every number of the session for the playlists of the whole broadcast; what is not stored is a gap."""
        for sequence in range(self.first, self.end):
            yield self.segment(name, sequence, gap=not self.mark(name, sequence).is_stored)

    def expired(self, now: UnixTime, grace: Seconds) -> Iterator[str]:
        """Yield the names of stored segments whose local files nobody needs: see Ledger.expired_local."""
        over = self.ended_at is not None and self.ended_at + grace <= now
        for index in range(self._files_from, len(self._starts_us)):
            if not over and self._unlisted_at[index] + max(self._hold[index], grace) > now:
                return
            for name, track in self._tracks.items():
                if track.marks[index] == Mark.UPLOADED:
                    yield segment_name(self.session, name, MediaSequence(self.first + index))

    @property
    def has_files(self) -> bool:
        """True while any segment of the session may be on local disk."""
        return any(self._has_files(index) for index in range(self._files_from, len(self._starts_us)))

    def _has_files(self, index: int) -> bool:
        return any(_MARKS[track.marks[index]].has_file for track in self._tracks.values())


def merge_renditions(newer: tuple[Rendition, ...], older: tuple[Rendition, ...]) -> tuple[Rendition, ...]:
    """Return the newer renditions in their order, then the older ones whose names they do not have."""
    names = {rendition.name for rendition in newer}
    return newer + tuple(rendition for rendition in older if rendition.name not in names)
