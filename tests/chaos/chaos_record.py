"""What was measured of each fault, for the table at the end of the run and in docs/reliability.md."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from servers.waiting import wait_until

PATIENCE = 180.0
"""Seconds after which a fault counts as not noticed, or not recovered from. No test asserts less."""


@dataclass(slots=True)
class Outcome:
    """One row. Seconds from the fault to its notice, and from its end to everything being as before."""

    fault: str
    detect: float | None = None
    recover: float | None = None
    lost: int = 0
    note: str = ""


OUTCOMES: list[Outcome] = []
"""Of this run, in order; a fault that failed its test has no figures."""


class Measure:
    """Fills in the outcome of one fault while its test runs."""

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome
        self._since = time.monotonic()

    def injected(self) -> None:
        """The fault is there from now on."""
        self._since = time.monotonic()

    def detected(self, check: Callable[[], object], what: str) -> None:
        """Wait until the service says so."""
        wait_until(check, PATIENCE, what, every=0.05)
        self._outcome.detect = time.monotonic() - self._since

    def healed(self) -> None:
        """The fault is gone from now on."""
        self._since = time.monotonic()

    def recovered(self, check: Callable[[], object], what: str) -> None:
        """Wait until everything is as before."""
        wait_until(check, PATIENCE, what, every=0.05)
        self._outcome.recover = time.monotonic() - self._since

    def lost(self, segments: int) -> None:
        """So many segments were named as lost."""
        self._outcome.lost = segments

    def note(self, text: str) -> None:
        """Add a remark to the row."""
        self._outcome.note = text


@contextmanager
def measured(fault: str) -> Iterator[Measure]:
    """Record the outcome of `fault`, which begins now unless `injected()` says otherwise."""
    outcome = Outcome(fault)
    OUTCOMES.append(outcome)
    yield Measure(outcome)


def table() -> list[str]:
    """Return the outcomes of this run as lines of a Markdown table."""
    rows = [("fault", "detected after", "recovered after", "segments lost", "")]
    rows += [(one.fault, _seconds(one.detect), _seconds(one.recover), str(one.lost), one.note) for one in OUTCOMES]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return [lines[0], "|---|---|---|---|---|", *lines[1:]]


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"
