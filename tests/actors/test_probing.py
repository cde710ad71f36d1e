"""How many segments are looked into, and what of a segment that cannot be read."""

import logging
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from fakes.stream_world import KEY, RecordingRef, StreamWorld

from actors import probing
from actors.probing import MOST_LOOKS, Probing
from actors.segment_watcher import SegmentWatcher
from streamkit.errors import MediaError
from streamkit.media.info import MediaInfo, Picture, Timeline, VideoInfo
from streamkit.messages import ScanFolder, SegmentClosed, WatchRun
from streamkit.types import MediaSequence, RenditionName, Seconds, SessionId

A = RenditionName("720p")
Look = Callable[[], MediaInfo | None]


def info(*, complete: bool = True, idr: bool | None = True) -> MediaInfo:
    timeline = Timeline(times=(Fraction(0),), end=Fraction(1))
    video = VideoInfo(codec="avc1.64001F", picture=Picture(2, 2), timeline=timeline, starts_with_idr=idr)
    return MediaInfo(video=video, audio=None, is_complete=complete)


class Scene:
    """Counts what is read, and says what is found."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, copied: bool = False) -> None:
        self.answers: list[MediaInfo | Exception] = []
        self.whole = self.beginnings = 0
        monkeypatch.setattr(probing.probe, "read_file", self._whole)
        monkeypatch.setattr(probing.probe, "read_first_picture", self._beginning)
        self.probing = Probing([A], [A] if copied else [])

    def _answer(self) -> MediaInfo:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _whole(self, _segment: Path, _init: Path | None) -> MediaInfo:
        self.whole += 1
        return self._answer()

    def _beginning(self, _segment: Path, _init: Path | None) -> MediaInfo:
        self.beginnings += 1
        return self._answer()

    def look(self, *answers: MediaInfo | Exception) -> list[bool]:
        """Look at a segment per answer and return whether each showed something."""
        self.answers = list(answers)
        return [self.probing.look(A, Path("a.ts"), None) is not None for _ in answers]


def test_what_we_encode_is_looked_into_once(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    assert scene.look(info(), info(), info()) == [True, False, False]
    assert (scene.whole, scene.beginnings) == (1, 0)


def test_tracks_that_begin_late_are_waited_for_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    assert scene.look(*[info(complete=False)] * 9) == [True] * MOST_LOOKS + [False] * (9 - MOST_LOOKS)
    assert scene.whole == MOST_LOOKS


def test_copied_video_is_looked_at_until_a_segment_needs_the_one_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, copied=True)
    assert scene.look(info(), info(), info(), info(idr=False), info()) == [True, False, False, True, False]
    assert (scene.whole, scene.beginnings) == (1, 3)


@pytest.mark.parametrize("error", [MediaError("it is torn"), FileNotFoundError("gone")])
def test_what_cannot_be_read_is_one_line_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    scene = Scene(monkeypatch, copied=True)
    with caplog.at_level(logging.WARNING):
        assert scene.look(error, info(), info()) == [False, False, False]
    (line,) = caplog.messages
    assert str(error) in line
    assert "a.ts" in line


def test_the_watcher_tells_what_a_segment_shows_with_the_segment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answers = [info()]
    monkeypatch.setattr(probing.probe, "read_file", lambda *_: answers.pop(0))
    parent = RecordingRef("parent")
    watcher = SegmentWatcher(parent=parent, folder=tmp_path, watch=None, timers=None, segment_duration=Seconds(2.0))  # type: ignore[arg-type]
    monkeypatch.setattr(watcher, "_watch", StillWatch())
    session = SessionId("s1ng6482")
    watcher.on_receive(WatchRun(run=1, session=session, renditions=(A,), first_sequence=MediaSequence(0)))
    names = [f"segment_{session}_{A}_{number}.ts" for number in range(2)]
    for name in names:
        (tmp_path / name).write_bytes(b"G" * 188)
    (tmp_path / f".{session}_{A}.m3u8").write_text("#EXTM3U\n" + "".join(f"#EXTINF:2.0,\n{name}\n" for name in names))
    watcher.on_receive(ScanFolder(run=1))
    assert [message.media for message in parent.of(SegmentClosed)] == [info(), None]


class StillWatch:
    """A folder watch that never says anything."""

    def is_watching(self, _folder: Path) -> bool:
        return True


def test_players_and_the_journal_know_what_was_encoded_with_the_first_segment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    world = StreamWorld(tmp_path, monkeypatch)
    world.go_live(segments=0)
    world.segment(0, media=info())
    assert "avc1.64001F" in world.local("playlist.m3u8")
    assert "RESOLUTION=2x2" in world.local("playlist.m3u8")
    journal = (world.folder.parent / ".streamkit" / f"{KEY}.journal").read_text()
    assert journal.index('"probed"') < journal.index('"closed"')
