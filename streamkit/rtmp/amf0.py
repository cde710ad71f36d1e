"""AMF0 values to bytes and back (Action Message Format 0, the encoding of RTMP commands and metadata).

pyrtmp's serializers are not used: they raise on undefined, dates, strict arrays and long strings, never consume an
object's end marker (so nothing after a nested object can be read), and count characters where bytes are meant.
"""

import struct
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import TypeAlias

from streamkit.rtmp.errors import RtmpProtocolError

AmfValue: TypeAlias = "float | bool | str | Mapping[str, AmfValue] | Sequence[AmfValue] | None"

_MAX_DEPTH = 16


class Marker(IntEnum):
    """The byte before each value (AMF0 2.1)."""

    NUMBER = 0
    BOOLEAN = 1
    STRING = 2
    OBJECT = 3
    NULL = 5
    UNDEFINED = 6
    REFERENCE = 7
    ECMA_ARRAY = 8
    OBJECT_END = 9
    STRICT_ARRAY = 10
    DATE = 11
    LONG_STRING = 12
    UNSUPPORTED = 13
    XML = 15
    TYPED_OBJECT = 16


_END = bytes((0, 0, Marker.OBJECT_END))


def encode(*values: AmfValue) -> bytes:
    """Return the values one after the other. int and float become numbers, mappings objects, lists strict arrays."""
    return b"".join(_encoded(value) for value in values)


def decode(data: bytes) -> list[AmfValue]:
    """Return every value in `data`. Dates become ms since 1970; undefined, references and unsupported become None.

    Raises RtmpProtocolError when a value is cut off, unknown, or nested deeper than 16.
    """
    reader, values = _Reader(data), []
    while reader.position < len(data):
        values.append(reader.value(0))
    return values


def _encoded(value: AmfValue) -> bytes:
    if value is None:
        return bytes((Marker.NULL,))
    if isinstance(value, bool):
        return bytes((Marker.BOOLEAN, value))
    if isinstance(value, int | float):
        return struct.pack(">Bd", Marker.NUMBER, value)
    if isinstance(value, str):
        text = value.encode()
        is_short = len(text) < 65536
        marker = Marker.STRING if is_short else Marker.LONG_STRING
        return struct.pack(">BH" if is_short else ">BI", marker, len(text)) + text
    if isinstance(value, Mapping):
        return bytes((Marker.OBJECT,)) + b"".join(_key(key) + _encoded(item) for key, item in value.items()) + _END
    return struct.pack(">BI", Marker.STRICT_ARRAY, len(value)) + b"".join(_encoded(item) for item in value)


def _key(key: str) -> bytes:
    text = key.encode()
    return struct.pack(">H", len(text)) + text


class _Reader:
    """Reads values from `data` at `position`."""

    def __init__(self, data: bytes) -> None:
        self.data, self.position = data, 0

    def value(self, depth: int) -> AmfValue:
        if depth > _MAX_DEPTH:
            raise RtmpProtocolError(f"an AMF0 value is nested deeper than {_MAX_DEPTH}")
        marker = self._take(1)[0]
        match marker:
            case Marker.NUMBER:
                return self._double()
            case Marker.BOOLEAN:
                return self._take(1)[0] != 0
            case Marker.STRING:
                return self._text(2)
            case Marker.OBJECT:
                return self._members(depth)
            case Marker.NULL | Marker.UNDEFINED | Marker.UNSUPPORTED:
                return None
            case Marker.REFERENCE:
                self._take(2)
                return None
            case Marker.ECMA_ARRAY:
                self._take(4)  # an approximate count: the end marker decides
                return self._members(depth)
            case Marker.STRICT_ARRAY:
                return self._items(depth)
            case Marker.DATE:
                moment = self._double()
                self._take(2)  # the time zone, reserved
                return moment
            case Marker.LONG_STRING | Marker.XML:
                return self._text(4)
            case Marker.TYPED_OBJECT:
                self._text(2)  # the class name
                return self._members(depth)
        raise RtmpProtocolError(f"unknown AMF0 marker {marker}")

    def _take(self, count: int) -> bytes:
        piece = self.data[self.position : self.position + count]
        if len(piece) != count:
            raise RtmpProtocolError("an AMF0 value is cut off")
        self.position += count
        return piece

    def _double(self) -> float:
        number: float = struct.unpack(">d", self._take(8))[0]
        return number

    def _text(self, length_size: int) -> str:
        return self._take(int.from_bytes(self._take(length_size), "big")).decode(errors="replace")

    def _members(self, depth: int) -> dict[str, AmfValue]:
        members: dict[str, AmfValue] = {}
        while self.position < len(self.data):
            name = self._text(2)
            if not name and self.data[self.position : self.position + 1] == _END[2:]:
                self.position += 1
                break  # some publishers leave the end marker out at the very end: the loop condition allows it
            members[name] = self.value(depth + 1)
        return members

    def _items(self, depth: int) -> list[AmfValue]:
        count = int.from_bytes(self._take(4), "big")
        if count > len(self.data) - self.position:
            raise RtmpProtocolError("an AMF0 array is cut off")  # each item takes at least one byte
        return [self.value(depth + 1) for _ in range(count)]
