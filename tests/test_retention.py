"""What may go, and when: nothing that a playlist lists or a clip needs."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.database.rows import ArchiveRow
from streamkit.retention import (
    LONGEST_HOLD,
    Bounds,
    hold_of,
    object_prefixes,
    playlist_names,
    removable,
    to_expire,
)
from streamkit.types import Keep, RenditionName, Seconds, SessionId, StreamKey, UnixTime

NOW = UnixTime(1_800_000_000.0)
DAY = 86_400.0
KEY, S = StreamKey("cam"), SessionId("s1hz9xk0")
ROW = ArchiveRow(
    stream_key=KEY,
    session=S,
    started_at=UnixTime(NOW - DAY - 600),
    ended_at=UnixTime(NOW - DAY),
    renditions=(RenditionName("720p"),),
    bytes=100,
    expired_at=None,
    remove_after=None,
)


def row(number: int, *, days: float = 1.0, size: int = 100, key: str = "cam") -> ArchiveRow:
    ended = UnixTime(NOW - days * DAY)
    return replace(ROW, stream_key=StreamKey(key), session=SessionId(f"s000000{number}"), bytes=size, ended_at=ended)


def expired(rows: list[ArchiveRow], **keep: object) -> list[str]:
    return [one.session for one, _ in to_expire(rows, lambda _: Keep(**keep), NOW)]  # type: ignore[arg-type]


def test_by_default_everything_is_kept_for_ever() -> None:
    assert expired([row(1, days=9999, size=10**15)]) == []


def test_a_broadcast_goes_at_its_age_after_its_end() -> None:
    assert expired([row(1, days=3), row(2, days=1)], max_age=Seconds(2 * DAY)) == ["s0000001"]
    assert expired([row(1, days=2)], max_age=Seconds(2 * DAY)) == ["s0000001"]


def test_the_oldest_go_until_the_rest_fits() -> None:
    rows = [row(number, size=100) for number in range(1, 6)]
    assert expired(rows, max_bytes=250) == ["s0000003", "s0000002", "s0000001"]
    assert expired(rows, max_bytes=500) == []


def test_each_stream_has_its_own_limit() -> None:
    assert expired([row(1, key="a"), row(1, key="b")], max_bytes=100) == []


def test_where_recordings_are_not_kept_every_ended_broadcast_goes() -> None:
    assert expired([row(1), row(2)], archive=False) == ["s0000002", "s0000001"]


def test_what_is_about_to_go_is_not_decided_again() -> None:
    assert expired([replace(ROW, expired_at=NOW)], archive=False) == []


@pytest.mark.parametrize(("seconds", "hold"), [(600.0, 4200.0), (10 * DAY, LONGEST_HOLD + 3600.0)])
def test_segments_stay_for_as_long_as_who_has_the_playlist_may_play_it(seconds: float, hold: float) -> None:
    """RFC 8216 6.2.2"""
    played = replace(ROW, started_at=UnixTime(NOW - seconds), ended_at=NOW)
    assert hold_of(played, Seconds(3600.0)) == hold


def test_the_playlists_of_a_session_go_first_and_the_entry_point_before_the_others() -> None:
    names = [f"{S}_720p.m3u8", f"segment_{S}_720p_1.ts", f"{S}.m3u8", f"storyboard_{S}.vtt", f"storyboard_{S}_1.jpg"]
    assert playlist_names(S, names) == [f"{S}.m3u8", f"{S}_720p.m3u8", f"storyboard_{S}.vtt"]
    assert all(not name.startswith(object_prefixes(SessionId("s1hz9xk1"))) for name in names)


def test_an_initialization_section_stays_with_the_segments_that_need_it() -> None:
    """RFC 8216 4.3.2.5: it applies until the next one."""
    inits = [f"init_{S}_720p_{first}.mp4" for first in (0, 100, 250)]
    assert removable(inits, [range(90, 95)]) == inits[1:]
    assert removable(inits, [range(99, 101)]) == inits[2:]
    assert removable(inits, [range(300, 310)]) == inits[:2]
    assert removable(inits, []) == inits


@given(
    ranges=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), max_size=4),
    runs=st.sets(st.integers(0, 60), max_size=4),
    suffix=st.sampled_from([".ts", ".m4s"]),
)
def test_nothing_that_a_clip_lists_is_ever_removable_and_everything_else_is(
    ranges: list[tuple[int, int]], runs: set[int], suffix: str
) -> None:
    needed = [range(first, first + length) for first, length in ranges]
    firsts = sorted({0, *runs})
    segments = [f"segment_{S}_{r}_{n}{suffix}" for r in ("720p", "audio") for n in range(80)]
    inits = [f"init_{S}_{r}_{first}.mp4" for r in ("720p", "audio") for first in firsts]
    gone = set(removable([*segments, *inits, f"storyboard_{S}_1.jpg"], needed))
    for rendition in ("720p", "audio"):
        for numbers in needed:
            for number in numbers:
                in_force = max(first for first in firsts if first <= number)
                assert f"segment_{S}_{rendition}_{number}{suffix}" not in gone
                assert f"init_{S}_{rendition}_{in_force}.mp4" not in gone
    wanted = {number for numbers in needed for number in numbers}
    assert {name for name in segments if int(name.rpartition("_")[2].partition(".")[0]) not in wanted} <= gone
    assert f"storyboard_{S}_1.jpg" in gone


def test_live_leftovers_go_only_when_they_were_not_listed_for_the_whole_time() -> None:
    bounds = Bounds()
    for second, bound in ((0, 10), (10, 15), (20, 20)):
        bounds.note(KEY, S, bound, UnixTime(NOW + second))
    assert bounds.before(KEY, S, UnixTime(NOW - 1)) == 0, "nobody looked that long ago"
    assert bounds.before(KEY, S, UnixTime(NOW + 12)) == 15
    assert bounds.before(KEY, S, UnixTime(NOW + 20)) == 20
    bounds.keep_only([])
    assert bounds.before(KEY, S, UnixTime(NOW + 20)) == 0
