"""Reconciling: what the RTMP server says of its publishers, and who asks it. Used by the Supervisor alone."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass

from actors.base import Ref
from actors.deaths import MAX_RESTARTS, Deaths
from actors.services import Services
from streamkit.messages import ChildFailed, PublishersSeen
from streamkit.reconciliation import Known, Reconciliation, departed, renamed
from streamkit.types import SourceKind, StreamKey

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What webhooks did not tell."""

    arrived: tuple[tuple[StreamKey, str | None], ...]
    departed: tuple[StreamKey, ...]
    renamed: Mapping[StreamKey, str]


class Reconciling:
    """Asks only where publishers are pulled from a server whose status page is configured."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._is_wanted = bool(services.settings.rtmp.status_url) and services.default_source is SourceKind.PULL
        self._reconciliation = Reconciliation()
        self._watch: Ref | None = None
        self._deaths = Deaths()

    def start(self, supervisor: Ref) -> None:
        """Begin to ask."""
        if self._is_wanted:
            from actors.rtmp_watch import RtmpWatch  # noqa: PLC0415 - who does not ask needs no HTTP client

            rtmp, timers = self._services.settings.rtmp, self._services.timers
            self._watch = RtmpWatch.start(parent=supervisor, settings=rtmp, timers=timers)

    def close(self) -> None:
        """Ask no more."""
        if self._watch is not None:
            self._watch.stop(block=False)

    def child_failed(self, message: ChildFailed, supervisor: Ref) -> None:
        """Replace a dead RtmpWatch, unless it dies again and again: webhooks alone count then."""
        if self._watch is None or self._watch.actor_urn != message.urn:
            return
        self._watch = None
        if self._deaths.add(time.monotonic()) > MAX_RESTARTS:
            logger.error("Nobody asks the RTMP server for its publishers any more: %s", message.error)
        else:
            logger.error("%s died and is replaced: %s", message.name, message.error)
            self.start(supervisor)

    def judge(self, message: PublishersSeen, known: Mapping[StreamKey, Known]) -> Judgement:
        """Return what is to be made good, and log what is not a webhook's fault alone."""
        seen = dict(message.publishers)
        found = Judgement(
            arrived=tuple(self._reconciliation.arrived(seen, known, message.asked_at)),
            departed=departed(seen, known, message.asked_at),
            renamed=renamed(seen, known, message.asked_at),
        )
        for key, _publisher in found.arrived:
            logger.info("The RTMP server has a publisher that no webhook announced", extra={"key": key})
        return found
