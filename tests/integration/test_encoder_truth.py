"""What real encoders write keeps the rules of the media, and playlists tell it as it is."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import pytest
from encoder_kit import DEADLINE, SESSION, Encoder, Start, encoders, plan, rung

from streamkit.hls.codecs import codecs
from streamkit.hls.encoded import encoded, shape
from streamkit.hls.media_rules import Piece, check_alignment, check_pieces
from streamkit.hls.names import init_name
from streamkit.media import probe
from streamkit.types import MediaSequence, RenditionName, SegmentFormat

pytestmark = [
    pytest.mark.integration,
    pytest.mark.parametrize("ffmpeg_path", ["path", "imageio"], indirect=True),
]
RATE = Fraction(30000, 1001)


@pytest.fixture
def start(ffmpeg_path: str, tmp_path: Path) -> Iterator[Start]:
    with encoders(ffmpeg_path, tmp_path) as run:
        yield run


def pieces(encoder: Encoder, rendition: str) -> list[Piece]:
    """Read every segment of a rendition, as its playlist would list it."""
    init = None
    if encoder.segment_format is SegmentFormat.FMP4:
        init = (encoder.folder / init_name(SESSION, RenditionName(rendition), MediaSequence(0))).read_bytes()
    found = []
    for number, duration in enumerate(encoder.durations(rendition)):
        path = encoder.segment(rendition, number)
        media = probe.read(path.read_bytes(), init)
        found.append(Piece(name=path.name, number=number, duration=duration, discontinuity=False, media=media,
                           is_mp4=init is not None))  # fmt: skip
    return found


@pytest.mark.parametrize("container", list(SegmentFormat))
def test_an_encoded_ladder_keeps_the_rules_and_lasts_as_long_as_its_playlists_say(
    start: Start, make_source: Callable[..., Path], container: SegmentFormat
) -> None:
    high = rung("high", 180, preset="veryfast", tune="")  # with B-frames
    ladder = plan(high, rung("low", 90), fps=RATE, segment_format=container)
    encoder = start(ladder)
    encoder.push(make_source(width=320, height=180, fps=29.97, seconds=9.5).read_bytes())
    assert encoder.process.wait(DEADLINE) == 0
    read = {one.name: pieces(encoder, one.name) for one in ladder.renditions}
    problems = [one for one in check_alignment(read) if one.problem is not None]
    for rendition in ladder.renditions:
        of = read[rendition.name]
        told = shape(rendition, [encoded(of[0].media, rendition, None)])
        assert told.codecs == codecs(rendition)
        assert (told.width, told.height, told.fps) == (rendition.width, rendition.height, RATE)
        declared = {"CODECS": told.codecs, "RESOLUTION": f"{told.width}x{told.height}", "FRAME-RATE": f"{float(RATE)}"}
        problems += [one for one in check_pieces(of, declared, independent=True) if one.problem is not None]
        lasts = of[-1].track.timeline.first - of[0].track.timeline.first
        assert sum(one.duration for one in of[:-1]) == pytest.approx(float(lasts), abs=0.001), "to the millisecond"
    assert problems == []
