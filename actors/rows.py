"""Rows: what one stream tells the Database actor. Used by the Broadcast alone, in the StreamActor's thread."""

import time
from typing import Final

from actors.base import Ref, tell
from streamkit.hls.events import CountersRestored
from streamkit.hls.segments import Segment
from streamkit.messages import SaveSegment, SaveSession, SaveStream
from streamkit.types import Epoch, RenditionName, Seconds, SessionId, StreamKey, StreamState, UnixTime

LAST_ROWS: Final = Seconds(600.0)
"""How long after its last event a stopped service may have told rows of a broadcast."""


class Rows:
    """Numbers what it tells, so that late and repeated rows change nothing."""

    def __init__(self, key: StreamKey, database: Ref) -> None:
        self._key = key
        self._database = database
        self._revision = 0
        self.told = 0
        """How many rows were told."""

    def go_on_after(self, moment: UnixTime) -> None:
        """Number behind the rows that were told by `moment`, also when the clock was set back since."""
        if moment > time.time():
            self._revision = max(self._revision, int((moment + LAST_ROWS) * 1000))

    def stream(
        self,
        counters: CountersRestored,
        state: StreamState,
        started_at: UnixTime | None,
        stopped_at: UnixTime | None,
        last_error: str | None,
    ) -> None:
        """Save the stream's row."""
        row = SaveStream(
            key=self._key,
            epoch=counters.epoch,
            revision=self._next_revision(),
            state=state,
            started_at=started_at,
            stopped_at=stopped_at,
            next_sequence=counters.next_sequence,
            discontinuity_sequence=counters.next_discontinuity,
            last_error=last_error,
        )
        self._tell(row)

    def session(
        self,
        session: SessionId,
        epoch: Epoch,
        state: StreamState,
        started_at: UnixTime,
        ended_at: UnixTime | None,
        reason: str | None,
        renditions: tuple[RenditionName, ...],
        *,
        revision: int | None = None,
    ) -> None:
        """Save the session's row; its stream's row was saved before. A `revision` of the past changes no newer row."""
        row = SaveSession(
            key=self._key,
            session=session,
            epoch=epoch,
            revision=self._next_revision() if revision is None else revision,
            state=state,
            started_at=started_at,
            ended_at=ended_at,
            end_reason=reason,
            renditions=renditions,
        )
        self._tell(row)

    def segment(self, segment: Segment) -> None:
        """Save the segment's row."""
        row = SaveSegment(
            key=self._key,
            session=segment.session,
            rendition=segment.rendition,
            sequence=segment.sequence,
            name=segment.name,
            duration=segment.duration,
            size=segment.size,
            program_date_time=segment.program_date_time,
            discontinuity=segment.starts_discontinuity,
            state=segment.state.value,
        )
        self._tell(row)

    def _tell(self, row: SaveStream | SaveSession | SaveSegment) -> None:
        self.told += 1
        tell(self._database, row)

    def _next_revision(self) -> int:
        """Grows within this process and, as far as the clock does, across restarts."""
        self._revision = max(self._revision + 1, time.time_ns() // 1_000_000)
        return self._revision
