"""Media kept until an encoder is there to take it."""

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

MAX_BYTES = 16 * 1024 * 1024
MAX_SPAN = 10_000
"""Milliseconds of media that are kept at most."""


class Frame(NamedTuple):
    """One audio or video message. `timestamp` in ms, unwrapped (it never jumps at 2^32)."""

    type_id: int
    timestamp: int
    payload: bytes


class GopBuffer:
    """Holds whole groups of pictures, at most 16 MiB and 10 s of them: the oldest group goes first.

    Whatever it holds begins where decoding can begin. A single group past the limits is dropped too.
    """

    def __init__(self) -> None:
        self._groups: deque[list[Frame]] = deque()
        self.size = 0

    def append(self, frame: Frame, *, begins: bool) -> None:
        """Keep the frame. `begins`: decoding can begin here. What comes before the first such frame is dropped."""
        if begins:
            self._groups.append([frame])
        elif self._groups:
            self._groups[-1].append(frame)
        else:
            return
        self.size += len(frame.payload)
        while self._groups and (self.size > MAX_BYTES or frame.timestamp - self._groups[0][0].timestamp > MAX_SPAN):
            self.size -= sum(len(dropped.payload) for dropped in self._groups.popleft())

    def drop(self, type_id: int) -> None:
        """Drop one medium's frames; only of media that decoding does not begin with."""
        kept = ([frame for frame in group if frame.type_id != type_id] for group in self._groups)
        self._groups = deque(group for group in kept if group)
        self.size = sum(len(frame.payload) for frame in self)

    def clear(self) -> None:
        """Drop everything."""
        self._groups.clear()
        self.size = 0

    def __iter__(self) -> Iterator[Frame]:
        return (frame for group in self._groups for frame in group)

    def __len__(self) -> int:
        return sum(len(group) for group in self._groups)
