"""Life: the state of one stream, by the table of `streamkit/ffmpeg/state.py`, and how long that state may last.

Used by the StreamActor alone, in its thread.
"""

import logging
import time
from collections.abc import Callable
from math import inf

from streamkit.ffmpeg.state import StreamEvent, next_state
from streamkit.types import Seconds, StreamKey, StreamState

logger = logging.getLogger(__name__)

SHOWN_AFTER_END = Seconds(60.0)  # how long an ended stream stays in /stats, with its reason


class Life:
    """Begins as accepted. `changed` hears of every new state."""

    def __init__(self, key: StreamKey, changed: Callable[[StreamState], None]) -> None:
        self.state = StreamState.ACCEPTED
        self.has_ended = False
        """Whether nothing is awaited any more, the store included; a new publish begins another life."""
        self._changed = changed
        self._extra = {"key": key}
        self._deadline = inf  # monotonic seconds
        self._ended_at = 0.0  # monotonic seconds

    @property
    def may_be_forgotten(self) -> bool:
        """Whether the end has been shown for long enough."""
        return self.has_ended and time.monotonic() - self._ended_at > SHOWN_AFTER_END

    def begin(self, event: StreamEvent) -> None:
        """A publish begins."""
        self.has_ended = False
        self.move(event)

    def move(self, event: StreamEvent) -> None:
        """Take in an event; one that means nothing in the present state changes nothing."""
        state = next_state(self.state, event)
        if state is None or state is self.state:
            return
        logger.info("%s -> %s (%s)", self.state, state, event, extra=self._extra)
        self.enter(state)

    def enter(self, state: StreamState) -> None:
        """Be in `state`, as after a restart of the service."""
        self.state = state
        self._changed(state)

    def end(self) -> None:
        """Nothing is awaited any more."""
        self.has_ended, self._deadline, self._ended_at = True, inf, time.monotonic()
        self.move(StreamEvent.DRAINED)

    def wait(self, seconds: float) -> None:
        """Let the present state last `seconds` from now."""
        self._deadline = time.monotonic() + seconds

    def wait_at_most(self, seconds: float) -> None:
        """The same, unless its time is over earlier."""
        self._deadline = min(self._deadline, time.monotonic() + seconds)

    def wait_no_longer(self) -> None:
        """Let the present state last for as long as it wants."""
        self._deadline = inf

    def is_overdue(self) -> bool:
        """Return whether the wait is over; True once for each wait."""
        if time.monotonic() < self._deadline:
            return False
        self._deadline = inf
        return True
