"""Segment files, encrypted in place: at any moment the file is either the encoder's or the encrypted one, whole."""

import os
from collections.abc import Iterator
from pathlib import Path

from streamkit.encryption.cipher import BLOCK, encrypted, first_and_last

_CHUNK = 1 << 20  # bytes
_TS_PACKET, _TS_SYNC = 188, 0x47
_FIRST_BOXES = (b"styp", b"sidx", b"prft", b"emsg", b"moof")  # what a segment may begin with (ISO/IEC 23000-19 7.3)


def encrypt_file(path: Path, key: bytes, sequence: int) -> int:
    """Replace a whole segment by its encrypted form and return its size. The time it was closed at stays.

    A repeat would encrypt twice: see `is_encrypted`. Raises OSError; the file is then as it was.
    """
    before = path.stat()
    fresh = path.with_name(f".{path.name}.enc")
    try:
        with fresh.open("wb") as target:
            target.writelines(encrypted(_chunks(path), key, sequence))
        os.utime(fresh, ns=(before.st_atime_ns, before.st_mtime_ns))
        size = fresh.stat().st_size
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    return size


def is_encrypted(path: Path, key: bytes, sequence: int) -> bool:
    """Return whether the file is a segment that `encrypt_file` made with this key and number before a crash.

    Three blocks are enough to know: the padding is right, and what comes out begins as a segment does and has its
    length. That a broken file passes by chance is as likely as guessing three bytes. Raises OSError.
    """
    size = path.stat().st_size
    if size % BLOCK or size < 2 * BLOCK:
        return False
    with path.open("rb") as file:
        head = file.read(BLOCK)
        file.seek(size - 2 * BLOCK)
        tail = file.read(2 * BLOCK)
    try:
        first, last = first_and_last(head, tail, key, sequence)
    except ValueError:
        return False
    if first[4:8] in _FIRST_BOXES:
        return True
    return first[0] == _TS_SYNC and (size - BLOCK + len(last)) % _TS_PACKET == 0


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk
