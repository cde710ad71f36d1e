"""A thousand publishes that come and go leave nothing behind: no actor, thread, descriptor, child, watch or file.

Everything is real (actors, watchdog, upload threads, SQLite, a store in a folder) but the RTMP server and FFmpeg.
"""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fakes.stream_world import SOURCE
from servers.process import descendants
from servers.waiting import wait_until

from actors import encoding, life, stream
from actors.base import running
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
from streamkit.presets import UNKNOWN
from streamkit.settings import Settings
from streamkit.snapshots import SnapshotBoard
from streamkit.storage.local import LocalStore
from streamkit.types import MediaSequence, Seconds, SourceKind, StreamKey, StreamState

CYCLES, KEYS = 1000, 20
WAIT = 120.0
SETTINGS: dict[str, Any] = {
    "sessions": {"reconnect_window": 0.0},
    "hls": {"local_grace": 0.0},
    "ladders": {"small": {"renditions": ({"name": "360p", "height": 360, "video_bitrate": 800_000},)}},
    "default_ladder": "small",
}


class FakeFfmpeg:
    """Writes one whole segment and lists it, and exits when its input ends."""

    def __init__(self, spec: EncoderSpec, run: int, stdin: socket.socket, listener: Any) -> None:
        self._spec, self._run, self._stdin, self._listener = spec, run, stdin, listener
        threading.Thread(target=self._work, name="ffmpeg", daemon=True).start()

    @classmethod
    def start(cls, argv: list[Any], *, run: int, stdin: socket.socket, listener: Any, **_kwargs: Any) -> "FakeFfmpeg":
        return cls(argv[0], run, stdin, listener)

    def terminate(self) -> None:
        self._stdin.shutdown(socket.SHUT_RD)

    kill = terminate

    def _work(self) -> None:
        spec = self._spec
        for rendition in spec.renditions:
            name = segment_name(spec.session, rendition.name, MediaSequence(spec.first_sequence), spec.segment_format)
            (spec.folder / name).write_bytes(b"G" * 188)
            listed = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\n{name}\n"
            playlist = spec.folder / private_playlist_name(spec.session, rendition.name)
            temporary = playlist.with_name(f"{playlist.name}.tmp")
            temporary.write_text(listed)
            temporary.rename(playlist)
        with self._stdin:
            while self._stdin.recv(1024):
                pass
        self._listener.encoder_exited(self._run, 0, ())


class FakeFeed:
    """A publisher that is there as soon as it is asked for."""

    bytes_received, is_paused, last_error = 0, False, None

    def __init__(self, _key: StreamKey, number: int, listener: Any) -> None:
        self._socket: socket.socket | None = None
        listener.source_joined(number)
        listener.source_detected(number, SOURCE)

    def attach(self, sock: socket.socket) -> None:
        self._socket = sock

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    monkeypatch.setattr(encoding, "EncoderProcess", FakeFfmpeg)
    monkeypatch.setattr(encoding, "build_argv", lambda spec: [spec])
    settings = Settings(**SETTINGS)
    settings = settings.model_copy(update={"hls": settings.hls.model_copy(update={"output_dir": tmp_path / "hls"})})
    with ExitStack() as stack:
        timers = Timers()
        stack.callback(timers.stop)
        database = Post(
            lambda guard: DatabaseActor.start(
                parent=guard, url=f"sqlite+aiosqlite:///{tmp_path}/streamkit.db", timers=timers
            )
        )
        guard = Guard.start(posts=(database,), timers=timers)
        stack.callback(guard.stop)
        stack.callback(database.stop)
        watch = FolderWatch()
        watch.start()
        stack.callback(watch.stop)
        uploads = UploadPool(4)
        stack.callback(uploads.close, Seconds(5.0))
        yield Services(
            settings=settings,
            ffmpeg=FfmpegInfo(path="ffmpeg", version=(5, 1), version_text="5.1", encoders=frozenset()),
            slates={},
            board=SnapshotBoard(),
            timers=timers,
            rtmp=SimpleNamespace(open_pull=FakeFeed),  # type: ignore[arg-type]
            watch=watch,
            store=LocalStore(tmp_path / "store"),
            uploads=uploads,
            database=database,
            default_source=SourceKind.PULL,
            presets=SimpleNamespace(capacity=lambda _ladder: UNKNOWN),  # type: ignore[arg-type]
        )


def descriptors() -> list[str]:
    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{number}"))
        except FileNotFoundError:  # the one that lists them
            continue
    return sorted(found)


def test_a_thousand_publishes_that_come_and_go_leave_nothing_behind(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(life, "SHOWN_AFTER_END", 0.0)
    monkeypatch.setattr(stream, "IDLE_TICK", Seconds(0.1))
    board, keys = services.board, [StreamKey(f"key{number}") for number in range(KEYS)]
    supervisor = Supervisor.start(services=services, on_death=lambda: None)

    def ask(message: Any) -> Any:
        return supervisor.ask(message, timeout=WAIT)

    def in_state(*states: StreamState) -> bool:
        return all((board.get(key) or SimpleNamespace(state=StreamState.ENDED)).state in states for key in keys)

    def cycle() -> None:
        answers = [ask(PublishStream(key=key, publisher="p", source=SourceKind.PULL)) for key in keys]
        assert [answer.result(WAIT).refused for answer in answers] == [None] * KEYS
        wait_until(lambda: in_state(StreamState.LIVE), timeout=WAIT)
        for key in keys:
            assert ask(UnpublishStream(key=key, publisher="p")) is True
        wait_until(lambda: in_state(StreamState.ENDED), timeout=WAIT)

    def forgotten() -> bool:
        return not board.all() and len(running()) == 3  # supervisor, guard, database

    cycle()
    wait_until(forgotten, timeout=WAIT)
    actors, threads, open_files, children = (
        len(running()),
        threading.active_count(),
        descriptors(),
        descendants({os.getpid()}),
    )
    for _ in range(CYCLES // KEYS):
        cycle()
    wait_until(forgotten, timeout=WAIT)
    wait_until(lambda: (len(running()), threading.active_count()) == (actors, threads), timeout=WAIT)
    wait_until(lambda: descriptors() == open_files, timeout=WAIT)
    assert descendants({os.getpid()}) == children
    assert not services.watch._watches
    output = services.settings.hls.output_dir
    left = {path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file()}
    assert left == {f".streamkit/{key}.journal" for key in keys}  # the numbers, which never go back
    assert {path.name for path in output.iterdir()} == {".streamkit"}
    assert all(len((output / name).read_bytes().splitlines()) == 1 for name in left)
    assert answer_of(supervisor, keys[0]).refused is None
    supervisor.stop()


def answer_of(supervisor: Any, key: StreamKey) -> PublishAnswer:
    found: PublishAnswer = supervisor.ask(
        PublishStream(key=key, publisher="p", source=SourceKind.PULL), timeout=WAIT
    ).result(WAIT)
    return found
