"""chunks.py against RTMP 1.0 section 5.3 and 5.4."""

import struct
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamkit.rtmp.chunks import MAX_CHUNK_STREAMS, MAX_HELD, ChunkReader, RtmpMessage, write_message
from streamkit.rtmp.errors import RtmpProtocolError


def u24(number: int) -> bytes:
    return number.to_bytes(3, "big")


def type0(stamp: int, length: int, type_id: int = 9, stream: int = 1, csid: int = 4) -> bytes:
    return bytes((csid,)) + u24(stamp) + u24(length) + bytes((type_id,)) + struct.pack("<I", stream)


def type1(delta: int, length: int, type_id: int = 9, csid: int = 4) -> bytes:
    return bytes((0x40 | csid,)) + u24(delta) + u24(length) + bytes((type_id,))


def type2(delta: int, csid: int = 4) -> bytes:
    return bytes((0x80 | csid,)) + u24(delta)


def type3(csid: int = 4) -> bytes:
    return bytes((0xC0 | csid,))


def message(stamp: int, payload: bytes, type_id: int = 9, stream: int = 1) -> RtmpMessage:
    return RtmpMessage(type_id, stream, stamp, payload)


EXTENDED = u24(0xFFFFFF)
DAY = 86_400_000
A, B = b"a" * 128, b"b" * 72
WIRES = {
    "5.3.1.2.1 type 0 holds everything": (type0(1000, 3) + b"abc", [message(1000, b"abc")]),
    "5.3.1.2.2 type 1 adds a delta and keeps the stream id": (
        type0(1000, 3, stream=7) + b"abc" + type1(20, 2, 8) + b"xy",
        [message(1000, b"abc", stream=7), message(1020, b"xy", 8, 7)],
    ),
    "5.3.1.2.3 type 2 adds a delta only": (
        type0(1000, 2) + b"ab" + type2(40) + b"cd",
        [message(1000, b"ab"), message(1040, b"cd")],
    ),
    "5.3.1.2.4 type 3 that begins a message adds the last delta": (
        type0(1000, 2) + b"ab" + type2(40) + b"cd" + type3() + b"ef" + type3() + b"gh",
        [message(1000, b"ab"), message(1040, b"cd"), message(1080, b"ef"), message(1120, b"gh")],
    ),
    "5.3.1.2.4 after type 0 the delta is its timestamp": (
        type0(30, 2) + b"ab" + type3() + b"cd",
        [message(30, b"ab"), message(60, b"cd")],
    ),
    "5.3.1.3 a message in several chunks": (type0(5, 200) + A + type3() + B, [message(5, A + B)]),
    "5.3.1.3 extended timestamp": (
        type0(0xFFFFFF, 2) + struct.pack(">I", 3 * DAY) + b"ab",
        [message(3 * DAY, b"ab")],
    ),
    "5.3.1.3 extended timestamp on a continuation": (
        type0(0xFFFFFF, 200) + struct.pack(">I", DAY) + A + type3() + struct.pack(">I", DAY) + B,
        [message(DAY, A + B)],
    ),
    "5.3.1.3 extended timestamp that the writer left out of the continuation": (
        type0(0xFFFFFF, 200) + struct.pack(">I", DAY) + A + type3() + B,
        [message(DAY, A + B)],
    ),
    "5.3.1.3 deltas after an extended timestamp": (
        type0(0xFFFFFF, 2) + struct.pack(">I", DAY) + b"ab" + type2(40) + b"cd" + type3() + b"ef",
        [message(DAY, b"ab"), message(DAY + 40, b"cd"), message(DAY + 80, b"ef")],
    ),
    "5.3.1.2 timestamps wrap at 2^32": (
        type0(0xFFFFFF, 2) + struct.pack(">I", 0xFFFFFFF0) + b"ab" + type2(0x20) + b"cd",
        [message(0xFFFFFFF0, b"ab"), message(0x10, b"cd")],
    ),
    "5.3.1.1 two-byte chunk stream id": (
        bytes((0, 36)) + type0(1, 2)[1:] + b"ab" + bytes((0xC0, 36)) + b"cd",
        [message(1, b"ab"), message(2, b"cd")],
    ),
    "5.3.1.1 three-byte chunk stream id, low byte first": (
        bytes((1, 1, 2)) + type0(1, 2)[1:] + b"ab" + bytes((0xC1, 1, 2)) + b"cd",
        [message(1, b"ab"), message(2, b"cd")],
    ),
    "5.3 interleaved chunk streams": (
        type0(1, 200, csid=4) + A + type0(2, 4, 8, csid=5) + b"tone" + type3(4) + B + type1(3, 2, 8, csid=5) + b"xy",
        [message(2, b"tone", 8), message(1, A + B), message(5, b"xy", 8)],
    ),
    "5.4.1 set chunk size, obeyed from the next chunk on": (
        type0(1, 300) + A + type0(0, 4, 1, 0, csid=2) + struct.pack(">I", 500) + type3() + b"c" * 172,
        [message(1, A + b"c" * 172)],
    ),
    "5.4.2 abort drops the unfinished message": (
        type0(1, 200) + A + type0(0, 4, 2, 0, csid=2) + struct.pack(">I", 4) + type0(9, 2) + b"ab",
        [message(9, b"ab")],
    ),
    "an empty message": (type0(1, 0) + type0(2, 1) + b"x", [message(1, b""), message(2, b"x")]),
    "librtmp begins its control stream with type 1": (type1(0, 4, 3, csid=2) + b"1234", [message(0, b"1234", 3, 0)]),
}


@pytest.mark.parametrize(("wire", "expected"), WIRES.values(), ids=WIRES)
def test_chunks_in_one_piece_become_messages(wire: bytes, expected: list[RtmpMessage]) -> None:
    assert ChunkReader().feed(wire) == expected


@pytest.mark.parametrize(("wire", "expected"), WIRES.values(), ids=WIRES)
def test_chunks_byte_by_byte_become_the_same_messages(wire: bytes, expected: list[RtmpMessage]) -> None:
    reader = ChunkReader()
    assert [found for byte in wire for found in reader.feed(bytes((byte,)))] == expected


WRONG = {
    "5.3.1.2 a chunk stream begins with type 2": type2(1),
    "5.3.1.2 a chunk stream begins with type 3": type3(),
    "a message begins inside another one": type0(1, 200) + A + type0(1, 200),
    "5.4.1 chunk size 0": type0(0, 4, 1, 0, csid=2) + bytes(4),
    "5.4.1 chunk size with the reserved bit": type0(0, 4, 1, 0, csid=2) + b"\xff" * 4,
    "5.4.1 chunk size cut off": type0(0, 2, 1, 0, csid=2) + b"\x01\x01",
    "too many chunk streams": b"".join(type0(1, 1, csid=number) + b"x" for number in range(2, 64))
    + b"".join(bytes((0, number)) + type0(1, 1)[1:] + b"x" for number in range(MAX_CHUNK_STREAMS - 61)),
}


@pytest.mark.parametrize("wire", WRONG.values(), ids=WRONG)
def test_what_the_protocol_does_not_allow_is_one_error(wire: bytes) -> None:
    with pytest.raises(RtmpProtocolError):
        ChunkReader().feed(wire)


def test_unfinished_messages_are_bounded_over_all_chunk_streams() -> None:
    reader = ChunkReader()
    reader.feed(type0(0, 4, 1, 0, csid=2) + struct.pack(">I", 0xFFFFFE))
    assert reader.feed(type0(0, 0xFFFFFF, csid=3) + bytes(0xFFFFFE)) == []
    with pytest.raises(RtmpProtocolError, match=str(MAX_HELD)):
        reader.feed(type0(0, 0xFFFFFF, csid=4) + bytes(0xFFFFFE))


def test_finished_and_aborted_messages_are_not_held() -> None:
    reader = ChunkReader()
    for _ in range(40):  # 40 x 1 MB
        assert len(reader.feed(write_message(message(0, bytes(1_000_000)), chunk_stream=4))) == 1
        reader.feed(type0(0, 1_000_000, csid=5) + bytes(128))
        reader.feed(type0(0, 4, 2, 0, csid=2) + struct.pack(">I", 5))


def test_a_message_of_very_many_chunks_is_put_together() -> None:
    payload = bytes(range(256)) * 20
    wire = write_message(message(0, payload), chunk_stream=4, chunk_size=3)
    reader = ChunkReader()
    reader.feed(type0(0, 4, 1, 0, csid=2) + struct.pack(">I", 3))
    assert reader.feed(wire) == [message(0, payload)]


MESSAGES = st.builds(
    RtmpMessage,
    st.integers(7, 255),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1) | st.sampled_from([0xFFFFFE, 0xFFFFFF, 0x1000000]),
    st.binary(max_size=400),
)


@given(st.lists(st.tuples(MESSAGES, st.integers(3, 63)), max_size=8), st.integers(1, 500), st.data())
@settings(deadline=None, max_examples=150)
def test_what_is_written_is_read_again(sent: list[tuple[RtmpMessage, int]], size: int, data: st.DataObject) -> None:
    wire = type0(0, 4, 1, 0, csid=2) + struct.pack(">I", size)
    wire += b"".join(write_message(found, chunk_stream=csid, chunk_size=size) for found, csid in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=10)))
    reader = ChunkReader()
    read = [found for start, end in pairwise([0, *cuts, len(wire)]) for found in reader.feed(wire[start:end])]
    assert read == [found for found, _ in sent]


@given(st.lists(st.binary(max_size=300), max_size=20))
@settings(deadline=None, max_examples=300)
def test_garbage_is_messages_or_one_error(pieces: list[bytes]) -> None:
    reader = ChunkReader()
    try:
        for piece in pieces:
            reader.feed(piece)
    except RtmpProtocolError:
        return
