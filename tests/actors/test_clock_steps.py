"""Somebody sets the system's clock, by hand or NTP after a boot: nothing waits for it, and dates go on."""

import re
from datetime import datetime
from pathlib import Path

import pytest
from fakes.stream_world import KEY, StreamWorld

from streamkit.messages import EndPublish
from streamkit.types import StreamState

HOUR = 3600.0
STEPS = pytest.mark.parametrize("step", [HOUR, -HOUR], ids=["forward", "back"])


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StreamWorld:
    made = StreamWorld(tmp_path, monkeypatch, hls={"release_deadline": 4.0, "window": 30.0})
    made.go_live()
    return made


def dates(world: StreamWorld) -> list[float]:
    found = re.findall(r"#EXT-X-PROGRAM-DATE-TIME:(\S+)", world.local("480p.m3u8"))
    return [datetime.fromisoformat(date).timestamp() for date in found]


@STEPS
def test_a_late_rendition_is_waited_for_as_long_as_ever(world: StreamWorld, step: float) -> None:
    world.pass_time(2)
    world.segment(1, ("480p",))
    world.clock.step = step
    world.pass_time(2)
    assert "_1.ts" not in world.local("480p.m3u8"), "the deadline has not passed"
    world.pass_time(3)
    assert "_1.ts" in world.local("480p.m3u8"), "it has passed"


@STEPS
def test_dates_go_on_when_the_clock_is_set(world: StreamWorld, step: float) -> None:
    for sequence in (1, 2):
        world.pass_time(2)
        world.segment(sequence)
    world.clock.step = step
    world.encoder_exits(returncode=1)
    for _ in range(20):
        world.pass_time(1)
    for sequence in (3, 4):
        world.pass_time(2)
        world.segment(sequence)
    first, second = dates(world)
    assert 0 < second - first < 60


@STEPS
def test_the_publisher_has_as_long_as_ever_to_come_back(world: StreamWorld, step: float) -> None:
    world.tell(EndPublish(publish=1))
    world.encoder_exits()
    world.clock.step = step
    world.pass_time(10)
    assert world.snapshot.state is StreamState.RECONNECTING
    world.pass_time(6)
    assert world.snapshot.state is not StreamState.RECONNECTING


@STEPS
def test_local_files_stay_as_long_as_ever(world: StreamWorld, step: float) -> None:
    for sequence in range(1, 20):
        world.pass_time(2)
        world.segment(sequence)
        world.store_everything()
    first = sorted((world.folder).glob("*_480p_0.ts"))
    world.clock.step = step
    world.pass_time(1)
    assert first[0].exists(), "a player may still be asking for it"
    for sequence in range(20, 80):
        world.pass_time(2)
        world.segment(sequence)
        world.store_everything()
    assert not first[0].exists()


@STEPS
def test_the_lag_of_uploads_is_no_hour(world: StreamWorld, step: float) -> None:
    world.clock.step = step
    world.pass_time(2)
    world.segment(1)
    assert 0 <= world.snapshot.upload_lag < 10
    assert KEY in world.snapshot.key
