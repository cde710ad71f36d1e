"""The ladder that a publisher chose is kept for the whole session: over reconnects, and over a crash of the service."""

from concurrent.futures import Future
from pathlib import Path

import pytest
from fakes.stream_world import StreamWorld

from streamkit.messages import BeginPublish, EndPublish, FolderScanned, PublishAnswer, RecoverStream, SourceJoined
from streamkit.pace import Pace
from streamkit.settings_ladder import LadderSettings, RenditionSettings
from streamkit.types import SourceKind, StreamState

SMALL = LadderSettings(renditions=(RenditionSettings(name="240p", height=240, video_bitrate=200_000),))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StreamWorld:
    return StreamWorld(tmp_path, monkeypatch, ladders={"small": SMALL}, selectable_ladders=("small", "copy"))


def publish(world: StreamWorld, ladder: str | None, number: int = 1) -> "Future[PublishAnswer]":
    joined: Future[PublishAnswer] = Future()
    world.tell(BeginPublish(publish=number, source=SourceKind.PULL, ladder=ladder, joined=joined))
    world.tell(SourceJoined(run=world.feeds[-1].number))
    return joined


def go_live(world: StreamWorld, ladder: str | None) -> None:
    publish(world, ladder)
    world.recall()
    world.detect()
    world.segment(0, tuple(str(rendition.name) for rendition in world.snapshot.renditions))


def names(world: StreamWorld) -> list[str]:
    return [str(rendition.name) for rendition in world.snapshot.renditions]


def test_a_publish_is_answered_with_the_ladder_that_is_encoded(world: StreamWorld) -> None:
    assert publish(world, "small").result(0).ladder == "small"
    assert publish(world, None, number=2).result(0).ladder == "default"


def test_the_chosen_ladder_is_encoded(world: StreamWorld) -> None:
    go_live(world, "small")
    assert names(world) == ["240p"]


@pytest.mark.parametrize("asked", [None, "copy", "small"])
def test_a_publisher_that_returns_keeps_the_ladder_of_its_session(world: StreamWorld, asked: str | None) -> None:
    go_live(world, "small")
    world.tell(EndPublish(publish=1))
    world.encoder_exits()
    assert publish(world, asked, number=2).result(0).ladder == "small"
    world.detect()
    assert names(world) == ["240p"]
    assert len(world.encoders) == 2


def test_a_session_that_a_crash_interrupted_keeps_its_ladder(world: StreamWorld) -> None:
    go_live(world, "small")
    world.actor = world.new_actor()
    world.tell(RecoverStream(publish=0, source=SourceKind.PULL))
    world.tell(FolderScanned(run=1))
    assert world.snapshot.state is StreamState.RECONNECTING
    world.tell(BeginPublish(publish=1, source=SourceKind.PULL))
    world.detect()
    assert len(world.encoders) == 2
    assert names(world) == ["240p"]


def test_the_next_session_chooses_anew(world: StreamWorld) -> None:
    go_live(world, "small")
    world.tell(EndPublish(publish=1))
    world.encoder_exits()
    world.pass_time(16.0)
    world.store_everything()
    assert world.snapshot.state is StreamState.ENDED
    assert publish(world, None, number=2).result(0).ladder == "default"


def test_a_ladder_that_the_configuration_lost_is_replaced_by_the_configured_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, world: StreamWorld, caplog: pytest.LogCaptureFixture
) -> None:
    go_live(world, "small")
    world = StreamWorld(tmp_path, monkeypatch)
    world.tell(RecoverStream(publish=0, source=SourceKind.PULL))
    world.tell(FolderScanned(run=1))
    world.tell(BeginPublish(publish=1, source=SourceKind.PULL))
    world.detect()
    assert "_480p_" in " ".join(world.encoders[-1].argv)
    assert "There is no ladder 'small' any more, 'default' takes its place" in caplog.text


def test_copied_video_keeps_the_promise_of_the_session(world: StreamWorld) -> None:
    go_live(world, "copy")
    assert world.feeds[-1].pace == Pace(segment_duration=2.0)
    world.tell(EndPublish(publish=1))
    world.encoder_exits()
    publish(world, None, number=2)
    world.detect()
    assert world.feeds[-1].pace == Pace(segment_duration=2.0, target=3)


def test_video_that_is_encoded_needs_no_pace(world: StreamWorld) -> None:
    go_live(world, "small")
    assert (world.feeds[-1].attached, world.feeds[-1].pace) == (1, None)
