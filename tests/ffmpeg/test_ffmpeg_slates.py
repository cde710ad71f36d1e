"""A slate that cannot be shown is named when the service starts, not when the publisher is gone."""

import subprocess
from pathlib import Path

import pytest

from streamkit.errors import ConfigError
from streamkit.ffmpeg.binary import find_ffmpeg
from streamkit.ffmpeg.slates import check_slates
from streamkit.settings import SessionSettings, Settings, StreamRule

FFMPEG = find_ffmpeg("").path


def make(path: Path, *inputs: str) -> str:
    options = [part for one in inputs for part in ("-f", "lavfi", "-i", one)]
    length = ["-frames:v", "1"] if path.suffix == ".png" else ["-t", "0.2"]
    subprocess.run([FFMPEG, "-v", "error", *options, *length, str(path)], check=True, timeout=30)
    return str(path)


def test_a_picture_and_a_clip_are_looked_at_once(tmp_path: Path) -> None:
    picture = make(tmp_path / "soon.png", "color=red:size=64x64")
    clip = make(tmp_path / "soon.mp4", "color=red:size=64x64", "sine")
    settings = Settings(sessions=SessionSettings(slate=picture), streams=(StreamRule(match="a", slate=clip),))
    found = check_slates(settings, FFMPEG)
    assert [(slate.path.name, slate.has_audio) for slate in found.values()] == [("soon.png", False), ("soon.mp4", True)]


def test_slates_that_cannot_be_shown_are_all_named(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    tone = make(tmp_path / "tone.wav", "sine")
    rules = (StreamRule(match="a", slate=str(tmp_path / "missing.png")), StreamRule(match="b", slate=tone))
    settings = Settings(sessions=SessionSettings(slate=str(tmp_path / "text.png")), streams=rules)
    with pytest.raises(ConfigError) as caught:
        check_slates(settings, FFMPEG)
    assert caught.value.problems == [
        f"sessions.slate: FFmpeg finds no picture in {tmp_path}/text.png; a slate is a picture or a clip",
        f"streams.0.slate: there is no file {tmp_path}/missing.png",
        f"streams.1.slate: FFmpeg finds no picture in {tone}; a slate is a picture or a clip",
    ]


def test_without_slates_nothing_is_run() -> None:
    assert check_slates(Settings(), "/nowhere/ffmpeg") == {}
