"""Pure: one segment's bytes, encrypted and back: AES-128-CBC with PKCS #7 padding, as RFC 8216 4.3.2.4 and 5.2 want it.

The library is imported with the first segment: a service that encrypts nothing does not load it for this.
"""

# ruff: noqa: PLC0415

from collections.abc import Iterable, Iterator
from typing import Any

BLOCK = 16
"""Bytes of an AES block; what is encrypted is a whole number of them."""


def decrypt(data: bytes, key: bytes, sequence: int) -> bytes:
    """Return the segment with this media sequence number as the encoder wrote it.

    Raises ValueError when the bytes were not encrypted with this key and number, as far as the padding shows.
    """
    if not data or len(data) % BLOCK:
        raise ValueError(f"{len(data)} bytes are no whole number of AES blocks")
    return _without_padding(_cipher(key, initialization_vector(sequence)).decrypt(data))


def encrypt(data: bytes, key: bytes, sequence: int) -> bytes:
    """Return the encrypted segment with this media sequence number: 1 to 16 bytes longer."""
    return b"".join(encrypted((data,), key, sequence))


def encrypted(chunks: Iterable[bytes], key: bytes, sequence: int) -> Iterator[bytes]:
    """Yield a segment encrypted, piece by piece."""
    cipher, rest = _cipher(key, initialization_vector(sequence)), b""
    for chunk in chunks:
        rest += chunk
        whole = len(rest) - len(rest) % BLOCK
        yield cipher.encrypt(rest[:whole])
        rest = rest[whole:]
    padding = BLOCK - len(rest)  # 1 to 16: there is always some, so that it can be told from the media
    yield cipher.encrypt(rest + bytes([padding]) * padding)


def first_and_last(head: bytes, tail: bytes, key: bytes, sequence: int) -> tuple[bytes, bytes]:
    """Return the first block and what the last one holds without its padding, of a segment of two blocks and more.

    `head` is the first block, `tail` the last two. Raises ValueError when the padding is wrong.
    """
    first = _cipher(key, initialization_vector(sequence)).decrypt(head)
    last = _cipher(key, tail[:BLOCK]).decrypt(tail[BLOCK:])  # in CBC each block's vector is the block before it
    return first, _without_padding(last)


def initialization_vector(sequence: int) -> bytes:
    """Return what applies to a segment when EXT-X-KEY has no IV: its media sequence number (5.2).

    Raises ValueError when a number that came from outside is none.
    """
    if not 0 <= sequence < 1 << 8 * BLOCK:
        raise ValueError(f"the initialization vector {sequence:#x} has more than {BLOCK} bytes")
    return sequence.to_bytes(BLOCK, "big")


def _cipher(key: bytes, vector: bytes) -> Any:
    from Crypto.Cipher import AES

    return AES.new(key, AES.MODE_CBC, iv=vector)


def _without_padding(plain: bytes) -> bytes:
    padding = plain[-1]
    if not 1 <= padding <= BLOCK or plain[-padding:] != bytes([padding]) * padding:
        raise ValueError("the padding is not that of a segment: it is of another key or number, or not encrypted")
    return plain[:-padding]
