"""RtmpLoop.start_ingest against real FFmpeg publishers, and against clients that FFmpeg is not."""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from rtmp_lab import DEADLINE, Encoder, Owner, push_argv, rtmp_loop
from servers.process import ManagedProcess
from servers.waiting import wait_until

from streamkit.errors import StreamKitError
from streamkit.messages import PublishAnswer
from streamkit.publish_url import PublishRequest
from streamkit.rtmp import amf0, chunks, ingest
from streamkit.rtmp.chunks import ChunkReader, RtmpMessage, write_message
from streamkit.rtmp.loop import FeedHandle, RtmpLoop
from streamkit.types import StreamKey

pytestmark = pytest.mark.integration
RunProcess = Callable[..., ManagedProcess]
BOTH_VERSIONS = pytest.mark.parametrize("ffmpeg_path", ["path", "imageio"], indirect=True)


@dataclass
class Desk:
    """Accepts publishers, or refuses them with `reason`, and opens a feed for each accepted one as a stream would."""

    loop: RtmpLoop
    port: int = 0
    reason: str | None = None
    owner: Owner = field(default_factory=Owner)
    feeds: list[FeedHandle] = field(default_factory=list)
    accepted: list[tuple[str, str]] = field(default_factory=list)
    ladders: list[str | None] = field(default_factory=list)
    gone: list[tuple[str, str]] = field(default_factory=list)
    left: threading.Event = field(default_factory=threading.Event)

    async def authorize(self, key: StreamKey, publisher: str, ladder: str | None) -> PublishAnswer:
        if self.reason is None:
            self.accepted.append((key, publisher))
            self.ladders.append(ladder)
            self.feeds.append(self.loop.open_ingest(key, len(self.feeds) + 1, self.owner))
        return PublishAnswer(code="capacity", refused=self.reason)

    async def unpublished(self, key: StreamKey, publisher: str) -> None:
        self.gone.append((key, publisher))
        self.left.set()

    def url(self, name: str, app: str = "live") -> str:
        return f"rtmp://127.0.0.1:{self.port}/{app}/{name}"


@contextmanager
def open_desk() -> Iterator[Desk]:
    with rtmp_loop() as loop:
        desk = Desk(loop)
        desk.port = loop.start_ingest("127.0.0.1", 0, desk.authorize, desk.unpublished)
        yield desk


@pytest.fixture
def desk() -> Iterator[Desk]:
    with open_desk() as opened:
        yield opened


@BOTH_VERSIONS
@pytest.mark.parametrize(
    ("media", "kinds"),
    [({}, ["audio", "video"]), ({"audio": False}, ["video"]), ({"video": False}, ["audio"])],
    ids=["both", "video only", "audio only"],
)
def test_every_frame_of_a_publisher_reaches_the_encoder(
    media: dict[str, bool],
    kinds: list[str],
    desk: Desk,
    tmp_path: Path,
    run_process: RunProcess,
    make_source: Callable[..., Path],
    ffmpeg_path: str,
) -> None:
    publisher = run_process(
        push_argv(ffmpeg_path, make_source(seconds=4.0, **media), desk.url("show?token=secret&ladder=mobile"))
    )
    source = desk.owner.detected()
    assert [source.audio is not None, source.video is not None] == ["audio" in kinds, "video" in kinds]
    encoder = Encoder(ffmpeg_path, tmp_path / "out.mkv", desk.feeds[0])
    assert desk.owner.closed() is None
    assert encoder.wait() == 0
    assert publisher.wait() == 0
    assert desk.left.wait(DEADLINE)
    assert desk.accepted == desk.gone
    assert [key for key, _ in desk.gone] == ["show"]
    assert desk.ladders == ["mobile"]
    assert encoder.kinds() == kinds
    if "video" in kinds:
        assert len(encoder.packets("video")) == 120
    if "audio" in kinds:
        assert len(encoder.packets("audio")) >= 165


@BOTH_VERSIONS
@pytest.mark.parametrize(
    ("name", "app", "reason", "said"),
    [
        ("show", "live", "there is no room for another stream", "no room for another"),
        ("-show", "live", None, "stream_key"),
        ("show", "other", None, "no application"),
    ],
    ids=["refused by the owner", "invalid key", "wrong application"],
)
def test_a_refused_publisher_is_told_why_and_fails(
    name: str,
    app: str,
    reason: str | None,
    said: str,
    desk: Desk,
    run_process: RunProcess,
    make_source: Callable[..., Path],
    ffmpeg_path: str,
) -> None:
    desk.reason = reason
    publisher = run_process(push_argv(ffmpeg_path, make_source(seconds=4.0), desk.url(name, app)))
    assert publisher.wait() != 0
    assert said in publisher.log()
    assert desk.accepted == desk.gone == []


def test_who_is_not_admitted_holds_no_key(
    run_process: RunProcess, make_source: Callable[..., Path], ffmpeg_path: str
) -> None:
    """A stranger whose credentials are still looked at must not keep the stream's own publisher out."""
    with rtmp_loop() as loop:
        desk, waits, release = Desk(loop), threading.Event(), threading.Event()

        async def admit(request: PublishRequest) -> PublishAnswer | None:
            if request.arguments.token == "good":
                return None
            waits.set()
            await asyncio.get_running_loop().run_in_executor(None, release.wait, DEADLINE)
            return PublishAnswer(code="token_refused", refused="the token is not good")

        desk.port = loop.start_ingest("127.0.0.1", 0, desk.authorize, desk.unpublished, admit)
        stranger = run_process(push_argv(ffmpeg_path, make_source(), desk.url("show?token=bad")))
        assert waits.wait(DEADLINE)
        run_process(push_argv(ffmpeg_path, make_source(), desk.url("show?token=good&ladder=mobile")))
        desk.owner.detected()
        release.set()
        assert stranger.wait() != 0
        assert "the token is not good" in stranger.log()
        assert [key for key, _ in desk.accepted] == ["show"]
        assert desk.ladders == ["mobile"]


def test_a_second_publisher_of_a_live_key_is_refused_and_the_first_goes_on(
    desk: Desk, run_process: RunProcess, make_source: Callable[..., Path], ffmpeg_path: str
) -> None:
    run_process(push_argv(ffmpeg_path, make_source(), desk.url("show")))
    desk.owner.detected()
    desk.reason = "stream show has a publisher already"
    second = run_process(push_argv(ffmpeg_path, make_source(), desk.url("show")))
    assert second.wait() != 0
    assert "has a publisher already" in second.log()
    received = desk.feeds[0].bytes_received
    wait_until(lambda: desk.feeds[0].bytes_received > received, what="media of the first publisher")
    assert desk.gone == []


def test_a_second_publisher_that_is_accepted_takes_the_place_of_the_first(
    desk: Desk, run_process: RunProcess, make_source: Callable[..., Path], ffmpeg_path: str
) -> None:
    first = run_process(push_argv(ffmpeg_path, make_source(), desk.url("show")))
    desk.owner.detected()
    run_process(push_argv(ffmpeg_path, make_source(), desk.url("show")))
    assert desk.owner.closed() is None
    desk.owner.detected(2)
    assert first.wait() != 0
    received = desk.feeds[1].bytes_received
    wait_until(lambda: desk.feeds[1].bytes_received > received, what="media of the second publisher")
    assert desk.gone == desk.accepted[:1]


def test_a_killed_publisher_is_unpublished_and_may_come_back(
    desk: Desk, run_process: RunProcess, make_source: Callable[..., Path], ffmpeg_path: str
) -> None:
    for run in (1, 2):
        publisher = run_process(push_argv(ffmpeg_path, make_source(), desk.url("show")))
        desk.owner.detected(run)
        publisher.kill()
        assert desk.owner.closed(run) is None
        assert desk.left.wait(DEADLINE)
        desk.left.clear()
    assert desk.accepted == desk.gone
    assert len(set(desk.gone)) == 2


def test_closing_the_feed_disconnects_the_publisher(
    desk: Desk, run_process: RunProcess, make_source: Callable[..., Path], ffmpeg_path: str
) -> None:
    publisher = run_process(push_argv(ffmpeg_path, make_source(), desk.url("show")))
    desk.owner.detected()
    desk.feeds[0].close()
    publisher.wait()
    assert desk.left.wait(DEADLINE)
    assert desk.owner.events.empty()


def test_there_is_no_feed_without_a_publisher(desk: Desk) -> None:
    desk.loop.open_ingest(StreamKey("nobody"), 5, desk.owner)
    assert desk.owner.closed(5) == "nobody publishes nobody"


def test_an_authorize_that_fails_refuses_the_publisher(
    run_process: RunProcess, make_source: Callable[..., Path], ffmpeg_path: str
) -> None:
    async def broken(key: StreamKey, publisher: str) -> PublishAnswer:
        raise RuntimeError("an owner's mistake")

    async def unheard(key: StreamKey, publisher: str) -> None:
        raise AssertionError("nobody was accepted")

    with rtmp_loop() as loop:
        port = loop.start_ingest("127.0.0.1", 0, broken, unheard)
        publisher = run_process(push_argv(ffmpeg_path, make_source(), f"rtmp://127.0.0.1:{port}/live/show"))
        assert publisher.wait() != 0
        assert "cannot decide" in publisher.log()


def test_a_taken_port_is_said_in_one_sentence(desk: Desk) -> None:
    with rtmp_loop() as other, pytest.raises(StreamKitError) as caught:
        other.start_ingest("127.0.0.1", desk.port, desk.authorize, desk.unpublished)
    assert f"127.0.0.1:{desk.port} (address already in use)" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_connection_that_never_publishes_is_closed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "PUBLISH_TIMEOUT", 0.05)
    with closing(socket.create_connection(("127.0.0.1", desk.port), DEADLINE)) as client:
        assert client.recv(1) == b""


def test_connections_beyond_the_limit_are_closed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "MAX_CONNECTIONS", 0)
    with closing(socket.create_connection(("127.0.0.1", desk.port), DEADLINE)) as client:
        assert client.recv(1) == b""


@pytest.mark.parametrize("greeting", [b"GET / HTTP/1.1\r\n\r\n", b"\x06" + bytes(1536)], ids=["HTTP", "RTMPE"])
def test_what_is_not_rtmp_is_disconnected(greeting: bytes, desk: Desk) -> None:
    with closing(socket.create_connection(("127.0.0.1", desk.port), DEADLINE)) as client:
        client.sendall(greeting)
        assert client.recv(1) == b""


class Client:
    """A publisher by hand, with the handshake and small chunks of an old librtmp."""

    def __init__(self, port: int, version: bytes = b"\x09\x00\x7c\x02") -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), DEADLINE)
        self._reader = ChunkReader()
        self._messages: list[RtmpMessage] = []
        c1 = bytes(4) + version + bytes(range(256)) * 5 + bytes(248)
        self._socket.sendall(b"\x03" + c1)
        answer = self._exactly(1 + 1536 * 2)
        assert answer[0] == 3
        assert answer[5:9] == bytes(4), "version 0 tells clients with digests to use the simple handshake"
        assert answer[1537:] == c1
        self._socket.sendall(answer[1:1537])

    def command(self, *values: amf0.AmfValue, stream_id: int = 0) -> None:
        self.send(RtmpMessage(chunks.COMMAND, stream_id, 0, amf0.encode(*values)), 3)

    def send(self, message: RtmpMessage, chunk_stream: int) -> None:
        self._socket.sendall(write_message(message, chunk_stream=chunk_stream))

    def answer(self, name: str) -> list[amf0.AmfValue]:
        """Return the next command of this name."""
        return amf0.decode(self.message(lambda m: m.type_id == chunks.COMMAND and name.encode() in m.payload).payload)

    def message(self, wanted: Callable[[RtmpMessage], bool]) -> RtmpMessage:
        while True:
            while self._messages:
                if wanted(message := self._messages.pop(0)):
                    return message
            data = self._socket.recv(65536)
            assert data, "the server closed the connection"
            self._messages += self._reader.feed(data)

    def closed(self) -> bool:
        while data := self._socket.recv(65536):
            self._reader.feed(data)
        return True

    def close(self) -> None:
        self._socket.close()

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            data += self._socket.recv(count - len(data))
        return data


def test_a_client_with_a_digest_handshake_and_small_chunks_publishes(
    desk: Desk, make_source: Callable[..., Path]
) -> None:
    with closing(Client(desk.port)) as client:
        client.command("connect", 1, {"app": "live/", "flashVer": "FMLE/3.0 (compatible; FMSc/1.0)"})
        assert client.answer("_result")[1] == 1.0
        for transaction, name in ((2, "releaseStream"), (3, "FCPublish")):
            client.command(name, transaction, None, "show")
            assert client.answer("_result")[1] == float(transaction)
        client.command("_checkbw", 9, None)
        client.command("createStream", 4, None)
        assert client.answer("_result")[1:] == [4.0, None, 1.0]
        client.command("publish", 5, None, "show", "live", stream_id=1)
        assert "NetStream.Publish.Start" in str(client.answer("onStatus"))
        data, position = make_source(seconds=4.0).read_bytes(), 13
        while position < len(data):
            size = int.from_bytes(data[position + 1 : position + 4], "big")
            stamp = int.from_bytes(data[position + 4 : position + 7], "big")
            payload = data[position + 11 : position + 11 + size]
            client.send(RtmpMessage(data[position], 1, stamp, payload), 4)
            position += size + 15
        assert desk.owner.detected().video is not None
        client.send(RtmpMessage(chunks.USER_CONTROL, 0, 0, struct.pack(">HI", 6, 1234)), 2)
        pong = client.message(lambda message: message.type_id == chunks.USER_CONTROL and message.payload[1] == 7)
        assert pong.payload == struct.pack(">HI", 7, 1234)
        client.command("FCUnpublish", 6, None, "show")
        client.command("deleteStream", 7, None, 1)
        assert desk.owner.closed() is None
        assert desk.left.wait(DEADLINE)


@pytest.mark.parametrize(
    "commands",
    [
        [("publish", 1, None, "show", "live")],
        [("connect", 1, {"app": "live"}), ("publish", 2, None, "a"), ("publish", 3, None, "b")],
        [(7.0, "no name")],
        [("connect", 1, {"app": "live"}), ("play", 2, None, "show")],
        [("connect", 1, {"app": "live"}), ("publish", 2, None)],
        [("connect", 1, None)],
    ],
    ids=["publish first", "publish twice", "nameless", "play", "no key", "no application"],
)
def test_a_client_that_breaks_the_order_is_disconnected(commands: list[tuple[amf0.AmfValue, ...]], desk: Desk) -> None:
    with closing(Client(desk.port)) as client:
        for command in commands:
            client.command(*command)
        assert client.closed()


def test_a_publisher_that_sends_garbage_is_disconnected_with_a_reason(desk: Desk) -> None:
    with closing(Client(desk.port)) as client:
        client.command("connect", 1, {"app": "live"})
        client.command("publish", 2, None, "show")
        client.answer("onStatus")
        client.send(RtmpMessage(chunks.AUDIO, 1, 0, bytes(10)), 4)
        wait_until(lambda: desk.feeds[0].bytes_received == 10, what="the owner's claim")
        client.send(RtmpMessage(chunks.SET_CHUNK_SIZE, 0, 0, bytes(4)), 2)
        assert client.closed()
    assert "chunk size 0 is not allowed" in str(desk.owner.closed())


def test_window_acknowledgements_are_sent(desk: Desk) -> None:
    with closing(Client(desk.port)) as client:
        client.send(RtmpMessage(chunks.WINDOW_ACK_SIZE, 0, 0, struct.pack(">I", 20_000)), 2)
        client.send(RtmpMessage(chunks.AUDIO, 1, 0, bytes(30_000)), 4)
        acknowledged = client.message(lambda message: message.type_id == chunks.ACKNOWLEDGEMENT)
    assert int.from_bytes(acknowledged.payload, "big") >= 10_000
