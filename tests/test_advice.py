import pytest

from streamkit.advice import advice_for
from streamkit.ffmpeg.state import ExitReason

FINE = {ExitReason.FINISHED, ExitReason.STOPPED}


@pytest.mark.parametrize("reason", [reason for reason in ExitReason if reason not in FINE])
def test_every_way_that_ffmpeg_fails_has_an_advice(reason: ExitReason) -> None:
    assert advice_for(reason.explain)


@pytest.mark.parametrize(
    "error",
    [
        "the publisher sent nothing for 10 s",
        "FFmpeg made no progress for 10 s",
        "the timestamps of what the publisher sends stand still: its encoder must be started again",
        "nothing playable came within 15 s of the publish",
        "3 objects still wait for the object store",
        "gave up after 5 restarts in 60 s: ValueError: x",
        "upload of segment_x.ts: s3.test/hls-streams answered 503",
    ],
)
def test_what_a_stream_says_itself_has_an_advice(error: str) -> None:
    assert (advice_for(error) or "").endswith(".")


@pytest.mark.parametrize("error", [None, "", "something else"])
def test_there_is_no_advice_for_the_unknown(error: str | None) -> None:
    assert advice_for(error) is None
