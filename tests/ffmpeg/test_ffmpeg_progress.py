"""What FFmpeg reports, as FFmpeg 5.1 and 9 print it, and what is kept of its log."""

import pytest

from streamkit.ffmpeg.progress import LINE_LIMIT, LogRing, Progress, ProgressParser
from streamkit.types import Seconds

REPORT = """frame=362
fps=30.01
stream_0_0_q=21.0
bitrate=1234.5kbits/s
total_size=N/A
out_time_us=12033333
out_time_ms=12033333
out_time=00:00:12.033333
dup_frames=2
drop_frames=3
speed=1.02x
progress=continue"""

EARLY = """frame=0
fps=0.00
bitrate=N/A
out_time_us=-9223372036854775807
out_time=N/A
dup_frames=0
drop_frames=0
speed=N/A
progress=continue"""


def parse(text: str) -> list[Progress]:
    parser = ProgressParser()
    return [report for line in text.splitlines() if (report := parser.feed(line)) is not None]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            REPORT,
            Progress(
                frame=362,
                fps=30.01,
                out_time=Seconds(12.033333),
                speed=1.02,
                bitrate=1_234_500,
                dropped=3,
                duplicated=2,
            ),
            id="running",
        ),
        pytest.param(EARLY, Progress(), id="before the first frame"),
        pytest.param("speed=   2x\nprogress=continue", Progress(speed=2.0), id="speed with blanks"),
        pytest.param("frame=junk\nspeed=infx\nprogress=continue", Progress(), id="junk is zero"),
    ],
)
def test_a_report_is_read(text: str, expected: Progress) -> None:
    assert parse(text) == [expected]


def test_only_the_last_report_is_the_end() -> None:
    reports = parse(REPORT + "\n" + REPORT.replace("continue", "end"))
    assert [report.done for report in reports] == [False, True]


def test_a_value_is_not_carried_into_the_next_report() -> None:
    assert [report.frame for report in parse(REPORT + "\nfps=1\nprogress=continue")] == [362, 0]


def test_lines_that_are_no_reports_are_skipped() -> None:
    assert parse("Press [q] to stop\n\n" + REPORT)[0].frame == 362


def test_the_log_keeps_its_first_and_its_last_lines() -> None:
    ring = LogRing(head=2, tail=3)
    for number in range(10):
        ring.add(f"line {number}\n")
    assert ring.lines() == ("line 0", "line 1", "... 5 lines left out ...", "line 7", "line 8", "line 9")


def test_a_short_log_is_kept_whole() -> None:
    ring = LogRing(head=2, tail=3)
    for number in range(5):
        ring.add(f"line {number}")
    assert ring.lines() == tuple(f"line {number}" for number in range(5))


def test_a_line_that_repeats_is_counted() -> None:
    ring = LogRing()
    for line in ["start", "DTS discontinuity", "DTS discontinuity", "DTS discontinuity", "end"]:
        ring.add(line)
    assert ring.lines() == ("start", "DTS discontinuity", "(the last line came 2 more times)", "end")


def test_repeats_at_the_end_are_counted_too() -> None:
    ring = LogRing()
    for _ in range(1000):
        ring.add("the same")
    assert ring.lines() == ("the same", "(the last line came 999 more times)")


def test_a_long_line_is_shortened_and_an_empty_one_is_dropped() -> None:
    ring = LogRing()
    ring.add("x" * 100_000)
    ring.add("   ")
    (line,) = ring.lines()
    assert len(line) == LINE_LIMIT
    assert line.endswith("...")
