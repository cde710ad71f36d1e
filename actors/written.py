"""Written: whether the database has all that one stream told it, and what it must be told again.

Used by the Broadcast alone, in the StreamActor's thread. The Database keeps a bounded number of rows; what it drops in
an outage is told again from the ledger, a piece at a time, until it says that everything is written.
"""

import time
from collections.abc import Iterator
from itertools import islice
from typing import Final

from actors.base import Ref, tell
from actors.rows import Rows
from streamkit.hls.ledger import Ledger
from streamkit.hls.told import segment_names, settled_until
from streamkit.messages import ConfirmRows, RowsSettled
from streamkit.types import Seconds, SessionId, StreamKey, StreamState

LATE_END: Final = "the service stopped before the database had the reason"
ASK_EVERY: Final = Seconds(5.0)
PIECE: Final = 1000  # rows: twenty streams at once do not fill the Database's backlog with them


class Written:
    """Asks the Database now and then, while there is something that it has not confirmed."""

    def __init__(self, key: StreamKey, owner: Ref, database: Ref, rows: Rows, ledger: Ledger) -> None:
        self._key, self._owner, self._database = key, owner, database
        self._rows, self._ledger = rows, ledger
        self._confirmed = 0  # how many rows had been told when the Database last confirmed all
        self._settled: dict[SessionId, int] = {}  # numbers before these are confirmed for good
        self._asked_settled: dict[SessionId, int] = {}
        self._ask_at = 0.0  # monotonic seconds
        self._owes_all = False
        self._answered_by = ""  # the Database actor's urn
        self._rest: Iterator[str] | None = None  # of what is told again
        self._piece: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether the database has everything that was told."""
        return not self._owes_all and self._rest is None and self._confirmed == self._rows.told

    def owe_all(self) -> None:
        """Tell everything at the next tick: an earlier run of the service may have ended before it was written."""
        self._owes_all = True
        if (book := self._ledger.book()) is not None:
            last = book.opened_at if book.is_empty else book.closed_at(book.end - 1)
            self._rows.go_on_after(book.ended_at or last)

    def tick(self) -> None:
        """Ask, when it is time to."""
        if self._owes_all:
            self._owes_all = False
            self._tell_ends()
            self.tell_again()
        elif not self.is_complete and time.monotonic() >= self._ask_at:
            self._ask()

    def tell_again(self) -> None:
        """Tell everything that the ledger knows and the Database has not confirmed."""
        self._rest = segment_names(self._ledger, self._settled)
        self._tell_next()

    def answered(self, message: RowsSettled) -> None:
        """Go on with what is told again, or begin with that when rows were dropped."""
        is_another = self._answered_by not in ("", message.by)
        self._answered_by = message.by
        if is_another:
            self.tell_again()
        elif message.is_complete and self._rest is None:
            self._confirmed = max(self._confirmed, message.mark)
            if message.mark == self._rows.told:
                self._settled |= self._asked_settled
        elif message.is_complete:
            self._tell_next()
        elif self._rest is None:
            self.tell_again()
        else:
            self._tell_piece()

    def _tell_ends(self) -> None:
        """Tell of the sessions that ended, as of then: a row that was written at their end or later stays."""
        for session in reversed(self._ledger.sessions):
            book = self._ledger.book(session)
            if book is not None and book.ended_at is not None:
                names = tuple(rendition.name for rendition in book.renditions())
                times = (book.opened_at, book.ended_at)
                revision = int(book.ended_at * 1000)
                self._rows.session(session, book.epoch, StreamState.ENDED, *times, LATE_END, names, revision=revision)

    def _tell_next(self) -> None:
        self._piece = tuple(islice(self._rest or (), PIECE))
        if not self._piece:
            self._rest = None
        self._tell_piece()

    def _tell_piece(self) -> None:
        for name in self._piece:
            if (segment := self._ledger.segment(name)) is not None:
                self._rows.segment(segment)
        self._ask()

    def _ask(self) -> None:
        self._ask_at = time.monotonic() + ASK_EVERY
        self._asked_settled = settled_until(self._ledger)
        tell(self._database, ConfirmRows(key=self._key, urn=self._owner.actor_urn, mark=self._rows.told))
