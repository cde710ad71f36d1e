"""What the real FFmpeg, old and new, makes of copied video whose key frames come when the publisher likes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from encoder_kit import DEADLINE, Start, begins_with_idr, encoders, plan, rung
from fakes.rtmp_kit import parse_flv

from streamkit.pace import Pace
from streamkit.rtmp.chunks import RtmpMessage
from streamkit.rtmp.flv_stream import FlvStream
from streamkit.types import SegmentFormat

pytestmark = [
    pytest.mark.integration,
    pytest.mark.parametrize("ffmpeg_path", ["path", "imageio"], indirect=True),
]


@pytest.fixture
def start(ffmpeg_path: str, tmp_path: Path) -> Iterator[Start]:
    with encoders(ffmpeg_path, tmp_path) as run:
        yield run


def paced(recording: Path, pace: Pace) -> bytes:
    """Return the recording as a feed gives it to an encoder that copies."""
    stream = FlvStream()
    for type_id, timestamp, payload in parse_flv(recording.read_bytes())[1]:
        if stream.source is None and stream.headers.complete:
            stream.conclude()
            stream.join(pace)
        stream.push(RtmpMessage(type_id, 1, timestamp, payload))
    return b"".join(stream.take())


@pytest.mark.parametrize("container", SegmentFormat)
def test_segments_end_in_time_although_no_key_frame_comes(
    start: Start, make_source: Callable[..., Path], container: SegmentFormat
) -> None:
    recording = make_source(width=320, height=180, seconds=11.0, gop_seconds=5.0)
    encoder = start(plan(rung("source", video_codec="copy", audio_codec="copy"), segment_format=container))
    encoder.push(paced(recording, Pace(segment_duration=2.0, target=3)))

    assert encoder.process.wait(DEADLINE) == 0
    durations = encoder.durations("source")
    assert durations == pytest.approx([2.5, 2.5, 2.5, 2.5, 1.0], abs=0.011)
    begins = [begins_with_idr(encoder.media("source", sequence)) for sequence in range(5)]
    assert begins == [True, False, True, False, True]
    assert encoder.listener.exits[0][2] == (), "FFmpeg has nothing to complain about"
