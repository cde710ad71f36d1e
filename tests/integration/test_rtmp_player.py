"""RtmpLoop.open_pull against a server that the test plays by hand: what nginx does not send."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from fakes.rtmp_kit import BOTH, audio_header, metadata, video, video_header
from rtmp_lab import DEADLINE, Owner, rtmp_loop

from streamkit.rtmp import amf0, chunks
from streamkit.rtmp.chunks import ChunkReader, RtmpMessage, write_message
from streamkit.types import StreamKey

pytestmark = pytest.mark.integration
MEDIA = [metadata(BOTH, from_publisher=False), video_header(), audio_header(), video(0, key=True)]


PING = RtmpMessage(chunks.USER_CONTROL, 0, 0, struct.pack(">HI", 6, 77))


def status(code: str, level: str = "status") -> RtmpMessage:
    info = {"level": level, "code": code, "description": "because"}
    return RtmpMessage(chunks.COMMAND, 1, 0, amf0.encode("onStatus", 0, None, info))


class Script:
    """An RTMP server for one player: sends it `messages` when it plays, and `later` when it answers a ping."""

    def __init__(self, messages: list[RtmpMessage], later: list[RtmpMessage]) -> None:
        self._messages, self._later = messages, later
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self.heard: list[RtmpMessage] = []
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        connection, _ = self._server.accept()
        with connection:
            connection.settimeout(DEADLINE)
            client = b""
            while len(client) < 1537:
                client += connection.recv(65536)
            connection.sendall(b"\x03" + bytes(1536) + client[1:1537])
            reader, rest = ChunkReader(), client[1537:]
            while len(rest) < 1536:
                rest += connection.recv(65536)
            data = rest[1536:]
            while True:
                for message in reader.feed(data):
                    self.heard.append(message)
                    self._answer(connection, message)
                if not (data := connection.recv(65536)):
                    return

    def _answer(self, connection: socket.socket, message: RtmpMessage) -> None:
        if message.type_id == chunks.USER_CONTROL and message.payload[1] == 7:
            for scripted in self._later:
                self._send(connection, scripted)
        if message.type_id != chunks.COMMAND:
            return
        name, transaction, *_ = amf0.decode(message.payload)
        if name == "connect":
            answer = amf0.encode("_result", transaction, {}, {"code": "NetConnection.Connect.Success"})
            self._send(connection, RtmpMessage(chunks.COMMAND, 0, 0, answer))
        elif name == "createStream":
            answer = amf0.encode("_result", transaction, None, 1)
            self._send(connection, RtmpMessage(chunks.COMMAND, 0, 0, answer))
        elif name == "play":
            for scripted in self._messages:
                self._send(connection, scripted)

    def _send(self, connection: socket.socket, message: RtmpMessage) -> None:
        connection.sendall(write_message(message, chunk_stream=4))

    def close(self) -> None:
        self.thread.join(DEADLINE)
        self._server.close()


@contextmanager
def playing(messages: list[RtmpMessage], *later: RtmpMessage) -> Iterator[tuple[Script, Owner]]:
    script, owner = Script(messages, list(later)), Owner()
    try:
        with rtmp_loop(script.port) as loop:
            loop.open_pull(StreamKey("show"), 1, owner)
            yield script, owner
    finally:
        script.close()


ENDS = {
    "UnpublishNotify": status("NetStream.Play.UnpublishNotify"),
    "Play.Stop": status("NetStream.Play.Stop"),
    "Play.Complete": RtmpMessage(chunks.DATA, 1, 0, amf0.encode("onPlayStatus", {"code": "NetStream.Play.Complete"})),
    "7.1.7 Stream EOF": RtmpMessage(chunks.USER_CONTROL, 0, 0, struct.pack(">HI", 1, 1)),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_the_server_says_that_the_broadcast_ended(end: RtmpMessage) -> None:
    with playing([status("NetStream.Play.Start"), *MEDIA, end]) as (_, owner):
        assert owner.joined.wait(DEADLINE)
        assert owner.detected().video is not None
        assert owner.closed() is None


def test_an_end_before_any_media_is_the_end_of_an_earlier_broadcast() -> None:
    earlier = [end for end in ENDS.values() if end.type_id != chunks.DATA]
    with playing([*earlier, *MEDIA, ENDS["Play.Stop"]]) as (_, owner):
        owner.detected()
        assert owner.closed() is None


def test_a_server_that_breaks_the_protocol_closes_the_source_with_a_reason() -> None:
    with playing([*MEDIA, PING], RtmpMessage(chunks.SET_CHUNK_SIZE, 0, 0, bytes(4))) as (_, owner):
        owner.detected()
        assert "chunk size 0 is not allowed" in str(owner.closed())


def test_headers_of_no_use_close_the_source_with_a_reason() -> None:
    with playing([video_header(b"\x17\x00\x00\x00\x00junk"), audio_header()]) as (_, owner):
        assert owner.closed() == "the H.264 sequence header holds no sequence parameter set"


def test_pings_are_answered_and_play_asks_for_the_live_stream() -> None:
    with playing([*MEDIA, PING], ENDS["Play.Stop"]) as (script, owner):
        owner.detected()
        owner.closed()
    assert struct.pack(">HI", 7, 77) in [m.payload for m in script.heard if m.type_id == chunks.USER_CONTROL]
    commands = [amf0.decode(m.payload) for m in script.heard if m.type_id == chunks.COMMAND]
    assert [name for name, *_ in commands] == ["connect", "createStream", "play"]
    assert commands[0][2]["tcUrl"] == f"rtmp://127.0.0.1:{script.port}/live"
    assert commands[2][3:] == ["show", -1000.0]


def test_a_stopped_or_never_started_loop_leaves_nothing() -> None:
    from streamkit.rtmp.loop import RtmpLoop
    from streamkit.settings import RtmpSettings

    loop = RtmpLoop(RtmpSettings())
    loop.stop(1.0)
    loop.stop(1.0)
