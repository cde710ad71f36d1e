"""feed.py, sockets.py and tcp.py in a loop that the test turns by hand."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
import uvloop
from fakes.rtmp_kit import BOTH, VIDEO_HEADER, audio, audio_header, metadata, parse_flv, video, video_header

from streamkit.errors import SourceError
from streamkit.rtmp import feed as feed_module
from streamkit.rtmp import sockets as sockets_module
from streamkit.rtmp import tcp
from streamkit.rtmp.chunks import RtmpMessage
from streamkit.rtmp.feed import PAUSE_ABOVE, Feed
from streamkit.rtmp.sockets import Sockets
from streamkit.types import SourceInfo, StreamKey

DEADLINE = 10.0
HEADERS = [metadata(BOTH), video_header(), audio_header()]


class Owner:
    """A FeedListener that remembers."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int, object]] = []
        self.ready: list[int] = []

    def source_joined(self, run: int) -> None:
        self.told.append(("joined", run, None))

    def source_detected(self, run: int, source: SourceInfo) -> None:
        self.told.append(("detected", run, (source.video is not None, source.audio is not None)))

    def source_ready(self, run: int) -> None:
        self.ready.append(run)

    def source_changed(self, run: int) -> None:
        self.told.append(("changed", run, None))

    def source_closed(self, run: int, error: str | None) -> None:
        self.told.append(("closed", run, error))


class Flow:
    """Where a feed's media come from."""

    def __init__(self) -> None:
        self.is_paused = False

    def pause_reading(self) -> None:
        assert not self.is_paused
        self.is_paused = True

    def resume_reading(self) -> None:
        assert self.is_paused
        self.is_paused = False


class Bench:
    """A feed, its owner, its clock and the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.sockets = Sockets(loop)
        self.feed = Feed(StreamKey("show"), self.sockets)
        self.owner = Owner()
        self.feed.bind(3, self.owner)
        self.flow = Flow()
        self.feed.flow = self.flow  # type: ignore[assignment]
        self.encoders: list[socket.socket] = []

    def attach(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        self.feed.attach(ours)
        theirs.settimeout(0)
        self.encoders.append(theirs)
        return theirs

    def turn_until(self, done: Callable[[], object]) -> None:
        """Run the loop until `done()`."""

        async def turning() -> None:
            async with asyncio.timeout(DEADLINE):
                while not done():  # noqa: ASYNC110 - the condition may be another thread's or the kernel's
                    await asyncio.sleep(0.001)

        self.loop.run_until_complete(turning())

    def read_all(self, encoder: socket.socket) -> bytes:
        """Read until EOF, turning the loop."""
        data, ended = b"", False

        def step() -> bool:
            nonlocal data, ended
            try:
                piece = encoder.recv(1 << 20)
            except BlockingIOError:
                return False
            data, ended = data + piece, not piece
            return ended

        self.turn_until(step)
        return data


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> Iterator[asyncio.AbstractEventLoop]:
    made = request.param()
    yield made
    made.close()


@pytest.fixture
def bench(loop: asyncio.AbstractEventLoop) -> Iterator[Bench]:
    made = Bench(loop)
    yield made
    made.sockets.abort_all()
    for encoder in made.encoders:
        encoder.close()


def test_the_source_is_told_once_as_soon_as_both_headers_are_in(bench: Bench) -> None:
    bench.feed.receive(HEADERS[:2])
    assert bench.owner.told == []
    bench.feed.receive([HEADERS[2], video(0, key=True)])
    bench.feed.receive([audio(5)])
    assert bench.owner.told == [("detected", 3, (True, True))]


@pytest.mark.parametrize(
    ("headers", "patience", "expected"),
    [
        ([video_header()], feed_module.HEADER_WAIT, (True, False)),
        ([audio_header()], feed_module.HEADER_WAIT, (False, True)),
        ([metadata(BOTH), video_header()], feed_module.HEADER_WAIT, (True, False)),
        ([metadata(BOTH), audio_header()], feed_module.VIDEO_WAIT, (False, True)),
    ],
    ids=["video, no metadata", "audio, no metadata", "announced audio never came", "announced video never came"],
)
def test_what_is_there_counts_after_a_while(
    headers: list[RtmpMessage],
    patience: float,
    expected: tuple[bool, bool],
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr(bench.sockets, "loop", type("Clock", (), {"time": lambda _: now})())
    bench.feed.receive(headers)
    now += patience - 0.01
    bench.feed.receive([audio(1)])
    assert bench.owner.told == []
    now += 0.02
    bench.feed.receive([audio(2)])
    assert bench.owner.told == [("detected", 3, expected)]


def test_useless_headers_are_a_source_error(bench: Bench) -> None:
    with pytest.raises(SourceError):
        bench.feed.receive([video_header(b"\x17\x00\x00\x00\x00junk"), audio_header()])


def test_reading_pauses_while_the_encoder_is_too_far_behind(bench: Bench) -> None:
    encoder = bench.attach()
    bench.feed.receive([*HEADERS, video(0, key=True)])
    sent = 0
    while not bench.flow.is_paused:
        assert sent < 4 * PAUSE_ABOVE, "it would have gone on for ever"
        bench.feed.receive([video(sent // 1000, bytes(64_000))])
        sent += 64_000
    assert sent > PAUSE_ABOVE
    bench.turn_until(lambda: drain(encoder) or not bench.flow.is_paused)


def drain(encoder: socket.socket) -> None:
    try:
        encoder.recv(1 << 20)
    except BlockingIOError:
        return


def test_an_encoder_that_died_lets_reading_go_on_and_the_media_are_kept(bench: Bench) -> None:
    bench.attach()
    bench.feed.receive([*HEADERS, video(0, key=True)])
    while not bench.flow.is_paused:
        bench.feed.receive([video(1, bytes(64_000))])
    bench.encoders.pop().close()
    bench.turn_until(lambda: not bench.flow.is_paused)
    bench.feed.receive([video(40, key=True), video(80)])
    encoder = bench.attach()
    bench.feed.end(None)
    _, tags = parse_flv(bench.read_all(encoder))
    assert [stamp for type_id, stamp, _ in tags if type_id == 9] == [0, 0, 40]  # the header, then from the key frame on


def test_the_encoder_reads_everything_before_its_input_ends(bench: Bench) -> None:
    bench.feed.receive(HEADERS)
    encoder = bench.attach()
    bench.feed.receive([video(0, bytes(2_000_000), key=True), video(40)])
    bench.feed.end(None)
    _, tags = parse_flv(bench.read_all(encoder))
    assert len(tags) == 5
    assert bench.owner.told[-1] == ("closed", 3, None)
    assert bench.sockets.open == set()


def test_an_encoder_that_reads_nothing_is_given_up_at_the_deadline(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets_module, "FINISH_DEADLINE", 0.01)
    bench.attach()
    bench.feed.receive([*HEADERS, video(0, bytes(2_000_000), key=True)])
    bench.feed.close()
    bench.turn_until(lambda: not bench.sockets.open)


def test_a_short_broadcast_can_be_encoded_after_its_end(bench: Bench) -> None:
    bench.feed.receive([*HEADERS, video(0, key=True), video(40)])
    bench.feed.end(None)
    _, tags = parse_flv(bench.read_all(bench.attach()))
    assert len(tags) == 5


def test_another_encoder_ends_the_first_ones_input(bench: Bench) -> None:
    bench.feed.receive([*HEADERS, video(0, key=True)])
    first = bench.attach()
    bench.attach()
    assert len(parse_flv(bench.read_all(first))[1]) == 4


class SlowClock:
    """Stands for the loop's clock alone."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self.now = loop, 100.0

    def time(self) -> float:
        return self.now

    def __getattr__(self, name: str) -> object:
        return getattr(self._loop, name)


def test_a_changed_source_ends_the_encoders_input_and_is_told_when_it_has_settled(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SlowClock(bench.loop)
    monkeypatch.setattr(bench.sockets, "loop", clock)
    bench.feed.receive([*HEADERS, video(0, key=True), audio(5)])
    first = bench.attach()
    bench.feed.receive([video_header(VIDEO_HEADER + b"\0"), video(40, key=True)])
    assert bench.owner.told == [("detected", 3, (True, True)), ("changed", 3, None)]
    assert len(parse_flv(bench.read_all(first))[1]) == 5
    assert bench.read_all(bench.attach()) == b"", "an encoder for the source that is no more"
    bench.feed.receive([audio_header(b"\xaf\x00\x12\x10"), audio(45)])
    clock.now += feed_module.SETTLE + 0.01
    bench.feed.receive([video(80)])
    assert bench.owner.told[2:] == [("detected", 3, (True, True))], "both changes are one"
    second = bench.attach()
    bench.feed.end(None)
    assert [tag[1] for tag in parse_flv(bench.read_all(second))[1]][-3:] == [0, 5, 40], "nothing is lost"


def test_a_source_that_does_not_rest_is_concluded_ever_more_slowly(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SlowClock(bench.loop)
    monkeypatch.setattr(bench.sockets, "loop", clock)
    bench.feed.receive([*HEADERS, video(0, key=True)])
    for number in range(1, 600):  # another header every tenth of a second for a minute
        clock.now += 0.1
        bench.feed.receive([video_header(VIDEO_HEADER + bytes([number % 251])), video(number * 100, key=True)])
    assert 4 <= bench.owner.told.count(("changed", 3, None)) <= 12


def test_the_owner_hears_once_that_an_encoder_can_begin(bench: Bench) -> None:
    bench.feed.receive([*HEADERS, video(0), audio(5)])
    assert bench.owner.ready == []
    bench.feed.receive([video(40, key=True)])
    bench.feed.receive([video(80), video(120, key=True)])
    assert bench.owner.ready == [3]


def test_after_close_nothing_is_told_and_sockets_are_not_kept(bench: Bench) -> None:
    bench.feed.close()
    bench.feed.receive(HEADERS)
    bench.feed.end("too late")
    assert bench.read_all(bench.attach()) == b""
    assert bench.owner.told == []


def test_a_later_owner_hears_what_is_known(bench: Bench) -> None:
    bench.feed.receive(HEADERS)
    bench.feed.end("gone")
    later = Owner()
    bench.feed.bind(4, later)
    assert later.told == [("detected", 4, (True, True)), ("closed", 4, "gone")]
    bench.feed.end("again")
    assert len(later.told) == 2


class Peer:
    """What a channel tells."""

    def __init__(self) -> None:
        self.data = b""
        self.lost: list[OSError | None] = []
        self.reads = 0

    def data_received(self, data: bytes) -> None:
        self.reads += 1
        self.data += data
        if data.endswith(b"!"):
            raise RuntimeError("a mistake of ours")

    def connection_lost(self, error: OSError | None) -> None:
        self.lost.append(error)


@pytest.fixture
def wire(bench: Bench) -> Iterator[tuple[socket.socket, tcp.TcpChannel, Peer]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
    peer = Peer()
    with closing(client):
        yield client, tcp.TcpChannel(bench.sockets, accepted, peer), peer


@pytest.mark.parametrize("prompt_bytes", [0, 10**9], ids=["in strides", "prompt"])
def test_a_channel_reads_all_in_order_and_tells_the_end_once(
    prompt_bytes: int, bench: Bench, wire: tuple[socket.socket, tcp.TcpChannel, Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp, "PROMPT_BYTES", prompt_bytes)
    monkeypatch.setattr(tcp, "_READ_SIZE", 1000)
    client, _, peer = wire
    sent = b""
    for number in range(5):
        sent += bytes((number,)) * 1500
        client.sendall(bytes((number,)) * 1500)
        bench.turn_until(lambda expected=sent: peer.data == expected)
    client.close()
    bench.turn_until(lambda: peer.lost)
    assert peer.lost == [None]


def test_a_channel_that_fell_silent_awaits_the_next_byte_instead_of_asking(
    bench: Bench, wire: tuple[socket.socket, tcp.TcpChannel, Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp, "PROMPT_BYTES", 0)
    monkeypatch.setattr(tcp, "STRIDE", 0.001)
    client, channel, peer = wire
    client.sendall(b"a")
    bench.turn_until(lambda: peer.data)
    bench.turn_until(lambda: channel._stride is None)
    client.sendall(b"b")
    bench.turn_until(lambda: peer.data == b"ab")


@pytest.mark.parametrize("prompt_bytes", [0, 10**9], ids=["in strides", "prompt"])
def test_a_paused_channel_reads_nothing_until_it_is_resumed(
    prompt_bytes: int, bench: Bench, wire: tuple[socket.socket, tcp.TcpChannel, Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp, "PROMPT_BYTES", prompt_bytes)
    client, channel, peer = wire
    client.sendall(b"a")
    bench.turn_until(lambda: peer.data)
    channel.pause_reading()
    client.sendall(b"b")
    turns = iter(range(80))
    bench.turn_until(lambda: next(turns, None) is None)
    assert peer.data == b"a"
    channel.resume_reading()
    bench.turn_until(lambda: peer.data == b"ab")


def test_a_reset_connection_tells_its_error(bench: Bench, wire: tuple[socket.socket, tcp.TcpChannel, Peer]) -> None:
    client, channel, peer = wire
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    client.close()
    bench.turn_until(lambda: peer.lost)
    assert isinstance(peer.lost[0], ConnectionResetError)
    assert not channel.is_open


def test_a_mistake_of_ours_ends_that_connection_alone(
    bench: Bench, wire: tuple[socket.socket, tcp.TcpChannel, Peer]
) -> None:
    client, _, peer = wire
    client.sendall(b"!")
    bench.turn_until(lambda: peer.lost)
    assert str(peer.lost[0]) == "internal error"


def test_a_channel_sends_what_is_pending_before_it_closes(
    bench: Bench, wire: tuple[socket.socket, tcp.TcpChannel, Peer]
) -> None:
    client, channel, peer = wire
    client.settimeout(0)
    channel.write([b"x" * 3_000_000, b"", b"y"])
    channel.finish()
    assert bench.read_all(client) == b"x" * 3_000_000 + b"y"
    assert peer.lost == [None]
