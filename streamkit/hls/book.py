"""The segments of one broadcast, in columns: about 60 bytes a number, so that a day of four renditions is 3 MB."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf

from streamkit.encryption.keys import key_number
from streamkit.hls.encoded import Encoded
from streamkit.hls.events import RunBegun, SheetStored
from streamkit.hls.marks import Mark
from streamkit.hls.names import init_name, segment_name
from streamkit.hls.runs import Progress, Run, merge_renditions
from streamkit.hls.segments import MICRO, Segment, SegmentState
from streamkit.types import (
    Epoch,
    MediaSequence,
    Rendition,
    RenditionName,
    Seconds,
    SegmentFormat,
    SessionId,
    UnixTime,
)

_FARTHEST_SKIP = 1000  # numbers; a file named beyond that is not the encoder's next segment


_MARKS = tuple(Mark)  # by value: looked up for every rendition of every event
_STATES = {
    Mark.MISSING: SegmentState.LOST,
    Mark.CLOSED: SegmentState.CLOSED,
    Mark.UPLOADED: SegmentState.UPLOADED,
    Mark.LOST: SegmentState.LOST,
    Mark.DELETED: SegmentState.UPLOADED,
}


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

    def __init__(
        self,
        session: SessionId,
        epoch: Epoch,
        *,
        opened_at: UnixTime,
        nominal_us: int,
        keys_at: str = "",
        ladder: str = "",
    ) -> None:
        self.session = session
        self.epoch = epoch
        self.first = 0
        self.runs: list[Run] = []
        self.sheets: list[SheetStored] = []  # of the storyboard
        self.opened_at = opened_at
        self.ladder = ladder
        self.ended_at: UnixTime | None = None
        self.archived = False
        self.is_independent = True
        self.closed = self.uploaded = self.listed = self.lost = self.bytes = 0
        self._nominal_us = nominal_us
        self._keys_at = keys_at
        self._newest_key: int | None = None  # of the runs before the last
        self._tracks: dict[RenditionName, _Track] = {}
        self._starts_us = array("q")
        self._lengths_us = array("Q")
        self._closed_at = array("d")
        self._unlisted_at = array("d")  # when the number left the local playlists; inf while it may be listed
        self._hold = array("d")  # seconds that its files must stay after that
        self._files_from = 0  # index of the first number that may still have local files
        self._inits: dict[str, tuple[Run, RenditionName]] = {}  # initialization sections with local files

    # ---- what happens ------------------------------------------------------------------------------------------

    def begin_run(self, event: RunBegun) -> None:
        """Begin a run; a last one without a segment is replaced, any other ends."""
        first = event.first
        if self.runs and self.runs[-1].first == self.end:
            self.runs.pop().ended = True
        elif self.runs:
            self._newest_key = self.newest_key
            self.runs[-1].ended = True
            skipped = first - self.end  # none, unless the journal was damaged
            self._add_numbers(first - 1, self._end_us + (skipped - 1) * self._nominal_us, 0.0)
        if not self.runs:
            self.first = first
        run = Run(
            first=first,
            discontinuity=event.discontinuity,
            starts_discontinuity=first != self.first,
            renditions=event.renditions,
            progress={rendition.name: Progress(next=first) for rendition in event.renditions},
            segment_format=event.segment_format,
            key_rotation=event.key_rotation,
            starts_at=event.starts_at,
        )
        self.runs.append(run)
        for name in run.progress:
            if (init := self._init(run, name)) is not None:  # FFmpeg writes it at once
                self._inits[init] = run, name
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

    def see(self, first: int, name: RenditionName, encoded: Encoded) -> None:
        """Enter what was encoded in the run that began at `first`."""
        self.run_at(first).encoded[name] = encoded
        self.is_independent = self.is_independent and encoded.independent

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

    def delete_init(self, init: str) -> bool:
        """Enter that the local file of an initialization section was deleted; False when there was none."""
        return self._inits.pop(init, None) is not None

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

    def offset_us(self, sequence: int) -> int:
        """Return how much media the broadcast has before the number: where it begins in the whole playlist."""
        return sum(self._lengths_us[: sequence - self.first])

    def run_at(self, sequence: int) -> Run:
        """Return the run that the number belongs to."""
        return self.runs[bisect_right(self.runs, sequence, key=lambda run: run.first) - 1]

    def name(self, name: RenditionName, sequence: int) -> str:
        """Return the file name of a rendition's segment."""
        segment_format = self.run_at(sequence).segment_format if self.runs else SegmentFormat.MPEGTS
        return segment_name(self.session, name, MediaSequence(sequence), segment_format)

    def has_init(self, init: str) -> bool:
        """Return whether the initialization section of this name is on local disk."""
        return init in self._inits

    def renditions(self) -> tuple[Rendition, ...]:
        """Return every rendition of the session: the newest run's in its order, then older ones."""
        known = {rendition.name: rendition for run in reversed(self.runs) for rendition in reversed(run.renditions)}
        return merge_renditions(self.runs[-1].renditions if self.runs else (), tuple(known.values()))

    @property
    def newest_key(self) -> int | None:
        """The number of the newest key that a segment is encrypted with; None when none is."""
        run = self.runs[-1] if self.runs else None
        if run is None or not run.key_rotation or self.end <= run.first:
            return self._newest_key
        newest = key_number(self.end - 1, run.key_rotation)
        return newest if self._newest_key is None else max(newest, self._newest_key)

    def encoded(self, name: RenditionName) -> list[Encoded]:
        """Return what was seen of the rendition, run by run, the newest first."""
        return [run.encoded[name] for run in reversed(self.runs) if name in run.encoded]

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
            name=segment_name(self.session, name, number, run.segment_format),
            duration=Seconds(self.duration_us(name, sequence, gap=gap) / MICRO),
            program_date_time=UnixTime(self._starts_us[index] / MICRO),
            size=self.size(name, sequence),
            discontinuity=run.discontinuity,
            starts_discontinuity=run.starts_discontinuity and sequence == run.first,
            state=_STATES[self.mark(name, sequence)],
            gap=gap,
            init=self._init(run, name),
            key_uri=self._key_uri(run, sequence),
            independent=self.is_independent,
        )

    def starts_at(self, sequence: int) -> UnixTime:
        """Return the date of the number."""
        return UnixTime(self._starts_us[sequence - self.first] / MICRO)

    def ends_at(self, sequence: int) -> UnixTime:
        """Return when the number's media ended."""
        index = sequence - self.first
        return UnixTime((self._starts_us[index] + self._lengths_us[index]) / MICRO)

    def numbers_between(self, start: float, end: float) -> range:
        """Return the numbers with media between two moments in Unix seconds."""
        first = bisect_right(self._starts_us, start * MICRO) - 1
        if first < 0 or self.ends_at(self.first + first) <= start:
            first += 1
        return range(self.first + first, self.first + bisect_left(self._starts_us, end * MICRO))

    def part(self, name: RenditionName, numbers: range) -> Iterator[Segment]:
        """Yield these numbers for playlists of the whole broadcast; what is not stored is a gap."""
        for sequence in numbers:
            yield self.segment(name, sequence, gap=not self.mark(name, sequence).is_stored)

    def expired(self, now: UnixTime, grace: Seconds, mark: Mark = Mark.UPLOADED) -> Iterator[str]:
        """Yield the names of segments so far whose local files no playlist here needs: see Ledger.expired_local.

        And those of initialization sections, once no segment of their run that needs them is on local disk.
        """
        yield from [init for init, (run, name) in self._inits.items() if run.ended and not self._in_use(run, name)]
        over = self.ended_at is not None and self.ended_at + grace <= now
        for index in range(self._files_from, len(self._starts_us)):
            if not over and self._unlisted_at[index] + max(self._hold[index], grace) > now:
                return
            for name, track in self._tracks.items():
                if track.marks[index] == mark:
                    yield self.name(name, self.first + index)

    @property
    def has_files(self) -> bool:
        """True while any file of the session may be on local disk."""
        return bool(self._inits) or any(
            self._has_files(index) for index in range(self._files_from, len(self._starts_us))
        )

    def _has_files(self, index: int) -> bool:
        return any(_MARKS[track.marks[index]].has_file for track in self._tracks.values())

    def _init(self, run: Run, name: RenditionName) -> str | None:
        is_needed = run.segment_format is SegmentFormat.FMP4
        return init_name(self.session, name, MediaSequence(run.first)) if is_needed else None

    def _key_uri(self, run: Run, sequence: int) -> str | None:
        return f"{self._keys_at}/{key_number(sequence, run.key_rotation)}" if run.key_rotation else None

    def _in_use(self, run: Run, name: RenditionName) -> bool:
        marks, begin = self._tracks[name].marks, max(run.first - self.first, self._files_from)
        end = next((other.first for other in self.runs if other.first > run.first), self.end)
        return any(_MARKS[mark].has_file for mark in marks[begin : end - self.first])
