"""Broadcast: one stream's ledger and its journal, and what the store, the database and the players are told of it.

Used by the StreamActor alone, in its thread. Events reach the ledger only through the journal (`_record`), so a
restarted service continues the same numbers.
"""

import logging
import time

from actors.base import Ref, getting_on
from actors.bucket import Bucket
from actors.disk import Disk
from actors.encoding import Encoding
from actors.pictures import Pictures
from actors.playlists import Playlists
from actors.rows import Rows
from actors.services import Services
from actors.showing import take_snapshot
from actors.storyboard import Storyboard
from actors.written import Written
from streamkit.hls.clip import cut_ledger
from streamkit.hls.dvr import dvr_window
from streamkit.hls.events import Event, RunBegun
from streamkit.hls.journal import Journal, replay
from streamkit.hls.ledger import Ledger
from streamkit.local_files import clear_stream_folder
from streamkit.messages import (
    CutClip,
    ObjectStored,
    RowsSettled,
    SegmentClosed,
    SegmentsGivenUp,
    StreamRecalled,
    UploadFailed,
)
from streamkit.snapshots import StreamSnapshot
from streamkit.steady import SteadyClock
from streamkit.types import (
    MediaSequence,
    Rendition,
    RenditionName,
    RunPlan,
    Seconds,
    SessionId,
    StreamKey,
    StreamState,
    UnixTime,
)

logger = logging.getLogger(__name__)


class Broadcast:
    """The truth about one stream key. `now` arguments are Unix seconds."""

    def __init__(self, key: StreamKey, services: Services, owner: Ref) -> None:
        self._key, self._services = key, services
        self._is_kept = services.settings.keep_for(key).archive
        self._clock = SteadyClock(time)  # the ledger's; rows have the system's time
        self._bucket = Bucket(key, services, owner)
        self._rows = Rows(key, services.database)
        self._extra = {"key": key}
        self._folder = services.stream_folder(key)
        settings, hls = services.settings, services.settings.hls
        self._ledger = Ledger(
            key,
            window=settings.window_for(key),
            segment_duration=Seconds(hls.segment_duration),
            release_deadline=Seconds(hls.release_deadline),
            dvr=dvr_window(*settings.dvr_for(key)),
            key_url_base=settings.encryption.key_url_base.rstrip("/"),
        )
        self._disk = Disk(key, services, self._ledger, self._bucket, self._rows, record=self._record, sync=self._sync)
        self._written = Written(key, owner, services.database, self._rows, self._ledger)
        self._journal: Journal | None = None  # opened with the first event: many publishes never become a broadcast
        self._replay()
        self._is_worth_compacting = self._ledger.session is not None
        self._knows_numbers = self._ledger.epoch > 0
        self._playlists = Playlists(self._ledger, self._bucket, self._record, is_kept=self._is_kept)
        self._pictures = Pictures(key, self._bucket, self._folder)
        self._storyboard = Storyboard(self._ledger, self._bucket, self._record, self._folder, settings.pictures)
        self._rates: dict[RenditionName, float] = {}  # bit/s of each rendition's newest segment
        self._state = StreamState.ACCEPTED
        self._started_at: UnixTime | None = None  # of the publish
        self._opened_at: UnixTime | None = None  # of the session, which may be an older publish's
        self._stopped_at: UnixTime | None = None
        self._last_error: str | None = None
        self._upload_error: str | None = None

    def _replay(self) -> None:
        damage = replay(self._services.journal_path(self._key), getting_on(self._ledger.apply))
        if damage is not None:
            logger.error("The journal is damaged, a copy is kept: %s", damage, extra=self._extra)

    # ---- what the StreamActor asks

    @property
    def is_open(self) -> bool:
        """Whether a session is on air or waits for its publisher."""
        return self._ledger.is_open

    @property
    def session(self) -> SessionId:
        """The open session. Only valid while `is_open`."""
        if self._ledger.session is None:
            raise LookupError(f"{self._key} has no session")
        return self._ledger.session

    @property
    def ladder(self) -> str:
        """The ladder of the open session; '' when none is open, or the journal does not say."""
        book = self._ledger.book()
        return book.ladder if book is not None and self._ledger.is_open else ""

    @property
    def renditions(self) -> tuple[Rendition, ...]:
        """What the open session's runs encoded, those of the last one first; empty before the first."""
        book = self._ledger.book()
        return book.renditions() if book is not None and self._ledger.is_open else ()

    @property
    def knows_numbers(self) -> bool:
        """Whether the journal or the database told which numbers were used before."""
        return self._knows_numbers

    @property
    def is_drained(self) -> bool:
        """Whether the store has every segment and every playlist, archives included."""
        return not self.pending and not self._ledger.unarchived()

    @property
    def pending(self) -> int:
        """How many objects the store has not acknowledged."""
        return len(self._ledger.pending()) + self._bucket.unstored

    @property
    def is_tidy(self) -> bool:
        """Whether nothing is left to upload, to delete or to write: the journal is not needed any more."""
        return self.is_drained and self._ledger.is_settled and self._written.is_complete

    # ---- a session from its publish to its end

    def announce(self, now: UnixTime, state: StreamState) -> None:
        """A new publish was accepted; what it becomes is not known yet."""
        self._started_at, self._stopped_at, self._last_error = now, None, None
        self.state_changed(state)

    def recalled(self, message: StreamRecalled) -> None:
        """Never go below the numbers that the database knows."""
        self._knows_numbers = True
        if not self._ledger.is_open:
            self._record(
                self._ledger.restore(
                    epoch=message.epoch,
                    next_sequence=message.next_sequence,
                    next_discontinuity=message.discontinuity_sequence,
                )
            )
            self._save_stream()

    def open(self, now: UnixTime, ladder: str) -> None:
        """Open a session, all of which is encoded with this ladder."""
        publish = self._started_at  # or that of the session before, which cannot open another
        self._opened_at = self._started_at = now if publish is None or publish == self._opened_at else publish
        self._clock = SteadyClock(time)
        self._record(self._ledger.open_session(self._started_at, ladder))
        self._save_stream()
        self._save_session(self._state)
        logger.info("Opened session %s", self.session, extra=self._extra)

    def takes(self, plan: RunPlan) -> bool:
        """Whether the open session can go on with such a run."""
        return self._ledger.takes(plan)

    def begin_run(self, plan: RunPlan) -> RunBegun:
        """Begin an encoder run and return what was decided: the number and time of its first segments."""
        event = self._ledger.begin_run(plan.renditions, plan.segment_format, plan.key_rotation)
        self._storyboard.begin_run(event.session, event.first)
        self._rates.clear()
        self._record(event)
        self._save_session(self._state)
        return event

    def segment_closed(self, message: SegmentClosed) -> None:
        """Journal, upload and list a segment that FFmpeg finished; one that it could not write is lost."""
        name, at = message.path.name, self._clock.at(message.closed_at)
        event = self._ledger.close(name, size=message.size, duration=message.duration, closed_at=at)
        if event is not None and message.media is not None:
            self._record(self._ledger.probe(name, message.media))
        if not self._record(event):
            return
        if (segment := self._ledger.segment(name)) is not None:
            self._rows.segment(segment)
            self._rates[segment.rendition] = segment.size * 8 / segment.duration
            if segment.size:
                self._bucket.upload(segment)
            else:
                self._last_error = f"{name} was lost: it is not whole on disk"
        self._render()

    def stored(self, message: ObjectStored) -> None:
        """The store acknowledged an object."""
        self._upload_error = None
        if self._bucket.stored(message):
            self._playlists.put()
            self._storyboard.stored()
        elif self._record(self._ledger.acknowledge(message.name, self._clock.at(message.stored_at))):
            self._segment_changed(message.name)

    def hear(self, message: UploadFailed | SegmentsGivenUp | RowsSettled | CutClip) -> None:
        """Something became of uploads or rows, or somebody wants whole segments of a broadcast that is known here."""
        match message:
            case RowsSettled():
                self._written.answered(message)
            case CutClip(answer=answer):
                if answer is not None:
                    answer.set_result(cut_ledger(self._ledger, message.session, message.span, is_kept=self._is_kept))
            case _:
                self._upload_failed(message)

    def _upload_failed(self, message: UploadFailed | SegmentsGivenUp) -> None:
        """Remember why until the store takes something; what is gone or was given up is lost, and named as such."""
        if isinstance(message, UploadFailed):
            self._upload_error = f"upload of {message.name}: {message.error}"
        loss = self._disk.lose(message, self._clock.now())
        if loss is not None:
            self._last_error = loss
            self._render()

    def end_run(self) -> None:
        """FFmpeg ended and its folder was scanned: what only some renditions have becomes gaps in the others."""
        self._pictures.look()
        self._record(self._ledger.end_run(self._clock.now()))
        self._render()

    def end(self, now: UnixTime, reason: str, *, failed: bool) -> None:
        """Close the open session: its playlists end as soon as everything is listed."""
        self._record(self._ledger.end_session(self._clock.at(now)))
        if self._state in (StreamState.FINISHING, StreamState.FAILED):  # else the key was published again
            self._stopped_at = now
            self._save_stream()
        self._save_session(StreamState.FAILED if failed else StreamState.ENDED, now, reason)
        self._render()
        self._storyboard.look()

    def stopped(self, now: UnixTime) -> None:
        """The stream ended, with or without a broadcast."""
        self._stopped_at = self._stopped_at or now
        self._save_stream()

    def recover(self) -> tuple[SessionId, RunPlan, MediaSequence] | None:
        """Upload what a killed service left; return the run whose folder must be scanned for more, if any."""
        for segment in self._ledger.pending():
            is_live = self._ledger.is_open and segment.session == self._ledger.session
            self._bucket.upload(segment, is_live=is_live)
        book = self._ledger.book()
        if book is not None:
            self._opened_at = self._started_at = book.opened_at
            self._stopped_at = book.ended_at
        self._render()
        self._storyboard.put()
        self._written.owe_all()
        run = self._ledger.unfinished_run()
        return None if run is None or self._ledger.session is None else (self._ledger.session, *run)

    # ---- time, errors, rows

    def tick(self, now: UnixTime) -> None:
        """Release what waited too long, and delete the local files that nobody needs any more."""
        self._pictures.look()
        self._storyboard.look()
        changed = False
        while self._record(self._ledger.overdue(self._clock.at(now))):
            changed = True
        if changed:
            self._render()
        self._disk.tick(self._clock.at(now))
        self._written.tick()
        if self._is_worth_compacting and not self._ledger.is_open and self.is_tidy:
            clear_stream_folder(self._folder)
            self._open_journal().compact((self._ledger.counters(),))
            self._is_worth_compacting = False

    def note_error(self, error: str) -> None:
        """Remember the newest error for /stats and the row."""
        self._last_error = error

    def state_changed(self, state: StreamState) -> None:
        """Bring the stream's row up to date."""
        self._state = state
        self._save_stream()
        if self._ledger.is_open:
            self._save_session(state)

    def child_failed(self, urn: str) -> None:
        """Replace a dead Uploader."""
        self._bucket.child_failed(urn, self._ledger.pending())

    def close(self) -> None:
        """Release the Uploader and the journal."""
        self._bucket.close()
        self._disk.close()
        if self._journal is not None:
            self._journal.close()

    # ---- views

    def snapshot(self, encoding: Encoding) -> StreamSnapshot:
        """Return what the front end may show now."""
        return take_snapshot(
            self._key,
            self._ledger,
            encoding,
            state=self._state,
            now=self._clock.now(),
            times=(self._started_at, self._stopped_at),
            bitrate=sum(self._rates.values()),
            error=self._upload_error or self._last_error,
            pictures=(self._pictures.poster, self._storyboard.name),
            playlists=self._playlists.local,
        )

    # ---- helpers

    def _record(self, event: Event | None) -> bool:
        """Journal the event, then apply it; False when there was nothing to record."""
        if event is None:
            return False
        self._open_journal().append(event)
        self._ledger.apply(event)
        self._is_worth_compacting = True
        return True

    def _sync(self) -> None:
        self._open_journal().sync()

    def _open_journal(self) -> Journal:
        if self._journal is None:
            path = self._services.journal_path(self._key)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._journal = Journal(path)
        return self._journal

    def _segment_changed(self, name: str) -> None:
        segment = self._ledger.segment(name)
        if segment is not None:
            self._rows.segment(segment)
        self._render()

    def _render(self) -> None:
        self._playlists.render(self._journal)

    def _save_stream(self) -> None:
        error = self._upload_error or self._last_error
        self._rows.stream(self._ledger.counters(), self._state, self._started_at, self._stopped_at, error)

    def _save_session(self, state: StreamState, ended_at: UnixTime | None = None, reason: str | None = None) -> None:
        started_at = self._opened_at or UnixTime(float(self._ledger.epoch))
        names = tuple(rendition.name for rendition in self._ledger.renditions())
        self._rows.session(self.session, self._ledger.epoch, state, started_at, ended_at, reason, names)
