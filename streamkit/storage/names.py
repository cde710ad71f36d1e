"""Which object names every store accepts."""

_LONGEST_NAME = 1024  # bytes: S3's limit for a whole name
_LONGEST_PART = 240  # bytes: what common file systems allow between two slashes, less a little


def is_object_name(name: str) -> bool:
    """Return whether `name` is safe in every store: '/'-separated, relative, and unable to leave its folder."""
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        return False
    parts = encoded.split(b"/")
    fits = len(encoded) <= _LONGEST_NAME and max(map(len, parts)) <= _LONGEST_PART
    return fits and b"\0" not in encoded and not {b"", b".", b".."}.intersection(parts)
