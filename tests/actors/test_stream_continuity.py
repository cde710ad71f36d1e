"""A session goes on whatever its source does, message by message, on a real ledger and journal."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from fakes.stream_world import SOURCE, StreamWorld

from streamkit.messages import BeginPublish, EndPublish, FolderScanned, SourceChanged, SourceDetected, WatchRun
from streamkit.types import SourceInfo, SourceKind, StreamState, VideoSource

SMALLER = replace(SOURCE, video=VideoSource(codec="h264", width=640, height=360, fps=Fraction(25)))
LARGER = replace(SOURCE, video=VideoSource(codec="h264", width=1920, height=1080, fps=Fraction(60)))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StreamWorld:
    return StreamWorld(tmp_path, monkeypatch)


def change_source(world: StreamWorld, source: SourceInfo) -> None:
    """The feed tells of another source, and FFmpeg has ended meanwhile."""
    world.tell(SourceChanged(run=world.feeds[-1].number))
    world.encoder_exits()
    world.tell(SourceDetected(run=world.feeds[-1].number, source=source))


def test_a_changed_source_is_another_run_of_the_same_session(world: StreamWorld) -> None:
    world.go_live(segments=2)
    session = world.snapshot.session
    change_source(world, LARGER)
    assert len(world.encoders) == 2
    assert world.watchers[0].of(WatchRun)[-1].first_sequence == 2
    world.segment(2, ("1080p", "720p", "480p"))
    assert world.snapshot.session == session
    assert world.snapshot.state is StreamState.LIVE
    assert world.local("720p.m3u8").count("#EXT-X-DISCONTINUITY\n") == 1
    assert not world.feeds[0].closed, "the publisher's connection stays"
    assert world.snapshot.restarts == 0


def test_the_end_of_an_encoder_whose_source_changed_is_no_failure(world: StreamWorld) -> None:
    world.go_live(segments=1)
    for _ in range(20):
        change_source(world, SOURCE)
    assert world.snapshot.state is StreamState.RECONNECTING
    assert world.snapshot.last_error is None
    assert len(world.encoders) == 21


def test_the_last_segment_for_the_old_source_does_not_mean_that_the_new_one_plays(world: StreamWorld) -> None:
    world.go_live(segments=1)
    world.tell(SourceChanged(run=1))
    world.segment(1)
    assert world.snapshot.state is StreamState.RECONNECTING
    assert "_720p_1.ts" in world.local("720p.m3u8")


def test_no_encoder_starts_until_the_source_is_known_again(world: StreamWorld) -> None:
    world.go_live(segments=1)
    world.tell(SourceChanged(run=1))
    world.encoder_exits()
    world.pass_time(1)
    assert len(world.encoders) == 1
    world.tell(SourceDetected(run=1, source=LARGER))
    assert len(world.encoders) == 2


def test_another_publisher_takes_over_in_the_same_session(world: StreamWorld) -> None:
    world.go_live(segments=2)
    session = world.snapshot.session
    world.tell(BeginPublish(publish=2, source=SourceKind.PULL, takes_over=True))
    assert [feed.closed for feed in world.feeds] == [True, False]
    world.tell(SourceDetected(run=2, source=SOURCE))
    assert len(world.encoders) == 1, "the first publisher's last segment is not collected yet"
    world.encoder_exits()
    assert len(world.encoders) == 2
    world.segment(2)
    assert world.snapshot.session == session
    assert world.snapshot.state is StreamState.LIVE
    assert "#EXT-X-DISCONTINUITY\n" in world.local("720p.m3u8")
    world.tell(EndPublish(publish=1))
    assert world.snapshot.state is StreamState.LIVE


def test_a_publisher_that_comes_back_smaller_keeps_every_playlist_alive(world: StreamWorld) -> None:
    world.go_live(segments=2)
    world.tell(EndPublish(publish=1))
    world.encoder_exits()
    world.publish(2)
    world.tell(SourceDetected(run=2, source=SMALLER))
    world.segment(2)
    assert "_720p_2.ts" in world.local("720p.m3u8")
    assert "#EXT-X-GAP" not in world.local("720p.m3u8")
    assert world.local("playlist.m3u8").count("RESOLUTION=640x360") == 2


def test_sound_that_falls_silent_stays_a_track(world: StreamWorld) -> None:
    world.go_live(segments=1)
    change_source(world, replace(SOURCE, audio=None))
    assert world.feeds[-1].silence
    assert "0:a:0" in world.encoders[-1].argv


def test_what_an_older_connection_says_of_a_change_is_ignored(world: StreamWorld) -> None:
    world.go_live(segments=1)
    world.tell(SourceChanged(run=99))
    assert world.snapshot.state is StreamState.LIVE
    assert world.snapshot.source is not None


def test_a_source_that_changed_and_never_came_again_ends_the_broadcast(world: StreamWorld) -> None:
    world.go_live(segments=1)
    world.tell(SourceChanged(run=1))
    world.encoder_exits()
    world.pass_time(21)
    world.tell(FolderScanned(run=1))
    world.store_everything()
    assert world.snapshot.state is StreamState.ENDED
    assert "#EXT-X-ENDLIST" in world.local("720p.m3u8")
