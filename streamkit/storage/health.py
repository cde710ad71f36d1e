"""Whether uploads work: one line in the log for each reason why they do not, and one when they work again."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from streamkit.types import Seconds

logger = logging.getLogger(__name__)

PATIENCE: Final = Seconds(1.0)
"""Uploads that fail for so long, with none between them that works, are a fault: a single one is only tried again."""
PAUSE: Final = Seconds(10.0)
"""Between a line and the next that tells of a fault: a store that comes and goes would fill the log."""


class UploadHealth:
    """What the upload workers of all streams saw last. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failing_since: float | None = None
        self._attempts = 0
        self._reason: str | None = None
        self._is_denied = False
        self._told: set[str] = set()  # reasons of this fault that are in the log
        self._quiet_until = float("-inf")

    @property
    def problem(self) -> str | None:
        """One sentence while uploads fail, None while they work."""
        with self._lock:
            return self._reason if self._is_fault(self._clock()) else None

    def failed(self, reason: str, *, denied: bool = False) -> None:
        """An upload failed; `reason` is a sentence that names the store. What it `denied` is a fault at once."""
        with self._lock:
            now = self._clock()
            if self._failing_since is None:
                self._failing_since, self._attempts = now, 0
            self._attempts += 1
            self._is_denied = denied
            self._reason = reason
            tells = self._is_fault(now) and reason not in self._told and now >= self._quiet_until
            if tells:
                self._told.add(reason)
                self._quiet_until = now + PAUSE
        if tells:
            logger.warning("Uploads fail, segments wait on disk until they work again: %s", reason)

    def worked(self) -> None:
        """The store acknowledged an object."""
        if self._failing_since is None:  # nearly always, and without the lock
            return
        with self._lock:
            if self._failing_since is None:
                return
            now = self._clock()
            lasted, attempts, tells = now - self._failing_since, self._attempts, bool(self._told)
            self._failing_since, self._reason, self._told = None, None, set()
            if tells:
                self._quiet_until = now + PAUSE
        if tells:
            logger.warning("Uploads work again after %.0f s, in which %d attempts failed", lasted, attempts)

    def _is_fault(self, now: float) -> bool:
        if self._failing_since is None:
            return False
        return self._is_denied or (self._attempts > 1 and now - self._failing_since >= PATIENCE)
