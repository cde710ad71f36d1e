"""Pure: FFmpeg's own playlist -> the segments it has closed. No player sees it; its durations are exact."""

import re
from dataclasses import dataclass

from streamkit.types import Seconds

_EXTINF, _MAP = "#EXTINF:", "#EXT-X-MAP:"
_URI = re.compile(r'URI="(?:[^"]*/)?([^"/]+)"')


@dataclass(frozen=True, slots=True)
class ListedSegment:
    """A file that FFmpeg finished, the seconds of media in it, and the initialization section that it needs."""

    name: str
    duration: Seconds
    init: str | None = None


def parse_private_playlist(text: str) -> tuple[ListedSegment, ...]:
    """Return the listed segments in order. Lines that make no sense are skipped: the file may be cut at its end."""
    segments: list[ListedSegment] = []
    duration: Seconds | None = None
    init: str | None = None
    for line in text.splitlines():
        if line.startswith(_EXTINF):
            duration = _seconds(line[len(_EXTINF) :])
        elif line and not line.startswith("#") and duration is not None:
            segments.append(ListedSegment(line.rsplit("/", 1)[-1], duration, init))
            duration = None
        elif line.startswith(_MAP) and (found := _URI.search(line)):
            init = found[1]
    return tuple(segments)


def _seconds(text: str) -> Seconds | None:
    try:
        return Seconds(float(text.split(",", 1)[0]))
    except ValueError:
        return None
