"""The ledger of one stream key: which segments exist, how far each has come, and what players may be told of.

A *decision* method changes nothing: it returns the event to record, or None when nothing would change (a repeat, a
late message, an unknown name). `apply` is the only way to change the ledger, so that a live stream and a replayed
journal go through the same code and come to the same playlists:

    event = ledger.close(name, size=size, duration=duration, closed_at=closed_at)
    if event is not None:
        journal.append(event)
        ledger.apply(event)

A number is *released* to a view when every rendition that can still have it has it there: closed for the local view,
acknowledged (or lost) for the bucket's. Numbers are released in order and never taken back; who lacks one has a gap.
There is no clock inside: times are Unix seconds that callers pass in.
"""

from collections.abc import Iterable
from dataclasses import asdict

from streamkit.hls.encoded import encoded
from streamkit.hls.events import (
    CountersRestored,
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
)
from streamkit.hls.history import History
from streamkit.hls.marks import Mark
from streamkit.hls.names import parse_init_name, parse_segment_name
from streamkit.hls.segments import MICRO
from streamkit.media.info import MediaInfo
from streamkit.types import (
    FIRST_TIMESTAMP,
    Epoch,
    MediaSequence,
    Rendition,
    RunPlan,
    Seconds,
    SegmentFormat,
    SessionId,
    UnixTime,
    session_id,
)


class Ledger(History):
    """The ledger of one stream key; owned by a single actor."""

    def restore(
        self, *, epoch: Epoch, next_sequence: MediaSequence, next_discontinuity: int
    ) -> CountersRestored | None:
        """Decide that the next session begins no lower than these numbers."""
        if (
            epoch <= self.epoch
            and next_sequence <= self._next_sequence
            and next_discontinuity <= self._next_discontinuity
        ):
            return None
        return CountersRestored(epoch=epoch, next_sequence=next_sequence, next_discontinuity=next_discontinuity)

    def open_session(self, now: UnixTime, ladder: str = "") -> SessionOpened:
        """Decide that a new broadcast begins; its epoch grows even when the clock went back."""
        epoch = Epoch(max(int(now), self.epoch + 1))
        return SessionOpened(session=session_id(epoch), epoch=epoch, at=now, ladder=ladder)

    def begin_run(
        self,
        renditions: tuple[Rendition, ...],
        segment_format: SegmentFormat = SegmentFormat.MPEGTS,
        key_rotation: int = 0,
    ) -> RunBegun:
        """Decide that an encoder starts; the event's `first` is the number that every rendition starts at.

        Raises ValueError when there is no rendition, or no open session that `takes` the run.
        """
        book = self._open_book()
        plan = RunPlan(renditions=renditions, segment_format=segment_format)
        if book is None or not renditions or not self.takes(plan):
            raise ValueError(f"an encoder run of {self.key} needs an open session that takes it, and a rendition")
        discontinuity, starts_at = self._next_discontinuity, FIRST_TIMESTAMP
        if book.runs:  # players count on from the last run, whatever numbers were restored since
            last = book.runs[-1]
            is_free = last.first == book.end  # nothing came of it
            discontinuity = last.discontinuity if is_free else last.discontinuity + 1
            starts_at = last.starts_at if is_free else last.ends_before()
        return RunBegun(
            session=book.session,
            first=MediaSequence(self._next_sequence if book.is_empty else book.end),
            discontinuity=discontinuity,
            renditions=renditions,
            segment_format=segment_format,
            key_rotation=key_rotation,
            starts_at=starts_at,
            target_duration=self._releases.promised(book),
        )

    def close(self, name: str, *, size: int, duration: Seconds, closed_at: UnixTime) -> SegmentRecorded | None:
        """Decide that the encoder closed the segment file `name`, of `size` bytes and `duration` seconds.

        One of no bytes could not be written, or was removed before it could be kept: it is lost, a gap for players.
        None when it is known already, or no segment of a session and rendition that the ledger has.
        """
        found = self._find(name)
        if found is None or size < 0 or round(duration * MICRO) <= 0:
            return None
        book, rendition, sequence = found
        if not book.takes(rendition, sequence):
            return None
        return SegmentRecorded(
            session=book.session,
            rendition=rendition,
            sequence=sequence,
            size=size,
            duration=duration,
            closed_at=closed_at,
        )

    def probe(self, name: str, media: MediaInfo) -> MediaProbed | None:
        """Decide what the segment file `name`, which the encoder closed, shows of its rendition; None for nothing new.

        To be recorded before the segment: a playlist that lists it then says what is in it.
        """
        found = self._find(name)
        if found is None or not found[0].takes(found[1], found[2]):
            return None
        book, name_of, sequence = found
        run = book.run_at(sequence)
        rendition = next(one for one in run.renditions if one.name == name_of)
        seen = encoded(media, rendition, run.encoded.get(name_of))
        if seen == run.encoded.get(name_of):
            return None
        first = MediaSequence(run.first)
        return MediaProbed(session=book.session, first=first, rendition=name_of, **asdict(seen))

    def acknowledge(self, name: str, at: UnixTime) -> SegmentAcknowledged | None:
        """Decide that the store has the segment file `name`; None for other objects and repeats."""
        parts = parse_segment_name(name)
        if parts is None or name not in self._pending:
            return None
        return SegmentAcknowledged(session=parts.session, rendition=parts.rendition, sequence=parts.sequence, at=at)

    def lose(self, name: str, at: UnixTime) -> SegmentLost | None:
        """Decide that the segment file `name` is gone before the store had it; None for other names and repeats."""
        parts = parse_segment_name(name)
        if parts is None or name not in self._pending:
            return None
        return SegmentLost(session=parts.session, rendition=parts.rendition, sequence=parts.sequence, at=at)

    def overdue(self, now: UnixTime) -> NumberForced | None:
        """Decide that a number has waited long enough; ask again after applying, until None.

        The local view waits `release_deadline` seconds from the number's first close for renditions that are behind.
        The bucket waits for uploads for as long as they take, since they come in order and a store that is away
        must not tear holes; only a number that a newer one has overtaken for `release_deadline` seconds is forced.
        """
        return self._releases.overdue(now)

    def end_run(self, now: UnixTime) -> RunEnded | None:
        """Decide that the last run's encoder ended and all it closed is recorded: what is missing will not come."""
        book = self._open_book()
        if book is None or not book.runs or book.runs[-1].ended:
            return None
        return RunEnded(session=book.session, at=now)

    def end_session(self, now: UnixTime) -> SessionEnded | None:
        """Decide that the open broadcast is over; its playlists end once all of it is released."""
        book = self._open_book()
        return None if book is None else SessionEnded(session=book.session, at=now)

    def archive(self, session: SessionId) -> SessionArchived | None:
        """Decide that the store has the playlists of the whole broadcast."""
        book = self._book(session)
        return None if book is None or book.archived else SessionArchived(session=session)

    def files_deleted(self, names: Iterable[str]) -> FilesDeleted | None:
        """Decide that these expired local files were deleted."""
        known = tuple(name for name in names if self._mark(name) is Mark.UPLOADED or self._has_init(name))
        return FilesDeleted(names=known) if known else None

    def _has_init(self, name: str) -> bool:
        init = parse_init_name(name)
        book = self._book(init.session) if init is not None else None
        return book is not None and book.has_init(name)
