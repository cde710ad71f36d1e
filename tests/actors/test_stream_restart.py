"""A service that stops with `sessions.on_stop: keep`, and the one that goes on from its journal, message by message."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.stream_world import SLATE, SOURCE, StreamWorld

from actors import broadcast
from actors.base import getting_on
from streamkit.hls.events import Event
from streamkit.messages import (
    EndPublish,
    FolderScanned,
    RecoverStream,
    SaveSession,
    SaveStream,
    ShutDown,
    SourceDetected,
    StreamStopped,
    UploadPlaylist,
    UploadSegment,
    WatchRun,
)
from streamkit.settings import SessionSettings
from streamkit.types import SourceKind, StreamState

KEEP = SessionSettings(on_stop="keep", slate=SLATE)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StreamWorld:
    return StreamWorld(tmp_path, monkeypatch, sessions=KEEP)


def stop_in_mid_stream(world: StreamWorld) -> None:
    """Stop with numbers 0 and 1 listed; FFmpeg writes number 2 as its last."""
    world.go_live(segments=2)
    world.tell(ShutDown())
    world.segment(2)
    world.encoder_exits()


def start_again(world: StreamWorld, source: SourceKind = SourceKind.PULL) -> None:
    world.actor = world.new_actor()
    world.tell(RecoverStream(publish=0, source=source))


def test_a_kept_broadcast_has_its_last_segment_and_no_end(world: StreamWorld) -> None:
    stop_in_mid_stream(world)
    assert world.feeds[0].closed
    world.store_everything()
    for playlist in (world.bucket("720p.m3u8"), world.local("720p.m3u8")):
        assert "_720p_2.ts" in playlist
        assert "#EXT-X-ENDLIST" not in playlist
    assert not [m for m in world.uploaders[0].of(UploadPlaylist) if m.name == f"{world.snapshot.session}.m3u8"]


def test_a_kept_broadcast_says_that_it_stopped_when_its_last_segment_is_stored(world: StreamWorld) -> None:
    world.go_live(segments=2)
    world.store_everything()
    world.tell(ShutDown())
    world.pass_time(1)
    assert not world.parent.of(StreamStopped), "FFmpeg still writes"
    world.segment(2)
    world.encoder_exits()
    world.pass_time(1)
    assert not world.parent.of(StreamStopped), "the store lacks the last segment"
    world.store_everything()
    assert world.parent.of(StreamStopped)


def test_the_rows_of_a_kept_broadcast_say_that_it_waits_and_not_that_it_ended(world: StreamWorld) -> None:
    stop_in_mid_stream(world)
    world.store_everything()
    row = world.database.of(SaveStream)[-1]
    assert (row.state, row.stopped_at) == (StreamState.RECONNECTING, None)
    session = world.database.of(SaveSession)[-1]
    assert (session.state, session.ended_at) == (StreamState.RECONNECTING, None)


def test_a_kept_broadcast_outlasts_every_window_while_the_service_stops(world: StreamWorld) -> None:
    world.go_live(segments=2)
    world.tell(EndPublish(publish=1))
    world.encoder_exits()
    world.tell(ShutDown())
    world.pass_time(600)
    world.store_everything()
    assert "#EXT-X-ENDLIST" not in world.bucket("720p.m3u8")


@pytest.mark.parametrize("window", [0.0, 5.0], ids=["at once", "after a window"])
def test_a_farewell_while_the_service_stops_does_not_end_a_kept_broadcast(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window: float
) -> None:
    world = StreamWorld(tmp_path, monkeypatch, sessions=SessionSettings(on_stop="keep", reconnect_window=window))
    world.go_live(segments=2)
    world.tell(ShutDown())
    world.tell(EndPublish(publish=1))
    world.encoder_exits()
    world.pass_time(10)
    world.store_everything()
    assert "#EXT-X-ENDLIST" not in world.bucket("720p.m3u8")


def test_neither_a_slate_nor_the_publisher_begins_another_run_while_the_service_stops(world: StreamWorld) -> None:
    stop_in_mid_stream(world)
    world.pass_time(1)
    world.pass_time(1)
    assert len(world.encoders) == 1
    assert len(world.feeds) == 1


def test_a_slate_that_is_shown_ends_and_its_broadcast_is_kept(world: StreamWorld) -> None:
    world.go_live(segments=2)
    world.tell(EndPublish(publish=1))
    world.encoder_exits()
    world.tell(ShutDown())
    assert world.encoders[-1].terminated
    world.encoder_exits(255)
    world.store_everything()
    assert world.parent.of(StreamStopped)
    assert "#EXT-X-ENDLIST" not in world.bucket("720p.m3u8")


def test_the_next_start_goes_on_with_the_session_behind_a_discontinuity(world: StreamWorld) -> None:
    stop_in_mid_stream(world)
    world.store_everything()
    session = world.snapshot.session
    start_again(world)
    assert world.feeds[-1].kind == "pull", "the RTMP server still has the publisher"
    assert not world.uploaders[-1].of(UploadSegment), "the store has every segment"
    world.tell(SourceDetected(run=world.feeds[-1].number, source=SOURCE))
    assert world.watchers[-1].of(WatchRun)[-1].first_sequence == 3
    world.segment(3)
    assert (world.snapshot.state, world.snapshot.session) == (StreamState.LIVE, session)
    assert world.local("720p.m3u8").count("#EXT-X-DISCONTINUITY\n") == 1
    assert world.local("720p.m3u8").index("_720p_2.ts") < world.local("720p.m3u8").index("#EXT-X-DISCONTINUITY\n")


@pytest.mark.parametrize("during", [True, False], ids=["on air", "while it is stopped"])
def test_rows_of_the_next_start_are_newer_although_the_clock_was_set_back(world: StreamWorld, *, during: bool) -> None:
    world.go_live(segments=2)
    world.clock.step = -3600 if during else 0
    world.tell(ShutDown())
    world.segment(2)
    world.encoder_exits()
    world.clock.step = -3600
    told = [max(row.revision for row in world.database.of(kind)) for kind in (SaveStream, SaveSession)]
    start_again(world)
    world.tell(SourceDetected(run=world.feeds[-1].number, source=SOURCE))
    world.segment(3)
    assert world.snapshot.state is StreamState.LIVE
    newest = [world.database.of(kind)[-1] for kind in (SaveStream, SaveSession)]
    assert all(
        row.state is StreamState.LIVE and row.revision > before for row, before in zip(newest, told, strict=True)
    )


def test_a_kept_broadcast_ends_when_nobody_comes_back_to_the_next_start(world: StreamWorld) -> None:
    stop_in_mid_stream(world)
    world.clock.now += 3600
    start_again(world, SourceKind.INGEST)
    world.pass_time(14)
    assert world.snapshot.state is StreamState.RECONNECTING, "the window begins with the start"
    world.pass_time(2)
    world.encoder_exits()  # the slate
    world.store_everything()
    assert world.snapshot.state is StreamState.ENDED
    assert "#EXT-X-ENDLIST" in world.bucket("720p.m3u8")


def test_a_session_without_a_segment_yet_is_kept_as_well(world: StreamWorld) -> None:
    world.go_live(segments=0)
    world.tell(ShutDown())
    world.encoder_exits()
    world.pass_time(1)
    assert world.parent.of(StreamStopped)
    session = world.snapshot.session
    start_again(world)
    world.tell(SourceDetected(run=world.feeds[-1].number, source=SOURCE))
    world.segment(0)
    assert (world.snapshot.state, world.snapshot.session) == (StreamState.LIVE, session)


def test_a_publish_that_is_no_broadcast_yet_ends_with_the_service(world: StreamWorld) -> None:
    world.publish()
    world.tell(ShutDown())
    assert world.parent.of(StreamStopped)
    assert world.snapshot.state is StreamState.ENDED


def test_an_older_session_that_waits_for_its_last_segment_ends_and_is_not_kept(world: StreamWorld) -> None:
    world.go_live(segments=1)
    world.tell(EndPublish(publish=1))
    world.pass_time(16)
    world.tell(ShutDown())
    world.tell(FolderScanned(run=world.encoders[0].run))
    world.store_everything()
    assert "#EXT-X-ENDLIST" in world.bucket("720p.m3u8")
    assert world.parent.of(StreamStopped)


def test_what_a_stop_could_not_store_is_uploaded_by_the_next_start(world: StreamWorld) -> None:
    stop_in_mid_stream(world)
    start_again(world)
    assert len(world.uploaders[-1].of(UploadSegment)) == 6


def test_a_start_that_reads_a_long_journal_does_not_count_as_hanging(
    world: StreamWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_in_mid_stream(world)
    read: list[Event] = []

    def noted(step: Callable[[Event], None]) -> Callable[[Event], None]:
        return getting_on(lambda event: (read.append(event), step(event))[1])

    monkeypatch.setattr(broadcast, "getting_on", noted)
    start_again(world)
    assert len(read) > 3
