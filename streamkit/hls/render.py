"""Media playlists as text, and which files there are: pure functions of the ledger.

RFC 8216 sections beside each tag; 8216bis for EXT-X-GAP.
"""

from collections.abc import Container, Iterable
from datetime import UTC, datetime

from streamkit.hls.book import Book
from streamkit.hls.ledger import Ledger
from streamkit.hls.multivariant import live_multivariant, vod_multivariant
from streamkit.hls.names import MULTIVARIANT, media_playlist_name, vod_media_name, vod_multivariant_name
from streamkit.hls.segments import Segment, View
from streamkit.types import SessionId, UnixTime

# 4.3.1.2, 7: decimals in EXTINF need 3, EXT-X-MAP beside them 6. A session keeps to one container, and so every
# playlist of it to one version, even while it lists nothing but gaps and has no EXT-X-MAP.
_VERSION, _VERSION_WITH_MAP = "#EXT-X-VERSION:3", "#EXT-X-VERSION:6"
_INDEPENDENT = "#EXT-X-INDEPENDENT-SEGMENTS"  # 4.3.5.1: every segment can be decoded without another
_NO_KEY = "#EXT-X-KEY:METHOD=NONE"


def render_view(ledger: Ledger, view: View, *, media: Container[str] | None = None) -> dict[str, bytes]:
    """Return the live playlist files of the view by name; none while nothing is released.

    `media` names the media playlists that are wanted, None all of them; the entry point is always there.

    All media playlists list the same released numbers: a rendition that lacks one has a gap there. In the bucket, one
    whose next segments are stored already lists them ahead of the others. With one rendition the entry point is that
    rendition's media playlist.
    """
    window = ledger.window(view)
    if not window.is_released:
        return {}
    files = {
        media_playlist_name(rendition.name): render_media(
            [*window.segments(rendition.name), *window.ahead(rendition.name)],
            target_duration=window.target_duration,
            ended=window.is_ended,
        ).encode()
        for rendition in window.renditions
        if media is None or media_playlist_name(rendition.name) in media
    }
    only = next(iter(files.values()), None) if len(window.renditions) == 1 else None
    return files | {MULTIVARIANT: only or live_multivariant(window).encode()}


def render_vod(ledger: Ledger, session: SessionId | None = None) -> dict[str, bytes]:
    """Return the playlists of a whole broadcast (None: the newest) by name; none while nothing of it is stored.

    Lists what the store has acknowledged by now; the rest is a gap.
    """
    book = ledger.book(session)
    return {} if book is None else render_part(book, range(book.first, book.end))


def render_part(book: Book, numbers: range) -> dict[str, bytes]:
    """Return the playlists of some numbers of a broadcast, by the names of the whole one's."""
    parts = {rendition: list(book.part(rendition.name, numbers)) for rendition in book.renditions()}
    whole = {
        rendition: segments for rendition, segments in parts.items() if not all(segment.gap for segment in segments)
    }
    if not whole:
        return {}
    # 6.2.4: one target duration for all of them, though sound is never cut to the microsecond where pictures are.
    longest = max(segment.duration for segments in whole.values() for segment in segments)
    target = max(1, int(longest + 0.5))
    files = {
        vod_media_name(book.session, rendition.name): render_media(
            segments, target_duration=target, ended=True, kind="VOD"
        ).encode()
        for rendition, segments in whole.items()
    }
    only = next(iter(files.values())) if len(files) == 1 else None
    return files | {vod_multivariant_name(book.session): only or vod_multivariant(book, whole).encode()}


def render_media(
    segments: Iterable[Segment], *, target_duration: int, ended: bool = False, kind: str | None = None
) -> str:
    """Return a media playlist of at least one segment; `kind` is the EXT-X-PLAYLIST-TYPE."""
    texts: list[str] = []
    before: Segment | None = None
    for segment in segments:
        if before is None:
            texts.append(head_text(segment, target_duration=target_duration, kind=kind))
        texts.append(entry_text(segment, before))
        before = segment
    if before is None:
        raise ValueError("a media playlist needs a segment")
    return "".join([*texts, tail_text(ended=ended)])


def head_text(first: Segment, *, target_duration: int, kind: str | None = None) -> str:
    """Return the lines above the first entry of a media playlist."""
    head = [
        "#EXTM3U",  # 4.3.1.1
        _VERSION_WITH_MAP if first.init else _VERSION,
        *([_INDEPENDENT] if first.independent else []),
        f"#EXT-X-TARGETDURATION:{target_duration}",  # 4.3.3.1
        f"#EXT-X-MEDIA-SEQUENCE:{first.sequence}",  # 4.3.3.2
        # 4.3.3.3: a tag that is still listed counts for the segments after it, one that slid out counts here
        f"#EXT-X-DISCONTINUITY-SEQUENCE:{first.discontinuity - first.starts_discontinuity}",
    ]
    head += [f"#EXT-X-PLAYLIST-TYPE:{kind}"] if kind else []  # 4.3.3.5
    return "\n".join([*head, ""])


def entry_text(segment: Segment, before: Segment | None) -> str:
    """Return the lines of an entry that follows on `before`; None: of the first one, which repeats what applies."""
    lines = ["#EXT-X-DISCONTINUITY"] if segment.starts_discontinuity else []  # 4.3.2.3
    lines += _map_and_key(segment, before)
    if before is None or segment.starts_discontinuity:
        lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{date_text(segment.program_date_time)}")  # 4.3.2.6
    if segment.gap:
        lines.append("#EXT-X-GAP")  # 8216bis 4.4.4.7
    return "\n".join([*lines, f"#EXTINF:{segment.duration:.6f},", segment.name, ""])  # 4.3.2.1


def _map_and_key(segment: Segment, before: Segment | None) -> list[str]:
    """Return the tags that hold for this segment and those after it, where they differ from what holds already."""
    lines, key_uri = [], before.key_uri if before is not None else None
    if segment.init and not segment.gap and (before is None or before.gap or before.init != segment.init):
        # 4.3.2.5. Nobody fetches a gap, and who has gaps alone has no such file. It is not encrypted: 4.3.2.4.
        lines += [_NO_KEY] if key_uri else []
        lines.append(f'#EXT-X-MAP:URI="{segment.init}"')
        key_uri = None
    if segment.key_uri != key_uri:  # 4.3.2.4; without an IV it is the media sequence number (5.2)
        lines.append(f'#EXT-X-KEY:METHOD=AES-128,URI="{segment.key_uri}"' if segment.key_uri else _NO_KEY)
    return lines


def tail_text(*, ended: bool) -> str:
    """Return the lines below the last entry."""
    return "#EXT-X-ENDLIST\n" if ended else ""  # 4.3.3.4


def date_text(at: UnixTime) -> str:
    """Return the moment as EXT-X-PROGRAM-DATE-TIME writes it, to the millisecond."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
