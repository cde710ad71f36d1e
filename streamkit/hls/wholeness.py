"""Whether a media file on disk is complete, judged by its structure: FFmpeg lists what a full disk cut short."""

from pathlib import Path
from struct import unpack
from typing import BinaryIO

from streamkit.types import SegmentFormat

TS_PACKET = 188  # bytes; a whole MPEG-TS segment is a multiple of it
_HEADER, _LARGE_HEADER = 8, 16  # bytes of a box's size and type (ISO/IEC 14496-12 4.2)
_MOST_BOXES = 10_000


def is_whole_segment(path: Path, size: int, segment_format: SegmentFormat) -> bool:
    """Return whether the segment of `size` bytes has no end missing. Raises OSError when it cannot be read."""
    if segment_format is SegmentFormat.MPEGTS:
        return size > 0 and size % TS_PACKET == 0
    boxes = _boxes_of(path)
    return "moof" in boxes and boxes[-1] == "mdat"


def is_whole_init(path: Path) -> bool:
    """Return whether the initialization section is there with all its boxes. Raises OSError when it cannot be read."""
    try:
        boxes = _boxes_of(path)
    except FileNotFoundError:
        return False
    return boxes[:1] == ["ftyp"] and "moov" in boxes


def _boxes_of(path: Path) -> list[str]:
    with path.open("rb") as file:
        return top_boxes(file)


def top_boxes(file: BinaryIO) -> list[str]:
    """Return the types of the file's outermost boxes in order; none when their sizes do not add up to its size."""
    end, at, found = file.seek(0, 2), 0, list[str]()
    while at < end and len(found) < _MOST_BOXES:
        file.seek(at)
        header = file.read(_LARGE_HEADER)
        if len(header) < _HEADER:
            return []
        size, least = int(unpack(">I", header[:4])[0]), _HEADER
        if size == 1 and len(header) == _LARGE_HEADER:  # a 64-bit size follows the type
            size, least = int(unpack(">Q", header[_HEADER:])[0]), _LARGE_HEADER
        if size < least:
            return []
        found.append(header[4:_HEADER].decode("latin-1"))
        at += size
    return found if at == end else []
