"""The thread that measures presets while no stream runs, so that no publish ever waits for it."""

import logging
import threading
import time

from streamkit.calibration import PresetBook
from streamkit.errors import StreamKitError
from streamkit.snapshots import SnapshotBoard

logger = logging.getLogger(__name__)

QUIET_BEFORE = 30.0
"""Seconds without a stream before measuring begins."""
_LOOK_EVERY = 2.0
_STOP_TIMEOUT = 5.0


class Calibrator:
    """Measures every ladder that needs it, once; gives way to a publish within a moment and tries again later."""

    def __init__(self, book: PresetBook, board: SnapshotBoard, *, quiet_before: float = QUIET_BEFORE) -> None:
        self._book, self._board, self._quiet_before = book, board, quiet_before
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="calibrator", daemon=True)

    def start(self) -> None:
        """Begin to wait for a quiet moment."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and a measurement that is going on."""
        self._stopped.set()
        self._thread.join(_STOP_TIMEOUT)

    def join(self, timeout: float) -> bool:
        """Wait until everything is measured; False when it took longer than `timeout` seconds."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while names := self._book.unmeasured():
                if not self._wait_for_quiet():
                    return
                for name in names:
                    if self._book.measure(name, self._is_disturbed) is None:
                        break
                    logger.info("Measured the presets of ladder '%s'", name)
        except (StreamKitError, OSError) as error:
            logger.warning("The presets for 'auto' stay the usual ones, they cannot be measured: %s", error)

    def _wait_for_quiet(self) -> bool:
        """Return True when no stream ran for a while, False when the service stops."""
        since = time.monotonic()
        while not self._stopped.wait(min(_LOOK_EVERY, self._quiet_before)):
            if self._has_streams():
                since = time.monotonic()
            elif time.monotonic() - since >= self._quiet_before:
                return True
        return False

    def _is_disturbed(self) -> bool:
        return self._stopped.is_set() or self._has_streams()

    def _has_streams(self) -> bool:
        return any(snapshot.state.is_active for snapshot in self._board.all())
