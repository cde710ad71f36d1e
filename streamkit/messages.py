"""Every actor message, grouped by receiver.

Commands are imperative, events are past tense, questions name the type of their answer. All are immutable.
"""

from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from streamkit.ffmpeg.progress import Progress
from streamkit.hls.clip import Available, Cut, Span
from streamkit.media.info import MediaInfo
from streamkit.types import (
    ClipId,
    Epoch,
    MediaSequence,
    PublishKeyId,
    RenditionName,
    Seconds,
    SessionId,
    SourceInfo,
    SourceKind,
    StreamKey,
    StreamState,
    UnixTime,
)

NO_SESSION: Final = SessionId("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Base of all messages."""


# ---- Supervisor ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishStream(Message):
    """Front end or embedded ingest -> Supervisor (ask): may this publisher go on?

    Answer: a concurrent Future of PublishAnswer. An accepted pull is answered when StreamKit has joined the stream on
    the RTMP server, or could not, or JOIN_TIMEOUT passed: who has joined before the publisher may send gets its
    first key frame.

    `publisher` identifies the connection (nginx-rtmp's clientid, SRS's client_id, ...; None when the caller has
    none). A repeat for the same publisher is accepted and changes nothing; another one is refused, or takes the
    place of the first where `sessions.takeover` says so. `at` is the sender's clock, used only to
    order this publish and a later unpublish of the same sender.
    """

    key: StreamKey
    publisher: str | None
    at: UnixTime | None = None
    source: SourceKind = SourceKind.PULL
    ladder: str | None = None
    """The ladder that the publisher asks for; None leaves it to the configuration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishAnswer(Message):
    """`refused` is None when the publish was accepted; else `code` and a reason.

    Codes of refusals: 'capacity', 'busy', 'stopping', 'ladder'. `ladder` is the one that is encoded, '' if unknown.
    """

    code: str = "accepted"
    refused: str | None = None
    ladder: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpublishStream(Message):
    """Front end or embedded ingest -> Supervisor (ask): the publisher went away. Answer: bool, whether it mattered.

    An unpublish of another publisher than the current one, or of an unknown key, changes nothing. With
    publisher None it means whichever publisher is current, unless `at` is older than that one's publish.
    """

    key: StreamKey
    publisher: str | None
    at: UnixTime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CutClip(Message):
    """Front end -> Supervisor (ask) -> StreamActor: cut whole segments out of a broadcast that the ledger knows.

    Answer: a concurrent Future of Cut; Available when the range holds nothing that the store has; None when the
    ledger does not know the session (None: the newest), or nothing of it is stored.
    """

    key: StreamKey
    session: SessionId | None
    span: Span
    answer: "Future[Cut | Available | None] | None" = field(default=None, compare=False)
    """Set by the Supervisor; the StreamActor gives it its result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishersSeen(Message):
    """RtmpWatch -> Supervisor: who publishes on the RTMP server, each with its name as in webhooks, None if unknown.

    `asked_at` (monotonic seconds) is when it was asked for: what is newer is not to be judged by it. A repeat does
    nothing.
    """

    publishers: tuple[tuple[StreamKey, str | None], ...]
    asked_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StopService(Message):
    """Composition root -> Supervisor (ask): stop every stream, with its uploads, within `deadline` seconds.

    Answer: a concurrent Future of StopReport.
    """

    deadline: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainService(Message):
    """Composition root -> Supervisor: take no new streams, and end the service when the last one has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookWhetherDrained(Message):
    """Timer -> Supervisor, every second while it drains: is any stream left?"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopReport(Message):
    """How the stop went: streams whose objects are all stored, and keys whose are not (the next start uploads them)."""

    finished: int
    pending: tuple[StreamKey, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PublisherGone(Message):
    """StreamActor -> Supervisor: the media of publish number `publish` ended; another publisher may come."""

    key: StreamKey
    publish: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PublisherFound(Message):
    """StreamActor -> Supervisor: media flows again although no webhook announced it (restart, lost webhook)."""

    key: StreamKey
    publish: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSettled(Message):
    """StreamActor -> Supervisor: no encoder runs or is awaited for publish number `publish`: capacity is free."""

    key: StreamKey
    publish: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamIdle(Message):
    """StreamActor -> Supervisor: nothing is left to do since publish number `publish`; stop me unless a newer came."""

    key: StreamKey
    publish: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStopped(Message):
    """StreamActor -> Supervisor: answer to ShutDown; `pending` objects are not in the store yet."""

    key: StreamKey
    pending: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StopOverdue(Message):
    """Timer or composition root -> Supervisor: the stop's deadline passed, or it hurries; answer with what is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinOverdue(Message):
    """Timer -> Supervisor: the publisher has waited long enough for StreamKit to join its stream."""

    joined: "Future[PublishAnswer]"
    ladder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartStream(Message):
    """Timer -> Supervisor: the backoff after a StreamActor's death is over."""

    key: StreamKey


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildFailed(Message):
    """Any actor -> its parent: I died of `error` (one sentence). Sent at most once, also when on_start raised."""

    urn: str
    name: str
    error: str


# ---- StreamActor -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginPublish(Message):
    """Supervisor -> StreamActor: an accepted publish. Opens a session, or resumes the one that is reconnecting.

    `publish` numbers the publishes of a key in this process; later messages about an older number change nothing.
    """

    publish: int
    source: SourceKind
    ladder: str | None = None
    """The ladder that the publisher chose, for a new session; None leaves it to the configuration."""
    takes_over: bool = False
    """Another publisher is on air, and this one takes its place."""
    joined: "Future[PublishAnswer] | None" = field(default=None, compare=False)
    """Set by the StreamActor as soon as the RTMP server accepted or refused its play command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndPublish(Message):
    """Supervisor -> StreamActor: the publisher of publish number `publish` went away.

    With `if_silent` only the RTMP server's status page says so: a publisher whose media arrive is believed instead.
    """

    publish: int
    if_silent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoverStream(Message):
    """Supervisor -> StreamActor at start: upload what the journal left, then resume or finish its session."""

    publish: int
    source: SourceKind


@dataclass(frozen=True, slots=True, kw_only=True)
class ShutDown(Message):
    """Supervisor -> StreamActor: the service stops. Repeats do nothing.

    End the session, or leave it open (`sessions.on_stop`), upload what is left, then tell StreamStopped.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRecalled(Message):
    """Database -> StreamActor: the highest numbers the database knows of this key (zeros for a new key)."""

    epoch: Epoch
    next_sequence: MediaSequence
    discontinuity_sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsSettled(Message):
    """Database -> StreamActor, the answer to ConfirmRows, whose `mark` it repeats.

    `is_complete` is False when rows of this stream were dropped for lack of room: they have to be told again. So have
    they when another actor than before answers, because the rows that waited ended with the one before.
    """

    mark: int
    is_complete: bool
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceJoined(Message):
    """Feed -> StreamActor: connection `run` plays the stream, or the RTMP server would not let it yet."""

    run: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceDetected(Message):
    """Feed -> StreamActor: the headers of connection `run` are in; an encoder can be started.

    Told again after every SourceChanged.
    """

    run: int
    source: SourceInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceReady(Message):
    """Feed -> StreamActor: media that an encoder can begin with have come over connection `run`. Told once."""

    run: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceChanged(Message):
    """Feed -> StreamActor: what comes over connection `run` is another source now; its encoder's input has ended.

    SourceDetected says what it is as soon as that has settled. What the publisher sends meanwhile is kept.
    """

    run: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceClosed(Message):
    """Feed -> StreamActor: connection `run` ended; `error` is None when the publisher simply went away."""

    run: int
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderProgressed(Message):
    """FFmpeg reader -> StreamActor, about once a second."""

    run: int
    progress: Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderExited(Message):
    """FFmpeg reader -> StreamActor, once per run, after everything it wrote was read."""

    run: int
    returncode: int
    log: tuple[str, ...]
    """The first and last lines of standard error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentClosed(Message):
    """SegmentWatcher -> StreamActor: FFmpeg finished a segment. In order per rendition, exactly once.

    `size` is 0 when its file is missing or not whole; then there is nothing to upload or to list. `media` is what
    the encoder wrote, when this segment shows something new about it.
    """

    run: int
    rendition: RenditionName
    sequence: MediaSequence
    path: Path
    size: int
    duration: Seconds
    closed_at: UnixTime
    media: MediaInfo | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderScanned(Message):
    """SegmentWatcher -> StreamActor: answer to ScanFolder; every SegmentClosed of the run was told before."""

    run: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectStored(Message):
    """Upload worker -> StreamActor: the store acknowledged the object. `version` repeats the command's."""

    name: str
    version: int
    stored_at: UnixTime


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadFailed(Message):
    """Uploader -> StreamActor: attempt number `attempt` failed; it is retried unless `gone`.

    `gone` is True when the local file does not exist any more: the segment is lost.
    """

    name: str
    attempt: int
    error: str
    gone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentsGivenUp(Message):
    """Uploader -> StreamActor, the answer to GiveUpSegments: nobody uploads these any more, they are lost."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick(Message):
    """Timer -> StreamActor, every second while it lives."""


# ---- SegmentWatcher --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchRun(Message):
    """StreamActor -> SegmentWatcher: report the segments of this encoder run from number `first_sequence` on.

    Told before FFmpeg starts, and again to a SegmentWatcher that replaces a dead one. `key_rotation`: see RunPlan.
    The video of `copied` renditions is the publisher's own.
    """

    run: int
    session: SessionId
    renditions: tuple[RenditionName, ...]
    first_sequence: MediaSequence
    key_rotation: int = 0
    copied: tuple[RenditionName, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanFolder(Message):
    """StreamActor -> SegmentWatcher: the encoder of `run` ended; look at everything, then tell FolderScanned."""

    run: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesClosed(Message):
    """Watchdog thread -> SegmentWatcher: a file in the folder was closed. Only a hint: repeats are harmless."""

    path: str


# ---- Uploader --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadSegment(Message):
    """StreamActor -> Uploader: store this file, a segment or its initialization section.

    Retried with backoff until acknowledged. A repeat is ignored. What is not `is_live`, or of an older `session` than
    another, is of a broadcast that is over, and yields to those on air.
    """

    name: str
    path: Path
    session: SessionId = NO_SESSION
    is_live: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUpSegments(Message):
    """StreamActor -> Uploader: the spool is full, do not upload these; SegmentsGivenUp says which it could still drop.

    Those on their way are uploaded, and unknown names are ignored.
    """

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadPlaylist(Message):
    """StreamActor -> Uploader: store these bytes. Of several for one name only the newest `version` is kept."""

    name: str
    body: bytes
    version: int


# ---- Database --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveStream(Message):
    """StreamActor -> Database: upsert the `streams` row. Older epochs, and older revisions of one, change nothing."""

    key: StreamKey
    epoch: Epoch
    revision: int
    state: StreamState
    started_at: UnixTime | None
    stopped_at: UnixTime | None
    next_sequence: MediaSequence
    discontinuity_sequence: int
    last_error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveSession(Message):
    """StreamActor -> Database: upsert the `sessions` row of (key, session). Older revisions change nothing.

    Told after the key's first SaveStream: a session belongs to a stream that the database knows.
    """

    key: StreamKey
    session: SessionId
    epoch: Epoch
    revision: int
    state: StreamState
    started_at: UnixTime
    ended_at: UnixTime | None
    end_reason: str | None
    renditions: tuple[RenditionName, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveSegment(Message):
    """StreamActor -> Database: upsert a `segments` row, keyed by (key, session, rendition, sequence).

    `state` is 'closed', 'uploaded' or 'lost' and only moves forward.
    """

    key: StreamKey
    session: SessionId
    rendition: RenditionName
    sequence: MediaSequence
    name: str
    duration: Seconds
    size: int
    program_date_time: UnixTime
    discontinuity: bool
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmRows(Message):
    """StreamActor -> Database: answer with RowsSettled when all that was told so far is written, or was dropped.

    A repeat takes the place of the one before.
    """

    key: StreamKey
    urn: str
    mark: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallStream(Message):
    """StreamActor -> Database: tell me StreamRecalled for this key. Not answered while the database is away."""

    key: StreamKey
    urn: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileStreams(Message):
    """Supervisor -> Database at start, before it accepts a publish: only these streams outlived the last service.

    Every other row that says it is active ends with the reason 'the service stopped while it was live', as soon as
    the database is there. One service per database is assumed: the rows of a second one would end as well. What was
    saved in this process before the rows could be looked at is left alone.
    """

    keys: tuple[StreamKey, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListStreams(Message):
    """Front end -> Database (ask): answer is a concurrent Future of Page[StreamRow], newest publish first."""

    offset: int
    limit: int
    active_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FindStream(Message):
    """Front end -> Database (ask): answer is a concurrent Future of StreamRow | None."""

    key: StreamKey


@dataclass(frozen=True, slots=True, kw_only=True)
class ListSessions(Message):
    """Front end -> Database (ask): answer is a concurrent Future of Page[SessionRow], newest first."""

    key: StreamKey
    offset: int
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ListSegments(Message):
    """Front end -> Database (ask): answer is a concurrent Future of tuple[SegmentRow, ...] in sequence order.

    The last `limit` segments of the key's newest session that has any, of one rendition (None: the one that the
    session names first).
    """

    key: StreamKey
    rendition: RenditionName | None = None
    limit: int = 10000


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginClip(Message):
    """Front end -> Database (ask): note a clip before its playlists exist, so that its segments stay.

    Answer: a concurrent Future of ClipRow, with the state that it has now (a repeat finds the older row), or None
    when there is no such session, or retention has decided that it goes.
    """

    key: StreamKey
    clip: ClipId
    session: SessionId
    name: str
    first: MediaSequence
    last: MediaSequence
    starts_at: UnixTime
    ends_at: UnixTime
    renditions: tuple[RenditionName, ...]
    created_at: UnixTime


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishClip(Message):
    """Front end -> Database (ask): the store has the clip's playlists. Answer: a concurrent Future of bool."""

    key: StreamKey
    clip: ClipId


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteClip(Message):
    """Front end, Retention -> Database (ask): the clip's playlists are gone; its segments stay until `remove_after`.

    Answer: a concurrent Future of bool, whether there was such a clip. With `unfinished_since`, only one that was begun
    before then, and never finished, counts.
    """

    key: StreamKey
    clip: ClipId
    remove_after: UnixTime
    unfinished_since: UnixTime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FindUnfinishedClips(Message):
    """Retention -> Database (ask): clips begun before `since` whose playlists never came: a crash was in between.

    Answer: a concurrent Future of tuple[ClipRow, ...], some of them if there are many.
    """

    since: UnixTime


@dataclass(frozen=True, slots=True, kw_only=True)
class FindClip(Message):
    """Front end -> Database (ask): answer is a concurrent Future of ClipRow | None, in any state but 'deleted'."""

    key: StreamKey
    clip: ClipId


@dataclass(frozen=True, slots=True, kw_only=True)
class ListClips(Message):
    """Front end -> Database (ask): answer is a concurrent Future of Page[ClipRow], the ready ones, newest first."""

    key: StreamKey
    offset: int
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ListArchives(Message):
    """Retention -> Database (ask): answer is a concurrent Future of tuple[ArchiveRow, ...], oldest first.

    Ended sessions that are not removed: those that are about to go, and with `all_kept` the kept ones as well. What a
    session takes is known some minutes after its end, when its last uploads are in their rows.
    """

    all_kept: bool
    at: UnixTime


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpireSession(Message):
    """Retention -> Database (ask): nothing may refer to the session any more. Answer: a concurrent Future of bool."""

    key: StreamKey
    session: SessionId
    at: UnixTime


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionUnlisted(Message):
    """Retention -> Database (ask): its playlists are gone, its objects may go then. Answer: a concurrent Future."""

    key: StreamKey
    session: SessionId
    remove_after: UnixTime


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRemoved(Message):
    """Retention -> Database (ask): its objects are gone, but for those that clips need. Answer: a concurrent Future."""

    key: StreamKey
    session: SessionId
    at: UnixTime


@dataclass(frozen=True, slots=True, kw_only=True)
class FindNeeded(Message):
    """Retention -> Database (ask): which numbers of the session do clips need at `at`, deleted ones until their time?

    Answer: a concurrent Future of tuple[range, ...].
    """

    key: StreamKey
    session: SessionId
    at: UnixTime


@dataclass(frozen=True, slots=True, kw_only=True)
class FindLeftovers(Message):
    """Retention -> Database (ask): names of the session's stored segments with numbers below `before`.

    Answer: a concurrent Future of tuple[str, ...], at most `limit` that no clip needs.
    """

    key: StreamKey
    session: SessionId
    before: MediaSequence
    at: UnixTime
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftoversRemoved(Message):
    """Retention -> Database (ask): these segments are gone, and so go their rows. Answer: a concurrent Future."""

    key: StreamKey
    session: SessionId
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FindPublishKey(Message):
    """Front end or embedded ingest -> Database (ask): answer is a concurrent Future of PublishKeyRow | None."""

    id: PublishKeyId


@dataclass(frozen=True, slots=True, kw_only=True)
class CountStreams(Message):
    """Front end -> Database (ask): answer is a concurrent Future of StreamCounts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckDatabase(Message):
    """Front end -> Database (ask): answer is a concurrent Future of None; it raises DatabaseUnavailableError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlushDatabase(Message):
    """Composition root -> Database (ask) at stop: answer is a concurrent Future of the number of rows not written."""

    deadline: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Wake(Message):
    """An actor -> itself, through the timer or a worker's callback: look at your queue again."""
