"""How long to wait after a failure: pure arithmetic, with the randomness as an argument."""

from collections.abc import Callable
from dataclasses import dataclass

from streamkit.types import Seconds

FIRST = Seconds(0.2)
LIMIT = Seconds(5.0)
_MOST_DOUBLINGS = 64  # keeps the power a float; any limit is reached long before


def delay(attempt: int, random: float, *, first: Seconds = FIRST, limit: Seconds = LIMIT) -> Seconds:
    """Return the seconds to wait after failure number `attempt` of a row (from 1).

    Full jitter: `random` in [0, 1) chooses anywhere between `first` and a ceiling that doubles with every attempt
    up to `limit`, so that clients that failed together do not come back together.
    """
    if attempt < 1:
        raise ValueError(f"attempts are counted from 1, not {attempt}")
    ceiling = min(limit, first * 2.0 ** min(attempt, _MOST_DOUBLINGS))
    return Seconds(first + random * max(0.0, ceiling - first))


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """A policy: `delay()` with its bounds and its source of randomness. Who counts the attempts also resets them."""

    random: Callable[[], float]
    first: Seconds = FIRST
    limit: Seconds = LIMIT

    def delay(self, attempt: int) -> Seconds:
        """Return the seconds to wait after failure number `attempt` of a row (from 1)."""
        return delay(attempt, self.random(), first=self.first, limit=self.limit)
