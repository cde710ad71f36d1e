"""A stream in fMP4: what a segment needs is in the store before the segment, and on disk as long as it is needed."""

from pathlib import Path

import pytest
from fakes.stream_world import StreamWorld

from streamkit.messages import (
    ChildFailed,
    EndPublish,
    FolderScanned,
    ObjectStored,
    RecoverStream,
    SaveSession,
    StreamIdle,
    UploadFailed,
    UploadPlaylist,
    UploadSegment,
    WatchRun,
)
from streamkit.settings import HlsSettings
from streamkit.types import SegmentFormat, SourceKind, StreamState, UnixTime


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StreamWorld:
    return StreamWorld(tmp_path, monkeypatch, hls=HlsSettings(segment_format=SegmentFormat.FMP4))


def uploads(world: StreamWorld, uploader: int = -1) -> list[str]:
    return [message.name for message in world.uploaders[uploader].of(UploadSegment)]


def store(world: StreamWorld, name: str) -> None:
    world.tell(ObjectStored(name=name, version=0, stored_at=UnixTime(world.clock.time())))


def init(world: StreamWorld, rendition: str, first: int = 0) -> str:
    return f"init_{world.snapshot.session}_{rendition}_{first}.mp4"


def segment(world: StreamWorld, rendition: str, number: int) -> str:
    return f"segment_{world.snapshot.session}_{rendition}_{number}.m4s"


def test_the_encoder_writes_fmp4(world: StreamWorld) -> None:
    world.go_live()
    argv = world.encoders[0].argv
    assert init(world, "720p") in argv
    assert f'URI="{init(world, "720p")}"' in world.local("720p.m3u8")


def test_a_segment_is_sent_when_the_store_has_what_it_needs(world: StreamWorld) -> None:
    world.go_live(segments=2)
    assert uploads(world) == [init(world, "720p"), init(world, "480p")]
    store(world, init(world, "720p"))
    assert uploads(world)[2:] == [segment(world, "720p", 0), segment(world, "720p", 1)]
    store(world, init(world, "480p"))
    world.segment(2)
    assert uploads(world)[-2:] == [segment(world, "720p", 2), segment(world, "480p", 2)]
    assert not world.uploaders[0].of(UploadPlaylist)
    world.store_everything()
    assert segment(world, "720p", 2) in world.bucket("720p.m3u8")
    assert world.snapshot.segments.uploaded == 6


def test_every_run_brings_what_its_segments_need(world: StreamWorld) -> None:
    world.go_live(segments=2)
    world.store_everything()
    world.tell(EndPublish(publish=1))
    world.encoder_exits()
    world.publish(2)
    world.detect()
    world.segment(2)
    assert uploads(world)[-2:] == [init(world, "720p", 2), init(world, "480p", 2)]
    world.store_everything()
    playlist = world.bucket("720p.m3u8")
    assert f'#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI="{init(world, "720p", 2)}"\n' in playlist


def test_an_uploader_that_dies_is_told_again_what_segments_need(world: StreamWorld) -> None:
    world.go_live()
    world.tell(ChildFailed(urn=world.uploaders[0].actor_urn, name="uploader", error="bug"))
    assert len(world.uploaders) == 2
    assert uploads(world) == [init(world, "720p"), init(world, "480p")]
    world.store_everything()
    assert world.snapshot.segments.uploaded == 2


def test_segments_whose_initialization_section_is_gone_are_named_as_lost(world: StreamWorld) -> None:
    world.go_live(segments=2)
    world.tell(UploadFailed(name=init(world, "720p"), attempt=1, error="the file is gone", gone=True))
    assert world.snapshot.segments.lost == 2
    store(world, init(world, "480p"))
    store(world, segment(world, "480p", 0))
    assert "EXT-X-GAP" in world.bucket("720p.m3u8")
    assert "EXT-X-MAP" not in world.bucket("720p.m3u8")


def test_after_a_crash_what_segments_need_is_uploaded_before_them(world: StreamWorld) -> None:
    world.go_live(segments=2)
    world.actor = world.new_actor()
    world.tell(RecoverStream(publish=0, source=SourceKind.PULL))
    assert sorted(uploads(world)) == sorted([init(world, "720p"), init(world, "480p")])
    world.store_everything()
    assert world.snapshot.segments.uploaded == 4
    assert f'URI="{init(world, "480p")}"' in world.bucket("480p.m3u8")


def test_files_are_deleted_with_what_they_needed(world: StreamWorld) -> None:
    world.go_live(segments=2)
    for rendition in ("720p", "480p"):
        (world.folder / init(world, rendition)).write_bytes(b"init")
    world.store_everything()
    world.pass_time(100)
    assert (world.folder / init(world, "720p")).exists()
    world.tell(EndPublish(publish=1))
    world.encoder_exits()
    world.pass_time(16)
    world.store_everything()
    world.pass_time(120)
    world.pass_time(1)
    world.pass_time(1)
    assert not world.folder.exists()
    assert world.parent.of(StreamIdle)


def test_a_broadcast_in_another_container_than_now_configured_ends_and_a_new_one_begins(world: StreamWorld) -> None:
    world.go_live(segments=2)
    before = world.snapshot.session
    settings = world.services.settings
    hls = settings.hls.model_copy(update={"segment_format": SegmentFormat.MPEGTS})
    world.services.settings = settings.model_copy(update={"hls": hls})
    world.clock.now += 3600
    world.actor = world.new_actor()
    world.tell(RecoverStream(publish=0, source=SourceKind.PULL))
    world.tell(FolderScanned(run=world.watchers[-1].of(WatchRun)[-1].run))
    world.detect()
    assert world.snapshot.session != before
    ended, begun = world.database.of(SaveSession)[0], world.database.of(SaveSession)[-1]
    assert begun.started_at == world.clock.time() > ended.started_at, "an hour later"
    assert [row for row in world.database.of(SaveSession) if row.session == before][-1].state is StreamState.ENDED
    world.segment(2)
    assert world.snapshot.state is StreamState.LIVE
    assert "#EXT-X-MEDIA-SEQUENCE:2\n" in world.local("720p.m3u8")
    assert "EXT-X-MAP" not in world.local("720p.m3u8")
    world.store_everything()
    assert "#EXT-X-ENDLIST" in world.bucket(f"{before}_720p.m3u8")
