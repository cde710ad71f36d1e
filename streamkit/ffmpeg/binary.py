"""Finds a usable FFmpeg: the configured one, the one on PATH, or the one that imageio-ffmpeg carries."""

import re
import shutil
import subprocess
from dataclasses import dataclass

import imageio_ffmpeg

from streamkit.errors import EncoderNotFoundError
from streamkit.ffmpeg.sandbox import run_contained
from streamkit.types import Seconds

OLDEST_VERSION = (5, 1)
"""The first with -fps_mode; everything is tested with it and with FFmpeg 9."""
NEEDED_ENCODERS = ("libx264", "aac")
RUN_TIMEOUT = Seconds(20.0)
"""Seconds for `ffmpeg -version`: generous, a loaded machine may have to read it from a cold disk."""

_VERSION = re.compile(r"^ffmpeg version n?(\d+)\.(\d+)", re.MULTILINE)
_LIBAVFORMAT = re.compile(r"^libavformat\s+(\d+)\.", re.MULTILINE)
_FIRST_LINE = re.compile(r"^ffmpeg version (\S+)", re.MULTILINE)
_ENCODER = re.compile(r"^ [VAS][A-Z.]{5} (\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class FfmpegInfo:
    """A usable FFmpeg. `version` is (major, minor)."""

    path: str
    version: tuple[int, int]
    version_text: str
    encoders: frozenset[str]


def find_ffmpeg(configured: str) -> FfmpegInfo:
    """Return the configured FFmpeg, or else the first usable one. Runs it twice; blocks for some 0.1 s.

    Raises EncoderNotFoundError with one sentence that says what was tried and what was wrong with it.
    """
    if configured:
        path = shutil.which(configured)
        if path is None:
            raise EncoderNotFoundError(f"encoder.ffmpeg is {configured!r}, which is not an executable file")
        return _inspect(path)
    problems = []
    for path in _candidates():
        try:
            return _inspect(path)
        except EncoderNotFoundError as error:
            problems.append(str(error))
    raise EncoderNotFoundError(
        "; ".join(problems) or "there is no FFmpeg on PATH and imageio-ffmpeg carries none for this machine"
    )


def parse_version(text: str) -> tuple[int, int] | None:
    """Return (major, minor) of what `ffmpeg -version` prints; None if it is not FFmpeg.

    Builds from git have no version: the libavformat they contain says which release they follow (58 is 4, 59 is 5).
    """
    if match := _VERSION.search(text):
        return int(match[1]), int(match[2])
    if match := _LIBAVFORMAT.search(text):
        return int(match[1]) - 54, 0
    return None


def parse_encoders(text: str) -> frozenset[str]:
    """Return the names in what `ffmpeg -encoders` prints."""
    return frozenset(name for name in _ENCODER.findall(text) if name != "=")


def _candidates() -> list[str]:
    found = [path for path in [shutil.which("ffmpeg")] if path]
    try:
        found.append(imageio_ffmpeg.get_ffmpeg_exe())  # type: ignore[attr-defined, no-untyped-call]
    except RuntimeError:
        # imageio-ffmpeg has no binary for this platform: whatever is on PATH must do.
        return found
    return found


def _inspect(path: str) -> FfmpegInfo:
    text = _run(path, "-version")
    version = parse_version(text)
    if version is None:
        raise EncoderNotFoundError(f"{path} is not FFmpeg")
    if version < OLDEST_VERSION:
        raise EncoderNotFoundError(
            f"{path} is FFmpeg {version[0]}.{version[1]}: {OLDEST_VERSION[0]}.{OLDEST_VERSION[1]} or newer is needed"
        )
    encoders = parse_encoders(_run(path, "-encoders"))
    missing = [name for name in NEEDED_ENCODERS if name not in encoders]
    if missing:
        raise EncoderNotFoundError(f"{path} was built without {' and '.join(missing)}")
    first_line = _FIRST_LINE.search(text)
    return FfmpegInfo(
        path=path,
        version=version,
        version_text=first_line[1] if first_line else "",
        encoders=encoders,
    )


def _run(path: str, option: str) -> str:
    try:
        result = run_contained([path, "-hide_banner", option], timeout=RUN_TIMEOUT)
    except subprocess.TimeoutExpired as error:
        raise EncoderNotFoundError(f"{path} did not answer within {RUN_TIMEOUT:.0f} seconds") from error
    except OSError as error:
        raise EncoderNotFoundError(f"{path} cannot be run: {error}") from error
    if result.returncode:
        said = result.stderr.decode(errors="replace").strip().splitlines() or ["it says nothing"]
        raise EncoderNotFoundError(f"{path} cannot be run, it ended with {result.returncode}: {said[-1]}")
    return result.stdout.decode(errors="replace")
