"""What a book knows of one segment."""

from enum import IntEnum


class Mark(IntEnum):
    """What a book knows of one segment; one byte each."""

    MISSING = 0  # never closed
    CLOSED = 1
    UPLOADED = 2
    LOST = 3
    DELETED = 4  # uploaded, and its local file was deleted

    @property
    def is_stored(self) -> bool:
        """True when the object store has it."""
        return self in (Mark.UPLOADED, Mark.DELETED)

    @property
    def has_file(self) -> bool:
        """True while its file is on local disk."""
        return self in (Mark.CLOSED, Mark.UPLOADED)
