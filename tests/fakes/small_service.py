"""A service in this process with everything real but the RTMP server and FFmpeg: actors, watchdog, uploads, SQLite."""

import socket
import threading
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fakes.stream_world import SOURCE
from servers.waiting import wait_until

from actors import encoding
from actors.database import DatabaseActor
from actors.folder_watch import FolderWatch
from actors.guard import Guard, Post
from actors.services import Services
from actors.supervisor import Supervisor
from actors.timers import Timers
from actors.upload_pool import UploadPool
from streamkit.ffmpeg.binary import FfmpegInfo
from streamkit.ffmpeg.command import EncoderSpec
from streamkit.hls.names import private_playlist_name, segment_name
from streamkit.messages import PublishAnswer, PublishStream, UnpublishStream
from streamkit.pace import Pace
from streamkit.presets import UNKNOWN
from streamkit.settings import Settings
from streamkit.snapshots import SnapshotBoard, StreamSnapshot
from streamkit.storage.local import LocalStore
from streamkit.types import MediaSequence, Seconds, SourceKind, StreamKey, StreamState

WAIT = 120.0
SETTINGS: dict[str, Any] = {
    "hls": {"local_grace": 0.0},
    "ladders": {"small": {"renditions": ({"name": "360p", "height": 360, "video_bitrate": 800_000},)}},
    "default_ladder": "small",
}


class FakeFfmpeg:
    """Writes and lists one whole segment, then one at each `segment()`, and exits when its input ends."""

    running: dict[str, "FakeFfmpeg"] = {}  # noqa: RUF012 - by the stream's key
    lock = threading.Lock()

    def __init__(self, spec: EncoderSpec, run: int, stdin: socket.socket, listener: Any) -> None:
        self._spec, self._run, self._stdin, self._listener = spec, run, stdin, listener
        self._next = spec.first_sequence
        self.running[spec.folder.name] = self
        threading.Thread(target=self._work, name="ffmpeg", daemon=True).start()

    @classmethod
    def start(cls, argv: list[Any], *, run: int, stdin: socket.socket, listener: Any, **_kwargs: Any) -> "FakeFfmpeg":
        return cls(argv[0], run, stdin, listener)

    def terminate(self) -> None:
        self._stdin.shutdown(socket.SHUT_RD)

    kill = terminate

    def segment(self) -> None:
        spec = self._spec
        for rendition in spec.renditions:
            first = spec.first_sequence
            names = [
                segment_name(spec.session, rendition.name, MediaSequence(number), spec.segment_format)
                for number in range(first, self._next + 1)
            ]
            (spec.folder / names[-1]).write_bytes(b"G" * 188)
            listed = "".join(f"#EXTINF:2.0,\n{name}\n" for name in names)
            playlist = spec.folder / private_playlist_name(spec.session, rendition.name)
            temporary = playlist.with_name(f"{playlist.name}.tmp")
            temporary.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n{listed}")
            temporary.rename(playlist)
        self._next += 1

    def _work(self) -> None:
        self.segment()
        with self._stdin:
            while self._stdin.recv(1024):
                pass
        self._listener.encoder_exited(self._run, 0, ())


class FakeFeed:
    """A publisher that is there as soon as it is asked for."""

    bytes_received, newest_timestamp, is_paused, is_behind, last_error = 0, 0, False, False, None

    def __init__(self, _key: StreamKey, number: int, listener: Any) -> None:
        self._socket: socket.socket | None = None
        listener.source_joined(number)
        listener.source_detected(number, SOURCE)

    def attach(self, sock: socket.socket, _pace: Pace | None, *, silence: bool) -> None:
        self._socket = sock

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()


class SmallService:
    """The service, and the words to drive it; a context manager that ends it."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, *, reconnect_window: float = 0.0) -> None:
        patch.setattr(encoding, "EncoderProcess", FakeFfmpeg)
        patch.setattr(encoding, "build_argv", lambda spec: [spec])
        settings = Settings(**SETTINGS, sessions={"reconnect_window": reconnect_window})
        settings = settings.model_copy(update={"hls": settings.hls.model_copy(update={"output_dir": folder / "hls"})})
        self._stack = ExitStack()
        timers = Timers()
        self._stack.callback(timers.stop)
        url = f"sqlite+aiosqlite:///{folder}/streamkit.db"
        self.database = Post(lambda guard: DatabaseActor.start(parent=guard, url=url, timers=timers))
        guard = Guard.start(posts=(self.database,), timers=timers)
        self._stack.callback(guard.stop)
        self._stack.callback(lambda: self.database.stop())  # noqa: PLW0108 - the actor that is there by then
        watch = FolderWatch()
        watch.start()
        self._stack.callback(watch.stop)
        uploads = UploadPool(4)
        self._stack.callback(uploads.close, Seconds(5.0))
        self.board = SnapshotBoard()
        self.services = Services(
            settings=settings,
            ffmpeg=FfmpegInfo(path="ffmpeg", version=(5, 1), version_text="5.1", encoders=frozenset()),
            slates={},
            board=self.board,
            timers=timers,
            rtmp=SimpleNamespace(open_pull=FakeFeed),  # type: ignore[arg-type]
            watch=watch,
            store=LocalStore(folder / "store"),
            uploads=uploads,
            database=self.database,
            default_source=SourceKind.PULL,
            presets=SimpleNamespace(capacity=lambda _ladder: UNKNOWN),  # type: ignore[arg-type]
        )
        self.supervisor = Supervisor.start(services=self.services, on_death=lambda: None, on_drained=lambda: None)
        self._stack.callback(self.supervisor.stop)

    def __enter__(self) -> "SmallService":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def publish(self, key: StreamKey) -> None:
        """Publish, and let the publisher on; what comes of it is seen in its state."""
        message = PublishStream(key=key, publisher="p", source=SourceKind.PULL)
        answer: PublishAnswer = self.supervisor.ask(message, timeout=WAIT).result(WAIT)
        assert answer.refused is None

    def unpublish(self, key: StreamKey) -> None:
        assert self.supervisor.ask(UnpublishStream(key=key, publisher="p"), timeout=WAIT) is True

    def segment(self, key: StreamKey) -> None:
        """Let the stream's FFmpeg finish another segment."""
        FakeFfmpeg.running[key].segment()

    def wait_state(self, key: StreamKey, state: StreamState) -> StreamSnapshot:
        """Return the stream's snapshot once it has this state; one that is forgotten has ended."""
        wait_until(lambda: self._state(key) is state, WAIT, f"{key} {state}")
        return self.board.get(key) or StreamSnapshot(key=key, state=StreamState.ENDED)

    def wait_uploaded(self, key: StreamKey, count: int) -> None:
        """Return when the store has so many segments of the stream."""

        def look() -> bool:
            snapshot = self.board.get(key)
            return snapshot is not None and snapshot.segments.uploaded >= count

        wait_until(look, WAIT, f"{count} segments of {key} in the store")

    def _state(self, key: StreamKey) -> StreamState:
        snapshot = self.board.get(key)
        return StreamState.ENDED if snapshot is None else snapshot.state
