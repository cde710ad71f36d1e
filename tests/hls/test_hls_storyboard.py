"""The storyboard's index: what time which rectangle of which sheet stands for."""

import json

from streamkit.hls.events import SheetStored, from_record, to_record
from streamkit.hls.storyboard import render_storyboard
from streamkit.types import SessionId


def sheet(number: int, *starts: int, columns: int = 2) -> SheetStored:
    return SheetStored(
        session=SessionId("s1nmkmg0"),
        number=number,
        columns=columns,
        width=150,
        height=84,
        cell_width=160,
        cell_height=96,
        starts=starts,
    )


def test_each_picture_stands_until_the_next_one_and_the_last_to_the_end() -> None:
    text = render_storyboard([sheet(0, 0, 10_000, 20_033), sheet(1, 3_600_000)], end_ms=3_604_500)
    assert text.splitlines() == [
        "WEBVTT",
        "",
        "00:00:00.000 --> 00:00:10.000",
        "storyboard_s1nmkmg0_0.jpg#xywh=0,0,150,84",
        "",
        "00:00:10.000 --> 00:00:20.033",
        "storyboard_s1nmkmg0_0.jpg#xywh=160,0,150,84",
        "",
        "00:00:20.033 --> 01:00:00.000",
        "storyboard_s1nmkmg0_0.jpg#xywh=0,96,150,84",
        "",
        "01:00:00.000 --> 01:00:04.500",
        "storyboard_s1nmkmg0_1.jpg#xywh=0,0,150,84",
    ]
    assert text.endswith("\n")


def test_a_picture_of_no_time_is_not_listed() -> None:
    assert "-->" not in render_storyboard([sheet(0, 5_000)], end_ms=5_000)


def test_the_journal_gives_back_what_was_stored() -> None:
    assert from_record(json.loads(json.dumps(to_record(sheet(3, 1, 2))))) == sheet(3, 1, 2)
