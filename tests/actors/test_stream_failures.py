"""What a stream does when several things go wrong, or happen in an unusual order."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fakes.stream_world import KEY, StreamWorld

from actors import encoding
from actors.deaths import MAX_RESTARTS
from streamkit.errors import EncoderNotFoundError
from streamkit.messages import (
    ChildFailed,
    EndPublish,
    FolderScanned,
    Message,
    PublisherGone,
    RecoverStream,
    SaveSession,
    SaveStream,
    ScanFolder,
    ShutDown,
    SourceClosed,
    SourceDetected,
    StreamIdle,
    StreamSettled,
)
from streamkit.settings import EncoderSettings
from streamkit.types import SourceInfo, SourceKind, StreamState, VideoSource


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StreamWorld:
    return StreamWorld(tmp_path, monkeypatch)


@pytest.fixture
def fragile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StreamWorld:
    """A world in which two encoder failures in a row are too many."""
    return StreamWorld(tmp_path, monkeypatch, encoder=EncoderSettings(max_failures=2))


def fail_too_often(world: StreamWorld) -> None:
    world.encoder_exits(returncode=1)
    world.pass_time(11)
    world.encoder_exits(returncode=1)
    assert world.snapshot.state is StreamState.FAILED


# ---- the publisher leaves at a bad moment


@pytest.mark.parametrize("goodbye", [EndPublish(publish=1), SourceClosed(run=1), SourceClosed(run=1, error="reset")])
def test_a_publisher_that_leaves_while_the_encoder_restarts_ends_the_broadcast(
    world: StreamWorld, goodbye: Message
) -> None:
    world.go_live(segments=2)
    world.encoder_exits(returncode=-11)
    world.tell(goodbye)
    assert world.parent.of(PublisherGone)
    world.pass_time(16)
    assert world.snapshot.state is StreamState.FINISHING
    assert world.parent.of(StreamSettled)


def test_a_server_that_hangs_up_on_a_waiting_stream_is_asked_again_at_the_next_tick(world: StreamWorld) -> None:
    world.go_live()
    world.tell(SourceClosed(run=1))
    world.encoder_exits()
    world.tell(SourceClosed(run=2))
    assert len(world.feeds) == 2
    world.pass_time(1)
    assert len(world.feeds) == 3
    for _ in range(20):
        world.tell(SourceClosed(run=world.feeds[-1].number))
        world.pass_time(1)
    assert world.snapshot.state is StreamState.FINISHING


def test_a_publisher_found_at_the_end_of_the_window_gets_the_time_for_its_first_segment(world: StreamWorld) -> None:
    world.go_live()
    world.tell(SourceClosed(run=1))
    world.encoder_exits()
    world.pass_time(14)
    world.detect()
    world.pass_time(2)
    world.segment(1)
    assert world.snapshot.state is StreamState.LIVE


def test_a_publish_on_the_embedded_server_replaces_a_connection_to_another_server(world: StreamWorld) -> None:
    world.go_live()
    world.actor = world.new_actor()
    world.tell(RecoverStream(publish=0, source=SourceKind.PULL))
    world.publish(1, kind=SourceKind.INGEST)
    assert world.feeds[-2].closed
    assert world.feeds[-1].kind == "ingest"


# ---- a new publish while the last session's encoder still flushes


def flushing_under_a_new_publish(world: StreamWorld) -> None:
    world.go_live(segments=2)
    world.tell(EndPublish(publish=1))
    world.pass_time(16)
    assert world.snapshot.state is StreamState.FINISHING
    world.publish(2)
    world.detect()


def test_the_rows_of_the_old_session_and_of_the_new_publish_do_not_mix(world: StreamWorld) -> None:
    world.go_live(segments=2)
    first, started_at = world.snapshot.session, world.snapshot.started_at
    flushing_under_a_new_publish(world)
    world.encoder_exits()
    world.segment(2)
    assert world.snapshot.state is StreamState.LIVE
    assert world.snapshot.stopped_at is None
    assert world.database.of(SaveStream)[-1].stopped_at is None
    assert [row.started_at for row in world.database.of(SaveSession) if row.session == first][-1] == started_at


def test_a_session_that_failed_stays_failed_in_its_row_although_the_key_publishes_again(world: StreamWorld) -> None:
    world.go_live(segments=2)
    first = world.snapshot.session
    world.tell(SourceClosed(run=1))
    world.detect()  # the old encoder still flushes
    world.tell(FolderScanned(run=world.encoders[0].run))
    hevc = SourceInfo(video=VideoSource(codec="hevc", width=1280, height=720, fps=None), audio=None)
    world.tell(SourceClosed(run=2))
    world.pass_time(1)
    world.tell(SourceDetected(run=3, source=hevc))
    world.encoder_exits()
    assert world.snapshot.state is StreamState.FAILED
    world.publish(2)
    world.tell(EndPublish(publish=2))
    last = [row for row in world.database.of(SaveSession) if row.session == first][-1]
    assert last.state is StreamState.FAILED
    assert "hevc" in (last.end_reason or "").lower()


def test_a_stop_while_an_old_encoder_flushes_starts_no_new_one(world: StreamWorld) -> None:
    flushing_under_a_new_publish(world)
    world.tell(ShutDown())
    world.encoder_exits()
    world.pass_time(1)
    assert len(world.encoders) == 1
    assert world.feeds[-1].closed


# ---- encoders that fail


def test_a_process_that_cannot_be_made_counts_as_a_failed_run_and_is_tried_again(
    world: StreamWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_argv: list[str], *, stdin: Any, **_kwargs: Any) -> None:
        stdin.close()
        raise EncoderNotFoundError("FFmpeg cannot be started (ffmpeg): Resource temporarily unavailable")

    works = encoding.EncoderProcess
    monkeypatch.setattr(encoding, "EncoderProcess", SimpleNamespace(start=refuse))
    world.go_live(segments=0)
    monkeypatch.setattr(encoding, "EncoderProcess", works)
    world.tell(FolderScanned(run=world.watchers[0].of(ScanFolder)[-1].run))
    assert "temporarily unavailable" in (world.snapshot.last_error or "")
    world.pass_time(11)
    world.segment(0)
    assert world.snapshot.state is StreamState.LIVE


def test_a_healthy_hour_clears_the_count_of_failures_even_when_it_ends_in_order(fragile: StreamWorld) -> None:
    fragile.go_live()
    fragile.encoder_exits(returncode=1)
    fragile.pass_time(11)
    fragile.segment(1)
    fragile.clock.now += 3600
    fragile.tell(SourceClosed(run=1))
    fragile.encoder_exits()
    fragile.publish(2)
    fragile.detect()
    fragile.segment(2)
    fragile.encoder_exits(returncode=1)
    assert fragile.snapshot.state is StreamState.RECONNECTING


def test_a_new_publish_after_giving_up_gets_every_attempt_again(fragile: StreamWorld) -> None:
    fragile.go_live()
    fail_too_often(fragile)
    fragile.store_everything()
    fragile.publish(2)
    fragile.recall()
    fragile.detect()
    assert len(fragile.encoders) == 3
    fragile.encoder_exits(returncode=1)
    assert fragile.snapshot.state is StreamState.CONNECTING


def test_a_failed_stream_says_when_it_stopped_and_is_shown_for_a_minute(fragile: StreamWorld) -> None:
    fragile.go_live()
    fail_too_often(fragile)
    assert fragile.database.of(SaveStream)[-1].stopped_at == fragile.clock.time()
    fragile.store_everything()
    fragile.pass_time(2)
    assert not fragile.parent.of(StreamIdle)
    fragile.pass_time(70)
    fragile.pass_time(1)
    assert fragile.parent.of(StreamIdle)


def test_a_folder_that_was_removed_is_made_again_for_the_next_run(world: StreamWorld) -> None:
    world.go_live()
    shutil.rmtree(world.folder)
    world.encoder_exits(returncode=1)
    world.pass_time(11)
    assert len(world.encoders) == 2
    assert world.folder.is_dir()


def test_a_child_that_dies_again_and_again_is_the_streams_own_death(world: StreamWorld) -> None:
    world.go_live()
    for _ in range(MAX_RESTARTS):
        world.tell(ChildFailed(urn=world.watchers[-1].actor_urn, name="watcher", error="x"))
    with pytest.raises(RuntimeError, match="again and again"):
        world.tell(ChildFailed(urn=world.watchers[-1].actor_urn, name="watcher", error="x"))


# ---- what stays


def test_nothing_is_shown_any_more_once_the_supervisor_may_forget_the_stream(world: StreamWorld) -> None:
    world.publish()
    world.tell(EndPublish(publish=1))
    tell = world.parent.tell

    def forget_at_once(message: Message) -> None:
        tell(message)
        if isinstance(message, StreamIdle):
            world.board.remove(KEY)

    world.parent.tell = forget_at_once  # type: ignore[method-assign]
    world.pass_time(61)
    world.pass_time(1)
    assert world.parent.of(StreamIdle)
    assert world.board.get(KEY) is None
    world.publish(2)
    assert world.snapshot.state is StreamState.CONNECTING


def test_a_broadcast_whose_uploads_finish_after_a_restart_keeps_the_time_of_its_end(world: StreamWorld) -> None:
    world.go_live()
    world.tell(EndPublish(publish=1))
    world.encoder_exits()
    world.pass_time(16)
    ended_at = world.database.of(SaveSession)[-1].ended_at
    world.clock.now += 3600
    world.actor = world.new_actor()
    world.tell(RecoverStream(publish=0, source=SourceKind.PULL))
    world.store_everything()
    assert world.snapshot.state is StreamState.ENDED
    assert world.database.of(SaveStream)[-1].stopped_at == ended_at


def test_playlists_of_archived_broadcasts_are_not_kept_in_memory(world: StreamWorld) -> None:
    world.go_live()
    session = world.snapshot.session
    world.tell(EndPublish(publish=1))
    world.encoder_exits()
    world.pass_time(16)
    world.store_everything()
    assert world.bucket(f"{session}.m3u8")
    assert not [name for name in world.actor._broadcast._bucket._bodies if name.startswith(str(session))]


def test_an_encoder_that_takes_no_media_is_not_the_publishers_fault(world: StreamWorld) -> None:
    world.go_live()
    world.progress(1.0)
    world.feeds[0].bytes_received = 500_000
    world.pass_time(1)
    world.feeds[0].is_paused = True
    for _ in range(12):
        world.pass_time(1)
    assert world.encoders[0].killed
    assert not world.feeds[0].closed
