"""RtmpWatch: asks the RTMP server every few seconds who publishes on it.

Receives  Wake (timer)
Tells     PublishersSeen (Supervisor)
Owns      the connection to the server's status page
Its death is the Supervisor's to mend. A page that cannot be read ends no stream: webhooks go on to count alone.
"""

import logging
import time
from typing import Any

from actors.base import BaseActor, Ref, tell
from actors.timers import Timers
from streamkit.errors import RtmpStatusError
from streamkit.messages import PublishersSeen, Wake
from streamkit.rtmp_servers.status_page import StatusPage
from streamkit.settings_rtmp import RtmpSettings
from streamkit.types import Seconds

logger = logging.getLogger(__name__)


class RtmpWatch(BaseActor):
    """One per service that pulls from an RTMP server with a status page."""

    def __init__(self, *, parent: Ref, settings: RtmpSettings, timers: Timers) -> None:
        super().__init__(parent=parent, name="rtmp watch")
        self._page = StatusPage(settings)
        self._interval, self._timers = Seconds(settings.status_interval), timers
        self._problem: str | None = None  # the last that was logged

    def on_start(self) -> None:
        tell(self.me, Wake())

    def on_receive(self, message: Any) -> Any:
        match message:
            case Wake():
                self._look()
                self._timers.after(self._interval, self.me, Wake())
            case _:
                return super().on_receive(message)
        return None

    def on_exit(self, error: BaseException | None) -> None:
        self._page.close()

    def _look(self) -> None:
        asked_at = time.monotonic()
        try:
            publishers = self._page.fetch()
        except RtmpStatusError as error:
            if self._problem is None:
                logger.warning("Lost webhooks cannot be made good until the RTMP server says who publishes: %s", error)
            self._problem = str(error)
            return
        if self._problem is not None:
            logger.info("The RTMP server says again who publishes")
        self._problem = None
        tell(self.parent, PublishersSeen(publishers=tuple(publishers.items()), asked_at=asked_at))
