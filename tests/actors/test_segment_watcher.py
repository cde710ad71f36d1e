"""FFmpeg's files -> SegmentClosed, in order, exactly once, whether events come or not."""

import os
from collections.abc import Iterator
from errno import EMFILE
from pathlib import Path
from struct import pack
from typing import Any
from unittest.mock import Mock

import pytest
from fakes.stream_world import RecordingRef

from actors.base import BaseActor
from actors.folder_watch import FolderWatch
from actors.segment_watcher import SegmentWatcher
from actors.timers import Timers
from streamkit.messages import FilesClosed, FolderScanned, ScanFolder, SegmentClosed, Wake, WatchRun
from streamkit.types import MediaSequence, RenditionName, Seconds, SessionId

SESSION = SessionId("s1ng6482")


class NoTimers:
    """Timers that never fire."""

    def after(self, *_arguments: Any) -> None:
        """Forget it."""


class NoWatch:
    """A folder watch without events."""

    def watch(self, *_arguments: Any, **_options: Any) -> bool:
        return True

    def is_watching(self, _folder: Path) -> bool:
        return True

    def unwatch(self, _folder: Path, _ref: object) -> None:
        """Nothing to forget."""


class Scene:
    """A watcher that is not started, and a hand that writes as FFmpeg does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.parent = RecordingRef("parent")
        self.watcher = SegmentWatcher(
            parent=self.parent,  # type: ignore[arg-type]
            folder=folder,
            watch=NoWatch(),  # type: ignore[arg-type]
            timers=NoTimers(),  # type: ignore[arg-type]
            segment_duration=Seconds(2.0),
        )

    def begin(self, *renditions: str, first: int = 0, run: int = 1) -> None:
        names = tuple(RenditionName(name) for name in renditions)
        self.watcher.on_receive(
            WatchRun(run=run, session=SESSION, renditions=names, first_sequence=MediaSequence(first))
        )

    def write(self, rendition: str, *durations: float, first: int = 0, temporary: bool = False) -> Path:
        return write_run(self.folder, rendition, *durations, first=first, temporary=temporary)

    @property
    def closed(self) -> list[tuple[str, int, float]]:
        return [(m.rendition, m.sequence, m.duration) for m in self.parent.of(SegmentClosed)]


def write_run(folder: Path, rendition: str, *durations: float, first: int = 0, temporary: bool = False) -> Path:
    """Write segments and the playlist that lists them."""
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:2"]
    for number, duration in enumerate(durations, start=first):
        name = f"segment_{SESSION}_{rendition}_{number}.ts"
        (folder / name).write_bytes(b"G" * 188)
        lines += [f"#EXTINF:{duration:.6f},", name]
    playlist = folder / (f".{SESSION}_{rendition}.m3u8" + (".tmp" if temporary else ""))
    playlist.write_text("\n".join(lines) + "\n")
    return playlist


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_what_a_playlist_lists_is_told_with_its_exact_duration(scene: Scene) -> None:
    scene.begin("720p")
    path = scene.write("720p", 1.0, 2.002)
    scene.watcher.on_receive(FilesClosed(path=str(path)))
    assert scene.closed == [("720p", 0, 1.0), ("720p", 1, 2.002)]
    assert scene.parent.of(SegmentClosed)[0].size == 188


def test_repeated_hints_tell_nothing_twice(scene: Scene) -> None:
    scene.begin("720p")
    path = scene.write("720p", 1.0)
    for _ in range(3):
        scene.watcher.on_receive(FilesClosed(path=str(path)))
    scene.watcher.on_receive(Wake())
    assert scene.closed == [("720p", 0, 1.0)]


def test_a_playlist_that_is_about_to_be_renamed_is_read_already(scene: Scene) -> None:
    scene.begin("720p")
    path = scene.write("720p", 1.0, temporary=True)
    scene.watcher.on_receive(FilesClosed(path=str(path)))
    assert scene.closed == [("720p", 0, 1.0)]


def test_a_lost_event_is_made_up_for_by_the_next_scan(scene: Scene) -> None:
    scene.begin("720p", "480p")
    scene.write("720p", 1.0)
    scene.write("480p", 1.0)
    scene.watcher.on_receive(Wake())
    assert sorted(scene.closed) == [("480p", 0, 1.0), ("720p", 0, 1.0)]


def test_numbers_before_the_run_belong_to_an_older_run(scene: Scene) -> None:
    scene.begin("720p", first=2)
    scene.write("720p", 2.0, 2.0, 2.0)
    scene.watcher.on_receive(Wake())
    assert scene.closed == [("720p", 2, 2.0)]


def test_a_segment_that_left_the_playlist_unseen_is_told_with_the_target_duration(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.begin("720p")
    scene.write("720p", 2.0, 2.0)
    scene.write("720p", 1.5, first=2)
    scene.watcher.on_receive(Wake())
    assert scene.closed == [("720p", 0, 2.0), ("720p", 1, 2.0), ("720p", 2, 1.5)]
    assert "duration" in caplog.text


def test_other_files_and_torn_lines_are_no_segments(scene: Scene) -> None:
    scene.begin("720p")
    playlist = scene.folder / f".{SESSION}_720p.m3u8"
    playlist.write_text("#EXTM3U\n#EXTINF:x,\nsegment_a.ts\n#EXTINF:2.0,\n../../etc/passwd\n#EXTINF:2.0,\nsegment_s1")
    scene.watcher.on_receive(Wake())
    assert not scene.closed


def test_a_scan_tells_the_rest_and_then_that_it_is_done(scene: Scene) -> None:
    scene.begin("720p")
    scene.write("720p", 2.0, 0.5)
    scene.watcher.on_receive(ScanFolder(run=1))
    assert isinstance(scene.parent.told[-1], FolderScanned)
    assert len(scene.closed) == 2
    scene.write("720p", 2.0, 0.5, 2.0)
    scene.watcher.on_receive(Wake())
    assert len(scene.closed) == 2


def test_a_scan_of_an_unknown_run_is_answered(scene: Scene) -> None:
    scene.watcher.on_receive(ScanFolder(run=9))
    assert scene.parent.told == [FolderScanned(run=9)]


class Collector(BaseActor):
    """Remembers SegmentClosed and answers when asked."""

    def __init__(self) -> None:
        super().__init__(name="collector")
        self.closed: list[SegmentClosed] = []

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, SegmentClosed):
            self.closed.append(message)
        return tuple(self.closed)


@pytest.fixture
def watch() -> Iterator[FolderWatch]:
    watch = FolderWatch()
    watch.start()
    yield watch
    watch.stop()


@pytest.mark.integration
def test_real_close_events_reach_the_watcher_and_a_removed_folder_harms_nobody(
    tmp_path: Path, watch: FolderWatch
) -> None:
    from servers.waiting import wait_until

    timers = Timers()
    folder = tmp_path / "alice"
    folder.mkdir()
    parent = Collector.start()
    watcher = SegmentWatcher.start(
        parent=parent, folder=folder, watch=watch, timers=timers, segment_duration=Seconds(2.0)
    )
    watcher.ask(
        WatchRun(run=1, session=SESSION, renditions=(RenditionName("720p"),), first_sequence=MediaSequence(0)),
        timeout=5,
    )
    os.replace(write_run(folder, "720p", 1.0, temporary=True), folder / f".{SESSION}_720p.m3u8")
    closed = wait_until(lambda: parent.ask(Wake(), timeout=5), what="SegmentClosed")
    assert [message.sequence for message in closed] == [0]
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    watcher.stop()
    parent.stop()
    timers.stop()


@pytest.mark.integration
def test_a_folder_that_cannot_be_watched_is_polled(tmp_path: Path, watch: FolderWatch) -> None:
    ref = Collector.start()
    assert watch.watch(tmp_path / "missing", ref, suffix=".tmp") is False
    ref.stop()


@pytest.mark.parametrize("data", [b"", b"G" * 100])
def test_a_file_that_a_full_disk_cut_is_reported_without_media(
    scene: Scene, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    scene.begin("720p")
    path = scene.write("720p", 2.0, 2.0)
    (scene.folder / f"segment_{SESSION}_720p_0.ts").write_bytes(data)
    scene.watcher.on_receive(FilesClosed(path=str(path)))
    assert [message.size for message in scene.parent.of(SegmentClosed)] == [0, 188]
    assert "disk full" in caplog.text


M4S = pack(">I4s", 8, b"moof") + pack(">I4s", 8, b"mdat")
INIT = pack(">I4s", 8, b"ftyp") + pack(">I4s", 8, b"moov")


@pytest.mark.parametrize(
    ("init", "segment", "sizes"),
    [(INIT, M4S, [16]), (INIT[:-1], M4S, [0]), (None, M4S, [0]), (INIT, M4S[:-1], [0])],
    ids=["whole", "cut initialization section", "no initialization section", "cut segment"],
)
def test_an_fmp4_segment_counts_when_it_and_what_it_needs_are_whole(
    scene: Scene, init: bytes | None, segment: bytes, sizes: list[int]
) -> None:
    scene.begin("720p", first=4)
    if init is not None:
        (scene.folder / f"init_{SESSION}_720p_4.mp4").write_bytes(init)
    (scene.folder / f"segment_{SESSION}_720p_4.m4s").write_bytes(segment)
    playlist = scene.folder / f".{SESSION}_720p.m3u8"
    lines = [f'#EXT-X-MAP:URI="init_{SESSION}_720p_4.mp4"', "#EXTINF:2.000000,", f"segment_{SESSION}_720p_4.m4s"]
    playlist.write_text("\n".join(["#EXTM3U", *lines, ""]))
    scene.watcher.on_receive(FilesClosed(path=str(playlist)))
    assert [message.size for message in scene.parent.of(SegmentClosed)] == sizes


def test_an_fmp4_segment_whose_duration_was_missed_keeps_its_name(scene: Scene) -> None:
    scene.begin("720p")
    (scene.folder / f"init_{SESSION}_720p_0.mp4").write_bytes(INIT)
    for number in range(2):
        (scene.folder / f"segment_{SESSION}_720p_{number}.m4s").write_bytes(M4S)
    lines = [f'#EXT-X-MAP:URI="init_{SESSION}_720p_0.mp4"', "#EXTINF:1.5,", f"segment_{SESSION}_720p_1.m4s"]
    (scene.folder / f".{SESSION}_720p.m3u8").write_text("\n".join(["#EXTM3U", *lines, ""]))
    scene.watcher.on_receive(Wake())
    found = [(message.path.name, message.size, message.duration) for message in scene.parent.of(SegmentClosed)]
    assert found == [(f"segment_{SESSION}_720p_0.m4s", 16, 2.0), (f"segment_{SESSION}_720p_1.m4s", 16, 1.5)]


def test_an_empty_segment_is_lost_when_another_follows_and_nothing_when_it_is_the_last(scene: Scene) -> None:
    """A full disk leaves the first kind, an encoder that ends before its first frame the second."""
    scene.begin("720p")
    scene.write("720p", 2.0, 2.0)
    (scene.folder / f"segment_{SESSION}_720p_1.ts").write_bytes(b"")
    scene.watcher.on_receive(Wake())
    assert scene.closed == [("720p", 0, 2.0)]
    scene.write("720p", 2.0, 2.0, 2.0, 2.0)
    for number in (1, 3):
        (scene.folder / f"segment_{SESSION}_720p_{number}.ts").write_bytes(b"")
    scene.watcher.on_receive(ScanFolder(run=1))
    assert [(m.sequence, m.size) for m in scene.parent.of(SegmentClosed)] == [(0, 188), (1, 0), (2, 188)]


def test_without_file_descriptors_segments_wait_and_it_is_said_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The playlist, and then a segment, cannot be opened for a while: neither is left out."""
    scene.begin("720p")
    scene.write("720p", 2.0, 2.0)
    reason = OSError(EMFILE, "Too many open files")
    with monkeypatch.context() as patch:
        for unavailable in ("actors.segment_watcher._read_playlist", "actors.segment_watcher.is_whole_segment"):
            patch.setattr(unavailable, Mock(side_effect=reason))
            scene.watcher.on_receive(Wake())
            scene.watcher.on_receive(ScanFolder(run=1))
            patch.undo()
    assert scene.closed == []
    assert not scene.parent.of(FolderScanned)
    scene.watcher.on_receive(Wake())
    assert scene.closed == [("720p", 0, 2.0), ("720p", 1, 2.0)]
    scene.watcher.on_receive(ScanFolder(run=1))
    assert scene.parent.of(FolderScanned)
    said = [message[:24] for message in caplog.messages if "open" in message]
    assert said == ["Too many open files (the", "Files can be opened agai"]
