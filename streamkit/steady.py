"""A clock that nobody sets: Unix time as it was once, and from there on by the monotonic clock.

The dates of a broadcast only grow, and what waits for a deadline must not wait an hour because the system's clock was
set back by one. So what a broadcast compares with each other is all by the clock of the moment at which it began.
"""

import logging
from typing import Final, Protocol

from streamkit.types import UnixTime

logger = logging.getLogger(__name__)

STEP: Final = 2.0  # seconds between two looks that no slewing clock makes


class Clock(Protocol):
    """What the module `time` offers."""

    def time(self) -> float: ...
    def monotonic(self) -> float: ...


class SteadyClock:
    """Begins with the system's time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = clock.time() - clock.monotonic()

    def now(self) -> UnixTime:
        """Return the time."""
        return UnixTime(self._began + self._clock.monotonic())

    def at(self, read: float) -> UnixTime:
        """Return the time of a moment at which the system's clock, as it is set now, said `read`."""
        return UnixTime(read - (self._clock.time() - self.now()))


class ClockSteps:
    """Says when the system's clock was set while it ran."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = clock.time() - clock.monotonic()

    def look(self) -> None:
        """Compare the clocks with what they were at the last look."""
        began = self._clock.time() - self._clock.monotonic()
        step, self._began = began - self._began, began
        if abs(step) >= STEP:
            logger.warning(
                "The system's clock was set by %+.1f s: broadcasts on air keep their own time, later ones have the new",
                step,
            )
