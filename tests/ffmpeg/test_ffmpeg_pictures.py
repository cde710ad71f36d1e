"""Which pictures are made of which streams, and how FFmpeg is told."""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest

from streamkit.ffmpeg.command import EncoderSpec, build_argv
from streamkit.ffmpeg.pictures import PictureSpec, fit, parse_thumbnail, plan_pictures
from streamkit.settings_pictures import PictureSettings
from streamkit.types import Rendition, RenditionName, Seconds, SessionId, SourceInfo, VideoSource

FOLDER = Path("/srv/hls/cam")
VIDEO = SourceInfo(video=VideoSource(codec="h264", width=1280, height=720, fps=None), audio=None)
COPY = Rendition(name=RenditionName("source"), video_codec="copy")
RADIO = Rendition(name=RenditionName("radio"), video_codec=None, audio_codec="aac")
DECODED = PictureSettings(decode_copies=True)


def encoded(width: int = 1280, height: int = 720) -> Rendition:
    name = RenditionName(f"{height}p")
    return Rendition(name=name, video_codec="libx264", width=width, height=height, fps=Fraction(30))


def planned(
    settings: PictureSettings | None, source: SourceInfo, renditions: tuple[Rendition, ...]
) -> PictureSpec | None:
    return plan_pictures(settings, source, renditions, folder=FOLDER, session=SessionId("s0000001"), first_sequence=7)


def argv(*renditions: Rendition, settings: PictureSettings | None) -> list[str]:
    return build_argv(
        EncoderSpec(
            ffmpeg="ffmpeg",
            source=VIDEO,
            renditions=renditions,
            folder=FOLDER,
            session=SessionId("s0000001"),
            first_sequence=0,
            segment_duration=Seconds(2.0),
            fast_start=True,
            pictures=planned(settings, VIDEO, renditions),
        )
    )


def values(words: list[str], option: str) -> list[str]:
    return [value for name, value in pairwise(words) if name == option]


@pytest.mark.parametrize(
    ("size", "short_side", "expected"),
    [
        ((1920, 1080), 360, (640, 360)),
        ((1080, 1920), 360, (360, 640)),
        ((640, 360), 720, (640, 360)),
        ((854, 480), 90, (160, 90)),
        ((3840, 1600), 90, (216, 90)),
        ((4096, 64), 64, (4096, 64)),
    ],
)
def test_a_picture_has_the_streams_shape_and_even_sides(
    size: tuple[int, int], short_side: int, expected: tuple[int, int]
) -> None:
    assert fit(size, short_side) == expected


def test_pictures_are_more_outputs_of_the_same_graph() -> None:
    words = argv(encoded(), encoded(854, 480), settings=PictureSettings())
    (graph,) = values(words, "-filter_complex")
    assert graph.startswith("[0:v:0]split=4[s0][s1][sposter][sthumbnail];")
    assert "scale=640:360:" in graph
    assert "scale=160:90:" in graph
    assert values(words, "-map")[-2:] == ["[vposter]", "[vthumbnail]"]
    assert "file:/srv/hls/cam/.pictures/poster.jpg" in words
    assert words[-1] == "file:/srv/hls/cam/.pictures/thumb_s0000001_7_%d.jpg"


def test_a_small_pictures_name_says_where_it_belongs() -> None:
    found = parse_thumbnail("thumb_s0000001_7_20023.jpg")
    assert found is not None
    assert (found.session, found.first, found.ms) == ("s0000001", 7, 20023)
    assert parse_thumbnail("thumb_s0000001_7_20023.jpg.tmp") is None
    assert parse_thumbnail("poster.jpg") is None


def test_a_ladder_without_pictures_is_encoded_as_if_there_were_none() -> None:
    words = argv(encoded(), settings=PictureSettings(poster_interval=None, storyboard_interval=None))
    assert words == argv(encoded(), settings=None)
    assert "mjpeg" not in words


def test_a_copied_stream_is_only_decoded_when_that_is_asked_for() -> None:
    assert "-filter_complex" not in argv(COPY, settings=PictureSettings())
    words = argv(COPY, settings=DECODED)
    assert values(words, "-skip_frame:v") == ["nokey"]
    assert words.index("-skip_frame:v") < words.index("-i")
    assert values(words, "-filter_complex")[0].startswith("[0:v:0]split=2[sposter][sthumbnail];[sposter]select=")
    assert "-skip_frame:v" not in argv(encoded(), settings=DECODED)


def test_there_is_no_picture_of_sound() -> None:
    assert planned(DECODED, VIDEO, (RADIO,)) is None
    sound = SourceInfo(video=None, audio=None)
    assert planned(DECODED, sound, (encoded(),)) is None


def test_a_picture_that_cannot_be_written_is_dropped_by_a_thread_of_its_own() -> None:
    words = argv(encoded(), settings=PictureSettings())
    muxers = values(words, "-f")
    assert muxers[-2:] == ["fifo", "fifo"]
    assert values(words, "-recover_any_error") == values(words, "-drop_pkts_on_overflow") == ["1", "1"]


def test_a_sheet_of_the_largest_storyboard_is_no_larger_than_a_jpeg_may_be() -> None:
    """ITU-T T.81 B.2.2: the sides of a frame have 16 bits."""
    largest = PictureSettings(storyboard_columns=20, storyboard_rows=20, storyboard_height=2160)
    for width, height in [(3840, 2160), (2160, 3840), (7680, 1080)]:
        spec = planned(largest, VIDEO, (encoded(width, height),))
        assert spec is not None
        thumbnail = next(still for still in spec.stills if still.kind == "thumbnail")
        cell = max(-(-side // 16) * 16 for side in (thumbnail.width, thumbnail.height))
        assert 60_000 < cell * 20 <= 65_535
