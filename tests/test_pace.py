"""pace.py: where copied video is cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.pace import LONGEST_FIRST, Pace, Pacer, Place, copied_target


def cuts(pacer: Pacer, frames: list[tuple[int, bool]]) -> list[int]:
    """Return when each segment begins, in ms, until a frame is late."""
    found = []
    for shown_at, is_key in frames:
        place = pacer.place(shown_at, is_key=is_key)
        if place is Place.LATE:
            break
        if place is Place.BEGINS:
            found.append(shown_at)
    return found


def steady(seconds: float, *, gop: float, fps: int = 25, start: float = 0.0) -> list[tuple[int, bool]]:
    """Return frames without B-frames, with a key frame every `gop` seconds."""
    per_gop = round(gop * fps)
    return [(round((start + index / fps) * 1000), index % per_gop == 0) for index in range(round(seconds * fps))]


@pytest.mark.parametrize(
    ("segment_duration", "gop", "expected"),
    [
        pytest.param(2.0, 2.0, [0, 2000, 4000, 6000, 8000], id="the GOP is the segment"),
        pytest.param(2.0, 0.4, [0, 2000, 4000, 6000, 8000], id="several GOPs a segment"),
        pytest.param(2.0, 1.6, [0, 3200, 6400, 9600], id="a GOP that does not divide the segment"),
        pytest.param(2.0, 5.0, [0, 5000], id="a longer GOP"),
        pytest.param(6.0, 2.0, [0, 6000], id="long segments"),
    ],
)
def test_segments_begin_with_the_publishers_key_frames(
    segment_duration: float, gop: float, expected: list[int]
) -> None:
    assert cuts(Pacer(Pace(segment_duration=segment_duration)), steady(10, gop=gop)) == expected


def test_a_gop_whose_timestamps_are_a_little_short_is_a_segment_all_the_same() -> None:
    assert cuts(Pacer(Pace(segment_duration=2.0)), [(0, True), (1999, True), (3998, True)]) == [0, 1999, 3998]


def test_a_gop_that_grows_is_cut_where_the_promise_ends() -> None:
    pacer = Pacer(Pace(segment_duration=2.0))
    frames = steady(4, gop=2.0) + steady(20, gop=10.0, start=4.0)
    at = cuts(pacer, frames)
    lengths = [after - before for before, after in pairwise(at)]
    assert lengths[:2] == [2000, 2000]
    assert all(2000 < one <= 3000 for one in lengths[2:])
    assert 14000 in at, "a key frame begins a segment as soon as one may begin"


def test_a_run_keeps_to_what_the_runs_before_it_promised() -> None:
    assert max(cuts(Pacer(Pace(segment_duration=2.0, target=3)), steady(3.4, gop=10))) <= 3450


def test_the_first_segment_of_an_endless_gop_ends() -> None:
    assert cuts(Pacer(Pace(segment_duration=2.0)), steady(13, gop=100)) == [0, LONGEST_FIRST]


def test_segments_are_not_cut_at_b_frames() -> None:
    """In the order of decoding: a picture that is shown before another one belongs behind it."""
    shown = [0, *(index * 120 + offset for index in range(60) for offset in (120, 40, 80))]
    at = cuts(Pacer(Pace(segment_duration=2.0, target=3)), [(one, not one) for one in shown])
    assert len(at) > 2
    assert all(one % 120 == 0 for one in at)


def test_a_picture_that_comes_too_late_for_its_segment_is_told() -> None:
    pacer = Pacer(Pace(segment_duration=2.0, target=3))
    assert cuts(pacer, steady(1, gop=2)) == [0]
    assert pacer.place(3900, is_key=True) is Place.LATE


@pytest.mark.parametrize(
    ("pace", "gop", "words"),
    [
        (Pace(segment_duration=2.0), 8.0, "key frames are 8.0 s apart"),
        (Pace(segment_duration=2.0, target=3), 8.0, "no key frame came for 2.5 s"),
        (Pace(segment_duration=2.0), 2.5, ""),
        (Pace(segment_duration=2.0), 0.5, ""),
    ],
)
def test_an_operator_is_told_once_of_bad_key_frames(pace: Pace, gop: float, words: str) -> None:
    pacer = Pacer(pace)
    cuts(pacer, steady(20, gop=gop))
    remark = pacer.take_remark()
    assert words in remark
    assert bool(words) == ("set the publisher's key frame interval to 2 s or less" in remark)
    assert pacer.take_remark() == ""


@given(
    segment_duration=st.sampled_from([1.0, 2.0, 2.5, 4.0, 10.0]),
    gaps=st.lists(st.integers(1, 400), min_size=50, max_size=400),
    keys=st.sets(st.integers(0, 400)),
)
def test_no_segment_is_ever_longer_than_promised(segment_duration: float, gaps: list[int], keys: set[int]) -> None:
    """RFC 8216 4.3.3.1: whatever the distances of pictures and key frames are."""
    shown, frames = 0, []
    for index, gap in enumerate(gaps):
        frames.append((shown, not index or index in keys))
        shown += gap
    at = cuts(Pacer(Pace(segment_duration=segment_duration)), frames)
    lengths = [after - before for before, after in pairwise(at)]
    least = int(-(-segment_duration // 1))
    assert all(int(one / 1000 + 0.5) <= copied_target(lengths[0], least) for one in lengths)
    assert all(one >= 0.95 * segment_duration * 1000 for one in lengths), "nor much shorter than wanted"
