"""Our own media playlists, taken apart so that a part of one is a playlist again. Pure.

Every line of an entry stays as it is. What applies from one entry on (EXT-X-MAP, EXT-X-KEY: RFC 8216 4.3.2.4, 4.3.2.5)
is remembered with each, so that the first entry of a part can say it.
"""

from dataclasses import dataclass
from datetime import datetime

from streamkit.hls.render import date_text
from streamkit.types import UnixTime

_LASTING = ("#EXT-X-MAP", "#EXT-X-KEY")  # in this order: an initialization section is outside every key
_OF_AN_ENTRY = (
    *_LASTING, "#EXTINF", "#EXT-X-BYTERANGE", "#EXT-X-DISCONTINUITY", "#EXT-X-PROGRAM-DATE-TIME", "#EXT-X-GAP",
    "#EXT-X-BITRATE",
)  # fmt: skip
_OF_THE_WHOLE = ("#EXT-X-MEDIA-SEQUENCE", "#EXT-X-DISCONTINUITY-SEQUENCE", "#EXT-X-PLAYLIST-TYPE", "#EXT-X-ENDLIST")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """An entry with the lines that stand before its URI. `discontinuity` is the absolute number (4.3.3.3)."""

    sequence: int
    discontinuity: int
    start: UnixTime
    end: UnixTime
    gap: bool
    tags: tuple[str, ...]
    lasting: tuple[str, ...]
    uri: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """A media playlist: the header's lines that any part of it shares, and its entries."""

    header: tuple[str, ...]
    lines: tuple[Line, ...]

    def lines_of(self, numbers: range) -> list[Line]:
        """Return the entries with these numbers."""
        return [line for line in self.lines if line.sequence in numbers]


def read_media(text: str) -> Media:
    """Return a media playlist of ours; lines that it does not know are the header's before the first entry."""
    header: list[str] = []
    found: list[Line] = []
    tags: list[str] = []
    lasting: dict[str, str] = {}
    sequence = discontinuity = 0
    at = UnixTime(0.0)
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if line and not line.startswith("#"):
            duration = _duration(tags)
            gap = "#EXT-X-GAP" in tags
            found.append(
                Line(
                    sequence=sequence,
                    discontinuity=discontinuity,
                    start=at,
                    end=UnixTime(at + duration),
                    gap=gap,
                    tags=tuple(tags),
                    lasting=tuple(lasting[tag] for tag in _LASTING if tag in lasting),
                    uri=line,
                )
            )
            sequence, at, tags = sequence + 1, UnixTime(at + duration), []
        elif name in _OF_AN_ENTRY:
            tags.append(line)
            if name in _LASTING:
                lasting[name] = line
            elif name == "#EXT-X-DISCONTINUITY":
                discontinuity += 1
            elif name == "#EXT-X-PROGRAM-DATE-TIME":
                at = UnixTime(datetime.fromisoformat(value).timestamp())
        elif name == "#EXT-X-MEDIA-SEQUENCE":
            sequence = int(value)
        elif name == "#EXT-X-DISCONTINUITY-SEQUENCE":
            discontinuity = int(value)
        elif name not in _OF_THE_WHOLE and not found and line:
            header.append(line)
    return Media(header=tuple(header), lines=tuple(found))


def write_media(media: Media, part: list[Line]) -> str:
    """Return a playlist of consecutive entries, at least one; it will never change."""
    first = part[0]
    head = [
        *media.header,
        f"#EXT-X-MEDIA-SEQUENCE:{first.sequence}",
        f"#EXT-X-DISCONTINUITY-SEQUENCE:{first.discontinuity}",
        "#EXT-X-PLAYLIST-TYPE:VOD",
        *first.lasting,
        f"#EXT-X-PROGRAM-DATE-TIME:{date_text(first.start)}",
    ]
    said = (*_LASTING, "#EXT-X-PROGRAM-DATE-TIME", "#EXT-X-DISCONTINUITY")
    own = [tag for tag in first.tags if tag.partition(":")[0] not in said]
    rest = [text for line in part[1:] for text in (*line.tags, line.uri)]
    return "\n".join([*head, *own, first.uri, *rest, "#EXT-X-ENDLIST", ""])


def _duration(tags: list[str]) -> float:
    said = next((tag for tag in tags if tag.startswith("#EXTINF:")), "#EXTINF:0,")
    return float(said.removeprefix("#EXTINF:").partition(",")[0])
