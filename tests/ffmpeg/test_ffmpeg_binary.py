"""Finding FFmpeg: which one is taken, and what is said about those that cannot be."""

import shutil
import stat
from pathlib import Path

import imageio_ffmpeg
import pytest

from streamkit.errors import EncoderNotFoundError
from streamkit.ffmpeg.binary import find_ffmpeg, parse_encoders, parse_version

ENCODERS = """Encoders:
 V..... = Video
 A..... = Audio
 ------
 V....D libx264              libx264 H.264 / AVC / MPEG-4 AVC / MPEG-4 part 10 (codec h264)
 VF...D mpeg2video           MPEG-2 video
 A....D aac                  AAC (Advanced Audio Coding)
"""


def fake_ffmpeg(path: Path, version: str = "ffmpeg version 6.1.1 Copyright", encoders: str = ENCODERS) -> Path:
    path.write_text(f"#!/bin/sh\ncase \"$*\" in *-encoders*) cat <<'E'\n{encoders}E\n;; *) echo '{version}';; esac\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def bundled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one that imageio-ffmpeg carries, here a fake 9.0."""
    path = fake_ffmpeg(tmp_path / "bundled", "ffmpeg version n9.0.2-17-g2a571b6068-20260930 Copyright")
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", lambda: str(path))
    return path


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that alone is searched for `ffmpeg`; a fake needs `cat` too."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "cat").symlink_to(shutil.which("cat") or "/bin/cat")
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("ffmpeg version 5.1.9-0+deb12u1 Copyright (c) 2000-2026", (5, 1)),
        ("ffmpeg version n9.0.2-17-g2a571b6068-20260930 Copyright", (9, 0)),
        ("ffmpeg version 7.0 Copyright", (7, 0)),
        ("ffmpeg version N-118315-g4f3c9f2f03 Copyright\nlibavutil 59. 56.100\nlibavformat    61.  9.107", (7, 0)),
        ("avconv version 12", None),
        ("", None),
    ],
)
def test_the_version_is_read_from_releases_and_git_builds(text: str, version: tuple[int, int] | None) -> None:
    assert parse_version(text) == version


def test_the_legend_is_not_taken_for_encoders() -> None:
    assert parse_encoders(ENCODERS) == {"libx264", "mpeg2video", "aac"}


def test_the_configured_one_is_taken_before_all_others(on_path: Path, bundled: Path, tmp_path: Path) -> None:
    fake_ffmpeg(on_path / "ffmpeg")
    own = fake_ffmpeg(tmp_path / "own", "ffmpeg version 7.1 Copyright")
    found = find_ffmpeg(str(own))
    assert (found.path, found.version, found.version_text) == (str(own), (7, 1), "7.1")


def test_the_one_on_path_is_taken_before_the_bundled_one(on_path: Path, bundled: Path) -> None:
    own = fake_ffmpeg(on_path / "ffmpeg")
    assert find_ffmpeg("").path == str(own)


@pytest.mark.parametrize(
    "broken",
    [
        {"version": "ffmpeg version 4.3.6 Copyright"},
        {"encoders": ENCODERS.replace("libx264", "libx265")},
        {"version": "something else"},
    ],
    ids=["too old", "without libx264", "not FFmpeg"],
)
def test_a_useless_one_on_path_is_passed_over(on_path: Path, bundled: Path, broken: dict[str, str]) -> None:
    fake_ffmpeg(on_path / "ffmpeg", **broken)
    assert find_ffmpeg("").path == str(bundled)


def test_a_useless_configured_one_is_an_error_and_not_passed_over(on_path: Path, bundled: Path, tmp_path: Path) -> None:
    old = fake_ffmpeg(tmp_path / "old", "ffmpeg version 4.3.6 Copyright")
    with pytest.raises(EncoderNotFoundError, match=r"is FFmpeg 4\.3: 5\.1 or newer is needed"):
        find_ffmpeg(str(old))


def test_a_configured_one_that_does_not_exist_is_named(bundled: Path) -> None:
    with pytest.raises(EncoderNotFoundError, match="'/nowhere/ffmpeg', which is not an executable file"):
        find_ffmpeg("/nowhere/ffmpeg")


def test_a_configured_one_that_fails_is_named(bundled: Path) -> None:
    with pytest.raises(EncoderNotFoundError, match="cannot be run"):
        find_ffmpeg(shutil.which("false") or "/bin/false")


def test_a_machine_without_any_is_told_so(on_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing() -> str:
        raise RuntimeError("no binary for this platform")

    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", nothing)
    with pytest.raises(EncoderNotFoundError, match="no FFmpeg on PATH"):
        find_ffmpeg("")
