"""What the disk of the HLS folder lacks, and a line in the log when it is full and when it has room again."""

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

logger = logging.getLogger(__name__)

FREE_BYTES: Final = 256 << 20
FREE_SHARE: Final = 20
"""The disk is never filled by what waits beyond this many bytes free, or a twentieth of it where that is less."""
_ROOM: Final = 2  # times that much must be free before there is room again: it is not told every second


class DiskSpace:
    """Looks at the disk of `folder` when it is asked; one thread at a time."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._clock = clock
        self._full_since: float | None = None

    def shortage(self) -> int:
        """Return how many bytes the disk lacks to what is kept free; 0 when there is enough."""
        try:
            disk = os.statvfs(self._folder)
        except OSError:  # not made yet, or just removed: then nothing waits in it
            return 0
        whole, free = disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize
        kept = min(FREE_BYTES, whole // FREE_SHARE)
        self._tell(free, whole, kept)
        return max(0, kept - free)

    def _tell(self, free: int, whole: int, kept: int) -> None:
        if self._full_since is None and free < kept:
            self._full_since = self._clock()
            logger.error(
                "The disk of %s is full (%.1f of %.1f MB are free): make room; segments that cannot be written "
                "become gaps",
                self._folder,
                free / 1e6,
                whole / 1e6,
            )
        elif self._full_since is not None and free >= _ROOM * kept:
            logger.warning("The disk of %s has room again after %.0f s", self._folder, self._clock() - self._full_since)
            self._full_since = None
