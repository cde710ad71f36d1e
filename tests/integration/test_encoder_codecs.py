"""HEVC and AV1 as the real FFmpeg, old and new, encodes them beside H.264: judged by the segments it wrote."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import pytest
from encoder_kit import DEADLINE, SESSION, Encoder, Start, encoders, plan, rung

from streamkit.hls.names import init_name, segment_name
from streamkit.types import MediaSequence, RenditionName, SegmentFormat

pytestmark = [
    pytest.mark.integration,
    pytest.mark.parametrize("ffmpeg_path", ["path", "imageio"], indirect=True),
]


@pytest.fixture
def start(ffmpeg_path: str, tmp_path: Path) -> Iterator[Start]:
    with encoders(ffmpeg_path, tmp_path) as run:
        yield run


@dataclass(frozen=True)
class Decoded:
    """What a segment of one rendition turned out to be."""

    codec: str
    tag: str
    size: tuple[int, int]
    pictures: int
    first: float
    begins_with_key: bool


def decode(encoder: Encoder, name: str, sequence: int) -> Decoded:
    """Decode one fMP4 segment alone, behind its initialization section."""
    rendition, fmp4 = RenditionName(name), SegmentFormat.FMP4
    init = encoder.folder / init_name(SESSION, rendition, MediaSequence(0))
    segment = encoder.folder / segment_name(SESSION, rendition, MediaSequence(sequence), fmp4)
    joined = encoder.folder / "joined.mp4"
    joined.write_bytes(init.read_bytes() + segment.read_bytes())
    with av.open(str(joined)) as container:
        video = container.streams.video[0]
        frames = list(container.decode(video=0))
        assert frames[0].pts is not None
        return Decoded(
            codec=video.codec_context.name,
            tag=video.codec_tag,
            size=(video.width, video.height),
            pictures=len(frames),
            first=float(frames[0].pts * frames[0].time_base),
            begins_with_key=frames[0].key_frame,
        )


@pytest.mark.parametrize(
    ("fields", "codec", "tag", "durations"),
    [
        pytest.param({"video_codec": "hevc"}, "hevc", "hvc1", [1, 1, 2], id="hevc"),
        pytest.param({"video_codec": "libsvtav1", "preset": "12"}, "libdav1d", "av01", [2, 2], id="svt-av1"),
        pytest.param(
            {"video_codec": "libsvtav1", "preset": "12", "tune": ""}, "libdav1d", "av01", [2, 2], id="svt-av1 ahead"
        ),
        pytest.param({"video_codec": "libaom-av1", "preset": "8"}, "libdav1d", "av01", [1, 1, 2], id="libaom"),
    ],
)
def test_a_modern_codec_begins_its_segments_with_those_of_h264(
    start: Start,
    make_source: Callable[..., Path],
    fields: dict[str, str],
    codec: str,
    tag: str,
    durations: list[float],
) -> None:
    # 320x180 in a ladder with another frame rate; a source GOP that no segment boundary falls on.
    rungs = rung("modern", 180, **fields), rung("old", 90, max_fps=15.0)
    encoder = start(plan(*rungs, segment_format=SegmentFormat.FMP4))
    encoder.push(make_source(width=320, height=180, seconds=5.0, gop_seconds=3.0).read_bytes())

    assert encoder.process.wait(DEADLINE) == 0
    count = len(durations)
    assert encoder.durations("modern")[:count] == pytest.approx(durations, abs=0.001)
    assert encoder.durations("old")[:count] == pytest.approx(durations, abs=0.001)
    for sequence, duration in enumerate(durations):
        modern, old = decode(encoder, "modern", sequence), decode(encoder, "old", sequence)
        assert (modern.codec, modern.tag, modern.size) == (codec, tag, (320, 180))
        assert modern.begins_with_key
        assert modern.pictures == duration * 30
        assert modern.first == pytest.approx(old.first, abs=0.001)
