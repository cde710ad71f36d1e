"""Pure: JPEG pictures as the bytes that FFmpeg writes (ITU-T T.81)."""

_START, _END = b"\xff\xd8", b"\xff\xd9"  # SOI and EOI, T.81 B.1.1.3


def is_whole(picture: bytes) -> bool:
    """Return whether the picture has its beginning and its end."""
    return picture.startswith(_START) and picture.endswith(_END)
