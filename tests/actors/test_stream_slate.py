"""What players see while the publisher is gone, message by message."""

from pathlib import Path

import pytest
from fakes.stream_world import SLATE, SOURCE, StreamWorld

from streamkit.ffmpeg.inputs import Slate
from streamkit.messages import (
    EncoderExited,
    EndPublish,
    FolderScanned,
    RecoverStream,
    ShutDown,
    SourceClosed,
    SourceDetected,
    SourceReady,
)
from streamkit.settings import SessionSettings, StreamRule
from streamkit.types import SourceKind, StreamState


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StreamWorld:
    return StreamWorld(tmp_path, monkeypatch, sessions=SessionSettings(slate=SLATE))


def lose_publisher(world: StreamWorld) -> None:
    world.go_live(segments=2)
    world.tell(EndPublish(publish=1))
    world.encoder_exits()


def test_the_slate_is_shown_in_the_same_renditions_when_the_publisher_left(world: StreamWorld) -> None:
    lose_publisher(world)
    assert f"file:{SLATE}" in world.encoders[-1].argv
    world.segment(2)
    assert "_720p_2.ts" in world.local("720p.m3u8")
    assert world.snapshot.state is StreamState.RECONNECTING, "what is shown is not the publisher"
    assert world.snapshot.slate


def test_there_is_no_slate_unless_one_is_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lose_publisher(world := StreamWorld(tmp_path / "none", monkeypatch))
    assert len(world.encoders) == 1
    rule = StreamRule(match="*", slate="")
    lose_publisher(
        world := StreamWorld(tmp_path / "rule", monkeypatch, sessions=SessionSettings(slate=SLATE), streams=(rule,))
    )
    assert len(world.encoders) == 1


def test_the_slate_ends_when_the_publishers_first_key_frame_is_there(world: StreamWorld) -> None:
    lose_publisher(world)
    world.segment(2)
    world.publish(2)
    world.tell(SourceDetected(run=2, source=SOURCE))
    assert not world.encoders[-1].terminated, "nothing could be shown in its place yet"
    world.tell(SourceReady(run=2))
    assert world.encoders[-1].terminated
    world.encoder_exits(255)
    assert len(world.encoders) == 3
    assert not world.snapshot.slate
    world.segment(3)
    assert world.snapshot.state is StreamState.LIVE
    assert world.local("720p.m3u8").count("#EXT-X-DISCONTINUITY\n") == 2
    assert (world.snapshot.restarts, world.snapshot.last_error) == (0, None)


def test_the_window_is_not_longer_because_of_the_slate(world: StreamWorld) -> None:
    lose_publisher(world)
    world.pass_time(16)
    assert world.snapshot.state is StreamState.FINISHING
    assert world.encoders[-1].terminated
    world.encoder_exits(255)
    world.store_everything()
    assert world.snapshot.state is StreamState.ENDED
    assert "#EXT-X-ENDLIST" in world.local("720p.m3u8")


def test_a_slate_that_fails_is_not_tried_again_and_is_nobodys_failure(world: StreamWorld) -> None:
    lose_publisher(world)
    world.encoder_exits(1)
    world.pass_time(2)
    assert len(world.encoders) == 2
    assert world.snapshot.restarts == 0
    world.publish(2)
    world.tell(SourceDetected(run=2, source=SOURCE))
    world.segment(2)
    world.tell(EndPublish(publish=2))
    world.encoder_exits()
    assert len(world.encoders) == 4, "the next time it may work"


def test_a_stop_of_the_service_ends_the_slate(world: StreamWorld) -> None:
    lose_publisher(world)
    world.tell(ShutDown())
    assert world.encoders[-1].terminated


def test_a_publisher_that_is_connected_sees_no_slate_while_its_source_is_read(world: StreamWorld) -> None:
    world.go_live(segments=1)
    world.tell(EndPublish(publish=1))
    world.publish(2, kind=SourceKind.INGEST)
    run = world.encoders[-1].run
    world.tell(EncoderExited(run=run, returncode=0, log=()))
    world.tell(FolderScanned(run=run))
    assert len(world.encoders) == 1


def test_a_stop_ends_the_slate_while_a_publisher_is_being_connected_to(world: StreamWorld) -> None:
    lose_publisher(world)
    world.publish(2)
    world.tell(SourceDetected(run=2, source=SOURCE))
    world.tell(ShutDown())
    assert world.encoders[-1].terminated


def test_connections_that_end_before_the_first_key_frame_leave_the_slate_alone(world: StreamWorld) -> None:
    lose_publisher(world)
    world.publish(2)
    world.tell(SourceClosed(run=2, error="the connection was reset"))
    for second in range(12):
        world.progress(second + 1.0)
        world.pass_time(1)
    assert world.snapshot.slate
    assert not world.encoders[-1].killed, "nobody asked it to end"
    world.publish(3)
    world.tell(SourceDetected(run=world.feeds[-1].number, source=SOURCE))
    world.tell(SourceReady(run=world.feeds[-1].number))
    assert world.encoders[-1].terminated


def test_a_publisher_that_was_connected_and_left_again_does_not_keep_the_slate_away(world: StreamWorld) -> None:
    world.go_live(segments=1)
    world.tell(EndPublish(publish=1))
    world.publish(2, kind=SourceKind.INGEST)
    world.encoder_exits()
    world.tell(EndPublish(publish=2))
    world.pass_time(1)
    assert world.snapshot.slate


def test_the_slate_is_shown_after_a_restart_of_the_service(world: StreamWorld) -> None:
    world.go_live(segments=1)
    world.tell(EndPublish(publish=1))
    world.services.slates.clear()
    world.encoder_exits()
    world.services.slates[SLATE] = Slate(path=Path(SLATE), has_audio=False)
    world.actor = world.new_actor()
    world.tell(RecoverStream(publish=0, source=SourceKind.INGEST))
    world.pass_time(1)
    assert world.snapshot.slate
