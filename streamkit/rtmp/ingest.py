"""The embedded RTMP server: takes publishers (RTMP 1.0 section 7.2.2.6), one per stream key."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass

from streamkit.errors import InvalidStreamKeyError, SourceError, StreamKitError
from streamkit.messages import PublishAnswer
from streamkit.publish_url import PublishRequest, parse_arguments
from streamkit.rtmp import chunks
from streamkit.rtmp.amf0 import AmfValue
from streamkit.rtmp.chunks import RtmpMessage
from streamkit.rtmp.connection import (
    ACK_WINDOW,
    SIGNATURE_SIZE,
    STREAM_BEGIN,
    VERSION,
    RtmpConnection,
    signature,
    text_at,
)
from streamkit.rtmp.errors import RtmpProtocolError
from streamkit.rtmp.feed import Feed
from streamkit.rtmp.sockets import Sockets
from streamkit.rtmp.tcp import Listener, listen, reason
from streamkit.types import StreamKey, parse_stream_key

log = logging.getLogger(__name__)

PUBLISH_TIMEOUT = 10.0
"""Seconds that a connection may be open without publishing."""
MAX_CONNECTIONS = 256
_DYNAMIC_LIMIT = 2  # 5.4.5
_STREAM_ID = 1  # the message stream that createStream hands out; one is enough for a publisher
_UNPUBLISH = ("FCUnpublish", "deleteStream", "closeStream")

Authorize = Callable[[StreamKey, str, str | None], Awaitable[PublishAnswer]]
"""Key, publisher, and the ladder that it asks for."""
Admit = Callable[[PublishRequest], Awaitable[PublishAnswer | None]]
"""Returns why a publisher may not even ask for its key, None when it may. Before that it holds nothing."""
Unpublished = Callable[[StreamKey, str], Awaitable[None]]


@dataclass(slots=True)
class Publication:
    """A publisher's hold on a stream key, from its `publish` until it goes away or is refused."""

    key: StreamKey
    publisher: str
    feed: Feed
    connection: "IngestConnection"
    accepted: bool = False
    owner: object | None = None
    """Who claimed the feed last; only that one may disconnect the publisher."""


class IngestServer:
    """Listens, and knows who publishes which key. Everything here runs in the loop's thread.

    `admit` and then `authorize` decide about each publisher; `unpublished` hears once of the end of each one that was
    accepted.
    """

    def __init__(
        self, app: str, sockets: Sockets, authorize: Authorize, unpublished: Unpublished, admit: Admit | None = None
    ) -> None:
        self.app, self.sockets = app, sockets
        self.publications: dict[StreamKey, Publication] = {}
        self._candidates: dict[StreamKey, Publication] = {}  # want a key that somebody publishes
        self.connections: set[IngestConnection] = set()
        self._authorize, self._unpublished, self._admit = authorize, unpublished, admit
        self._listener: Listener | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._count = 0

    async def listen(self, host: str, port: int) -> int:
        """Listen on the first address of `host`; port 0 takes a free one. Returns the port.

        Raises StreamKitError when the port is taken or the address is not ours.
        """
        try:
            self._listener = await listen(self.sockets, host, port, self._accepted)
        except OSError as error:
            raise StreamKitError(
                f"cannot take RTMP publishers on {host}:{port} ({reason(error)}); set RTMP_PORT to a free port"
            ) from error
        return self._listener.port

    def close(self) -> None:
        """Stop listening and disconnect everyone."""
        if self._listener is not None:
            self._listener.close()
        for connection in list(self.connections):
            connection.channel.abort()

    def ask_to_publish(self, request: PublishRequest, connection: "IngestConnection") -> None:
        """Publish for the connection when it is admitted."""
        if self._admit is None:
            connection.publish(request)
        else:
            self._spawn(self._admit_first(self._admit, request, connection))

    async def _admit_first(self, admit: Admit, request: PublishRequest, connection: "IngestConnection") -> None:
        try:
            refusal = await admit(request)
        except Exception:  # whatever fails there, this publisher is refused and the server goes on
            log.exception("stream %s: nobody could say whether somebody may publish", request.key)
            refusal = PublishAnswer(code="error", refused="the server cannot decide about publishers now")
        if refusal is None:
            connection.publish(request)
        else:
            connection.refuse("NetStream.Publish.Denied", refusal.refused or refusal.code)

    def publish(self, key: StreamKey, connection: "IngestConnection", ladder: str | None = None) -> Publication | None:
        """Reserve the key for the connection and ask `authorize`; None when two others want it already.

        A publisher that is accepted takes the place of the one that publishes the key.
        """
        holders = self._candidates if key in self.publications else self.publications
        if key in holders:
            return None
        self._count += 1
        publication = Publication(key, f"ingest-{self._count}", Feed(key, self.sockets), connection)
        publication.feed.flow = connection.channel
        holders[key] = publication
        self._spawn(self._decide(publication, ladder))
        return publication

    def unpublish(self, publication: Publication, error: str | None) -> None:
        """The publisher went away: free the key and tell everyone. Idempotent."""
        if not self._forget(publication):
            return
        publication.feed.end(error)
        if publication.accepted:
            self._spawn(self._tell_unpublished(publication))

    def newest(self, key: StreamKey) -> Publication | None:
        """Return the publication that was asked about last."""
        return self._candidates.get(key) or self.publications.get(key)

    def _forget(self, publication: Publication) -> bool:
        for holders in (self.publications, self._candidates):
            if holders.get(publication.key) is publication:
                del holders[publication.key]
                return True
        return False

    def _replace(self, publication: Publication) -> None:
        """An accepted publisher has the key from now on; who had it is disconnected."""
        former = self.publications.get(publication.key)
        if former is publication:
            return
        if former is not None:
            self.unpublish(former, None)
            former.connection.refuse("NetStream.Publish.BadName", f"another publisher took over {publication.key}")
        self._forget(publication)
        self.publications[publication.key] = publication

    def _accepted(self, sock: socket.socket) -> None:
        if len(self.connections) < MAX_CONNECTIONS:
            self.connections.add(IngestConnection(self, sock))
        else:
            log.warning("an RTMP connection is refused: %d are open", MAX_CONNECTIONS)
            sock.close()

    async def _decide(self, publication: Publication, ladder: str | None) -> None:
        key, publisher = publication.key, publication.publisher
        try:
            answer = await self._authorize(key, publisher, ladder)
        except Exception:  # whatever fails there, this publisher is refused and the server goes on
            log.exception("stream %s: the decision about publisher %s failed", key, publisher)
            answer = PublishAnswer(code="error", refused="the server cannot decide about publishers now")
        is_gone = not any(holders.get(key) is publication for holders in (self.publications, self._candidates))
        if answer.refused is not None:
            log.info("stream %s: publisher %s is refused: %s", key, publisher, answer.refused)
            if not is_gone:
                self.unpublish(publication, answer.refused)
                publication.connection.refuse("NetStream.Publish.Denied", answer.refused)
        elif is_gone:
            await self._tell_unpublished(publication)
        else:
            self._replace(publication)
            publication.accepted = True
            log.info("stream %s: publisher %s is accepted", key, publisher)
            publication.connection.accept(publication)

    async def _tell_unpublished(self, publication: Publication) -> None:
        try:
            await self._unpublished(publication.key, publication.publisher)
        except Exception:  # the owner's mistake must not end the loop that all streams share
            log.exception("stream %s: nobody could be told that its publisher went away", publication.key)

    def _spawn(self, coroutine: Coroutine[None, None, None]) -> None:
        task = self.sockets.loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class IngestConnection(RtmpConnection):
    """One publisher's connection: handshake, connect, createStream, publish, then media into its feed."""

    def __init__(self, server: IngestServer, sock: socket.socket) -> None:
        super().__init__(server.sockets, sock)
        self._server = server
        self._publication: Publication | None = None
        self._asked: PublishRequest | None = None
        self._withdrew = False  # a question that nobody has answered yet
        self._address = sock.getpeername()[0]
        self._greeted = self._connected = False
        self._idle: asyncio.TimerHandle | None = None
        self._expect_publish()

    def connection_lost(self, error: OSError | None) -> None:
        if error is not None:
            log.info("an RTMP publisher's connection broke: %s", reason(error))
        self._server.connections.discard(self)
        self._end(None)
        self._stop_waiting()

    def fail(self, error: SourceError) -> None:
        log.info("an RTMP publisher is disconnected: %s", error)
        self._end(str(error))
        self.channel.abort()

    def take_handshake(self, data: bytes) -> int | None:
        if data and data[0] != VERSION:
            raise RtmpProtocolError(f"the client speaks version {data[0]} of RTMP, or something else altogether")
        if len(data) < 1 + SIGNATURE_SIZE:
            return None
        if not self._greeted:  # S0, S1 and S2 (which echoes C1); clients with digests accept that from version 0
            self.channel.write([bytes((VERSION,)), signature(), data[1 : 1 + SIGNATURE_SIZE]])
            self._greeted = True
        return 1 + 2 * SIGNATURE_SIZE if len(data) >= 1 + 2 * SIGNATURE_SIZE else None

    def take_media(self, messages: list[RtmpMessage]) -> None:
        if self._publication is not None:
            self._publication.feed.receive(messages)

    def take_command(self, name: str, arguments: list[AmfValue]) -> None:
        transaction = arguments[0]
        match name:
            case "connect":
                self._connect(arguments)
            case "createStream":
                self.command("_result", transaction, None, _STREAM_ID)
            case "releaseStream" | "FCPublish":
                self.command("_result", transaction, None, None)
            case "publish":
                self._publish(text_at(arguments, 2))
            case "play":
                self._refuse_play()
            case _ if name in _UNPUBLISH:
                self._end(None)
            case _:
                log.debug("the RTMP command %s is not answered", name)

    def publish(self, request: PublishRequest) -> None:
        """The publisher may ask for its key, unless it went away meanwhile."""
        if self._asked is not request:
            return
        self._asked = None
        self._publication = self._server.publish(request.key, self, request.arguments.ladder)
        if self._publication is None:
            self.refuse("NetStream.Publish.BadName", f"{request.key} is being published already")

    def accept(self, publication: Publication) -> None:
        """The publisher may go on."""
        self._stop_waiting()
        self.user_control(STREAM_BEGIN, _STREAM_ID)
        self._status("status", "NetStream.Publish.Start", f"{publication.key} is live")

    def refuse(self, code: str, why: str) -> None:
        """Tell the publisher why not, and disconnect it."""
        self._publication = self._asked = None
        self._status("error", code, why)
        self.channel.finish()

    def _connect(self, arguments: list[AmfValue]) -> None:
        properties = arguments[1] if len(arguments) > 1 else None
        app = properties.get("app") if isinstance(properties, dict) else None
        found = app.partition("?")[0].strip("/") if isinstance(app, str) else ""
        if found != self._server.app:
            why = f"publish to rtmp://.../{self._server.app}: there is no application {found[:64]!a} here"
            self.command("_error", arguments[0], None, _info("error", "NetConnection.Connect.Rejected", why))
            self.channel.finish()
            return
        self._connected = True
        self.control(chunks.WINDOW_ACK_SIZE, ACK_WINDOW.to_bytes(4, "big"))
        self.control(chunks.SET_PEER_BANDWIDTH, ACK_WINDOW.to_bytes(4, "big") + bytes((_DYNAMIC_LIMIT,)))
        self.announce_chunk_size()
        answer = {**_info("status", "NetConnection.Connect.Success", "welcome"), "objectEncoding": 0}
        self.command("_result", arguments[0], {"fmsVer": "FMS/3,0,1,123", "capabilities": 31}, answer)

    def _publish(self, name: str) -> None:
        if self._publication is not None or self._asked is not None or self._withdrew or not self._connected:
            raise RtmpProtocolError("the publisher publishes twice, or before it connects")
        name, _, arguments = name.partition("?")
        try:
            key = parse_stream_key(name)
        except InvalidStreamKeyError as error:
            self.refuse("NetStream.Publish.BadName", str(error))
            return
        self._asked = PublishRequest(key=key, address=self._address, arguments=parse_arguments(arguments))
        self._server.ask_to_publish(self._asked, self)

    def _refuse_play(self) -> None:
        why = "this server takes publishers; players use HLS"
        self._status("error", "NetStream.Play.Failed", why)
        self.channel.finish()

    def _status(self, level: str, code: str, description: str) -> None:
        self.command("onStatus", 0, None, _info(level, code, description), stream_id=_STREAM_ID)

    def _end(self, error: str | None) -> None:
        self._withdrew = self._withdrew or self._asked is not None
        publication, self._publication, self._asked = self._publication, None, None
        if publication is not None:
            self._server.unpublish(publication, error)
            self._expect_publish()

    def _expect_publish(self) -> None:
        if self.channel.is_open:
            self._idle = self._server.sockets.loop.call_later(PUBLISH_TIMEOUT, self.channel.abort)

    def _stop_waiting(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None


def _info(level: str, code: str, description: str) -> dict[str, AmfValue]:
    return {"level": level, "code": code, "description": description}
