"""A StreamActor whose encoder is too slow, and what all streams together may take."""

from pathlib import Path

import pytest
from fakes.stream_world import SLATE, FakeClock, StreamWorld

from actors import shedding
from actors.shedding import SETTLE, LoadGate
from streamkit.ffmpeg.progress import Progress
from streamkit.messages import EncoderProgressed, EndPublish, SourceChanged
from streamkit.settings import SessionSettings
from streamkit.settings_overload import OverloadSettings
from streamkit.types import RenditionName, Seconds, StreamKey, StreamState

ALICE, BOB = StreamKey("alice"), StreamKey("bob")
TOP = (RenditionName("720p"),)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StreamWorld:
    made = StreamWorld(tmp_path, monkeypatch, overload={"shed_after": 10.0, "restore_after": 30.0})
    made.go_live()
    return made


def encode(world: StreamWorld, seconds: int, pace: float, *, is_behind: bool) -> None:
    """Let time pass, with the encoder at this pace."""
    world.feeds[-1].is_behind = is_behind
    for second in range(1, seconds + 1):
        world.tell(
            EncoderProgressed(run=world.encoders[-1].run, progress=Progress(out_time=Seconds(100 + second * pace)))
        )
        world.feeds[-1].bytes_received += 1000
        world.pass_time(1)


def begin_another_run(world: StreamWorld) -> None:
    """Do what the feed does when it was asked for that."""
    world.tell(SourceChanged(run=world.feeds[-1].number))
    world.encoder_exits()
    world.detect()


def encoded(world: StreamWorld) -> list[str]:
    return [rendition.name for rendition in world.snapshot.renditions]


def test_a_stream_that_falls_behind_gives_up_its_costliest_rendition_and_gets_it_back(
    world: StreamWorld, caplog: pytest.LogCaptureFixture
) -> None:
    everything = encoded(world)
    encode(world, 8, 0.5, is_behind=True)
    assert world.feeds[-1].renewed == 0
    encode(world, 8, 0.5, is_behind=True)
    assert world.feeds[-1].renewed == 1
    begin_another_run(world)
    assert encoded(world) == everything[1:]
    assert world.snapshot.shed == (everything[0],)
    world.segment(1, ("480p",))
    assert world.snapshot.state is StreamState.LIVE
    encode(world, 45, 1.0, is_behind=False)
    assert world.feeds[-1].renewed == 2
    begin_another_run(world)
    assert encoded(world) == everything
    assert world.snapshot.shed == ()
    said = [record.getMessage() for record in caplog.records if record.name == "actors.shedding"]
    assert said == [
        f"FFmpeg is slower than real time: gives up {everything[0]}",
        f"FFmpeg keeps up again: brings back {everything[0]}",
    ]


def test_players_of_the_multivariant_playlist_are_not_offered_what_was_given_up(world: StreamWorld) -> None:
    assert "720p.m3u8" in world.local("playlist.m3u8")
    encode(world, 16, 0.5, is_behind=True)
    begin_another_run(world)
    for sequence in (1, 2, 3, 4):
        world.segment(sequence, ("480p",))
    entry = world.local("playlist.m3u8")
    assert "480p.m3u8" in entry
    assert "720p.m3u8" not in entry
    assert "#EXT-X-STREAM-INF" in entry, "a player that reads it again still finds a multivariant playlist"
    assert "#EXT-X-GAP" in world.local("720p.m3u8")


def test_a_source_that_sends_slowly_costs_no_rendition(world: StreamWorld) -> None:
    encode(world, 60, 0.5, is_behind=False)
    assert world.feeds[-1].renewed == 0


def test_a_publisher_that_left_a_slow_encoder_costs_the_slate_no_rendition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = SessionSettings(slate=SLATE, reconnect_window=60)
    world = StreamWorld(tmp_path, monkeypatch, overload={"shed_after": 10.0}, sessions=sessions)
    world.go_live()
    encode(world, 8, 0.5, is_behind=True)
    world.tell(EndPublish(publish=1))
    world.encoder_exits()
    for second in range(1, 20):
        world.tell(EncoderProgressed(run=world.encoders[-1].run, progress=Progress(out_time=Seconds(second))))
        world.pass_time(1)
    assert world.snapshot.slate
    assert world.snapshot.shed == ()


def test_the_costliest_of_the_slow_streams_is_the_one_that_gives_up_something_and_alone() -> None:
    gate = LoadGate()
    assert gate.may_shed(ALICE, 2.0, now=100)
    assert not gate.may_shed(BOB, 1.0, now=101), "what alice freed may be enough"
    assert not gate.may_shed(BOB, 1.0, now=100 + SETTLE - 0.1)
    gate.may_shed(ALICE, 2.0, now=100 + SETTLE - 0.1)
    assert not gate.may_shed(BOB, 1.0, now=100 + SETTLE), "alice is costlier"
    assert gate.may_shed(BOB, 1.0, now=100 + SETTLE + 60), "alice is not slow any more"


def test_new_streams_are_refused_while_one_does_without_something() -> None:
    gate = LoadGate()
    assert gate.refusal() is None
    gate.note(ALICE, TOP)
    assert "alice already goes without a rendition" in str(gate.refusal())
    gate.note(ALICE, ())
    assert gate.refusal() is None
    lenient = LoadGate(OverloadSettings(refuse=False))
    lenient.note(ALICE, TOP)
    assert lenient.refusal() is None


def test_new_streams_are_refused_while_the_processors_are_busier_than_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stat = tmp_path / "stat"
    monkeypatch.setattr(shedding, "_PROC_STAT", stat)
    clock = FakeClock()
    monkeypatch.setattr(shedding, "time", clock)
    clock.now += 110 - clock.monotonic()
    gate = LoadGate(OverloadSettings(max_cpu=0.8))
    for now, line in ((100, "cpu 0 0 0 0 0 0 0 0 0 0"), (110, "cpu 70 20 0 10 0 0 0 0 0 0")):
        stat.write_text(f"{line}\ncpu0 1 1 1 1\n")
        gate.sample(now)
    assert gate.refusal() == "90% of the processors are busy, overload.max_cpu is 0.8"
    stat.write_text("cpu 80 20 0 100 0 0 0 0 0 0\n")
    clock.now += 2
    assert gate.refusal() is not None, "not looked at again so soon"
    clock.now += 4
    assert gate.refusal() is None, "also when no stream is left that would look"


def test_a_machine_without_proc_refuses_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shedding, "_PROC_STAT", tmp_path / "none")
    gate = LoadGate(OverloadSettings(max_cpu=0.1))
    gate.sample(100)
    gate.sample(200)
    assert gate.refusal() is None
