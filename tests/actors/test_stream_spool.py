"""A stream whose segments the object store does not take: what waits, what is given up, what playlists say of it."""

from pathlib import Path

import pytest
from fakes.stream_world import StreamWorld

from streamkit.hls.segments import SegmentState
from streamkit.messages import GiveUpSegments, SaveSegment, SegmentsGivenUp, UploadSegment

BUDGET = 188 * 2 * 20  # bytes: 20 numbers of both renditions


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StreamWorld:
    return StreamWorld(tmp_path, monkeypatch, limits={"spool_bytes": BUDGET}, hls={"window": 6.0, "local_grace": 10.0})


def go_on(world: StreamWorld, numbers: range) -> None:
    for number in numbers:
        world.segment(number)
        world.progress(2.0 * number)
        world.pass_time(2.0)


def asked(world: StreamWorld) -> list[str]:
    names = (name for ref in world.uploaders for message in ref.of(GiveUpSegments) for name in message.names)
    return list(dict.fromkeys(names))


def test_what_waits_is_counted_and_nothing_of_it_goes_within_the_budget(world: StreamWorld) -> None:
    world.go_live(segments=0)
    go_on(world, range(20))
    counts = world.services.spool.counts
    assert (counts.segments, counts.bytes, counts.given_up) == (40, BUDGET, 0)
    assert not asked(world)
    world.store_everything()
    world.pass_time(1.0)
    assert world.services.spool.counts.segments == 0


def test_past_the_budget_the_oldest_that_no_playlist_here_needs_are_given_up(world: StreamWorld) -> None:
    world.go_live(segments=0)
    go_on(world, range(26))
    names = asked(world)
    assert names
    assert names[:2] == [m.name for m in world.uploaders[0].of(UploadSegment)][:2]
    assert not {line for line in world.local("720p.m3u8").splitlines() if line in names}


def test_what_was_given_up_is_a_gap_a_row_and_a_number_and_off_the_disk(world: StreamWorld) -> None:
    world.go_live(segments=0)
    go_on(world, range(26))
    names = tuple(asked(world)[:4])
    world.tell(SegmentsGivenUp(names=names))
    world.pass_time(1.0)
    assert world.snapshot.segments.lost == world.services.spool.counts.given_up == 4
    assert "4 segments were given up" in str(world.snapshot.last_error)
    assert not [name for name in names if (world.folder / name).exists()]
    rows = [row for row in world.database.of(SaveSegment) if row.state == SegmentState.LOST.value]
    assert {row.name for row in rows} == set(names)
    world.store_everything()
    bucket = world.bucket("720p.m3u8")
    assert "#EXT-X-GAP" not in bucket or bucket.count("#EXT-X-GAP") <= 2


def test_only_what_nobody_could_play_is_given_up_however_small_the_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = StreamWorld(tmp_path, monkeypatch, limits={"spool_bytes": 1}, hls={"window": 6.0, "local_grace": 10.0})
    world.go_live(segments=0)
    go_on(world, range(26))
    listed = [line for line in world.local("720p.m3u8").splitlines() if line.endswith(".ts")]
    assert listed
    assert not set(listed) & set(asked(world))
    assert all((world.folder / name).exists() for name in listed)


def test_a_stream_that_is_gone_counts_no_more(world: StreamWorld) -> None:
    world.go_live(segments=0)
    go_on(world, range(3))
    world.actor.on_exit(None)
    assert world.services.spool.counts.segments == 0
