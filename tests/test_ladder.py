"""Ladder maths: sizes, frame rates, bit rates and refusals, for the sources that publishers really send."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.errors import LadderError
from streamkit.ladder import capped_fps, plan_renditions
from streamkit.settings_ladder import LadderSettings, RenditionSettings
from streamkit.types import AudioSource, BitsPerSecond, SourceInfo, VideoSource

AAC = AudioSource(codec="aac", sample_rate=48000, channels=2)
NTSC_60, NTSC_30, FILM = Fraction(60000, 1001), Fraction(30000, 1001), Fraction(24000, 1001)


def rung(name: str, height: int | None = None, bitrate: int | None = 1_000_000, **fields: Any) -> RenditionSettings:
    return RenditionSettings(name=name, height=height, video_bitrate=bitrate, **fields)


def ladder(*rungs: RenditionSettings) -> LadderSettings:
    return LadderSettings(renditions=rungs)


HIGH = rung("1080p", 1080, 5_000_000, audio_bitrate=160_000)
THREE = ladder(HIGH, rung("720p", 720, 2_800_000), rung("480p", 480, 1_400_000, max_fps=30.0))
COPY = ladder(rung("source", bitrate=None, video_codec="copy", audio_codec="copy"))
AUDIO_RUNG = rung("radio", bitrate=None, audio_only=True, audio_bitrate=96_000)


def source(
    width: int = 1920,
    height: int = 1080,
    *,
    codec: str = "h264",
    fps: Fraction | None = Fraction(30),
    audio: AudioSource | None = AAC,
) -> SourceInfo:
    return SourceInfo(video=VideoSource(codec=codec, width=width, height=height, fps=fps), audio=audio)


def sizes(info: SourceInfo, of: LadderSettings = THREE) -> list[tuple[str, int, int]]:
    return [(str(each.name), each.width, each.height) for each in plan_renditions(of, info)]


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [
        pytest.param(1920, 1080, [("1080p", 1920, 1080), ("720p", 1280, 720), ("480p", 854, 480)], id="landscape"),
        pytest.param(1080, 1920, [("1080p", 1080, 1920), ("720p", 720, 1280), ("480p", 480, 854)], id="portrait"),
        pytest.param(1280, 720, [("720p", 1280, 720), ("480p", 854, 480)], id="higher rungs are left out"),
        pytest.param(720, 1280, [("720p", 720, 1280), ("480p", 480, 854)], id="portrait 720p"),
        pytest.param(1440, 1080, [("1080p", 1440, 1080), ("720p", 960, 720), ("480p", 640, 480)], id="4:3"),
        pytest.param(
            1600, 900, [("1080p", 1600, 900), ("720p", 1280, 720), ("480p", 854, 480)], id="between two rungs"
        ),
        pytest.param(1366, 768, [("720p", 1280, 720), ("480p", 854, 480)], id="hardly larger than a rung"),
        pytest.param(1000, 1000, [("1080p", 1000, 1000), ("720p", 720, 720), ("480p", 480, 480)], id="square"),
        pytest.param(2560, 1080, [("1080p", 2560, 1080), ("720p", 1706, 720), ("480p", 1138, 480)], id="21:9"),
        pytest.param(641, 361, [("480p", 640, 360)], id="smaller than all, odd"),
        pytest.param(1279, 719, [("720p", 1278, 718), ("480p", 854, 480)], id="odd"),
        pytest.param(2, 2, [("480p", 2, 2)], id="tiny"),
    ],
)
def test_renditions_keep_the_aspect_and_never_enlarge(
    width: int, height: int, expected: list[tuple[str, int, int]]
) -> None:
    assert sizes(source(width, height)) == expected


@pytest.mark.parametrize(
    ("size", "aspect", "expected"),
    [
        pytest.param((720, 576), "16/11", [("720p", 1046, 576), ("480p", 872, 480)], id="PAL shown at 16:9"),
        pytest.param((720, 480), "8/9", [("480p", 640, 480)], id="NTSC shown at 4:3"),
        pytest.param((1440, 1080), "4/3", [("1080p", 1920, 1080), ("720p", 1280, 720), ("480p", 854, 480)], id="HDV"),
        pytest.param((480, 480), "1/2", [("480p", 240, 480)], id="narrow"),
    ],
)
def test_pixels_that_are_not_square_become_square(
    size: tuple[int, int], aspect: str, expected: list[tuple[str, int, int]]
) -> None:
    video = VideoSource(codec="h264", width=size[0], height=size[1], fps=Fraction(25), sample_aspect=Fraction(aspect))
    assert sizes(SourceInfo(video=video, audio=AAC)) == expected


def test_a_rendition_of_the_sources_own_size_gets_the_rungs_bits_in_proportion() -> None:
    best = plan_renditions(THREE, source(1600, 900))[0]
    assert 2_800_000 < best.video_bitrate < 5_000_000


@given(width=st.integers(2, 8192), height=st.integers(2, 8192))
def test_every_size_is_even_and_within_the_source(width: int, height: int) -> None:
    for _, out_width, out_height in sizes(source(width, height)):
        assert out_width % 2 == out_height % 2 == 0
        # Rounding to the nearest even number may add one pixel to the long side.
        assert 2 <= out_width <= width + 1
        assert 2 <= out_height <= height + 1
        assert min(out_width, out_height) <= min(width, height)


@pytest.mark.parametrize(
    ("fps", "max_fps", "expected"),
    [
        pytest.param(Fraction(30), 60.0, Fraction(30), id="below the cap stays"),
        pytest.param(Fraction(60), 30.0, Fraction(30), id="every second frame"),
        pytest.param(NTSC_60, 30.0, NTSC_30, id="59.94 becomes 29.97, not 30"),
        pytest.param(NTSC_60, 60.0, NTSC_60, id="59.94 stays exact"),
        pytest.param(Fraction(50), 30.0, Fraction(25), id="50 becomes 25"),
        pytest.param(Fraction(120), 50.0, Fraction(40), id="every third frame"),
        pytest.param(FILM, 30.0, FILM, id="film stays exact"),
        pytest.param(Fraction(6002, 100), 60.0, Fraction(60), id="a measured 60.02 is 60"),
        pytest.param(None, 60.0, Fraction(30), id="unknown is taken as 30"),
        pytest.param(None, 15.0, Fraction(15), id="unknown and capped"),
        pytest.param(Fraction(0), 60.0, Fraction(30), id="zero is unknown"),
    ],
)
def test_frame_rates_are_capped_by_dropping_frames_evenly(
    fps: Fraction | None, max_fps: float, expected: Fraction
) -> None:
    assert capped_fps(fps, max_fps) == expected


def test_each_rung_caps_its_own_frame_rate() -> None:
    rates = {str(each.name): each.fps for each in plan_renditions(THREE, source(fps=NTSC_60))}
    assert rates == {"1080p": NTSC_60, "720p": NTSC_60, "480p": NTSC_30}


def test_peak_and_buffer_have_defaults_that_follow_the_bit_rate() -> None:
    best = plan_renditions(THREE, source())[0]
    assert (best.video_bitrate, best.maxrate, best.bufsize) == (5_000_000, 5_350_000, 7_500_000)


def test_peak_and_buffer_of_the_operator_win() -> None:
    own = ladder(rung("one", 480, 1_000_000, maxrate=1_200_000, bufsize=900_000))
    only = plan_renditions(own, source())[0]
    assert (only.maxrate, only.bufsize) == (1_200_000, 900_000)


def test_a_picture_smaller_than_the_lowest_rung_gets_fewer_bits_but_more_per_pixel() -> None:
    small = plan_renditions(THREE, source(640, 360))[0]
    pixel_share = (640 * 360) / (854 * 480)
    assert pixel_share * 1_400_000 < small.video_bitrate < 1_400_000
    assert small.maxrate == round(small.video_bitrate * 1.07)


def test_even_a_tiny_picture_keeps_a_usable_bit_rate() -> None:
    assert plan_renditions(THREE, source(16, 16))[0].video_bitrate == 64_000


def test_the_lowest_rung_is_found_wherever_it_stands_in_the_ladder() -> None:
    upside_down = ladder(rung("low", 480), rung("high", 1080))
    assert sizes(source(320, 180), upside_down) == [("low", 320, 180)]


def test_a_source_without_audio_gives_silent_renditions_and_no_audio_only_one() -> None:
    planned = plan_renditions(ladder(HIGH, AUDIO_RUNG), source(audio=None))
    assert [(str(each.name), each.audio_codec, each.audio_bitrate) for each in planned] == [("1080p", None, 0)]


def test_an_audio_only_rung_passes_through_beside_pictures_also_when_those_are_too_large() -> None:
    planned = plan_renditions(ladder(HIGH, AUDIO_RUNG), source(640, 360))
    assert [(str(each.name), each.video_codec, each.width) for each in planned] == [
        ("1080p", "libx264", 640),
        ("radio", None, 0),
    ]


@pytest.mark.parametrize(
    ("of", "name", "codec", "bitrate"),
    [
        pytest.param(ladder(HIGH, AUDIO_RUNG), "radio", "aac", 96_000, id="the audio-only rung"),
        pytest.param(THREE, "audio", "aac", 160_000, id="the best rung's audio"),
        pytest.param(COPY, "audio", "copy", 128_000, id="a copied one"),
    ],
)
def test_a_source_without_video_gives_one_audio_rendition(
    of: LadderSettings, name: str, codec: str, bitrate: int
) -> None:
    (only,) = plan_renditions(of, SourceInfo(video=None, audio=AAC))
    assert (only.name, only.video_codec, only.audio_codec, only.audio_bitrate) == (name, None, codec, bitrate)
    assert (only.width, only.height, only.fps, only.video_bitrate) == (0, 0, None, 0)


def test_mono_is_not_widened_to_stereo() -> None:
    mono = AudioSource(codec="aac", sample_rate=44100, channels=1)
    assert {each.audio_channels for each in plan_renditions(THREE, source(audio=mono))} == {1}


def test_copy_keeps_what_the_publisher_sends() -> None:
    info = SourceInfo(video=source(1277, 719, fps=NTSC_60).video, audio=AAC, video_bitrate=BitsPerSecond(6_000_000))
    (only,) = plan_renditions(COPY, info)
    assert (only.video_codec, only.audio_codec, only.width, only.height) == ("copy", "copy", 1277, 719)
    assert (only.fps, only.video_bitrate, only.preset) == (NTSC_60, 6_000_000, "")


@pytest.mark.parametrize(
    ("of", "info", "version", "says"),
    [
        pytest.param(
            COPY,
            source(codec="vp6f"),
            (9, 0),
            "copies vp6f.*encode it instead",
            id="copied video that no container holds",
        ),
        pytest.param(
            COPY,
            source(audio=AudioSource(codec="speex", sample_rate=16000, channels=1)),
            (9, 0),
            "copies speex",
            id="copied audio that TS cannot hold",
        ),
        pytest.param(COPY, source(codec="hevc"), (9, 0), "copies hevc.*segment_format: fmp4 can", id="HEVC in TS"),
        pytest.param(THREE, source(codec="hevc"), (5, 1), "needs FFmpeg 6.1", id="hevc before 6.1"),
        pytest.param(COPY, source(codec="hevc"), (6, 0), "needs FFmpeg 6.1", id="hevc copied before 6.1"),
        pytest.param(THREE, source(codec="av1"), (5, 1), "needs FFmpeg 6.1", id="av1 before 6.1"),
        pytest.param(
            THREE,
            source(audio=AudioSource(codec="opus", sample_rate=48000, channels=2)),
            (7, 1),
            "needs FFmpeg 8.0",
            id="opus before 8.0",
        ),
        pytest.param(THREE, SourceInfo(video=None, audio=None), (9, 0), "neither video nor audio", id="nothing"),
        pytest.param(ladder(AUDIO_RUNG), source(audio=None), (9, 0), "no audio", id="radio ladder, silent source"),
        pytest.param(THREE, source(0, 0), (9, 0), "picture size 0x0", id="unknown size"),
    ],
)
def test_what_cannot_be_encoded_is_refused_in_one_sentence(
    of: LadderSettings, info: SourceInfo, version: tuple[int, int], says: str
) -> None:
    with pytest.raises(LadderError, match=says) as refusal:
        plan_renditions(of, info, ffmpeg_version=version)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("codec", ["hevc", "av1", "vp9"])
def test_enhanced_rtmp_is_encoded_by_a_new_ffmpeg(codec: str) -> None:
    assert len(plan_renditions(THREE, source(codec=codec), ffmpeg_version=(6, 1))) == 3
