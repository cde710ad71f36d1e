"""Files in HLS_OUTPUT_DIR that nobody looks for again: of streams that were forgotten, or whose journal was lost."""

import os
from collections.abc import Callable
from pathlib import Path

from streamkit.errors import InvalidStreamKeyError
from streamkit.hls.journal import keys_to_recover
from streamkit.types import Seconds, StreamKey, UnixTime, parse_stream_key

OLD = Seconds(86_400.0)
"""A file that was written to in the last day may be somebody's, whatever is known of it."""
_STATE_FOLDER = ".streamkit"


def remove_orphans(folder: Path, is_known: Callable[[StreamKey], bool], *, now: UnixTime) -> tuple[int, int]:
    """Delete what is left of streams that no actor holds and no journal waits for; return files and bytes.

    Only files of our own making (segments, initialization sections, FFmpeg's playlists) that are a day old.
    """
    waiting = frozenset(keys_to_recover(folder / _STATE_FOLDER))
    count = size = 0
    for place in sorted(folder.iterdir()) if folder.is_dir() else ():
        key = _key_of(place)
        if key is None or key in waiting or is_known(key):
            continue
        for file in [*place.glob("segment_*"), *place.glob("init_*"), *place.glob(".s*.m3u8")]:
            found = file.lstat()
            if found.st_mtime + OLD <= now and not file.is_dir():
                os.unlink(file)
                count, size = count + 1, size + found.st_size
    return count, size


def _key_of(place: Path) -> StreamKey | None:
    try:
        return parse_stream_key(place.name) if place.is_dir() and not place.is_symlink() else None
    except InvalidStreamKeyError:
        return None
