"""The journal: what was appended comes back; a torn end is normal; damage is loud."""

import json
import os
from fractions import Fraction
from pathlib import Path
from typing import NoReturn

import pytest
from hls_kit import Stream, rung

from streamkit.hls.events import (
    Event,
    FilesDeleted,
    RunBegun,
    SegmentAcknowledged,
    SegmentRecorded,
    SessionEnded,
    from_record,
    to_record,
)
from streamkit.hls.journal import Journal, replay
from streamkit.hls.render import render_view, render_vod
from streamkit.hls.segments import View
from streamkit.types import MediaSequence, RenditionName, SessionId


def events_of_every_kind() -> list[Event]:
    stream = Stream()
    stream.record(stream.ledger.restore(epoch=5, next_sequence=7, next_discontinuity=1))  # type: ignore[arg-type]
    stream.open("720p", "480p")
    stream.make(range(7, 9), "720p", "480p")
    stream.close("720p", 9)
    stream.close("720p", 10)
    stream.record(stream.ledger.lose(stream.name("720p", 9), stream.time))
    stream.wait(4)
    stream.record(stream.ledger.end_run(stream.time))
    stream.record(stream.ledger.end_session(stream.time))
    assert stream.ledger.session is not None
    stream.record(stream.ledger.archive(stream.ledger.session))
    stream.now += 60
    stream.record(stream.ledger.files_deleted(stream.ledger.expired_local(stream.time, 60.0)))  # type: ignore[arg-type]
    assert len({type(event) for event in stream.events}) == 11
    return stream.events


def read(path: Path) -> tuple[list[Event], str | None]:
    events: list[Event] = []
    return events, replay(path, events.append)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.ndjson"


def write(path: Path, events: list[Event]) -> None:
    journal = Journal(path)
    for event in events:
        journal.append(event)
    journal.close()


def test_every_kind_of_event_comes_back_as_it_was(path: Path) -> None:
    events = events_of_every_kind()
    write(path, events)
    assert read(path) == (events, None)


def test_the_journal_is_one_json_object_a_line(path: Path) -> None:
    events = events_of_every_kind()
    write(path, events)
    lines = path.read_text().splitlines()
    assert [from_record(json.loads(line)) for line in lines] == events


def test_a_missing_journal_is_an_empty_one(path: Path) -> None:
    assert read(path) == ([], None)


def test_appending_goes_on_after_a_restart(path: Path) -> None:
    events = events_of_every_kind()
    write(path, events[:4])
    write(path, events[4:])
    assert read(path) == (events, None)


@pytest.mark.parametrize("kept", [0, 1, 30, -1])
def test_a_torn_last_line_is_left_out_and_the_next_start_writes_on_after_the_whole_ones(path: Path, kept: int) -> None:
    events = events_of_every_kind()
    write(path, events)
    last = path.read_bytes().splitlines(keepends=True)[-1]
    os.truncate(path, path.stat().st_size - len(last) + (kept if kept >= 0 else len(last) - 1))
    assert read(path) == (events[:-1], None)
    write(path, events[-1:])
    assert read(path) == (events, None)
    assert not path.with_name("journal.ndjson.bad").exists()


@pytest.mark.parametrize("torn", [b"\0\0\0\0\0\0", b"\0\0\0\n", b'{"event":"closed"}\n', b"{"])
def test_garbage_that_a_power_cut_left_at_the_end_is_cut_off(path: Path, torn: bytes) -> None:
    events = events_of_every_kind()
    write(path, events)
    with path.open("ab") as file:
        file.write(torn)
    assert read(path) == (events, None)
    write(path, events)
    assert read(path) == (events + events, None)


def test_a_journal_that_is_one_torn_line_becomes_empty(path: Path) -> None:
    path.write_bytes(b'{"event":"run_')
    assert read(path) == ([], None)
    Journal(path).close()
    assert path.read_bytes() == b""


def test_damage_in_the_middle_is_said_the_rest_is_kept_and_so_is_a_copy(path: Path) -> None:
    events = events_of_every_kind()
    write(path, events)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[3] = lines[3][:20] + b"\xff" + lines[3][21:]
    path.write_bytes(b"".join(lines))
    found, damage = read(path)
    assert found == events[:3] + events[4:]
    assert damage is not None
    assert damage.startswith(f"1 of {len(events)} lines of journal.ndjson cannot be read")
    assert "line 4" in damage
    assert path.with_name("journal.ndjson.bad").read_bytes() == b"".join(lines)


def test_numbers_do_not_go_back_even_when_the_lines_that_began_a_session_are_damaged() -> None:
    stream = Stream()
    stream.open("720p")
    stream.make(range(50), "720p")
    ledger = Stream().ledger
    for event in stream.events[2:]:
        ledger.apply(event)
    assert ledger.counters().next_sequence == 50


@pytest.mark.parametrize(
    "record",
    [
        [],
        {},
        {"event": "unknown"},
        {"event": ["closed"]},
        {"event": "archived"},
        {"event": "archived", "session": 1},
        {"event": "archived", "session": "s", "more": 1},
        {"event": "deleted", "names": "abc"},
        {"event": "deleted", "names": [1]},
        {"event": "forced", "view": "moon", "sequence": 1, "at": 1},
        {"event": "forced", "view": "local", "sequence": -1, "at": 1},
        {"event": "forced", "view": "local", "sequence": True, "at": 1},
        {"event": "forced", "view": "local", "sequence": 1, "at": "now"},
        {"event": "forced", "view": "local", "sequence": 1, "at": float("inf")},
        {"event": "run_begun", "session": "s", "first": 0, "discontinuity": 0, "renditions": [{"name": "x"}]},
        {"event": "run_begun", "session": "s", "first": 0, "discontinuity": 0, "renditions": [1]},
    ],
    ids=str,
)
def test_a_record_that_is_no_event_is_refused(record: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any reason will do
        from_record(record)


def test_frame_rates_stay_exact(path: Path) -> None:
    event = RunBegun(
        session=SessionId("s1nmkmg0"),
        first=MediaSequence(0),
        discontinuity=0,
        renditions=(rung("720p", fps=Fraction(30000, 1001)), rung("audio", fps=None)),
    )
    assert from_record(json.loads(json.dumps(to_record(event)))) == event


def test_compaction_replaces_everything_and_appending_goes_on(path: Path) -> None:
    stream = Stream()
    stream.open("720p")
    stream.make(range(5), "720p")
    journal = Journal(path)
    journal.append(*stream.events)
    counters = stream.ledger.counters()
    journal.compact((counters,))
    opened = stream.ledger.open_session(stream.time)
    journal.append(opened)
    journal.close()
    assert read(path) == ([counters, opened], None)
    assert os.listdir(path.parent) == ["journal.ndjson"]


def test_a_leftover_of_an_interrupted_compaction_does_no_harm(path: Path) -> None:
    path.with_name("journal.ndjson.new").write_bytes(b"half a li")
    events = events_of_every_kind()
    journal = Journal(path)
    journal.append(*events)
    journal.compact(events[:2])
    journal.close()
    assert read(path) == (events[:2], None)


def test_a_full_disk_leaves_the_journal_whole(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = events_of_every_kind()
    journal = Journal(path)
    journal.append(events[0])
    real = os.write

    def half(file: int, data: bytes) -> int:
        monkeypatch.setattr(os, "write", full)
        return real(file, data[: len(data) // 2])

    def full(file: int, data: bytes) -> NoReturn:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(OSError, match="No space"):
        journal.append(events[1])
    monkeypatch.setattr(os, "write", real)
    journal.append(events[2])
    journal.close()
    assert read(path) == ([events[0], events[2]], None)


def test_what_must_survive_a_power_cut_waits_for_the_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    journal = Journal(path)
    closed = SegmentRecorded(
        session=SessionId("s1nmkmg0"),
        rendition=RenditionName("720p"),
        sequence=MediaSequence(1),
        size=1,
        duration=2.0,  # type: ignore[arg-type]
        closed_at=1.0,  # type: ignore[arg-type]
    )
    journal.append(SessionEnded(session=SessionId("s1nmkmg0"), at=1.0))  # type: ignore[arg-type]
    assert len(synced) == 1
    journal.append(closed)
    journal.append(FilesDeleted(names=("segment_s1nmkmg0_720p_1.ts",)))
    assert len(synced) == 1
    journal.sync_numbers()
    journal.sync_numbers()
    journal.sync()
    assert len(synced) == 2
    stored = SegmentAcknowledged(
        session=closed.session,
        rendition=closed.rendition,
        sequence=closed.sequence,
        at=2.0,  # type: ignore[arg-type]
    )
    journal.append(stored)
    journal.sync_numbers()
    assert len(synced) == 2, "an acknowledgement uses no number"
    journal.sync()
    journal.sync()
    assert len(synced) == 3
    journal.close()


def test_a_replayed_ledger_renders_the_same_bytes(path: Path) -> None:
    stream = Stream()
    stream.open("720p", "480p")
    stream.make(range(9), "720p", "480p")
    stream.run("720p")
    stream.make(range(9, 12), "720p", upload=False)
    write(path, stream.events)
    again = Stream().ledger
    assert replay(path, again.apply) is None
    for view in View:
        assert render_view(again, view) == render_view(stream.ledger, view)
    assert render_vod(again) == render_vod(stream.ledger)
    assert again.pending() == stream.ledger.pending()
    assert again.counters() == stream.ledger.counters()
