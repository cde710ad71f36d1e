"""Rows that wait to be written: one per primary key, the newest; bounded. Pure.

What is dropped is known by its key, so that whoever told it can be asked to tell it again.
"""

from collections.abc import Iterable
from itertools import islice
from typing import Final

from streamkit.messages import SaveSegment, SaveSession, SaveStream, StreamRecalled
from streamkit.types import Epoch, MediaSequence, StreamKey

Save = SaveStream | SaveSession | SaveSegment

MAX_SEGMENTS: Final = 20_000
BATCH_SEGMENTS: Final = 2_000
_Id = tuple[object, ...]


class Backlog:
    """Not thread-safe. Past `max_segments` the oldest segment rows are dropped; streams and sessions never are."""

    def __init__(self, max_segments: int = MAX_SEGMENTS) -> None:
        self.dropped = 0
        """Segment rows dropped since the start."""
        self.dropped_keys: set[StreamKey] = set()
        """Whose rows were dropped."""
        self._max_segments = max_segments
        self._streams: dict[_Id, SaveStream] = {}
        self._sessions: dict[_Id, SaveSession] = {}
        self._segments: dict[_Id, SaveSegment] = {}

    def __len__(self) -> int:
        return len(self._streams) + len(self._sessions) + len(self._segments)

    def add(self, row: Save) -> None:
        """Keep `row` until `discard`, unless a newer one with its key is here already."""
        match row:
            case SaveStream():
                waiting = self._streams.get(_id(row))
                if waiting is None or (row.epoch, row.revision) >= (waiting.epoch, waiting.revision):
                    self._streams[_id(row)] = row
            case SaveSession():
                session = self._sessions.get(_id(row))
                if session is None or row.revision >= session.revision:
                    self._sessions[_id(row)] = row
            case SaveSegment():
                self._add_segment(row)

    def batch(self, most: int = BATCH_SEGMENTS) -> tuple[Save, ...]:
        """Return the rows to write next, `most` segments of them, in an order that satisfies the foreign keys.

        They stay until `discard`.
        """
        segments = islice(self._segments.values(), most)
        return (*self._streams.values(), *self._sessions.values(), *segments)

    def discard(self, rows: Iterable[Save]) -> None:
        """Forget these rows, except those that a newer one took the place of since `batch`."""
        for row in rows:
            waiting = self._rows(row)
            if waiting.get(_id(row)) is row:
                del waiting[_id(row)]

    def recall(self, key: StreamKey, stored: StreamRecalled) -> StreamRecalled:
        """Return the highest numbers of `key` in `stored` and in what waits here."""
        epoch, sequence, discontinuity = stored.epoch, stored.next_sequence, stored.discontinuity_sequence
        stream = self._streams.get((key,))
        if stream is not None:
            epoch = max(epoch, stream.epoch)
            sequence = max(sequence, stream.next_sequence)
            discontinuity = max(discontinuity, stream.discontinuity_sequence)
        epochs = [row.epoch for row in self._sessions.values() if row.key == key]
        following = [row.sequence + 1 for row in self._segments.values() if row.key == key]
        return StreamRecalled(
            epoch=Epoch(max([epoch, *epochs])),
            next_sequence=MediaSequence(max([sequence, *following])),
            discontinuity_sequence=discontinuity,
        )

    def _add_segment(self, row: SaveSegment) -> None:
        waiting = self._segments.get(_id(row))
        if waiting is not None and waiting.state != "closed":
            return
        self._segments[_id(row)] = row
        if len(self._segments) > self._max_segments:
            oldest = self._segments.pop(next(iter(self._segments)))
            self.dropped_keys.add(oldest.key)
            self.dropped += 1

    def _rows(self, row: Save) -> dict[_Id, SaveStream] | dict[_Id, SaveSession] | dict[_Id, SaveSegment]:
        match row:
            case SaveStream():
                return self._streams
            case SaveSession():
                return self._sessions
            case SaveSegment():
                return self._segments


def _id(row: Save) -> _Id:
    match row:
        case SaveStream():
            return (row.key,)
        case SaveSession():
            return (row.key, row.session)
        case SaveSegment():
            return (row.key, row.session, row.rendition, row.sequence)
