"""Measuring presets: what is kept, when it counts again, and that a publish never waits for it. FFmpeg is a script."""

import stat
import threading
from pathlib import Path

import pytest

from streamkit.calibration import FILE_NAME, PresetBook, report
from streamkit.calibrator import Calibrator
from streamkit.errors import EncoderNotFoundError
from streamkit.ffmpeg.binary import FfmpegInfo
from streamkit.settings import EncoderSettings, Settings
from streamkit.settings_ladder import LadderSettings, RenditionSettings
from streamkit.snapshots import SnapshotBoard, StreamSnapshot
from streamkit.types import StreamKey, StreamState

DEADLINE = 10.0
SMALL = LadderSettings(renditions=(RenditionSettings(name="90p", height=90, video_bitrate=100_000),))


def settings(**encoder: object) -> Settings:
    fixed = RenditionSettings(name="90p", height=90, video_bitrate=100_000, preset="fast")
    ladders = {"small": SMALL, "default": LadderSettings(renditions=(fixed,))}
    return Settings(ladders=ladders, encoder=EncoderSettings(**encoder))  # type: ignore[arg-type]


def ffmpeg(folder: Path, script: str, version: str = "5.1") -> FfmpegInfo:
    path = folder / "ffmpeg"
    path.write_text(f'#!/bin/sh\necho "$*" >> {folder}/calls\n{script}\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return FfmpegInfo(path=str(path), version=(5, 1), version_text=version, encoders=frozenset({"libx264"}))


CLIP = 'for last; do :; done; case "$last" in *clip.flv) touch "${last#file:}";; esac'


def test_what_was_measured_is_kept_for_the_same_machine_ffmpeg_and_ladder(tmp_path: Path) -> None:
    program = ffmpeg(tmp_path, CLIP)
    book = PresetBook(settings(), program, tmp_path)
    assert book.unmeasured() == ["small"]
    assert book.measure("small") is not None
    again = PresetBook(settings(), program, tmp_path)
    assert again.unmeasured() == []
    assert len(again.capacity(SMALL).measures) == 9
    assert "90p libx264 veryslow" in report(settings(), "small", again)
    assert PresetBook(settings(), ffmpeg(tmp_path, CLIP, "9.0"), tmp_path).unmeasured() == ["small"]


def test_every_effort_is_encoded_as_a_stream_would_be(tmp_path: Path) -> None:
    PresetBook(settings(), ffmpeg(tmp_path, CLIP), tmp_path).measure("small")
    clip, *calls = (tmp_path / "calls").read_text().splitlines()
    assert "testsrc2=size=160x90" in clip
    assert [call.partition("-preset ")[2].split()[0] for call in calls[:3]] == ["ultrafast", "superfast", "veryfast"]
    assert all("-i pipe:0" in call and "-f hls" in call for call in calls)
    assert not list(tmp_path.glob("calibration-*"))


def test_a_file_that_is_damaged_is_measured_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / FILE_NAME).write_text('{"x": {"ladder": 1}}')
    assert PresetBook(settings(), ffmpeg(tmp_path, CLIP), tmp_path).unmeasured() == ["small"]
    assert "cannot be read" in caplog.text


def test_an_ffmpeg_that_fails_is_told_with_its_last_line(tmp_path: Path) -> None:
    book = PresetBook(settings(), ffmpeg(tmp_path, "echo no room >&2; exit 1"), tmp_path)
    with pytest.raises(EncoderNotFoundError, match="ended with 1: no room"):
        book.measure("small")


def test_a_measurement_that_is_cancelled_ends_its_ffmpeg_and_leaves_nothing(tmp_path: Path) -> None:
    book = PresetBook(settings(), ffmpeg(tmp_path, "exec sleep 60"), tmp_path)
    assert book.measure("small", lambda: True) is None
    assert book.unmeasured() == ["small"]
    assert not (tmp_path / FILE_NAME).exists()


class Ladders:
    """Stands for the book: measuring waits until it is cancelled, or `free` is set."""

    def __init__(self) -> None:
        self.names = ["small"]
        self.began, self.free = threading.Semaphore(0), threading.Event()
        self.cancelled = threading.Semaphore(0)

    def unmeasured(self) -> list[str]:
        return self.names

    def measure(self, name: str, is_cancelled: object) -> object:
        self.began.release()
        while not self.free.wait(0.01):
            if is_cancelled():  # type: ignore[operator]
                self.cancelled.release()
                return None
        self.names = []
        return object()


def test_the_calibrator_gives_way_to_a_stream_and_begins_again_when_it_ended() -> None:
    book, board, key = Ladders(), SnapshotBoard(), StreamKey("cam")
    calibrator = Calibrator(book, board, quiet_before=0.02)  # type: ignore[arg-type]
    calibrator.start()
    try:
        assert book.began.acquire(timeout=DEADLINE)
        board.publish(StreamSnapshot(key=key, state=StreamState.LIVE))
        assert book.cancelled.acquire(timeout=DEADLINE)
        board.publish(StreamSnapshot(key=key, state=StreamState.ENDED))
        assert book.began.acquire(timeout=DEADLINE)
        book.free.set()
        assert calibrator.join(DEADLINE)
    finally:
        calibrator.stop()


def test_a_stop_ends_a_measurement() -> None:
    book = Ladders()
    calibrator = Calibrator(book, SnapshotBoard(), quiet_before=0.02)  # type: ignore[arg-type]
    calibrator.start()
    assert book.began.acquire(timeout=DEADLINE)
    calibrator.stop()
    assert calibrator.join(DEADLINE)
    assert book.cancelled.acquire(timeout=DEADLINE)
