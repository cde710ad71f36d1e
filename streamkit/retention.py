"""What may go, and when: decisions about broadcasts that ended. Pure."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise

from streamkit.database.rows import ArchiveRow
from streamkit.hls.names import parse_init_name, parse_segment_name
from streamkit.types import Keep, RenditionName, Seconds, SessionId, StreamKey, UnixTime

LONGEST_HOLD = Seconds(86_400.0)
"""Who has not come to the end of a recording a day after it was unlisted will not be waited for."""


def to_expire(
    rows: Iterable[ArchiveRow], keep_for: Callable[[StreamKey], Keep], now: UnixTime
) -> Iterator[tuple[ArchiveRow, str]]:
    """Yield the ended broadcasts that are not kept any longer, each with the reason."""
    by_key: dict[StreamKey, list[ArchiveRow]] = defaultdict(list)
    for row in rows:
        if row.expired_at is None:
            by_key[row.stream_key].append(row)
    for key, kept in by_key.items():
        keep, total = keep_for(key), 0
        for row in sorted(kept, key=lambda one: one.session, reverse=True):
            total += row.bytes
            if not keep.archive:
                yield row, "recordings of this stream are not kept"
            elif keep.max_age and row.ended_at + keep.max_age <= now:
                yield row, f"it ended more than {keep.max_age:g} s ago"
            elif keep.max_bytes and total > keep.max_bytes:
                yield row, f"the recordings of this stream take more than {keep.max_bytes} bytes"


def hold_of(row: ArchiveRow, grace: Seconds) -> Seconds:
    """Return for how many seconds the segments stay when the playlists are gone.

    Who has loaded a recording may play it to its end: the playlist's own duration, which RFC 8216 6.2.2 asks for, a
    day at most; and as long again as a cache may go on giving the playlist out, which is the grace.
    """
    return Seconds(min(row.ended_at - row.started_at, LONGEST_HOLD) + grace)


def playlist_names(session: SessionId, names: Iterable[str]) -> list[str]:
    """Return which of the files are the session's own lists of others: they go first, the one that names all at first.

    Everything else that carries the session's id is an object that one of them lists.
    """
    own = [name for name in names if name.startswith((f"{session}.", f"{session}_")) and name.endswith(".m3u8")]
    return sorted(own, key=len) + [name for name in names if name == f"storyboard_{session}.vtt"]


def object_prefixes(session: SessionId) -> tuple[str, ...]:
    """Return what the names of a session's objects begin with."""
    return f"segment_{session}_", f"init_{session}_", f"storyboard_{session}_"


def removable(names: Sequence[str], needed: Sequence[range]) -> list[str]:
    """Return which of the objects of one session nobody needs; `needed` are the numbers that clips list.

    An initialization section is needed by the numbers from its own on, up to the next one of its rendition.
    """
    inits: dict[RenditionName, list[int]] = defaultdict(list)
    for name in names:
        if (init := parse_init_name(name)) is not None:
            inits[init.rendition].append(init.first)
    for firsts in inits.values():
        firsts.sort()
    return [name for name in names if not _is_needed(name, needed, inits)]


def _is_needed(name: str, needed: Sequence[range], inits: dict[RenditionName, list[int]]) -> bool:
    if (segment := parse_segment_name(name)) is not None:
        return any(segment.sequence in numbers for numbers in needed)
    if (init := parse_init_name(name)) is None:
        return False
    firsts = [*inits[init.rendition], float("inf")]
    following = next(after for first, after in pairwise(firsts) if first == init.first)
    return any(numbers.start < following and numbers.stop > init.first for numbers in needed)


class Bounds:
    """Below which number the live playlists have listed nothing of a session for a while. Not kept over a restart."""

    def __init__(self) -> None:
        self._seen: dict[tuple[StreamKey, SessionId], list[tuple[UnixTime, int]]] = {}

    def note(self, key: StreamKey, session: SessionId, bound: int, now: UnixTime) -> None:
        """Note that nothing below `bound` is listed now."""
        self._seen.setdefault((key, session), []).append((now, bound))

    def before(self, key: StreamKey, session: SessionId, then: UnixTime) -> int:
        """Return the number below which nothing has been listed since `then`; older notes are forgotten."""
        seen = self._seen.get((key, session), [])
        index = bisect_right(seen, then, key=lambda one: one[0])
        del seen[: max(0, index - 1)]
        return seen[0][1] if index else 0

    def keep_only(self, live: Iterable[tuple[StreamKey, SessionId]]) -> None:
        """Forget every session that is not live."""
        live = set(live)
        self._seen = {where: seen for where, seen in self._seen.items() if where in live}
