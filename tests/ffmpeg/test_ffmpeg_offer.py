"""A ladder that asks for an encoder which FFmpeg or the machine does not have is refused before it is needed."""

import stat
from pathlib import Path
from typing import Any

import pytest

from streamkit.errors import ConfigError, EncoderNotFoundError
from streamkit.ffmpeg.binary import FfmpegInfo
from streamkit.ffmpeg.offer import check_ladders
from streamkit.settings_ladder import LadderSettings, RenditionSettings

NODE = "/dev/dri/renderD128"


def ladder(*codecs: str) -> dict[str, LadderSettings]:
    presets = {"h264_nvenc": "p4", "av1": "10", "h264_vaapi": ""}
    rungs = [
        RenditionSettings(
            name=f"r{n}", height=720, video_bitrate=1_000_000, video_codec=codec, preset=presets.get(codec, "fast")
        )
        for n, codec in enumerate(codecs)
    ]
    return {"mine": LadderSettings(renditions=tuple(rungs))}


def offer(*encoders: str, path: str = "/opt/ffmpeg") -> FfmpegInfo:
    return FfmpegInfo(path=path, version=(5, 1), version_text="5.1.9", encoders=frozenset(encoders))


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_what_ffmpeg_has_is_accepted() -> None:
    check_ladders(ladder("libx264", "hevc"), offer("libx264", "libx265"), NODE)


def test_an_encoder_that_is_missing_is_named_with_its_key_and_what_there_is_instead() -> None:
    with pytest.raises(ConfigError) as refusal:
        check_ladders(ladder("libx264", "av1", "h264_nvenc"), offer("libx264", "libaom-av1"), NODE)
    where, without = "ladders.mine.renditions", "FFmpeg 5.1.9 (/opt/ffmpeg) was built without"
    assert list(refusal.value.problems) == [
        f"{where}.1.video_codec: {without} libsvtav1; for av1 it has libaom-av1",
        f"{where}.2.video_codec: {without} h264_nvenc; for h264 it has libx264",
    ]


def test_a_device_that_is_missing_is_told_from_one_picture(tmp_path: Path) -> None:
    path = script(tmp_path / "ffmpeg", 'echo "No VA display found for device" >&2; exit 1')
    with pytest.raises(EncoderNotFoundError, match=r"asks for h264_vaapi, .*No VA display found"):
        check_ladders(ladder("h264_vaapi"), offer("h264_vaapi", path=path), NODE)


def test_a_device_that_works_is_accepted_after_one_picture(tmp_path: Path) -> None:
    path = script(tmp_path / "ffmpeg", f'echo "$@" > {tmp_path}/said')
    check_ladders(ladder("h264_vaapi"), offer("h264_vaapi", path=path), NODE)
    said = (tmp_path / "said").read_text()
    assert f"-init_hw_device vaapi=hw:{NODE} -filter_hw_device hw" in said
    assert "-vf format=nv12,hwupload -c:v h264_vaapi -frames:v 1" in said


def test_software_alone_runs_nothing(tmp_path: Path) -> None:
    path = script(tmp_path / "ffmpeg", "exit 1")
    check_ladders(ladder("libx264"), offer("libx264", path=path), NODE)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"video_codec": "x264"}, "one of libx264, libx265"),
        (
            {"video_codec": "h264_nvenc", "preset": "fast"},
            "one of auto, p1, p2, p3, p4, p5, p6, p7, which h264_nvenc knows",
        ),
        ({"video_codec": "av1", "preset": "14"}, "which libsvtav1 knows"),
        ({"video_codec": "av1", "preset": "10", "level": "4.0"}, "left out: libsvtav1 chooses its level itself"),
        ({"tune": "hq"}, "which libx264 knows"),
        ({"video_codec": "hevc", "profile": "high"}, "one of main, which libx265 knows"),
        ({"level": "9"}, "which libx264 knows"),
    ],
)
def test_words_of_another_encoder_are_refused_with_those_that_it_knows(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        RenditionSettings(**{"name": "a", "height": 480, "video_bitrate": 800_000, **fields})


def test_numbers_that_are_words_to_an_encoder_need_no_quotes() -> None:
    rung = RenditionSettings(name="a", height=480, video_bitrate=800_000, video_codec="libsvtav1", preset=10)  # type: ignore[arg-type]
    assert rung.preset == "10"
    assert RenditionSettings(name="a", height=480, video_bitrate=800_000, level=4.1).level == "4.1"  # type: ignore[arg-type]
