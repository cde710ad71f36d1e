"""Who hears of files that were closed, when one watcher takes over from another."""

import ctypes
import errno
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pykka
import pytest
from fakes.stream_world import RecordingRef

from actors.base import BaseActor
from actors.folder_watch import FolderWatch
from actors.segment_watcher import SegmentWatcher
from actors.timers import Timers
from streamkit.messages import FilesClosed, Message, SegmentClosed, WatchRun
from streamkit.types import MediaSequence, RenditionName, Seconds, SessionId

DEADLINE = 5.0


class Listener(BaseActor):
    """Watches a folder until it stops."""

    def __init__(self, watch: FolderWatch, folder: Path, heard: threading.Event) -> None:
        super().__init__()
        self._watch, self._folder, self._heard = watch, folder, heard

    def on_receive(self, message: Message) -> bool | None:
        if isinstance(message, FilesClosed):
            self._heard.set()
            return None
        return self._watch.watch(self._folder, self.me, suffix=".tmp")

    def on_exit(self, error: BaseException | None) -> None:
        self._watch.unwatch(self._folder, self.me)


@pytest.fixture
def watch() -> Iterator[FolderWatch]:
    watch = FolderWatch()
    watch.start()
    yield watch
    pykka.ActorRegistry.stop_all()
    watch.stop()


def test_a_watcher_that_leaves_late_does_not_take_the_events_of_its_successor(
    watch: FolderWatch, tmp_path: Path
) -> None:
    heard = threading.Event()
    old = Listener.start(watch, tmp_path, threading.Event())
    new = Listener.start(watch, tmp_path, heard)
    begin = Message()
    assert old.ask(begin)
    assert new.ask(begin)
    watch.unwatch(tmp_path, old)
    (tmp_path / "x.tmp").write_text("x")
    assert heard.wait(DEADLINE)


def test_a_watcher_that_left_hears_nothing_more(watch: FolderWatch, tmp_path: Path) -> None:
    heard, control = threading.Event(), threading.Event()
    (tmp_path / "control").mkdir()
    gone = Listener.start(watch, tmp_path, heard)
    other = Listener.start(watch, tmp_path / "control", control)
    begin = Message()
    assert gone.ask(begin)
    assert other.ask(begin)
    watch.unwatch(tmp_path, gone)
    (tmp_path / "x.tmp").write_text("x")
    (tmp_path / "control" / "x.tmp").write_text("x")
    assert control.wait(DEADLINE)
    assert not heard.is_set()


def test_a_folder_that_was_removed_and_made_anew_is_watched_anew_with_the_next_run(
    watch: FolderWatch, tmp_path: Path
) -> None:
    folder, timers, parent = tmp_path / "alice", Timers(), RecordingRef("parent")
    folder.mkdir()
    watcher = SegmentWatcher.start(
        parent=parent, folder=folder, watch=watch, timers=timers, segment_duration=Seconds(2.0)
    )
    run = WatchRun(run=1, session=SessionId("s1ng6482"), renditions=(), first_sequence=MediaSequence(0))
    watcher.ask(run)
    assert watch.is_watching(folder)
    folder.rmdir()
    wait_until(lambda: not watch.is_watching(folder))
    folder.mkdir()
    watcher.ask(run)
    assert watch.is_watching(folder)
    timers.stop()


def wait_until(done: Callable[[], bool]) -> None:
    """Look again and again until `done()`; there is no event for what a library's thread has noticed."""
    deadline = time.monotonic() + DEADLINE
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_when_the_limit_of_watches_is_reached_a_folder_is_polled_and_watched_again_later(
    watch: FolderWatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The kernel's answer is made up: its limits are those of every other program of the user as well."""

    def refuse(*_: object) -> int:
        ctypes.set_errno(errno.ENOSPC)
        return -1

    monkeypatch.setattr("actors.segment_watcher.WATCH_AGAIN", 2)
    timers, parent = Timers(), RecordingRef("parent")
    with monkeypatch.context() as patch:
        patch.setattr("watchdog.observers.inotify_c.inotify_add_watch", refuse)
        watcher = SegmentWatcher.start(
            parent=parent, folder=tmp_path, watch=watch, timers=timers, segment_duration=Seconds(2.0)
        )
        run = WatchRun(
            run=1,
            session=SessionId("s1ng6482"),
            renditions=(RenditionName("source"),),
            first_sequence=MediaSequence(0),
        )
        watcher.ask(run)
        assert not watch.is_watching(tmp_path)
        (tmp_path / "segment_s1ng6482_source_0.ts").write_bytes(b"G" * 188)
        (tmp_path / ".s1ng6482_source.m3u8").write_text("#EXTM3U\n#EXTINF:2.0,\nsegment_s1ng6482_source_0.ts\n")
        wait_until(lambda: bool(parent.of(SegmentClosed)))
    wait_until(lambda: watch.is_watching(tmp_path))
    said = [message for message in caplog.messages if "olled" in message or "olling" in message]
    assert said[0].startswith(f"Cannot watch {tmp_path.name}, polling it instead: ")
    assert said[1:] == [f"Watching {tmp_path.name} again, it is not polled any more"]
    timers.stop()
