"""amf0.py against the AMF0 specification."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.rtmp import amf0
from streamkit.rtmp.errors import RtmpProtocolError


def key(name: str) -> bytes:
    return struct.pack(">H", len(name)) + name.encode()


END = b"\x00\x00\x09"
NUMBER_ONE = b"\x00" + struct.pack(">d", 1.0)
CASES = {
    "2.2 number": (NUMBER_ONE, [1.0]),
    "2.3 boolean": (b"\x01\x01\x01\x00", [True, False]),
    "2.4 string": (b"\x02" + key("café"[:3] + "x"), ["cafx"]),
    "2.5 object, and a value after it": (b"\x03" + key("a") + NUMBER_ONE + END + b"\x05", [{"a": 1.0}, None]),
    "2.7 null, 2.8 undefined, 2.9 reference": (b"\x05\x06\x07\x00\x01", [None, None, None]),
    "2.10 ECMA array whose count is wrong, as encoders send it": (
        b"\x08\x00\x00\x00\x00" + key("a") + NUMBER_ONE + key("b") + b"\x05" + END,
        [{"a": 1.0, "b": None}],
    ),
    "2.10 ECMA array without its end marker": (b"\x08\x00\x00\x00\x01" + key("a") + NUMBER_ONE, [{"a": 1.0}]),
    "2.12 strict array": (b"\x0a\x00\x00\x00\x02" + NUMBER_ONE + b"\x02" + key("x"), [[1.0, "x"]]),
    "2.13 date": (b"\x0b" + struct.pack(">dh", 1e12, 0) + b"\x05", [1e12, None]),
    "2.14 long string": (b"\x0c\x00\x00\x00\x02hi", ["hi"]),
    "2.17 XML": (b"\x0f\x00\x00\x00\x04<a/>", ["<a/>"]),
    "2.18 typed object": (b"\x10" + key("Point") + key("x") + NUMBER_ONE + END, [{"x": 1.0}]),
    "nested": (
        b"\x03" + key("o") + b"\x03" + key("a") + b"\x01\x01" + END + END + NUMBER_ONE,
        [{"o": {"a": True}}, 1.0],
    ),
    "text that is not UTF-8": (b"\x02\x00\x01\xff", ["\ufffd"]),
}


@pytest.mark.parametrize(("data", "values"), CASES.values(), ids=CASES)
def test_values_are_decoded(data: bytes, values: list[amf0.AmfValue]) -> None:
    assert amf0.decode(data) == values


@pytest.mark.parametrize(
    "data",
    [b"\x00\x00", b"\x02\x00\x05hi", b"\x0a\xff\xff\xff\xff", b"\x11", b"\x03\x00\x01a", b"\x0a\x00\x00\x00\x01" * 40],
    ids=["number cut off", "string cut off", "array cut off", "AMF3", "member cut off", "nested too deep"],
)
def test_what_is_no_value_is_an_error(data: bytes) -> None:
    with pytest.raises(RtmpProtocolError):
        amf0.decode(data)


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(min_size=1, max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(VALUES, max_size=4))
def test_what_is_encoded_is_decoded_again(values: list[amf0.AmfValue]) -> None:
    assert amf0.decode(amf0.encode(*values)) == values


def test_a_string_beyond_65535_bytes_survives() -> None:
    text = "é" * 40_000
    assert amf0.decode(amf0.encode(text)) == [text]


@given(st.binary(max_size=200))
def test_garbage_is_values_or_one_error(data: bytes) -> None:
    try:
        amf0.decode(data)
    except RtmpProtocolError:
        return
