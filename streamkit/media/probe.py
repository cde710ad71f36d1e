"""What is inside a segment, MPEG-TS or fragmented MP4."""

from pathlib import Path

from streamkit.errors import MediaError
from streamkit.media import mp4, ts
from streamkit.media.info import MediaInfo

_BEGINNING, _MOST = 188 << 10, 4 * (188 << 10)  # bytes; the audio of a large picture comes late in MPEG-TS
_FIRST_PICTURE = 188 << 8


def read_file(segment: Path, init: Path | None = None) -> MediaInfo:
    """Return what the beginning of a segment's file holds. Raises MediaError, and OSError."""
    header = None if init is None else init.read_bytes()
    with segment.open("rb") as file:
        beginning = file.read(_BEGINNING)
        info = read(beginning, header)
        if info.is_complete or len(beginning) < _BEGINNING:
            return info
        return read(beginning + file.read(_MOST - _BEGINNING), header)


def read_first_picture(segment: Path, init: Path | None = None) -> MediaInfo:
    """Return what as little of a segment's file holds as shows how its first picture was encoded."""
    header = None if init is None else init.read_bytes()
    with segment.open("rb") as file:
        return read(file.read(_FIRST_PICTURE), header)


def read(segment: bytes, init: bytes | None = None) -> MediaInfo:
    """Return what a segment, or its beginning, holds; `init` is its initialization section (EXT-X-MAP).

    Raises MediaError, one sentence, when it cannot be read, whatever the bytes are.
    """
    if not segment:
        raise MediaError("it is empty")
    try:
        return ts.read(segment) if init is None else mp4.read(segment, init)
    except (IndexError, ValueError, ZeroDivisionError) as error:
        raise MediaError(f"a header in it makes no sense ({error})") from error
