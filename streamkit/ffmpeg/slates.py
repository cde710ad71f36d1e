"""Whether FFmpeg can read the slates that the configuration names, and what is in them."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from streamkit.errors import ConfigError
from streamkit.ffmpeg.inputs import Slate
from streamkit.ffmpeg.sandbox import run_contained
from streamkit.settings import Settings
from streamkit.types import Seconds

TIMEOUT = Seconds(20.0)
"""Seconds for the first frame of a slate: generous, for a loaded machine."""


def check_slates(settings: Settings, ffmpeg: str) -> Mapping[str, Slate]:
    """Return every slate by its path as configured. Blocks for some 0.1 s each; none costs nothing.

    Raises ConfigError that names each one which FFmpeg cannot show.
    """
    found: dict[str, Slate] = {}
    problems: list[str] = []
    for where, path in settings.slates():
        if not Path(path).is_file():
            problems.append(f"{where}: there is no file {path}")
        elif not _decodes(ffmpeg, path, "0:v:0"):
            problems.append(f"{where}: FFmpeg finds no picture in {path}; a slate is a picture or a clip")
        else:
            found[path] = Slate(path=Path(path).absolute(), has_audio=_decodes(ffmpeg, path, "0:a:0"))
    if problems:
        raise ConfigError(problems)
    return found


def _decodes(ffmpeg: str, path: str, stream: str) -> bool:
    """Return whether the first frame of the stream can be decoded."""
    frames = "-frames:v" if ":v" in stream else "-frames:a"
    argv = [ffmpeg, "-nostdin", "-v", "error", "-protocol_whitelist", "file,pipe", "-i", f"file:{path}"]
    argv += ["-map", stream, frames, "1", "-f", "null", "-"]
    try:
        done = run_contained(argv, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
