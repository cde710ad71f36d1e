"""A stream whose rows the database could not keep: they are told again until they are all written."""

from pathlib import Path

import pytest
from fakes.stream_world import StreamWorld

from actors import written
from streamkit.messages import (
    ConfirmRows,
    EndPublish,
    FolderScanned,
    RecoverStream,
    RowsSettled,
    SaveSegment,
    SaveSession,
    StreamIdle,
)
from streamkit.types import SourceKind, StreamState


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StreamWorld:
    world = StreamWorld(tmp_path, monkeypatch, sessions={"reconnect_window": 0.0}, hls={"local_grace": 0.0})
    world.database_answers = False
    return world


def asked(world: StreamWorld) -> ConfirmRows:
    return world.database.of(ConfirmRows)[-1]


def answer(world: StreamWorld, *, is_complete: bool) -> None:
    world.tell(RowsSettled(mark=asked(world).mark, is_complete=is_complete))


def told(world: StreamWorld, since: int) -> list[tuple[str, str]]:
    return [(row.name, row.state) for row in world.database.of(SaveSegment)[since:]]


def test_rows_that_were_dropped_are_told_again_as_they_are_now(world: StreamWorld) -> None:
    world.go_live(segments=5)
    world.pass_time(1.0)
    world.store_everything()
    before = len(world.database.of(SaveSegment))
    answer(world, is_complete=False)
    again = told(world, before)
    assert len(again) == 10
    assert {state for _, state in again} == {"uploaded"}
    answer(world, is_complete=True)
    answer(world, is_complete=True)
    assert told(world, before) == again


def test_rows_are_told_again_to_a_database_actor_that_took_the_place_of_another(world: StreamWorld) -> None:
    world.go_live(segments=2)
    world.pass_time(1.0)
    world.tell(RowsSettled(mark=0, is_complete=True, by="the first"))
    before = len(world.database.of(SaveSegment))
    world.tell(RowsSettled(mark=asked(world).mark, is_complete=True, by="the second"))
    assert len(told(world, before)) == 4


def test_many_rows_are_told_again_a_piece_at_a_time(world: StreamWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(written, "PIECE", 4)
    world.go_live(segments=5)
    world.pass_time(1.0)
    names: list[list[str]] = []
    for is_complete in (False, True, False, True, True):
        before = len(world.database.of(SaveSegment))
        answer(world, is_complete=is_complete)
        names.append([name for name, _ in told(world, before)])
    assert [len(piece) for piece in names] == [4, 4, 4, 2, 0]
    assert names[1] == names[2], "a piece that was dropped itself is told once more"
    assert len({name for piece in names for name in piece}) == 10


def test_what_was_confirmed_for_good_is_not_told_again(world: StreamWorld) -> None:
    world.go_live(segments=5)
    world.store_everything()
    world.pass_time(1.0)
    answer(world, is_complete=True)
    world.segment(5)
    world.pass_time(written.ASK_EVERY)
    before = len(world.database.of(SaveSegment))
    answer(world, is_complete=False)
    assert {name.rpartition("_")[2] for name, _ in told(world, before)} == {"5.ts"}


def end(world: StreamWorld) -> None:
    world.tell(EndPublish(publish=1))
    world.encoder_exits()
    world.store_everything()
    for _ in range(90):
        world.pass_time(5.0)
        world.store_everything()


def test_a_stream_is_not_forgotten_before_its_rows_are_written(world: StreamWorld) -> None:
    world.go_live(segments=3)
    end(world)
    assert not world.parent.of(StreamIdle)
    assert journal(world).count("\n") > 1
    answer(world, is_complete=True)
    world.pass_time(20.0)
    assert world.parent.of(StreamIdle)
    assert journal(world).count("\n") == 1


def test_after_a_crash_everything_in_the_journal_is_told_again(world: StreamWorld) -> None:
    world.go_live(segments=3)
    end(world)
    rows = len(world.database.of(SaveSegment))
    sessions = len(world.database.of(SaveSession))
    ended = [row for row in world.database.of(SaveSession) if row.state is StreamState.ENDED][-1]
    world.actor = world.new_actor()
    world.tell(RecoverStream(publish=1, source=SourceKind.PULL))
    world.tell(FolderScanned(run=0))
    world.pass_time(1.0)
    assert len(told(world, rows)) == 6
    (late,) = world.database.of(SaveSession)[sessions:]
    assert (late.session, late.state, late.ended_at) == (ended.session, StreamState.ENDED, ended.ended_at)
    assert late.revision <= ended.revision, "the reason that was written at its end stays"


def journal(world: StreamWorld) -> str:
    return str(world.services.journal_path("alice").read_text())
