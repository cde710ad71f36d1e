"""Which segments of a ledger have to be told to the database (again). Pure."""

from collections.abc import Iterator, Mapping

from streamkit.hls.ledger import Ledger
from streamkit.hls.marks import Mark
from streamkit.types import SessionId


def settled_until(ledger: Ledger) -> dict[SessionId, int]:
    """Return, for each session of which nothing is pending, the first number whose row may still change."""
    books = ((session, ledger.book(session)) for session in ledger.sessions)
    return {session: book.end for session, book in books if book is not None and book.is_drained}


def segment_names(ledger: Ledger, settled: Mapping[SessionId, int]) -> Iterator[str]:
    """Yield the names of all closed segments, of each session from its number in `settled` on, the oldest first."""
    for session in reversed(ledger.sessions):
        if (book := ledger.book(session)) is None:
            continue
        names = [rendition.name for rendition in book.renditions()]
        for sequence in range(max(book.first, settled.get(session, 0)), book.end):
            yield from (book.name(one, sequence) for one in names if book.mark(one, sequence) is not Mark.MISSING)
