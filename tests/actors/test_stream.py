"""A stream's life, message by message, on a real ledger and journal."""

import os
from concurrent.futures import Future
from pathlib import Path

import pytest
from fakes.stream_world import KEY, StreamWorld

from streamkit.messages import (
    BeginPublish,
    ChildFailed,
    EndPublish,
    FolderScanned,
    ObjectStored,
    PublishAnswer,
    PublisherFound,
    PublisherGone,
    RecallStream,
    RecoverStream,
    SaveSession,
    SaveStream,
    ScanFolder,
    ShutDown,
    SourceClosed,
    SourceDetected,
    SourceJoined,
    StreamIdle,
    StreamSettled,
    StreamStopped,
    UploadFailed,
    UploadPlaylist,
    UploadSegment,
    WatchRun,
)
from streamkit.settings import EncoderSettings, SessionSettings
from streamkit.types import SourceInfo, SourceKind, StreamState, UnixTime, VideoSource


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StreamWorld:
    return StreamWorld(tmp_path, monkeypatch)


def test_a_publish_connects_at_once_and_asks_the_database_for_the_numbers_used_before(world: StreamWorld) -> None:
    world.publish()
    assert world.snapshot.state is StreamState.CONNECTING
    assert [feed.kind for feed in world.feeds] == ["pull"]
    assert world.database.of(RecallStream)


def test_a_publish_on_the_embedded_server_takes_the_publisher_that_is_connected(world: StreamWorld) -> None:
    world.publish(kind=SourceKind.INGEST)
    assert [feed.kind for feed in world.feeds] == ["ingest"]


def test_the_publisher_may_send_once_its_stream_is_joined(world: StreamWorld) -> None:
    joined: Future[PublishAnswer] = Future()
    world.tell(BeginPublish(publish=1, source=SourceKind.PULL, joined=joined))
    world.tell(SourceJoined(run=99))
    assert not joined.done()
    world.tell(SourceJoined(run=1))
    assert joined.result(0).refused is None


def test_a_publisher_of_the_embedded_server_need_not_wait(world: StreamWorld) -> None:
    joined: Future[PublishAnswer] = Future()
    world.tell(BeginPublish(publish=1, source=SourceKind.INGEST, joined=joined))
    assert joined.done()


def test_the_encoder_starts_when_source_and_numbers_are_known(world: StreamWorld) -> None:
    world.publish()
    world.detect()
    assert not world.encoders
    world.recall(epoch=1_700_000_000, sequence=500, discontinuity=7)
    assert len(world.encoders) == 1
    assert world.feeds[0].attached
    assert world.watchers[0].of(WatchRun)[0].first_sequence == 500


def test_a_database_that_is_away_delays_the_encoder_by_a_second_at_most(world: StreamWorld) -> None:
    world.publish()
    world.detect()
    world.pass_time(1.5)
    assert len(world.encoders) == 1


def test_the_first_segment_makes_it_live_and_playable(world: StreamWorld) -> None:
    world.go_live(segments=0)
    assert world.snapshot.state is StreamState.CONNECTING
    assert not world.snapshot.playlists
    world.segment(0)
    assert world.snapshot.state is StreamState.LIVE
    assert "720p.m3u8" in world.local("playlist.m3u8")
    assert "_720p_0.ts" in world.local("720p.m3u8")
    assert world.parent.of(PublisherFound)
    assert [row.state for row in world.database.of(SaveStream)][-1] is StreamState.LIVE


def test_the_bucket_lists_only_what_the_store_acknowledged_and_the_entry_point_last(world: StreamWorld) -> None:
    world.go_live(segments=1)
    assert world.uploaders[0].of(UploadSegment)
    assert not world.uploaders[0].of(UploadPlaylist)
    world.store_everything()
    names = [message.name for message in world.uploaders[0].of(UploadPlaylist)]
    assert set(names) == {"720p.m3u8", "480p.m3u8", "playlist.m3u8"}
    assert names[-1] == "playlist.m3u8"
    assert "_720p_0.ts" in world.bucket("720p.m3u8")


def test_a_publisher_that_comes_back_in_time_continues_the_session_with_a_discontinuity(world: StreamWorld) -> None:
    world.go_live(segments=2)
    session = world.snapshot.session
    world.tell(EndPublish(publish=1))
    assert world.feeds[0].closed
    assert world.snapshot.state is StreamState.RECONNECTING
    world.encoder_exits()
    world.pass_time(5)
    world.publish(2)
    world.detect()
    world.segment(2)
    assert world.snapshot.state is StreamState.LIVE
    assert world.snapshot.session == session
    playlist = world.local("720p.m3u8")
    assert playlist.count("#EXT-X-DISCONTINUITY\n") == 1
    assert "#EXT-X-ENDLIST" not in playlist
    assert "_720p_2.ts" in playlist


def test_without_a_goodbye_the_rtmp_server_is_asked_for_the_publisher(world: StreamWorld) -> None:
    world.go_live()
    world.tell(SourceClosed(run=1))
    assert world.snapshot.state is StreamState.RECONNECTING
    assert len(world.feeds) == 2
    assert world.parent.of(PublisherGone)


def test_when_the_window_passes_the_broadcast_ends_and_the_row_says_so(world: StreamWorld) -> None:
    world.go_live(segments=2)
    world.tell(EndPublish(publish=1))
    world.encoder_exits()
    world.pass_time(16)
    assert world.snapshot.state is StreamState.FINISHING
    assert "#EXT-X-ENDLIST" in world.local("720p.m3u8")
    assert world.parent.of(StreamSettled)
    world.store_everything()
    assert world.snapshot.state is StreamState.ENDED
    assert "#EXT-X-ENDLIST" in world.bucket("720p.m3u8")
    assert "#EXT-X-PLAYLIST-TYPE:VOD" in world.bucket(f"{world.snapshot.session}_720p.m3u8")
    assert world.database.of(SaveStream)[-1].state is StreamState.ENDED
    assert world.database.of(SaveStream)[-1].stopped_at is not None
    assert world.database.of(SaveSession)[-1].ended_at is not None


def test_a_late_segment_of_the_flushing_encoder_does_not_say_live_again(world: StreamWorld) -> None:
    world.go_live()
    world.tell(SourceClosed(run=1))
    world.segment(1)
    assert world.snapshot.state is StreamState.RECONNECTING
    assert "_720p_1.ts" in world.local("720p.m3u8")


def test_a_window_of_zero_ends_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = StreamWorld(tmp_path, monkeypatch, sessions=SessionSettings(reconnect_window=0.0))
    world.go_live()
    world.tell(EndPublish(publish=1))
    world.encoder_exits()
    world.store_everything()
    assert world.snapshot.state is StreamState.ENDED


def test_a_publisher_that_leaves_before_any_media_ends_without_an_error(world: StreamWorld) -> None:
    world.publish()
    world.tell(EndPublish(publish=1))
    assert world.snapshot.state is StreamState.ENDED
    assert world.snapshot.last_error is None
    assert world.parent.of(StreamSettled)


def test_a_key_that_never_sends_media_fails_with_the_reason(world: StreamWorld) -> None:
    world.publish()
    world.feeds[0].last_error = "cannot reach the RTMP server rtmp:1935: connection refused"
    world.pass_time(21)
    assert world.snapshot.state is StreamState.FAILED
    assert "connection refused" in (world.snapshot.last_error or "")
    assert world.database.of(SaveStream)[-1].state is StreamState.FAILED


def test_a_late_unpublish_changes_nothing(world: StreamWorld) -> None:
    world.publish(2)
    world.tell(EndPublish(publish=1))
    assert not world.feeds[0].closed


def test_words_of_an_older_connection_change_nothing(world: StreamWorld) -> None:
    world.go_live()
    world.tell(SourceClosed(run=99))
    assert world.snapshot.state is StreamState.LIVE
    source = world.snapshot.source
    assert source is not None
    world.tell(SourceDetected(run=99, source=source))
    assert len(world.encoders) == 1


def test_an_encoder_that_dies_is_restarted_in_the_same_session_after_a_pause(world: StreamWorld) -> None:
    world.go_live(segments=2)
    world.encoder_exits(returncode=-9)
    assert world.snapshot.state is StreamState.RECONNECTING
    assert len(world.encoders) == 1
    world.pass_time(11)
    assert len(world.encoders) == 2
    world.segment(2)
    assert world.snapshot.state is StreamState.LIVE
    assert world.snapshot.restarts == 1
    assert "killed" in (world.snapshot.last_error or "")


def test_an_encoder_that_keeps_dying_fails_the_stream_loudly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = StreamWorld(tmp_path, monkeypatch, encoder=EncoderSettings(max_failures=2))
    world.go_live()
    world.encoder_exits(returncode=1)
    world.pass_time(11)
    world.encoder_exits(returncode=1)
    assert world.snapshot.state is StreamState.FAILED
    world.store_everything()
    assert world.snapshot.state is StreamState.FAILED
    assert "#EXT-X-ENDLIST" in world.bucket("720p.m3u8")
    assert world.parent.of(StreamSettled)


def test_an_encoder_that_lives_but_does_not_move_is_killed_and_counts_as_failed(world: StreamWorld) -> None:
    world.go_live()
    world.progress(1.0)
    for second in range(12):
        world.feeds[0].bytes_received = second + 1
        world.feeds[0].newest_timestamp = 1000 * (second + 1)
        world.pass_time(1)
    assert world.encoders[0].killed
    world.encoder_exits(returncode=-9)
    assert "no progress" in (world.snapshot.last_error or "")


def test_an_encoder_whose_time_creeps_is_stalled(world: StreamWorld) -> None:
    world.go_live()
    world.progress(1.0)
    for second in range(12):
        world.feeds[0].bytes_received = second + 1
        world.progress(1.0 + second / 1000)
        world.pass_time(1)
    assert world.encoders[0].killed


def test_a_publisher_whose_timestamps_stand_still_is_named_as_the_cause(world: StreamWorld) -> None:
    world.go_live()
    world.progress(1.0)
    for second in range(12):
        world.feeds[0].bytes_received = second + 1
        world.pass_time(1)
    assert world.encoders[0].killed
    world.encoder_exits(returncode=-9)
    assert "timestamps of what the publisher sends stand still" in (world.snapshot.last_error or "")


def test_a_publisher_that_sends_nothing_counts_as_gone(world: StreamWorld) -> None:
    world.go_live()
    world.progress(1.0)
    world.pass_time(11)
    assert world.feeds[0].closed
    assert world.snapshot.state is StreamState.RECONNECTING
    assert not world.encoders[0].killed


def test_an_encoder_that_does_not_end_with_its_input_is_killed(world: StreamWorld) -> None:
    world.go_live()
    world.tell(EndPublish(publish=1))
    world.pass_time(6)
    assert world.encoders[0].killed


def test_a_source_that_the_ladder_cannot_take_fails_with_the_sentence(world: StreamWorld) -> None:
    world.publish()
    world.recall()
    video = VideoSource(codec="hevc", width=1280, height=720, fps=None)
    world.tell(SourceDetected(run=1, source=SourceInfo(video=video, audio=None)))
    assert world.snapshot.state is StreamState.FAILED
    assert "hevc" in (world.snapshot.last_error or "").lower()


def test_a_lost_file_is_named_as_a_gap_and_counted(world: StreamWorld) -> None:
    world.go_live(segments=2)
    name = f"segment_{world.snapshot.session}_720p_0.ts"
    world.tell(UploadFailed(name=name, attempt=1, error="the file is gone", gone=True))
    world.store_everything()
    assert world.snapshot.segments.lost == 1
    assert "#EXT-X-GAP" in world.bucket("720p.m3u8")


def test_a_key_that_publishes_again_while_its_uploads_drain_opens_a_new_session(world: StreamWorld) -> None:
    world.go_live(segments=2)
    first = world.snapshot.session
    world.tell(EndPublish(publish=1))
    world.encoder_exits()
    world.pass_time(16)
    world.publish(2)
    world.detect()
    world.segment(2)
    assert world.snapshot.state is StreamState.LIVE
    assert world.snapshot.session != first
    assert "#EXT-X-MEDIA-SEQUENCE:2\n" in world.local("720p.m3u8")
    world.store_everything()
    assert "#EXT-X-ENDLIST" in world.bucket(f"{first}_720p.m3u8")


def test_a_new_publish_waits_until_the_old_encoder_has_flushed(world: StreamWorld) -> None:
    world.go_live(segments=1)
    world.tell(EndPublish(publish=1))
    world.publish(2)
    world.detect()
    assert len(world.encoders) == 1
    world.segment(1)
    world.encoder_exits()
    assert len(world.encoders) == 2
    assert world.watchers[0].of(WatchRun)[-1].first_sequence == 2


def test_what_anybody_was_told_survives_a_power_loss(world: StreamWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    lasting = 0

    def sync(file: int) -> None:
        nonlocal lasting
        lasting = os.fstat(file).st_size

    monkeypatch.setattr(os, "fdatasync", sync)
    world.go_live(segments=1)
    journal = world.folder.parent / ".streamkit" / f"{KEY}.journal"
    assert "_720p_0.ts" in world.local("720p.m3u8")
    assert lasting == journal.stat().st_size, "before players are told of a number"
    world.store_everything()
    assert "_720p_0.ts" in world.bucket("720p.m3u8")
    assert lasting == journal.stat().st_size, "with the bucket's playlists"


def test_after_a_crash_the_journal_goes_on_with_the_same_numbers(world: StreamWorld) -> None:
    world.go_live(segments=3)
    session = world.snapshot.session
    world.actor = world.new_actor()
    world.tell(RecoverStream(publish=0, source=SourceKind.PULL))
    assert world.snapshot.session == session
    assert world.snapshot.state is StreamState.RECONNECTING
    assert len(world.uploaders[-1].of(UploadSegment)) == 6
    run = world.watchers[-1].of(WatchRun)[-1]
    assert run.first_sequence == 3
    assert world.watchers[-1].of(ScanFolder)
    world.tell(FolderScanned(run=run.run))
    world.detect()
    world.segment(3)
    assert world.snapshot.state is StreamState.LIVE
    assert "_720p_0.ts" in world.local("720p.m3u8")
    assert world.local("720p.m3u8").count("#EXT-X-DISCONTINUITY\n") == 1


def test_after_a_crash_without_a_publisher_the_broadcast_ends(world: StreamWorld) -> None:
    world.go_live(segments=1)
    world.actor = world.new_actor()
    world.tell(RecoverStream(publish=0, source=SourceKind.INGEST))
    world.tell(FolderScanned(run=world.watchers[-1].of(WatchRun)[-1].run))
    world.pass_time(16)
    world.store_everything()
    assert world.snapshot.state is StreamState.ENDED


def test_a_stop_of_the_service_ends_the_broadcast_and_says_when_all_is_stored(world: StreamWorld) -> None:
    world.go_live(segments=1)
    world.tell(ShutDown())
    assert world.feeds[0].closed
    world.segment(1)
    world.encoder_exits()
    assert not world.parent.of(StreamStopped)
    world.store_everything()
    assert world.parent.of(StreamStopped)
    assert "#EXT-X-ENDLIST" in world.bucket("720p.m3u8")
    assert world.database.of(SaveStream)[-1].state is StreamState.ENDED


def test_a_dead_uploader_is_replaced_and_given_everything_again(world: StreamWorld) -> None:
    world.go_live(segments=2)
    world.tell(ChildFailed(urn=world.uploaders[0].actor_urn, name="uploader", error="x"))
    assert len(world.uploaders[1].of(UploadSegment)) == 4


def test_a_dead_watcher_is_replaced_and_watches_the_same_run(world: StreamWorld) -> None:
    world.go_live()
    world.tell(ChildFailed(urn=world.watchers[0].actor_urn, name="watcher", error="x"))
    assert world.watchers[1].of(WatchRun) == world.watchers[0].of(WatchRun)


def test_an_ended_stream_cleans_its_disk_and_becomes_idle(world: StreamWorld) -> None:
    world.go_live(segments=2)
    world.tell(EndPublish(publish=1))
    world.encoder_exits()
    world.pass_time(16)
    world.store_everything()
    world.pass_time(120)
    world.pass_time(1)
    assert not list(world.folder.glob("*.ts"))
    assert world.parent.of(StreamIdle)
    assert KEY == "alice"


def test_a_failed_upload_is_shown_until_the_store_takes_something(world: StreamWorld) -> None:
    world.go_live()
    name = f"segment_{world.snapshot.session}_720p_0.ts"
    world.tell(UploadFailed(name=name, attempt=1, error="HTTP 500"))
    assert "HTTP 500" in (world.snapshot.last_error or "")
    world.store_everything()
    assert world.snapshot.last_error is None


def test_a_rendition_that_the_store_has_is_listed_in_the_bucket_before_the_others(world: StreamWorld) -> None:
    world.go_live(segments=2)
    world.store_everything()
    world.segment(2)
    name = f"segment_{world.snapshot.session}_480p_2.ts"
    world.tell(ObjectStored(name=name, version=0, stored_at=UnixTime(world.clock.time())))
    assert name in world.bucket("480p.m3u8")
    assert "_720p_2.ts" not in world.bucket("720p.m3u8")
    puts = len(world.uploaders[0].of(UploadPlaylist))
    world.store_everything()
    assert "_720p_2.ts" in world.bucket("720p.m3u8")
    assert len(world.uploaders[0].of(UploadPlaylist)) == puts + 1  # the 480p playlist has nothing new to say


def test_a_start_after_an_orderly_stop_changes_nothing_about_the_past(world: StreamWorld) -> None:
    world.go_live(segments=1)
    world.tell(ShutDown())
    world.encoder_exits()
    world.store_everything()
    before = world.database.of(SaveStream)[-1]
    world.clock.now += 100
    world.actor = world.new_actor()
    world.tell(RecoverStream(publish=0, source=SourceKind.PULL))
    world.pass_time(1)
    assert world.snapshot.state is StreamState.ENDED
    after = world.database.of(SaveStream)[-1]
    assert (after.state, after.started_at, after.stopped_at) == (before.state, before.started_at, before.stopped_at)


def test_uploads_that_a_stop_left_go_on_without_the_stream_counting_as_active(world: StreamWorld) -> None:
    world.go_live(segments=2)
    world.tell(ShutDown())
    world.encoder_exits()
    world.actor = world.new_actor()
    world.tell(RecoverStream(publish=0, source=SourceKind.PULL))
    assert world.snapshot.state is StreamState.ENDED
    assert len(world.uploaders[-1].of(UploadSegment)) == 4
    world.store_everything()
    assert "#EXT-X-ENDLIST" in world.bucket("720p.m3u8")
    assert "#EXT-X-PLAYLIST-TYPE:VOD" in world.bucket(f"{world.snapshot.session}_720p.m3u8")
