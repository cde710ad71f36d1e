"""UploadQueue: the segments of one stream that the store does not have, the live ones first. Used by the Uploader."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from actors.timers import Timer
from streamkit.messages import UploadSegment
from streamkit.types import SessionId


@dataclass(slots=True, kw_only=True)
class Upload:
    """Something on its way: new, being sent, or waiting for its timer after a failure."""

    name: str
    content: Path | bytes
    version: int = 0
    attempt: int = 0  # failures so far
    sending: bool = False
    timer: Timer | None = None
    reported_at: float = float("-inf")  # monotonic seconds

    def end_wait(self) -> None:
        """Cancel the timer: the next look at the queue sends it."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class UploadQueue:
    """In the order given; but what is left of a broadcast that is over comes behind the one that is on air."""

    def __init__(self) -> None:
        self._session = SessionId("")  # the newest; ids sort by age
        self._live: dict[str, Upload] = {}
        self._over: dict[str, Upload] = {}

    def __len__(self) -> int:
        return len(self._live) + len(self._over)

    def __contains__(self, name: str) -> bool:
        return name in self._live or name in self._over

    def add(self, segment: UploadSegment) -> None:
        """Enter a segment that is not here yet."""
        if segment.session > self._session:
            self._session = segment.session
            self._over |= self._live
            self._live.clear()
        is_live = segment.is_live and segment.session == self._session
        (self._live if is_live else self._over)[segment.name] = Upload(name=segment.name, content=segment.path)

    def get(self, name: str) -> Upload | None:
        """Return the segment of this name, None when it is not here."""
        return self._live.get(name) or self._over.get(name)

    def remove(self, name: str) -> None:
        """Forget a segment; unknown names are no error."""
        self._live.pop(name, None)
        self._over.pop(name, None)

    def first(self, count: int) -> Iterator[tuple[Upload, bool]]:
        """Yield the next `count` segments, and whether each has to yield to live ones of other streams."""
        live = ((upload, False) for upload in self._live.values())
        return islice(chain(live, ((upload, True) for upload in self._over.values())), count)
