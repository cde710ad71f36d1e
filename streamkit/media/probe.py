"""What is inside a segment, MPEG-TS or fragmented MP4."""

from streamkit.errors import MediaError
from streamkit.media import mp4, ts
from streamkit.media.info import MediaInfo


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
