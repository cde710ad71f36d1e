"""A StreamActor that is not started, on a real ledger and journal, with recording collaborators and its own clock."""

import socket
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pykka
import pytest

from actors import broadcast, bucket, encoding, ending, feeding, life, rows, stream, written
from actors.shedding import LoadGate
from streamkit.ffmpeg.inputs import Slate
from streamkit.ffmpeg.progress import Progress
from streamkit.hls.names import segment_name
from streamkit.media.info import MediaInfo
from streamkit.messages import (
    BeginPublish,
    ConfirmRows,
    EncoderExited,
    EncoderProgressed,
    FolderScanned,
    Message,
    ObjectStored,
    RowsSettled,
    SegmentClosed,
    SourceDetected,
    StreamRecalled,
    Tick,
    UploadPlaylist,
    UploadSegment,
)
from streamkit.pace import Pace
from streamkit.presets import UNKNOWN
from streamkit.settings import Settings
from streamkit.snapshots import SnapshotBoard, StreamSnapshot
from streamkit.storage.spool import Spool
from streamkit.types import (
    AudioSource,
    Epoch,
    MediaSequence,
    RenditionName,
    Seconds,
    SourceInfo,
    SourceKind,
    StreamKey,
    UnixTime,
    VideoSource,
)

SLATE = "/srv/soon.png"  # shown where a test's settings name it
KEY = StreamKey("alice")
SOURCE = SourceInfo(
    video=VideoSource(codec="h264", width=1280, height=720, fps=None),
    audio=AudioSource(codec="aac", sample_rate=44100, channels=2),
)


@dataclass
class RecordingRef:
    """Stands for an actor: remembers what it was told."""

    actor_urn: str
    told: list[Message] = field(default_factory=list)
    alive: bool = True

    def tell(self, message: Message) -> None:
        if not self.alive:
            raise pykka.ActorDeadError
        self.told.append(message)

    def is_alive(self) -> bool:
        return self.alive

    def stop(self, *, block: bool = True, timeout: float | None = None) -> None:
        self.alive = False

    def of(self, kind: type[Message]) -> list[Any]:
        return [message for message in self.told if isinstance(message, kind)]


class FakeClock:
    """time.time, time.time_ns and time.monotonic that move by hand."""

    def __init__(self) -> None:
        self.now = 1_790_000_000.0
        self.step = 0.0
        """Seconds by which somebody has set the system's clock."""

    def time(self) -> float:
        return self.now + self.step

    def monotonic(self) -> float:
        return self.now - 1_789_000_000.0

    def time_ns(self) -> int:
        return int(self.time() * 1e9)


class FakeFeed:
    """Stands for a connection to the publisher's media."""

    def __init__(self, kind: str, number: int) -> None:
        self.kind, self.number = kind, number
        self.attached = 0
        self.pace: Pace | None = None
        self.silence = False
        self.closed = False
        self.bytes_received = self.newest_timestamp = 0
        self.is_paused = self.is_behind = False
        self.renewed = 0
        self.last_error: str | None = None

    def attach(self, sock: socket.socket, pace: Pace | None, *, silence: bool) -> None:
        self.attached += 1
        self.pace, self.silence = pace, silence
        sock.close()

    def renew(self) -> None:
        self.renewed += 1

    def close(self) -> None:
        self.closed = True


@dataclass
class FakeEncoder:
    """Stands for FFmpeg."""

    run: int
    argv: list[str]
    killed: bool = False
    terminated: bool = False

    def terminate(self) -> None:
        self.terminated = True

    def kill(self) -> None:
        self.killed = True


class StreamWorld:
    """The actor, what surrounds it, and the words to drive it."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, **sections: Any) -> None:
        self.clock = FakeClock()
        for module in (stream, encoding, ending, feeding, broadcast, life, rows, written):
            patch.setattr(module, "time", self.clock)
        self.parent, self.database = RecordingRef("parent"), RecordingRef("database")
        self.watchers: list[RecordingRef] = []
        self.uploaders: list[RecordingRef] = []
        self.feeds: list[FakeFeed] = []
        self.encoders: list[FakeEncoder] = []
        patch.setattr(encoding, "SegmentWatcher", SimpleNamespace(start=self._start(self.watchers, "watcher")))
        patch.setattr(bucket, "UploaderActor", SimpleNamespace(start=self._start(self.uploaders, "uploader")))
        patch.setattr(encoding, "EncoderProcess", SimpleNamespace(start=self._start_encoder))
        settings = Settings(**sections)
        settings = settings.model_copy(update={"hls": settings.hls.model_copy(update={"output_dir": folder})})
        self.board = SnapshotBoard()
        self.database_answers, self.confirmed = True, 0
        self.services = SimpleNamespace(
            settings=settings,
            ffmpeg=SimpleNamespace(path="ffmpeg", version=(5, 1)),
            slates={SLATE: Slate(path=Path(SLATE), has_audio=False)},
            board=self.board,
            timers=SimpleNamespace(after=lambda *_: None),
            rtmp=SimpleNamespace(open_pull=self._open("pull"), open_ingest=self._open("ingest")),
            watch=None,
            store=None,
            uploads=None,
            spool=Spool(budget=settings.limits.spool_bytes, shortage=lambda: 0),
            database=self.database,
            presets=SimpleNamespace(capacity=lambda _ladder: UNKNOWN),
            load=LoadGate(settings.overload),
            default_source=SourceKind.PULL,
            stream_folder=lambda key: folder / key,
            journal_path=lambda key: folder / ".streamkit" / f"{key}.journal",
            pid_path=lambda key: folder / ".streamkit" / f"{key}.pid",
        )
        self.folder = folder / KEY
        self.actor = self.new_actor()

    def new_actor(self) -> stream.StreamActor:
        """Return another actor on the same disk, as after a crash."""
        actor = stream.StreamActor(parent=self.parent, key=KEY, services=self.services)  # type: ignore[arg-type]
        actor.on_start()
        return actor

    def _start(self, refs: list[RecordingRef], name: str) -> Any:
        def start(**_kwargs: Any) -> RecordingRef:
            refs.append(RecordingRef(f"{name}:{len(refs)}"))
            return refs[-1]

        return start

    def _start_encoder(self, argv: list[str], *, run: int, stdin: socket.socket, **_kwargs: Any) -> FakeEncoder:
        stdin.close()
        self.encoders.append(FakeEncoder(run, argv))
        return self.encoders[-1]

    def _open(self, kind: str) -> Any:
        def opener(_key: StreamKey, number: int, _listener: Any) -> FakeFeed:
            self.feeds.append(FakeFeed(kind, number))
            return self.feeds[-1]

        return opener

    # ---- words

    def tell(self, message: Message) -> None:
        self.actor.on_receive(message)

    @property
    def snapshot(self) -> StreamSnapshot:
        found = self.board.get(KEY)
        assert found is not None
        return found

    def publish(self, number: int = 1, kind: SourceKind = SourceKind.PULL) -> None:
        self.tell(BeginPublish(publish=number, source=kind))

    def recall(self, epoch: int = 0, sequence: int = 0, discontinuity: int = 0) -> None:
        self.tell(
            StreamRecalled(
                epoch=Epoch(epoch), next_sequence=MediaSequence(sequence), discontinuity_sequence=discontinuity
            )
        )

    def detect(self) -> None:
        self.tell(SourceDetected(run=self.feeds[-1].number, source=SOURCE))

    def go_live(self, segments: int = 1) -> None:
        self.publish()
        self.recall()
        self.detect()
        for sequence in range(segments):
            self.segment(sequence)

    def segment(
        self,
        sequence: int,
        renditions: tuple[str, ...] = ("720p", "480p"),
        run: int | None = None,
        media: MediaInfo | None = None,
    ) -> None:
        session = self.snapshot.session
        assert session is not None
        for rendition in renditions:
            name = segment_name(
                session, RenditionName(rendition), MediaSequence(sequence), self.services.settings.hls.segment_format
            )
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_bytes(b"G" * 188)
            self.tell(
                SegmentClosed(
                    run=self.encoders[-1].run if run is None else run,
                    rendition=RenditionName(rendition),
                    sequence=MediaSequence(sequence),
                    path=self.folder / name,
                    size=188,
                    duration=Seconds(2.0),
                    closed_at=UnixTime(self.clock.time()),
                    media=media,
                )
            )

    def encoder_exits(self, returncode: int = 0) -> None:
        run = self.encoders[-1].run
        self.tell(EncoderExited(run=run, returncode=returncode, log=()))
        self.tell(FolderScanned(run=run))

    def progress(self, out_time: float) -> None:
        self.tell(EncoderProgressed(run=self.encoders[-1].run, progress=Progress(out_time=Seconds(out_time))))

    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds
        self.tell(Tick())
        self.answer_database()

    def answer_database(self) -> None:
        """Confirm all rows, unless the database is away."""
        while self.database_answers and (asked := self.database.of(ConfirmRows)[self.confirmed :]):
            self.confirmed += len(asked)
            self.tell(RowsSettled(mark=asked[-1].mark, is_complete=True))

    def store_everything(self) -> None:
        """Acknowledge whatever was given to the Uploader, until nothing new comes."""
        done: set[tuple[str, int]] = set()
        while True:
            sent = [
                (message.name, getattr(message, "version", 0))
                for ref in self.uploaders
                for message in ref.told
                if isinstance(message, UploadSegment | UploadPlaylist)
            ]
            todo = [item for item in sent if item not in done]
            if not todo:
                return
            for name, version in todo:
                done.add((name, version))
                self.tell(ObjectStored(name=name, version=version, stored_at=UnixTime(self.clock.time())))

    def bucket(self, name: str) -> str:
        """Return the newest body of a playlist that was given to the Uploader."""
        bodies = [m.body for ref in self.uploaders for m in ref.of(UploadPlaylist) if m.name == name]
        assert bodies, f"{name} was never put"
        return str(bodies[-1].decode())

    def local(self, name: str) -> str:
        return self.snapshot.playlists[name].body.decode()
