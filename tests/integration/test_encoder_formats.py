"""Both containers, sound apart or not, every segment duration: segments of all renditions begin together and decode."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from encoder_kit import DEADLINE, Encoder, Start, begins_with_idr, encoders, first_packets, plan, rung
from fakes.rtmp_kit import parse_flv

from streamkit.hls.names import init_name
from streamkit.hls.wholeness import is_whole_init, is_whole_segment
from streamkit.rtmp.chunks import RtmpMessage
from streamkit.rtmp.flv_stream import FlvStream
from streamkit.types import MediaSequence, RenditionName, SegmentFormat, SessionId

pytestmark = [
    pytest.mark.integration,
    pytest.mark.parametrize("ffmpeg_path", ["path", "imageio"], indirect=True),
]
FORMATS = pytest.mark.parametrize("container", list(SegmentFormat))
AUDIO_FRAME = 1024 / 44100
HIGH, LOW = (
    rung("high", 180, preset="veryfast", tune="", audio_bitrate=96_000),  # with B-frames, which delay the encoder
    rung("low", 90, max_fps=30.0, audio_bitrate=64_000),
)


@pytest.fixture
def start(ffmpeg_path: str, tmp_path: Path) -> Iterator[Start]:
    with encoders(ffmpeg_path, tmp_path) as run:
        yield run


@pytest.fixture
def source(make_source: Callable[..., Path]) -> Callable[..., bytes]:
    """`source(**SourceSpec fields) -> bytes` of an FLV of 320x180."""
    return lambda **spec: make_source(**{"width": 320, "height": 180, "fps": 60, **spec}).read_bytes()


def times(encoder: Encoder, rendition: str, sequence: int) -> dict[str, float]:
    return {kind: at for kind, (at, _) in first_packets(encoder.media(rendition, sequence)).items()}


def decoded(encoder: Encoder, rendition: str, sequence: int) -> list[float]:
    """Return when each picture of the segment is shown, decoded without any other segment."""
    with av.open(encoder.media(rendition, sequence)) as container:
        return [float(frame.time) for frame in container.decode(video=0) if frame.time is not None]


@FORMATS
def test_the_same_number_begins_at_the_same_instant_in_every_rendition(
    start: Start, source: Callable[..., bytes], container: SegmentFormat
) -> None:
    encoder = start(plan(HIGH, LOW, fps=Fraction(60), segment_format=container), first_sequence=7)
    encoder.push(source(seconds=7.0, gop_seconds=3.0))

    assert encoder.process.wait(DEADLINE) == 0
    assert encoder.durations("high")[:4] == encoder.durations("low")[:4] == pytest.approx([1, 1, 2, 2], abs=0.001)
    for sequence, begin in zip(range(7, 11), (1.0, 2.0, 3.0, 5.0), strict=True):
        for name in ("high", "low"):
            path = encoder.segment(name, sequence)
            assert is_whole_segment(path, path.stat().st_size, container)
            assert begins_with_idr(encoder.media(name, sequence))
            found = times(encoder, name, sequence)
            assert found["video"] == pytest.approx(begin, abs=0.001)
            assert found["audio"] == pytest.approx(begin, abs=2.5 * AUDIO_FRAME)
            first_shown, *_, last_shown = decoded(encoder, name, sequence)
            assert first_shown == pytest.approx(begin, abs=0.001)
            frames = 60 if name == "high" else 30
            assert last_shown == pytest.approx(begin + (1 if begin < 3 else 2) - 1 / frames, abs=0.001)


@FORMATS
def test_sound_apart_from_pictures_has_the_numbers_of_the_pictures(
    start: Start, source: Callable[..., bytes], container: SegmentFormat
) -> None:
    ladder = plan(HIGH, LOW, fps=Fraction(60), segment_format=container, separate_audio=True)
    encoder = start(ladder, first_sequence=3)
    encoder.push(source(seconds=7.0, gop_seconds=3.0))

    assert encoder.process.wait(DEADLINE) == 0
    assert [one.name for one in ladder.renditions] == ["high", "low", "audio-96k", "audio-64k"]
    assert all(len(encoder.durations(one.name)) == 4 for one in ladder.renditions)
    for sequence, begin in zip(range(3, 7), (1.0, 3.0, 5.0, 7.0), strict=True):
        for name in ("high", "low"):
            assert times(encoder, name, sequence) == {"video": pytest.approx(begin, abs=0.001)}
        for name in ("audio-96k", "audio-64k"):
            assert times(encoder, name, sequence) == {"audio": pytest.approx(begin, abs=1.5 * AUDIO_FRAME)}


@pytest.mark.parametrize("duration", [1.0, 3.7, 10.0])
def test_key_frames_keep_to_the_target_duration_to_the_frame(
    start: Start, source: Callable[..., bytes], duration: float
) -> None:
    rate = Fraction(30000, 1001)
    ladder = plan(HIGH, LOW, fps=rate, segment_format=SegmentFormat.FMP4, segment_duration=duration)
    encoder = start(ladder)
    encoder.push(source(seconds=2.5 * duration, fps=29.97, gop_seconds=duration / 3))

    assert encoder.process.wait(DEADLINE) == 0
    frames = round(duration * rate)
    half = round(Fraction(frames, 2))
    whole, first = float(frames / rate), float(half / rate)
    expected = [first, first, whole]
    assert encoder.durations("high")[:3] == encoder.durations("low")[:3] == pytest.approx(expected, abs=0.0005)
    for sequence in range(3):
        assert times(encoder, "high", sequence)["video"] == times(encoder, "low", sequence)["video"]
        assert begins_with_idr(encoder.media("low", sequence))


def test_a_run_writes_one_whole_initialization_section_for_each_rendition_without_edit_lists(
    start: Start, source: Callable[..., bytes], tmp_path: Path
) -> None:
    encoder = start(plan(HIGH, LOW, fps=Fraction(60), segment_format=SegmentFormat.FMP4), first_sequence=41)
    encoder.push(source(seconds=3.0))

    assert encoder.process.wait(DEADLINE) == 0
    names = [init_name(SessionId("s0000001"), RenditionName(name), MediaSequence(41)) for name in ("high", "low")]
    assert sorted(path.name for path in tmp_path.glob("*.mp4")) == sorted(names)
    for name in names:
        assert is_whole_init(tmp_path / name)
        assert b"elst" not in (tmp_path / name).read_bytes(), "players in browsers do not read them"


@pytest.mark.parametrize("container", [SegmentFormat.FMP4])
def test_the_publishers_own_media_go_into_fmp4_unchanged(
    start: Start, source: Callable[..., bytes], container: SegmentFormat
) -> None:
    copied: dict[str, Any] = {"video_codec": "copy", "audio_codec": "copy"}
    encoder = start(plan(rung("source", **copied), segment_format=container))
    encoder.push(source(seconds=5.0, fps=30))

    assert encoder.process.wait(DEADLINE) == 0
    assert encoder.durations("source")[:2] == pytest.approx([2, 2], abs=0.001)
    for sequence in range(2):
        assert begins_with_idr(encoder.media("source", sequence))
        assert len(decoded(encoder, "source", sequence)) == 60


@pytest.mark.parametrize("missing", ["audio", "video"])
def test_silence_and_black_end_with_the_publishers_media_in_renditions_of_their_own(
    start: Start, make_source: Callable[..., Path], missing: str
) -> None:
    whole = plan(LOW, separate_audio=True, segment_duration=1.0)
    encoder = start(replace(whole, source=replace(whole.source, **{missing: None})))
    encoder.push(fed(make_source(width=320, height=180, seconds=4.0, **{missing: False}), silence=True))

    assert encoder.process.wait(DEADLINE) == 0, "FFmpeg ends by itself when its input does"
    assert sum(encoder.durations("low")) == pytest.approx(4.0, abs=0.3)
    assert sum(encoder.durations("audio-64k")) == pytest.approx(4.0, abs=0.3)


def fed(recording: Path, *, silence: bool) -> bytes:
    """Return the recording as a feed gives it to an encoder."""
    stream = FlvStream()
    for type_id, timestamp, payload in parse_flv(recording.read_bytes())[1]:
        stream.push(RtmpMessage(type_id, 1, timestamp, payload))
        if stream.source is None and stream.can_begin:
            stream.conclude()
            stream.join(silence=silence)
    return b"".join(stream.take())
