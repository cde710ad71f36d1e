"""Pure: what a look at the RTMP server's publishers means, when webhooks may be lost, late, doubled or out of order.

A look says what was true when it was asked for; whatever is newer is left alone. Times are monotonic seconds.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from streamkit.types import Seconds, StreamKey

FIRST_RETRY, LAST_RETRY = Seconds(30.0), Seconds(600.0)
"""A publisher that was there, and whose stream ended all the same, is tried again after this long, then more rarely."""
HEALTHY_AFTER = Seconds(60.0)
"""A stream that had its publisher for this long is no failure that repeats."""
GRACE = Seconds(5.0)
"""An accepted publisher need not be on the server's page any sooner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of a key: whether it has a publisher (since when it has, or has not), which, and if it is over."""

    publisher: str | None
    has_publisher: bool
    is_settled: bool
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tried:
    publisher: str | None
    times: int
    again_at: float


class Reconciliation:
    """Remembers what it tried for as long as the server lists it."""

    def __init__(self) -> None:
        self._tried: dict[StreamKey, _Tried] = {}

    def arrived(
        self, seen: Mapping[StreamKey, str | None], known: Mapping[StreamKey, Known], asked_at: float
    ) -> Iterable[tuple[StreamKey, str | None]]:
        """Return the publishers that are there although nobody has told, and are to be taken up."""
        self._tried = {key: tried for key, tried in self._tried.items() if key in seen}
        return [one for one in seen.items() if self._is_new(*one, known.get(one[0]), asked_at)]

    def _is_new(self, key: StreamKey, publisher: str | None, known: Known | None, asked_at: float) -> bool:
        if known is not None and (known.has_publisher or known.since >= asked_at):
            if known.has_publisher and asked_at - known.since > HEALTHY_AFTER:
                self._tried.pop(key, None)
            return False
        tried = self._tried.get(key)
        is_same = known is not None and publisher is not None and known.publisher == publisher
        if is_same and known is not None and not known.is_settled:
            return False  # its stream asks for it all the time
        if tried is None or tried.publisher != publisher:
            times, again_at = 0, known.since + FIRST_RETRY if known is not None and is_same else asked_at
        else:
            times, again_at = tried.times, tried.again_at
        if asked_at < again_at:
            return False
        wait = min(FIRST_RETRY * 2**times, LAST_RETRY)
        self._tried[key] = _Tried(publisher=publisher, times=min(times + 1, 8), again_at=asked_at + wait)
        return True


def renamed(
    seen: Mapping[StreamKey, str | None], known: Mapping[StreamKey, Known], asked_at: float
) -> dict[StreamKey, str]:
    """Return the keys whose publisher is another connection than the one that was announced, and which."""
    return {
        key: publisher
        for key, one in known.items()
        if one.has_publisher and one.since < asked_at
        if (publisher := seen.get(key)) is not None and publisher != one.publisher
    }


def departed(
    seen: Mapping[StreamKey, str | None], known: Mapping[StreamKey, Known], asked_at: float
) -> tuple[StreamKey, ...]:
    """Return the keys whose publisher is not there any more although nobody has told."""
    return tuple(
        key for key, one in known.items() if one.has_publisher and key not in seen and asked_at - one.since > GRACE
    )
