"""Pure: JPEG pictures as the bytes that FFmpeg writes (ITU-T T.81), tiled without decoding them.

FFmpeg's encoder with slices puts a restart marker behind each row of blocks, and is told to use the same tables for all
pictures. Rows of several pictures can then stand side by side in one scan: the sheet's blocks are the pictures' own.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle

_START, _END = b"\xff\xd8", b"\xff\xd9"  # SOI and EOI, T.81 B.1.1.3
_FRAME, _SCAN, _RESTART_INTERVAL = 0xC0, 0xDA, 0xDD  # baseline SOF, SOS, DRI
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
LARGEST = 65_535  # pixels of a side


def is_whole(picture: bytes) -> bool:
    """Return whether the picture has its beginning and its end."""
    return picture.startswith(_START) and picture.endswith(_END)


@dataclass(frozen=True, slots=True)
class Layout:
    """A picture's size in pixels, and the size of the whole blocks that it fills: its cell in a sheet."""

    width: int
    height: int
    cell_width: int
    cell_height: int


@dataclass(frozen=True, slots=True)
class _Parts:
    """A picture taken apart: all before its coded blocks, where the frame's size stands in that, and rows of blocks."""

    head: bytes
    size_at: int
    layout: Layout
    rows: list[bytes]


def layout(picture: bytes) -> Layout:
    """Return the picture's sizes. Raises ValueError when it is not what FFmpeg's slices look like."""
    return _parse(picture).layout


def head(picture: bytes) -> bytes:
    """Return what must be equal in pictures of one sheet: sizes and tables. Raises ValueError as `layout`."""
    return _parse(picture).head


def tile(pictures: Sequence[bytes], columns: int) -> bytes:
    """Return one picture of all these, row by row; the last one is repeated to fill the last row.

    Raises ValueError when there is none, when they do not have the same head, or the sheet would be too large.
    """
    parts = [_parse(picture) for picture in pictures]
    if not parts or any(part.head != parts[0].head for part in parts):
        raise ValueError("pictures of one sheet have the same size and tables")
    columns = min(columns, len(parts))
    lines = -(-len(parts) // columns)
    parts += [parts[-1]] * (lines * columns - len(parts))
    cell = parts[0].layout
    width, height = cell.cell_width * columns, cell.cell_height * lines
    if max(width, height) > LARGEST:
        raise ValueError(f"a sheet of {width}x{height} pixels is no JPEG")
    at, first = parts[0].size_at, parts[0].head
    size = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    rows = [
        part.rows[row]
        for line in range(lines)
        for row in range(len(parts[0].rows))
        for part in parts[line * columns : (line + 1) * columns]
    ]
    return first[:at] + size + first[at + 4 :] + _scan(rows) + _END


def _scan(rows: list[bytes]) -> bytes:
    markers = cycle(bytes((0xFF, 0xD0 + number)) for number in range(8))
    return b"".join(row + marker for row, marker in zip(rows[:-1], markers, strict=False)) + rows[-1]


def _parse(picture: bytes) -> _Parts:
    if not is_whole(picture):
        raise ValueError("the picture is not whole")
    at, size_at, interval, sampling = 2, 0, 0, (0, 0)
    while True:
        marker, length = picture[at + 1], int.from_bytes(picture[at + 2 : at + 4], "big")
        if length < 2 or at + 2 + length > len(picture) or picture[at] != 0xFF:
            raise ValueError("the picture's header is damaged")
        if marker == _FRAME:
            size_at = at + 5  # behind marker, length and precision
            sampling = picture[at + 11] >> 4, picture[at + 11] & 15  # of the first component, which has the most
        elif marker == _RESTART_INTERVAL:
            interval = int.from_bytes(picture[at + 4 : at + 6], "big")
        at += 2 + length
        if marker == _SCAN:
            break
    height, width = (int.from_bytes(picture[size_at + i : size_at + i + 2], "big") for i in (0, 2))
    rows = _RESTART.split(picture[at:-2])
    if not size_at or 0 in sampling:
        raise ValueError("the picture is no baseline JPEG")
    cell = Layout(width, height, interval * 8 * sampling[0], len(rows) * 8 * sampling[1])
    if not (0 <= cell.cell_width - width < 8 * sampling[0] and 0 <= cell.cell_height - height < 8 * sampling[1]):
        raise ValueError("the picture has no restart marker behind each row of blocks")
    return _Parts(picture[:at], size_at, cell, rows)
