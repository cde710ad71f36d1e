"""What a finished broadcast leaves in its stream's folder, and who removes it."""

import contextlib
import shutil
from pathlib import Path

from streamkit.ffmpeg.pictures import FOLDER as PICTURES


def clear_stream_folder(folder: Path) -> None:
    """Delete FFmpeg's playlists and pictures of broadcasts that are over and stored, and the folder when it is empty.

    What cannot be deleted is left to `remove_orphans`.
    """
    shutil.rmtree(folder / PICTURES, ignore_errors=True)
    with contextlib.suppress(OSError):
        for playlist in folder.glob(".s*.m3u8*"):
            playlist.unlink(missing_ok=True)
        folder.rmdir()
