"""A ladder that passes on what needs no encoding: which sources it takes, and that players keep what they watch."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from pydantic import ValidationError

from streamkit.ladder import plan_renditions
from streamkit.passthrough import fitting_rung
from streamkit.settings_ladder import LadderSettings, RenditionSettings
from streamkit.types import (
    AudioSource,
    BitsPerSecond,
    RenditionName,
    SourceInfo,
    VideoSource,
)

LADDER = LadderSettings(
    passthrough=True,
    renditions=(
        RenditionSettings(name="1080p", height=1080, video_bitrate=5_000_000),
        RenditionSettings(name="720p", height=720, video_bitrate=2_800_000, maxrate=3_000_000, max_fps=30.0),
    ),
)
PICTURE = VideoSource(codec="h264", width=1280, height=720, fps=Fraction(30), profile=100)
SOURCE = SourceInfo(
    video=PICTURE,
    audio=AudioSource(codec="aac", sample_rate=48000, channels=2),
    video_bitrate=BitsPerSecond(3_000_000),
)


def test_a_source_within_the_limits_of_a_rung_is_copied_as_the_only_rendition() -> None:
    [rendition] = plan_renditions(LADDER, SOURCE)
    assert (rendition.name, rendition.video_codec, rendition.audio_codec) == ("720p", "copy", "copy")
    assert (rendition.width, rendition.height, rendition.video_bitrate) == (1280, 720, 3_000_000)


def test_a_source_between_two_rungs_is_taken_for_the_upper_one() -> None:
    [rendition] = plan_renditions(LADDER, replace(SOURCE, video=replace(PICTURE, width=1600, height=900)))
    assert (rendition.name, rendition.video_codec) == ("1080p", "copy")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        pytest.param({"codec": "hevc"}, "it is hevc, the rung is h264", id="another codec"),
        pytest.param({"width": 2560, "height": 1440}, "larger than every rung: 2560x1440", id="too large"),
        pytest.param({"fps": Fraction(60)}, "too many frames per second", id="too fast"),
        pytest.param({"fps": None}, "frame rate is not known", id="of unknown rate"),
        pytest.param({"profile": 110}, "not H.264 of a profile that every player has", id="of 10 bits"),
        pytest.param({"may_be_interlaced": True}, "interlaced", id="interlaced"),
        pytest.param({"sample_aspect": Fraction(4, 3), "width": 960}, "not square", id="anamorphic"),
    ],
)
def test_a_picture_that_the_rung_would_change_is_encoded(change: dict[str, Any], why: str) -> None:
    source = replace(SOURCE, video=replace(PICTURE, **change))
    assert why in fitting_rung(LADDER, source)[1]
    assert all(one.video_codec == "libx264" for one in plan_renditions(LADDER, source))


@pytest.mark.parametrize(
    ("bitrate", "why"),
    [
        pytest.param(3_000_001, "above the rung's peak of 3000000 bit/s ('720p')", id="too high"),
        pytest.param(None, "does not announce its bit rate", id="not announced"),
    ],
)
def test_a_bit_rate_above_the_rung_or_unknown_is_encoded(bitrate: BitsPerSecond | None, why: str) -> None:
    source = replace(SOURCE, video_bitrate=bitrate)
    assert why in fitting_rung(LADDER, source)[1]
    assert {one.video_codec for one in plan_renditions(LADDER, source)} == {"libx264"}


def test_sound_that_the_rung_would_change_is_encoded_beside_the_copied_picture() -> None:
    source = replace(SOURCE, audio=AudioSource(codec="aac", sample_rate=48000, channels=6))
    [rendition] = plan_renditions(LADDER, source)
    assert (rendition.video_codec, rendition.audio_codec, rendition.audio_channels) == ("copy", "aac", 2)


@pytest.mark.parametrize(
    ("watched", "codec"),
    [pytest.param(("720p",), "copy", id="the same one"), pytest.param(("1080p", "720p"), "libx264", id="others")],
)
def test_players_keep_the_renditions_that_they_watch(watched: tuple[str, ...], codec: str) -> None:
    keep = frozenset(RenditionName(name) for name in watched)
    planned = plan_renditions(LADDER, SOURCE, keep=keep)
    assert {one.name for one in planned} == set(watched)
    assert {one.video_codec for one in planned} == {codec}


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"separate_audio": True}, id="with sound apart"),
        pytest.param({"renditions": (RenditionSettings(name="source", video_codec="copy"),)}, id="where all is copied"),
    ],
)
def test_a_ladder_with_nothing_to_choose_between_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="there is nothing to choose between"):
        LadderSettings(**{"passthrough": True, "renditions": LADDER.renditions} | fields)
