"""Playlists, anybody's, read leniently: nothing is refused, so that what is wrong can be named. Pure."""

import re
from dataclasses import dataclass, field

_ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"\r\n]*"|[^",\s][^",]*)(?:,|$)')


@dataclass(slots=True)
class Entry:
    """A media segment as a playlist lists it. `line` counts from 1; `duration` in seconds, None without EXTINF.

    `init` is the URI of the EXT-X-MAP that applies, `key` the attributes of the EXT-X-KEY that does.
    """

    uri: str
    line: int
    duration: float | None
    gap: bool = False
    discontinuity: bool = False
    date: str | None = None
    init: str | None = None
    key: dict[str, str] | None = None


@dataclass(slots=True)
class Variant:
    """An EXT-X-STREAM-INF or EXT-X-MEDIA line with its attributes, quotes removed."""

    uri: str | None
    line: int
    attributes: dict[str, str]


@dataclass(slots=True)
class Parsed:
    """A playlist, read leniently: what is wrong is for the rules to find."""

    text: str
    lines: list[str]
    tags: list[tuple[int, str, str]] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    variants: list[Variant] = field(default_factory=list)
    dangling: list[int] = field(default_factory=list)
    """Lines of EXTINF that no URI follows."""

    def values(self, tag: str) -> list[tuple[int, str]]:
        """Return (line, value) of each such tag."""
        return [(line, value) for line, name, value in self.tags if name == tag]

    def number(self, tag: str) -> int | None:
        """Return the value of the first such tag when it is a decimal integer."""
        value = next((value for _, value in self.values(tag)), "")
        return int(value) if value.isascii() and value.isdecimal() else None

    @property
    def media(self) -> list[Variant]:
        """The EXT-X-MEDIA lines."""
        found = [(line, attributes(value)) for line, value in self.values("EXT-X-MEDIA")]
        return [Variant(told.get("URI"), line, told) for line, told in found]

    @property
    def is_multivariant(self) -> bool:
        """Whether it lists variants instead of segments."""
        return bool(self.variants)

    @property
    def is_ended(self) -> bool:
        """Whether nothing will be added."""
        return bool(self.values("EXT-X-ENDLIST"))

    @property
    def target(self) -> int | None:
        """The target duration in seconds; None when there is no valid one."""
        return self.number("EXT-X-TARGETDURATION")


def parse(text: str) -> Parsed:
    """Read a playlist of either kind."""
    found = Parsed(text=text, lines=text.removeprefix("\ufeff").splitlines())
    duration: float | None = None
    announced: int | None = None  # the line of an EXTINF that waits for its URI
    pending: Variant | None = None
    marks: dict[str, str] = {}
    init: str | None = None
    key: dict[str, str] | None = None
    for number, line in enumerate(found.lines, start=1):
        if line.startswith("#EXT"):
            name, _, value = line[1:].partition(":")
            found.tags.append((number, name, value))
            if name == "EXTINF":
                found.dangling += [] if announced is None else [announced]
                duration, announced = _seconds(value.split(",", 1)[0]), number
            elif name == "EXT-X-STREAM-INF":
                pending = Variant(None, number, attributes(value))
                found.variants.append(pending)
            elif name == "EXT-X-MAP":
                init = attributes(value).get("URI", "")
            elif name == "EXT-X-KEY":
                told = attributes(value)
                key = None if told.get("METHOD") == "NONE" else told
            elif name in ("EXT-X-GAP", "EXT-X-DISCONTINUITY", "EXT-X-PROGRAM-DATE-TIME"):
                marks[name] = value
        elif line and not line.startswith("#"):
            if pending is not None:
                pending.uri, pending = line, None
                continue
            found.entries.append(
                Entry(
                    uri=line,
                    line=number,
                    duration=None if announced is None else duration,
                    gap="EXT-X-GAP" in marks,
                    discontinuity="EXT-X-DISCONTINUITY" in marks,
                    date=marks.get("EXT-X-PROGRAM-DATE-TIME"),
                    init=init,
                    key=key,
                )
            )
            announced, duration = None, None
            marks.clear()
    found.dangling += [] if announced is None else [announced]
    return found


def attributes(text: str) -> dict[str, str]:
    """Return an attribute list (4.2) as names and values, quotes removed."""
    return {name: value.strip('"') for name, value in _ATTRIBUTE.findall(text)}


def _seconds(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < 1e6 else None
