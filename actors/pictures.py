"""Pictures: what FFmpeg draws beside one stream's renditions, brought to this node's players and to the bucket.

Used by the Broadcast alone, in the StreamActor's thread. FFmpeg replaces a picture as a whole, so looking now and then
is enough; a picture that cannot be read costs itself and nothing else.
"""

import logging
from pathlib import Path

from actors.bucket import Bucket
from streamkit.ffmpeg.pictures import FOLDER, POSTER_FILE
from streamkit.hls.names import POSTER
from streamkit.jpeg import is_whole
from streamkit.snapshots import Picture
from streamkit.types import StreamKey

logger = logging.getLogger(__name__)


class Pictures:
    """`folder` is the stream's own."""

    def __init__(self, key: StreamKey, bucket: Bucket, folder: Path) -> None:
        self._bucket = bucket
        self._extra = {"key": key}
        self._folder = folder / FOLDER
        self._poster_file = self._folder / POSTER_FILE
        self._poster_seen = _version(self._poster_file)  # an older broadcast's; the store has it
        self.poster: Picture | None = None
        """The newest picture that this node made."""

    def look(self) -> None:
        """Take in what FFmpeg has drawn since the last time."""
        version = _version(self._poster_file)
        if version in (None, self._poster_seen):
            return
        self._poster_seen = version
        body = self._read(self._poster_file)
        if body is not None:
            self.poster = Picture(name=POSTER, body=body)
            self._bucket.put({POSTER: body}, entry=POSTER)

    def _read(self, path: Path) -> bytes | None:
        try:
            body = path.read_bytes()
        except OSError as error:
            logger.warning("A picture cannot be read: %s", error, extra=self._extra)
            return None
        if not is_whole(body):
            logger.warning("%s is not a whole picture and is left out: is the disk full?", path.name, extra=self._extra)
            return None
        return body


def _version(path: Path) -> tuple[int, int] | None:
    """Return what changes with the file, None when it is not there; two may be written within one tick of the clock."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns
