"""Somebody sets the system's clock while the service runs."""

import pytest

from actors.vigil import Vigil
from streamkit.types import Seconds


class SetClock:
    """A clock that can be set."""

    def __init__(self) -> None:
        self.now, self.set_by = 100.0, 0.0

    def time(self) -> float:
        return 1_700_000_000.0 + self.now + self.set_by

    def monotonic(self) -> float:
        return self.now


@pytest.mark.parametrize(("step", "said"), [(3600.0, "+3600.0 s"), (-2.5, "-2.5 s"), (1.0, None), (-1.0, None)])
def test_a_clock_that_is_set_is_told_once_with_sign_and_size(
    step: float, said: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    clock = SetClock()
    vigil = Vigil(deadline=Seconds(60.0), vital="", on_vital=lambda: None, clock=clock)
    for set_by in (0.0, step, step, step):
        clock.now, clock.set_by = clock.now + 0.5, set_by
        vigil.look(clock.now)
    told = [message for message in caplog.messages if "clock" in message]
    assert [f"by {said}" in message for message in told] == ([True] if said else [])
