"""The boxes that MP4 files are made of (ISO 14496-12 4.2)."""

from collections.abc import Iterator

from streamkit.errors import MediaError

_HEADER = 8


def boxes(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield (offset, type, body) of each box; the last body may be cut off, for the file may be."""
    at = 0
    while at + _HEADER <= len(data):
        size, kind, header = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], _HEADER
        if size == 1 and at + 16 <= len(data):
            size, header = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        size = len(data) - at if size == 0 else size
        if size < header or not kind.isascii():
            raise MediaError(f"no MP4 box begins at byte {at}")
        yield at, kind, data[at + header : at + size]
        at += size


def find(data: bytes, *path: bytes) -> bytes | None:
    """Return the body of the first box at the path of types, None when there is none."""
    found: bytes | None = data
    for kind in path:
        found = next((body for _, name, body in boxes(found or b"") if name == kind), None)
    return found


def child(data: bytes, *path: bytes) -> bytes:
    """Return the body of the first box at the path of types. Raises MediaError when there is none."""
    if (body := find(data, *path)) is None:
        raise MediaError(f"its MP4 header has no {path[-1].decode()} box")
    return body


def number(data: bytes, at: int, size: int = 4) -> int:
    """Return the unsigned number of `size` bytes. Raises MediaError past the end."""
    if at < 0 or at + size > len(data):
        raise MediaError("an MP4 box in it is cut off")
    return int.from_bytes(data[at : at + size], "big")
