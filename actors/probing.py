"""Probing: what FFmpeg really wrote, seen in as few segments as it takes.

Used by the SegmentWatcher alone, in its thread: it has the files first, and before anybody changes them.
"""

import logging
from collections.abc import Iterable
from errno import EMFILE, ENFILE
from pathlib import Path

from streamkit.errors import MediaError
from streamkit.media import probe
from streamkit.media.info import MediaInfo
from streamkit.types import RenditionName

logger = logging.getLogger(__name__)

MOST_LOOKS = 5
"""Segments of a rendition that are looked into until all its tracks have begun; audio may come late."""


class Probing:
    """Looks into the first segments of a run, and how those of copied video begin, until one needs another."""

    def __init__(self, renditions: Iterable[RenditionName], copied: Iterable[RenditionName]) -> None:
        self._looks = dict.fromkeys(renditions, MOST_LOOKS)
        self._unsure = set(copied)  # whose segments have all begun with an IDR so far; what we encode always does

    def look(self, rendition: RenditionName, segment: Path, init: Path | None) -> MediaInfo | None:
        """Return what is new about the rendition; None when nothing is, or when it cannot be read.

        Raises OSError when no file can be opened now.
        """
        try:
            if self._looks.get(rendition):
                return self._look_inside(rendition, segment, init)
            if rendition in self._unsure:
                return self._look_at_beginning(rendition, segment, init)
        except (MediaError, OSError) as error:
            if isinstance(error, OSError) and error.errno in (EMFILE, ENFILE):
                raise  # another look will do
            self._looks[rendition] = 0
            self._unsure.discard(rendition)
            logger.warning("%s cannot be looked into, its playlists tell what was asked for: %s", segment.name, error)
        return None

    def _look_inside(self, rendition: RenditionName, segment: Path, init: Path | None) -> MediaInfo:
        info = probe.read_file(segment, init)
        self._looks[rendition] = 0 if info.is_complete else self._looks[rendition] - 1
        return info

    def _look_at_beginning(self, rendition: RenditionName, segment: Path, init: Path | None) -> MediaInfo | None:
        info = probe.read_first_picture(segment, init)
        if info.video is not None and info.video.starts_with_idr:
            return None
        self._unsure.discard(rendition)
        return info
