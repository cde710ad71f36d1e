"""Pure: FFmpeg's own playlist -> the segments it has closed. No player sees it; its durations are exact."""

from dataclasses import dataclass

from streamkit.types import Seconds

_EXTINF = "#EXTINF:"


@dataclass(frozen=True, slots=True)
class ListedSegment:
    """A file that FFmpeg finished, and the seconds of media in it."""

    name: str
    duration: Seconds


def parse_private_playlist(text: str) -> tuple[ListedSegment, ...]:
    """Return the listed segments in order. Lines that make no sense are skipped: the file may be cut at its end."""
    segments: list[ListedSegment] = []
    duration: Seconds | None = None
    for line in text.splitlines():
        if line.startswith(_EXTINF):
            duration = _seconds(line[len(_EXTINF) :])
        elif line and not line.startswith("#") and duration is not None:
            segments.append(ListedSegment(line.rsplit("/", 1)[-1], duration))
            duration = None
    return tuple(segments)


def _seconds(text: str) -> Seconds | None:
    try:
        return Seconds(float(text.split(",", 1)[0]))
    except ValueError:
        return None
