"""Cut a time range out of a broadcast: whole segments, the same objects, other playlists. Pure.

A clip of a broadcast that the ledger knows is rendered from it; one of any other is cut out of the playlists of the
whole broadcast, whose lines are taken over as they are, EXT-X-MAP and EXT-X-KEY included.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from streamkit.hls.book import Book
from streamkit.hls.ledger import Ledger
from streamkit.hls.names import (
    clip_id,
    clip_media_name,
    clip_multivariant_name,
    parse_segment_name,
    vod_media_name,
    vod_multivariant_name,
)
from streamkit.hls.playlist_lines import Line, read_media, write_media
from streamkit.hls.render import render_part
from streamkit.hls.segments import View
from streamkit.types import ClipId, MediaSequence, RenditionName, Seconds, SessionId, StreamKey, UnixTime


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A range as it was asked for: Unix seconds, or when not above 0, seconds before the end of what is stored."""

    start: float
    end: float

    def between(self, end: UnixTime) -> tuple[float, float]:
        """Return the range in Unix seconds for a broadcast that is stored up to `end`."""
        return tuple(one if one > 0 else end + one for one in (self.start, self.end))  # type: ignore[return-value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Whole segments of one session: numbers `first` to `last`, playlists by the names of the whole broadcast's."""

    session: SessionId
    first: MediaSequence
    last: MediaSequence
    start: UnixTime
    end: UnixTime
    renditions: tuple[RenditionName, ...]
    files: Mapping[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Available:
    """The range holds no stored segment of the session; it has some between these moments."""

    session: SessionId
    start: UnixTime
    end: UnixTime


def cut_ledger(
    ledger: Ledger, session: SessionId | None, span: Span, *, is_kept: bool = True
) -> Cut | Available | None:
    """Return the clip of a session (None: the newest that has the range), of what the store has acknowledged.

    Where recordings are not kept, only of what the playlists list: the rest may be on its way out.
    """
    best: Available | None = None
    for known in ledger.sessions if session is None else (session,):
        found = _cut_session(ledger, known, span, is_kept=is_kept)
        if isinstance(found, Cut):
            return found
        best = best or found
    return best


def _cut_session(ledger: Ledger, session: SessionId, span: Span, *, is_kept: bool) -> Cut | Available | None:
    book, window = ledger.book(session), ledger.window(View.BUCKET)
    if book is None or book.is_empty:
        return None
    if window.book is book:
        first = book.first if is_kept or window.listed_from is None else window.listed_from
        return cut_book(book, span, first=first, end=window.cursor)
    return None if book.ended_at is None or not is_kept else cut_book(book, span, first=book.first, end=book.end)


def cut_book(book: Book, span: Span, *, first: int, end: int) -> Cut | Available | None:
    """Return the clip of the ledger's numbers [first, end), which the store has; None when that is nothing."""
    first, end = max(first, book.first), min(end, book.end)
    if first >= end:
        return None
    whole = Available(session=book.session, start=book.starts_at(first), end=book.ends_at(end - 1))
    numbers = book.numbers_between(*span.between(whole.end))
    numbers = range(max(numbers.start, first), min(numbers.stop, end))
    files = render_part(book, numbers) if numbers else {}
    if not files:
        return whole
    present = tuple(one.name for one in book.renditions() if vod_media_name(book.session, one.name) in files)
    return Cut(
        session=book.session,
        first=MediaSequence(numbers.start),
        last=MediaSequence(numbers.stop - 1),
        start=book.starts_at(numbers.start),
        end=book.ends_at(numbers.stop - 1),
        renditions=present,
        files=files,
    )


def media_names(entry: str) -> list[str]:
    """Return the playlists that a broadcast's entry point names; none when it is a media playlist itself."""
    return list(dict.fromkeys(_PLAYLIST.findall(entry)))


def cut_texts(session: SessionId, entry: str, media: Mapping[str, str], span: Span) -> Cut | Available | None:
    """Return the clip of a broadcast whose playlists are texts: `entry`, and by name those of `media_names`."""
    if not media:
        media = {_only_name(session, entry): entry}
    tracks = {name: read_media(text) for name, text in media.items()}
    lines = next(iter(tracks.values())).lines
    if not lines:
        return None
    start, end = span.between(lines[-1].end)
    numbers = [line.sequence for line in lines if line.end > start and line.start < end]
    chosen = range(numbers[0], numbers[-1] + 1) if numbers else range(0)
    parts = {name: track.lines_of(chosen) for name, track in tracks.items()}
    if not any(not line.gap for part in parts.values() for line in part):
        return Available(session=session, start=lines[0].start, end=lines[-1].end)
    files = {name: write_media(track, parts[name]).encode() for name, track in tracks.items() if parts[name]}
    is_media = not media_names(entry)
    return Cut(
        session=session,
        first=MediaSequence(chosen.start),
        last=MediaSequence(chosen.stop - 1),
        start=_first(parts).start,
        end=_last(parts).end,
        renditions=tuple(RenditionName(name.removesuffix(".m3u8").partition("_")[2]) for name in files),
        files=files | {vod_multivariant_name(session): next(iter(files.values())) if is_media else entry.encode()},
    )


def clip_id_of(key: StreamKey, cut: Cut, name: str) -> ClipId:
    """Return the id of this cut under this name: the same again is the same clip."""
    text = f"{key}/{cut.session}/{cut.first}/{cut.last}/{name}"
    return clip_id(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()))


def clip_files(clip: ClipId, cut: Cut) -> dict[str, bytes]:
    """Return the clip's playlists by their names in the bucket, the entry point last."""
    entry = vod_multivariant_name(cut.session)
    files = {clip_media_name(clip, name): cut.files[vod_media_name(cut.session, name)] for name in cut.renditions}
    renamed = re.sub(rf"\b{cut.session}_({_RENDITION})\.m3u8", rf"clip_{clip}_\1.m3u8", cut.files[entry].decode())
    return files | {clip_multivariant_name(clip): renamed.encode()}


def clip_playlists(clip: ClipId, renditions: Iterable[RenditionName]) -> list[str]:
    """Return the names of the clip's playlists, the one that names the others first."""
    return [clip_multivariant_name(clip), *(clip_media_name(clip, name) for name in renditions)]


def duration(cut: Cut) -> Seconds:
    """Return the seconds from its first moment to its last."""
    return Seconds(cut.end - cut.start)


_RENDITION = r"[A-Za-z0-9][A-Za-z0-9-]{0,31}"
_PLAYLIST = re.compile(rf"\bs[0-9a-hjkmnp-tv-z]{{7}}_{_RENDITION}\.m3u8", re.ASCII)


def _only_name(session: SessionId, media: str) -> str:
    parts = next((parts for line in media.splitlines() if (parts := parse_segment_name(line)) is not None), None)
    return vod_media_name(session, RenditionName("main") if parts is None else parts.rendition)


def _first(parts: Mapping[str, list[Line]]) -> Line:
    return next(part[0] for part in parts.values() if part)


def _last(parts: Mapping[str, list[Line]]) -> Line:
    return next(part[-1] for part in parts.values() if part)
