"""Stopping: the end of the service, now or when its last stream has ended. Used by the Supervisor alone."""

import logging
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future

from actors.base import Ref, tell
from actors.services import Services
from streamkit.messages import LookWhetherDrained, PublishAnswer, ShutDown, StopOverdue, StopReport
from streamkit.types import Seconds, StreamKey, StreamState

logger = logging.getLogger(__name__)

DRAIN_TICK = Seconds(1.0)


class Stopping:
    """`on_drained` is called once, when the service drains and no stream is left."""

    def __init__(self, services: Services, on_drained: Callable[[], None]) -> None:
        self._services, self._on_drained = services, on_drained
        self._answer: Future[StopReport] | None = None
        self._stopped: dict[StreamKey, int] = {}
        self._is_draining = False

    @property
    def has_begun(self) -> bool:
        """Whether the service stops now."""
        return self._answer is not None

    def refusal(self, *, is_running: bool) -> PublishAnswer | None:
        """Return why nobody may publish now, if so. A stream that runs keeps its publisher while the service drains."""
        if self.has_begun:
            return PublishAnswer(code="stopping", refused="the service is stopping")
        if self._is_draining and not is_running:
            return PublishAnswer(code="stopping", refused="the service is draining: it takes no new streams")
        return None

    # ---- when the last stream has ended

    def drain(self, supervisor: Ref) -> None:
        """Take no new streams from now on; a repeat does nothing."""
        if not self._is_draining:
            self._is_draining = self._services.board.is_draining = True
            logger.info("Draining: running streams go on, new publishes are refused")
            self._services.timers.after(DRAIN_TICK, supervisor, LookWhetherDrained())

    def look(self, supervisor: Ref, settled: Mapping[StreamKey, bool]) -> None:
        """End the service when nothing runs and nothing is being stored; else look again."""
        if self.has_begun:
            return
        if all(is_settled and self._is_over(key) for key, is_settled in settled.items()):
            logger.info("Drained: no stream is left")
            self._on_drained()
        else:
            self._services.timers.after(DRAIN_TICK, supervisor, LookWhetherDrained())

    def _is_over(self, key: StreamKey) -> bool:
        """Return whether a settled stream has ended, and what it left from an earlier service is stored as well."""
        snapshot = self._services.board.get(key)
        if snapshot is None:  # its actor has just begun
            return False
        return snapshot.state in (StreamState.ENDED, StreamState.FAILED) and not snapshot.upload_lag

    # ---- now

    def stop(self, supervisor: Ref, streams: Mapping[StreamKey, Ref], deadline: Seconds) -> Future[StopReport]:
        """Stop every stream, and return the answer to come."""
        if self._answer is None:
            self._answer = Future()
            for ref in streams.values():
                if not tell(ref, ShutDown()):
                    ref.stop(block=False)
            self._services.timers.after(deadline, supervisor, StopOverdue())
            for key in [key for key, ref in streams.items() if not ref.is_alive()]:
                self._stopped[key] = 1  # what it left is found at the next start
            self._answer_when_complete(streams)
        return self._answer

    def stream_stopped(self, key: StreamKey, pending: int, keys: Collection[StreamKey]) -> None:
        """One stream has stopped, of all these."""
        self._stopped[key] = pending
        self._answer_when_complete(keys)

    def _answer_when_complete(self, keys: Collection[StreamKey]) -> None:
        if self._answer is not None and self._stopped.keys() >= set(keys):
            self.answer(keys)

    def answer(self, keys: Collection[StreamKey]) -> None:
        """Answer with what is."""
        if self._answer is None or self._answer.done():
            return
        pending = {key for key in keys if self._stopped.get(key, 1)}
        self._answer.set_result(StopReport(finished=len(keys) - len(pending), pending=tuple(sorted(pending))))
