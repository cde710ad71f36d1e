"""What goes wrong in a soak and when, all of it from a seed."""

from dataclasses import dataclass
from enum import StrEnum
from random import Random


class Wrong(StrEnum):
    """What may go wrong, as the soak prints it."""

    ENCODER_KILLED = "an FFmpeg is killed"
    ENCODER_FROZEN = "an FFmpeg is frozen"
    PUBLISHER_FLAPS = "a publisher is killed"
    STORE_AWAY = "the object store is away"
    STORE_FROZEN = "the object store is frozen"
    DATABASE_AWAY = "the database is away"
    DATABASE_FROZEN = "the database is frozen"
    RTMP_RESTART = "the RTMP server restarts"


MOMENTARY = frozenset({Wrong.ENCODER_KILLED, Wrong.ENCODER_FROZEN, Wrong.PUBLISHER_FLAPS})
"""What is over at once: nobody but the service undoes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One thing that goes wrong: when (seconds into the soak), for how long, and whom it strikes."""

    at: float
    what: Wrong
    lasts: float
    slot: int


def incidents(seed: int, seconds: float, slots: int) -> list[Incident]:
    """Return what goes wrong within so many seconds, one after the other; the kinds take turns in random order."""
    dice = Random(seed)
    found: list[Incident] = []
    turn: list[Wrong] = []
    at = dice.uniform(1.0, 3.0)
    while True:
        turn = turn or dice.sample(list(Wrong), len(Wrong))
        what = turn.pop()
        lasts = 0.0 if what in MOMENTARY else dice.uniform(1.0, 6.0)
        if at + lasts > seconds:
            return found
        found.append(Incident(at=at, what=what, lasts=lasts, slot=dice.randrange(slots)))
        at += lasts + dice.uniform(1.5, 5.0)


@dataclass(frozen=True, slots=True)
class Showing:
    """A broadcast of one slot: how long it is on air, and how long the slot is silent after it."""

    on_air: float
    silent: float


def showings(seed: int, slot: int) -> "Showings":
    """Return the endless programme of a slot."""
    return Showings(Random(f"{seed}-{slot}"))


class Showings:
    """A programme: `next()` for ever."""

    def __init__(self, dice: Random) -> None:
        self._dice = dice

    def __next__(self) -> Showing:
        return Showing(self._dice.uniform(3.0, 15.0), self._dice.uniform(0.5, 3.0))
