"""What the real FFmpeg, old and new, makes of a ladder: judged by the segments it wrote."""

import subprocess
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import pytest
from encoder_kit import DEADLINE, Start, begins_with_idr, encoders, first_packets, plan, rung

from streamkit.ffmpeg.demo import build_demo_argv
from streamkit.settings_ladder import RenditionSettings

pytestmark = [
    pytest.mark.integration,
    pytest.mark.parametrize("ffmpeg_path", ["path", "imageio"], indirect=True),
]


@pytest.fixture
def start(ffmpeg_path: str, tmp_path: Path) -> Iterator[Start]:
    with encoders(ffmpeg_path, tmp_path) as run:
        yield run


@pytest.fixture
def source(make_source: Callable[..., Path]) -> Callable[..., bytes]:
    """`source(**SourceSpec fields) -> bytes` of an FLV of 320x180."""
    return lambda **spec: make_source(**{"width": 320, "height": 180, "seconds": 9.0, **spec}).read_bytes()


def test_segments_of_every_rendition_line_up_and_the_last_one_is_kept(
    start: Start, source: Callable[..., bytes]
) -> None:
    # Different frame rates and encoder delays (B-frames), and a source GOP that no segment boundary falls on.
    ladder = plan(rung("high", 180, preset="veryfast", tune=""), rung("low", 90, max_fps=30.0), fps=Fraction(60))
    encoder = start(ladder, first_sequence=5)
    encoder.push(source(fps=60, gop_seconds=3.0))

    assert encoder.process.wait(DEADLINE) == 0
    high, low = encoder.durations("high"), encoder.durations("low")
    assert high[:5] == low[:5] == pytest.approx([1, 1, 2, 2, 2], abs=0.001)
    assert len(high) == len(low) == 6
    assert sum(high) == pytest.approx(9, abs=0.1)
    for sequence in range(5, 11):
        segments = [encoder.segment(name, sequence) for name in ("high", "low")]
        assert all(begins_with_idr(segment) for segment in segments)
        (high_time, _), (low_time, _) = (first_packets(segment)["video"] for segment in segments)
        assert high_time == low_time
    assert not encoder.segment("high", 11).exists()


def test_sizes_rates_and_sound_are_those_of_the_plan(start: Start, source: Callable[..., bytes]) -> None:
    encoder = start(plan(rung("high", 180), rung("low", 90, max_fps=15.0, audio_channels=1)))
    encoder.push(source(seconds=3.0))

    assert encoder.process.wait(DEADLINE) == 0
    for name, size, rate, channels in (("high", (320, 180), 30, 2), ("low", (160, 90), 15, 1)):
        with av.open(str(encoder.segment(name, 0))) as container:
            video, audio = container.streams.video[0], container.streams.audio[0]
            assert (video.width, video.height, video.pix_fmt) == (*size, "yuv420p")
            assert sum(1 for _ in container.decode(video=0)) == rate
            assert audio.channels == channels


@pytest.mark.parametrize("missing", ["video", "audio"])
def test_a_source_of_one_medium_is_encoded_from_its_first_second(
    start: Start, source: Callable[..., bytes], missing: str
) -> None:
    media = {missing: False}
    encoder = start(plan(rung("only", 180), **media))
    encoder.push(source(seconds=5.0, **media))

    name = "audio" if missing == "video" else "only"
    assert encoder.process.wait(DEADLINE) == 0
    assert sum(encoder.durations(name)) == pytest.approx(5, abs=0.1)
    assert set(first_packets(encoder.segment(name, 0))) == {"video", "audio"} - {missing}


def test_segments_of_audio_alone_carry_the_numbers_of_the_pictures(start: Start, source: Callable[..., bytes]) -> None:
    encoder = start(plan(rung("high", 180), rung("radio", audio_only=True)))
    encoder.push(source())

    assert encoder.process.wait(DEADLINE) == 0
    assert encoder.durations("high")[:4] == pytest.approx([2, 2, 2, 2], abs=0.001)
    assert encoder.durations("radio")[:4] == pytest.approx([2, 2, 2, 2], abs=0.05)
    for sequence in range(4):
        picture = first_packets(encoder.segment("high", sequence))["video"][0]
        assert first_packets(encoder.segment("radio", sequence))["audio"][0] == pytest.approx(picture, abs=0.05)


def test_copied_segments_begin_with_the_publishers_key_frames(start: Start, source: Callable[..., bytes]) -> None:
    copied = RenditionSettings(name="source", video_codec="copy", audio_codec="copy")
    encoder = start(plan(copied))
    encoder.push(source())

    assert encoder.process.wait(DEADLINE) == 0
    assert encoder.durations("source")[:4] == pytest.approx([2, 2, 2, 2], abs=0.001)
    assert all(begins_with_idr(encoder.segment("source", sequence)) for sequence in range(5))


def test_the_demo_shows_a_clock_that_runs(ffmpeg_path: str, tmp_path: Path) -> None:
    argv = build_demo_argv(ffmpeg_path, str(tmp_path / "demo.flv"))
    argv = [word for word in argv if word != "-re"]
    argv[-1:] = ["-t", "3", argv[-1]]
    subprocess.run(argv, stdin=subprocess.DEVNULL, check=True, timeout=DEADLINE)

    with av.open(str(tmp_path / "demo.flv")) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.width, video.height, audio.channels) == (1280, 720, 2)
        pictures = [bytes(frame.planes[0]) for frame in container.decode(video=0)]
    assert len(pictures) == 90
    assert len(set(pictures[::30])) == 3
