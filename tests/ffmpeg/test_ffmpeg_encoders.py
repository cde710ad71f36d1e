"""The options of each encoder: what hardware would be told can be read here, and is not run."""

from itertools import pairwise

import pytest

from streamkit.ffmpeg.encoders import ENCODERS, device_options, encoder_name, encoder_options, pixel_format
from streamkit.types import BitsPerSecond, Rendition, RenditionName

NODE = "/dev/dri/renderD128"


def rendition(encoder: str, **fields: object) -> Rendition:
    known = ENCODERS[encoder]
    usual: dict[str, object] = {
        "name": RenditionName("720p"),
        "video_codec": encoder,
        "video_bitrate": BitsPerSecond(2_000_000),
        "maxrate": BitsPerSecond(2_140_000),
        "bufsize": 3_000_000,
        "preset": known.usual,
        "tune": "zerolatency",
        "profile": known.profiles[0],
    }
    return Rendition(**{**usual, **fields})  # type: ignore[arg-type]


def options(encoder: str, **fields: object) -> dict[str, str]:
    """Return the options by name, for segments of 60 frames."""
    argv = encoder_options(rendition(encoder, **fields), 60)
    assert len(argv) % 2 == 0
    return {name: value for name, value in pairwise(argv) if name.startswith("-") and not value.startswith("-")}


@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_encoder_is_told_its_rate_and_a_distance_of_key_frames(encoder: str) -> None:
    told = options(encoder)
    assert told["-c:v"] == encoder
    assert (told["-b:v"], told["-bufsize"]) == ("2000000", "3000000")
    assert told["-g"] == ("60" if encoder == "libsvtav1" else "120")
    assert told.get("-maxrate") == (None if encoder == "libsvtav1" else "2140000")


@pytest.mark.parametrize(
    ("encoder", "expected"),
    [
        ("libx264", {"-sc_threshold": "0", "-tune": "zerolatency", "-profile:v": "high", "-preset": "veryfast"}),
        ("libx265", {"-forced-idr": "1", "-profile:v": "main", "-preset": "ultrafast"}),
        ("libsvtav1", {"-preset": "10", "-svtav1-params": "rc=2:pred-struct=1:scd=0:lp=4"}),
        ("libaom-av1", {"-usage": "realtime", "-cpu-used": "8", "-lag-in-frames": "0"}),
        ("h264_nvenc", {"-preset": "p4", "-tune": "ull", "-bf": "0", "-forced-idr": "1", "-rc": "vbr"}),
        ("hevc_nvenc", {"-profile:v": "main", "-no-scenecut": "1"}),
        ("av1_nvenc", {"-forced-idr": "1", "-zerolatency": "1"}),
        ("h264_vaapi", {"-profile:v": "high", "-rc_mode": "VBR", "-bf": "0"}),
        ("hevc_vaapi", {"-profile:v": "main"}),
        ("h264_qsv", {"-preset": "medium", "-forced_idr": "1", "-async_depth": "1"}),
        ("hevc_qsv", {"-profile:v": "main", "-forced_idr": "1"}),
    ],
)
def test_each_family_speaks_its_own_language(encoder: str, expected: dict[str, str]) -> None:
    told = options(encoder)
    assert {name: told.get(name) for name in expected} == expected


def test_hevc_has_no_open_gops_and_its_parameter_sets_in_every_segment() -> None:
    parameters = options("libx265", level="4.1")["-x265-params"].split(":")
    assert {"keyint=120", "scenecut=0", "open-gop=0", "repeat-headers=1", "level-idc=4.1"} <= set(parameters)


@pytest.mark.parametrize(
    ("encoder", "level"), [("libx264", "4.1"), ("h264_nvenc", "4.1"), ("h264_vaapi", "4.1"), ("h264_qsv", "41")]
)
def test_a_level_is_written_as_the_encoder_reads_it(encoder: str, level: str) -> None:
    assert options(encoder, level="4.1")["-level:v"] == level
    assert "-level:v" not in options(encoder)


def test_baseline_is_constrained_baseline_for_vaapi() -> None:
    assert options("h264_vaapi", profile="baseline")["-profile:v"] == "constrained_baseline"


@pytest.mark.parametrize("encoder", ["h264_nvenc", "h264_vaapi", "h264_qsv", "libx264", "libx265"])
def test_without_a_tune_the_encoder_may_reorder(encoder: str) -> None:
    told = options(encoder, tune="")
    assert "-bf" not in told
    assert "-tune" not in told


def test_svt_av1_looks_ahead_at_a_variable_rate_when_delay_does_not_matter() -> None:
    assert options("libsvtav1", tune="")["-svtav1-params"] == "rc=1:scd=0:lp=4"


@pytest.mark.parametrize(
    ("encoder", "opened", "format_"),
    [
        ("libx264", [], "format=yuv420p"),
        ("h264_nvenc", [], "format=yuv420p"),
        ("h264_vaapi", ["-init_hw_device", f"vaapi=hw:{NODE}", "-filter_hw_device", "hw"], "format=nv12,hwupload"),
        ("hevc_qsv", ["-init_hw_device", f"qsv=hw,child_device={NODE}"], "format=nv12"),
    ],
)
def test_a_device_is_opened_for_those_that_need_one(encoder: str, opened: list[str], format_: str) -> None:
    renditions = (rendition("libx264"), rendition(encoder), Rendition(name=RenditionName("radio"), video_codec=None))
    assert device_options(renditions, NODE) == opened
    assert pixel_format(encoder) == format_


def test_friendly_names_are_the_usual_encoders() -> None:
    assert [encoder_name(name) for name in ("h264", "hevc", "av1", "libx264", "copy")] == [
        "libx264",
        "libx265",
        "libsvtav1",
        "libx264",
        "copy",
    ]
