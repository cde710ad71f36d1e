"""What an encoder run takes from a publisher that is connected to us."""

import socket
from collections.abc import Callable

from streamkit.pace import Pace
from streamkit.rtmp.feed import FeedListener, tell
from streamkit.rtmp.ingest import IngestServer, Publication
from streamkit.types import StreamKey


class IngestSource:
    """An owner's claim on the publisher of a key."""

    def __init__(self, server: Callable[[], IngestServer | None], key: StreamKey) -> None:
        self._server, self._key = server, key
        self._publication: Publication | None = None
        self.last_error: str | None = None

    @property
    def bytes_received(self) -> int:
        """Bytes of media since the publisher began."""
        return 0 if self._publication is None else self._publication.feed.bytes_received

    @property
    def newest_timestamp(self) -> int:
        """That of the newest frame, in ms; stands still while the publisher's clock does."""
        return 0 if self._publication is None else self._publication.feed.newest_timestamp

    @property
    def is_paused(self) -> bool:
        """True while the encoder does not take what the publisher sends."""
        return self._publication is not None and self._publication.feed.is_paused

    @property
    def is_behind(self) -> bool:
        """See Feed.is_behind."""
        return self._publication is not None and self._publication.feed.is_behind

    def renew(self) -> None:
        """See Feed.renew."""
        if self._publication is not None and self._publication.owner is self:
            self._publication.feed.renew()

    def start(self, run: int, listener: FeedListener) -> None:
        """Claim the publisher; tells source_closed when there is none. A later claim replaces an earlier one."""
        server = self._server()
        publication = None if server is None else server.newest(self._key)
        if publication is None:
            self.last_error = f"nobody publishes {self._key}"
            tell(self._key, listener.source_closed, run, self.last_error)
            return
        publication.owner = self
        self._publication = publication
        publication.feed.bind(run, listener)

    def attach(self, sock: socket.socket, pace: Pace | None, *, silence: bool) -> None:
        """See Feed.attach."""
        if self._publication is None or self._publication.owner is not self:
            sock.close()
        else:
            self._publication.feed.attach(sock, pace, silence=silence)

    def close(self) -> None:
        """Disconnect the publisher and end the encoder's input. Idempotent."""
        publication = self._publication
        if publication is not None and publication.owner is self:
            publication.feed.close()
            publication.connection.channel.finish()
