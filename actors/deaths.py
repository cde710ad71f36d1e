"""How often something may die before restarting it is pointless."""

from streamkit.types import Seconds

MAX_RESTARTS = 5
RESTART_WINDOW = Seconds(60.0)


class Deaths:
    """Counts the deaths of the last RESTART_WINDOW. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._times: list[float] = []

    def add(self, now: float) -> int:
        """Note a death and return how many there were lately."""
        self._times = [at for at in self._times if now - at < RESTART_WINDOW] + [now]
        return len(self._times)
