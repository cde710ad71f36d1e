"""The table of a stream's life, every pair of it, and what FFmpeg's exits mean."""

import signal

import pytest

from streamkit.ffmpeg.state import TRANSITIONS, ExitReason, StreamEvent, classify_exit, next_state
from streamkit.types import StreamState

# One row per state, one column per event; "." changes nothing, because the event is late or impossible.
EVENTS = [
    StreamEvent.PUBLISH,
    StreamEvent.SOURCE_DETECTED,
    StreamEvent.FIRST_SEGMENT_LISTED,
    StreamEvent.SOURCE_LOST,
    StreamEvent.ENCODER_FAILED,
    StreamEvent.WINDOW_PASSED,
    StreamEvent.NO_MEDIA,
    StreamEvent.GAVE_UP,
    StreamEvent.UNPUBLISHED_FINAL,
    StreamEvent.DRAINED,
    StreamEvent.SOURCE_CHANGED,
]
TABLE = """
accepted   connecting .          .         ended     .          .         failed    failed ended     .      .
connecting connecting connecting live      finishing connecting .         failed    failed finishing .      connecting
live       live       live       live      reconnect reconnect  .         .         failed finishing .      reconnect
reconnect  reconnect  reconnect  live      reconnect reconnect  finishing finishing failed finishing .      reconnect
finishing  connecting .          finishing finishing finishing  .         .         .      finishing ended  .
ended      connecting .          .         .         .          .         .         .      .         .      .
failed     connecting .          .         .         .          .         .         .      .         failed .
"""


def pairs() -> list[tuple[str, str, str]]:
    rows = [line.replace("reconnect", StreamState.RECONNECTING).split() for line in TABLE.strip().splitlines()]
    return [(row[0], event, after) for row in rows for event, after in zip(EVENTS, row[1:], strict=True)]


@pytest.mark.parametrize(("before", "event", "after"), pairs())
def test_the_life_of_a_stream_follows_the_table(before: str, event: str, after: str) -> None:
    expected = None if after == "." else StreamState(after)
    assert next_state(StreamState(before), StreamEvent(event)) is expected


def test_the_table_covers_every_state_and_every_event() -> None:
    assert {(before, event) for before, event, _ in pairs()} == {(s, e) for s in StreamState for e in StreamEvent}


def test_every_state_can_be_reached_and_every_active_state_can_be_left() -> None:
    assert {StreamState.ACCEPTED, *TRANSITIONS.values()} == set(StreamState)
    for state in StreamState:
        assert any(before is state and after is not state for (before, _), after in TRANSITIONS.items())


def test_an_orderly_end_is_finished_whatever_was_logged() -> None:
    assert classify_exit(0, ("[error] No space left on device",)) is ExitReason.FINISHED


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (signal.SIGKILL, ExitReason.KILLED),
        (signal.SIGTERM, ExitReason.STOPPED),
        (signal.SIGINT, ExitReason.STOPPED),
        (signal.SIGSEGV, ExitReason.CRASHED),
        (signal.SIGABRT, ExitReason.CRASHED),
        (signal.SIGILL, ExitReason.CRASHED),
    ],
)
def test_a_signal_says_how_ffmpeg_ended(number: signal.Signals, reason: ExitReason) -> None:
    assert classify_exit(-number, ()) is reason


@pytest.mark.parametrize(
    ("returncode", "log", "reason"),
    [
        pytest.param(255, "", ExitReason.STOPPED, id="asked to stop"),
        pytest.param(1, "[fatal] pipe:0: could not find codec parameters", ExitReason.NO_MEDIA, id="5.1 empty"),
        pytest.param(
            187,
            "[in#0/flv @ 0x1] [fatal] could not find codec parameters\n[fatal] Error opening input files: End of file",
            ExitReason.NO_MEDIA,
            id="9 empty",
        ),
        pytest.param(
            1,
            "[flv @ 0x1] [warning] Read FLV header error, input file is not a standard flv format\n"
            "[fatal] pipe:0: could not find codec parameters",
            ExitReason.BAD_SOURCE,
            id="5.1 garbage",
        ),
        pytest.param(
            183,
            "[in#0/flv @ 0x1] [fatal] could not find codec parameters\n"
            "[fatal] Error opening input files: Invalid data found when processing input",
            ExitReason.BAD_SOURCE,
            id="9 garbage",
        ),
        pytest.param(
            234,
            "[fc#0 @ 0x1] [fatal] Stream specifier ':v:0' in filtergraph description [0:v:0] matches no streams.",
            ExitReason.BAD_SOURCE,
            id="9 without video",
        ),
        pytest.param(1, "[h264_nvenc] Cannot load libcuda.so.1", ExitReason.DEVICE_MISSING, id="no device"),
        pytest.param(1, "[fatal] Unknown encoder 'libx999'", ExitReason.ENCODER_MISSING, id="unknown encoder"),
        pytest.param(
            127,
            "setpriv: failed to execute /opt/ffmpeg: No such file or directory",
            ExitReason.ENCODER_MISSING,
            id="no FFmpeg",
        ),
        pytest.param(8, "[error] Unrecognized option 'nonsense'.", ExitReason.BAD_COMMAND, id="unknown option"),
        pytest.param(
            254,
            "[hls @ 0x1] [error] Failed to open file 'file:/srv/hls/cam/segment_s_720p_1.ts'",
            ExitReason.FOLDER_GONE,
            id="folder gone",
        ),
        pytest.param(
            228,
            "[out#0/hls @ 0x1] [error] Error writing trailer: No space left on device",
            ExitReason.DISK_FULL,
            id="disk full",
        ),
        pytest.param(
            1,
            "[hls @ 0x1] [error] Failed to open file 'x.ts'\n[error] av_interleaved_write_frame(): "
            "No space left on device",
            ExitReason.DISK_FULL,
            id="the cause wins over what follows from it",
        ),
        pytest.param(1, "[error] Cannot allocate memory", ExitReason.OUT_OF_MEMORY, id="memory"),
        pytest.param(
            -11, "x265 [error]: memory allocation failure, aborting encode", ExitReason.OUT_OF_MEMORY, id="x265 crashes"
        ),
        pytest.param(
            1, "[libx264 @ 0x1] [error] malloc of size 1245184 failed", ExitReason.OUT_OF_MEMORY, id="memory of x264"
        ),
        pytest.param(
            1,
            "[hls @ 0x1] [error] Failed to open file 'segment_0.ts'\n[error] x.ts: Too many open files",
            ExitReason.OUT_OF_FILES,
            id="too many open files",
        ),
        pytest.param(1, "[error] something new", ExitReason.UNKNOWN, id="unknown"),
    ],
)
def test_the_log_says_why_ffmpeg_failed(returncode: int, log: str, reason: ExitReason) -> None:
    assert classify_exit(returncode, tuple(log.splitlines())) is reason


@pytest.mark.parametrize("reason", ExitReason)
def test_every_reason_is_explained_in_one_sentence(reason: ExitReason) -> None:
    assert reason.explain.endswith(".")
    assert "\n" not in reason.explain
