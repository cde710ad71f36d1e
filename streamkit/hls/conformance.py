"""The rules of HLS that a playlist can break, and which of them one does. Pure; RFC 8216 unless said otherwise."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from streamkit.hls.parse import Parsed, Variant, attributes

_MEDIA_TAGS = ("EXTINF", "EXT-X-TARGETDURATION", "EXT-X-MEDIA-SEQUENCE", "EXT-X-ENDLIST", "EXT-X-DISCONTINUITY")
_MP4 = (".m4s", ".mp4", ".m4v", ".m4a", ".cmfv", ".cmfa")
_VECTOR = re.compile(r"0[xX][0-9A-Fa-f]{1,32}")
_MULTIVARIANT_TAGS = ("EXT-X-STREAM-INF", "EXT-X-MEDIA", "EXT-X-I-FRAME-STREAM-INF", "EXT-X-SESSION-DATA")
APPLE = "Apple"
"""Stands for Apple's HLS authoring specification where a section of RFC 8216 would."""
_DRIFT = timedelta(seconds=1)  # between dates and durations: a publisher's clock and ours are not the same


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether a playlist or segment keeps a rule: `where` is its name, `problem` None or what is wrong, with the line.

    What is only advice is no reason to call a stream wrong.
    """

    rule: str
    section: str
    where: str
    problem: str | None
    is_advice: bool = False


def check_playlist(where: str, playlist: Parsed) -> list[Finding]:
    """Return what each rule for its kind says of a playlist."""
    rules = [*_BOTH, *(_MULTIVARIANT if playlist.is_multivariant else _MEDIA)]
    return [Finding(rule, section, where, judge(playlist)) for rule, section, judge in rules]


def check_variants(where: str, media: Sequence[tuple[str, Parsed]]) -> list[Finding]:
    """Return what the rules across the media playlists of one presentation say."""
    targets = {name: playlist.target for name, playlist in media}
    problem = None
    if len(set(targets.values())) > 1:
        problem = "they differ: " + ", ".join(f"{name} {target}" for name, target in targets.items())
    return [
        Finding("all variants have the same target duration", "6.2.4", where, problem),
        Finding("the same number has the same discontinuity number", "6.2.4", where, _other_jumps(media)),
    ]


def _other_jumps(media: Iterable[tuple[str, Parsed]]) -> str | None:
    known: dict[int, tuple[str, int]] = {}
    for name, playlist in media:
        jumps = playlist.number("EXT-X-DISCONTINUITY-SEQUENCE") or 0
        for number, entry in enumerate(playlist.entries, start=playlist.number("EXT-X-MEDIA-SEQUENCE") or 0):
            jumps += entry.discontinuity
            of, other = known.setdefault(number, (name, jumps))
            if other != jumps:
                return f"number {number} has {other} in {of}, {jumps} in {name}"
    return None


def check_reload(where: str, before: Parsed, after: Parsed) -> list[Finding]:
    """Return what the rules for changes say of two versions of a live media playlist."""
    first, then = (one.number("EXT-X-MEDIA-SEQUENCE") or 0 for one in (before, after))
    jumps, jumps_then = (one.number("EXT-X-DISCONTINUITY-SEQUENCE") or 0 for one in (before, after))
    return [
        Finding("the media sequence never goes back", "6.2.2", where, _went_back(first, then)),
        Finding("the discontinuity sequence never goes back", "6.2.2", where, _went_back(jumps, jumps_then)),
        Finding("the target duration does not change", "4.3.3.1", where, None if before.target == after.target
                else f"{before.target} became {after.target}"),
        Finding("what is listed does not change", "6.2.1", where, _changed(before, first, after, then)),
        Finding("an ended playlist stays ended", "6.2.1", where, "EXT-X-ENDLIST is gone"
                if before.is_ended and not after.is_ended else None),
    ]  # fmt: skip


# ---- both kinds


def _begins(playlist: Parsed) -> str | None:
    if playlist.text.startswith("\ufeff"):
        return "it begins with a byte order mark"
    return None if playlist.lines[:1] == ["#EXTM3U"] else "line 1 is something else"


def _one_kind(playlist: Parsed) -> str | None:
    segments = next((f"line {line}: {name}" for line, name, _ in playlist.tags if name in _MEDIA_TAGS), None)
    variants = next((f"line {line}: {name}" for line, name, _ in playlist.tags if name in _MULTIVARIANT_TAGS), None)
    return f"{segments}, but also {variants}" if segments and variants else None


def _version(playlist: Parsed) -> str | None:
    versions = playlist.values("EXT-X-VERSION")
    if len(versions) > 1:
        return f"line {versions[1][0]}: a second one"
    if versions and not versions[0][1].isdecimal():
        return f"line {versions[0][0]}: {versions[0][1]!r} is no number"
    declared, needed, why = (int(versions[0][1]) if versions else 1), 1, ""
    for tag, least in (("EXT-X-BYTERANGE", 4), ("EXT-X-MAP", 6)):
        if playlist.values(tag) and least > needed:
            needed, why = least, tag
    for _, value in playlist.values("EXT-X-KEY"):
        least = 5 if "KEYFORMAT" in attributes(value) else 2 if "IV" in attributes(value) else 1
        if least > needed:
            needed, why = least, "EXT-X-KEY"
    if needed < 3 and any("." in value.split(",", 1)[0] for _, value in playlist.values("EXTINF")):
        needed, why = 3, "a decimal EXTINF"
    return f"{why} needs {needed}, declared is {declared}" if declared < needed else None


_Rule = tuple[str, str, Callable[[Parsed], str | None]]
_BOTH: tuple[_Rule, ...] = (
    ("the first line is #EXTM3U", "4.3.1.1", _begins),
    ("tags of media and multivariant playlists are not mixed", "4.1", _one_kind),
    ("EXT-X-VERSION is there once and high enough", "4.3.1.2, 7", _version),
)


# ---- media playlists


def _target(playlist: Parsed) -> str | None:
    found = playlist.values("EXT-X-TARGETDURATION")
    if len(found) != 1:
        return f"it is there {len(found)} times"
    return None if playlist.target is not None else f"line {found[0][0]}: {found[0][1]!r} is no decimal integer"


def _durations(playlist: Parsed) -> str | None:
    if playlist.dangling:
        return f"line {playlist.dangling[0]}: no URI follows"
    bare = next((entry for entry in playlist.entries if entry.duration is None), None)
    return None if bare is None else f"line {bare.line}: {bare.uri} has no valid EXTINF"


def _within_target(playlist: Parsed) -> str | None:
    target = playlist.target
    for entry in playlist.entries:
        if target is not None and entry.duration is not None and int(entry.duration + 0.5) > target:
            return f"line {entry.line}: {entry.duration:g} s rounds to more than {target} s"
    return None


def _before_segments(tag: str) -> Callable[[Parsed], str | None]:
    def judge(playlist: Parsed) -> str | None:
        found = playlist.values(tag)
        if len(found) > 1:
            return f"line {found[1][0]}: a second one"
        first = min([entry.line for entry in playlist.entries], default=len(playlist.lines) + 1)
        if found and found[0][0] > first:
            return f"line {found[0][0]}: after the first segment"
        if found and playlist.number(tag) is None:
            return f"line {found[0][0]}: {found[0][1]!r} is no decimal integer"
        return None

    return judge


def _long_enough(playlist: Parsed) -> str | None:
    """A live playlist that has lost segments already must keep three target durations."""
    total, target = sum(entry.duration or 0.0 for entry in playlist.entries), playlist.target
    is_young = not playlist.number("EXT-X-MEDIA-SEQUENCE")
    if playlist.is_ended or target is None or is_young or total >= 3 * target - 0.5:
        return None
    return f"{total:.1f} s are listed, three target durations are {3 * target} s"


def _dates(playlist: Parsed) -> str | None:
    expected: datetime | None = None
    for entry in playlist.entries:
        if entry.date is not None:
            try:
                date = datetime.fromisoformat(entry.date)
            except ValueError:
                return f"before line {entry.line}: {entry.date!r} is no ISO 8601 date"
            if date.tzinfo is None:
                return f"before line {entry.line}: {entry.date!r} has no time zone"
            off = None if expected is None else date - expected
            if off is not None and (off < -_DRIFT or (off > _DRIFT and not entry.discontinuity)):
                return f"before line {entry.line}: {off.total_seconds():+.3f} s from what the durations say"
            expected = date
        if expected is not None:
            expected += timedelta(seconds=entry.duration or 0.0)
    return None


def _type(playlist: Parsed) -> str | None:
    for line, value in playlist.values("EXT-X-PLAYLIST-TYPE"):
        if value not in ("EVENT", "VOD"):
            return f"line {line}: {value!r} is neither EVENT nor VOD"
        if value == "VOD" and not playlist.is_ended:
            return f"line {line}: VOD without EXT-X-ENDLIST"
    return None


def _map(playlist: Parsed) -> str | None:
    for line, value in playlist.values("EXT-X-MAP"):
        if not attributes(value).get("URI"):
            return f"line {line}: it has no URI"
    bare = next(
        (one for one in playlist.entries if not one.gap and not one.init and _path(one.uri).endswith(_MP4)), None
    )
    return None if bare is None else f"line {bare.line}: {_path(bare.uri)} has none"


def _path(uri: str) -> str:
    return uri.partition("?")[0]


def _keys(playlist: Parsed) -> str | None:
    for line, value in playlist.values("EXT-X-KEY"):
        told = attributes(value)
        if told.get("METHOD") not in ("NONE", "AES-128", "SAMPLE-AES", "SAMPLE-AES-CTR"):
            return f"line {line}: METHOD is {told.get('METHOD', 'missing')}"
        if told["METHOD"] != "NONE" and not told.get("URI"):
            return f"line {line}: it has no URI"
        if "IV" in told and not _VECTOR.fullmatch(told["IV"]):
            return f"line {line}: IV is no hexadecimal number of 128 bits"
    return None


def _has_segments(playlist: Parsed) -> str | None:
    return None if playlist.entries else "no segment is listed"


_MEDIA: tuple[_Rule, ...] = (
    ("a segment is listed", "4.3.2", _has_segments),
    ("EXT-X-TARGETDURATION is there once, an integer", "4.3.3.1", _target),
    ("every segment has an EXTINF and every EXTINF a segment", "4.3.2.1", _durations),
    ("no EXTINF rounds to more than the target duration", "4.3.3.1", _within_target),
    ("EXT-X-MEDIA-SEQUENCE is a number before the segments", "4.3.3.2", _before_segments("EXT-X-MEDIA-SEQUENCE")),
    ("EXT-X-DISCONTINUITY-SEQUENCE is a number before the segments", "4.3.3.3",
     _before_segments("EXT-X-DISCONTINUITY-SEQUENCE")),
    ("a live playlist holds three target durations", "6.2.2", _long_enough),
    ("EXT-X-PROGRAM-DATE-TIME has a time zone and goes on with the durations", "4.3.2.6", _dates),
    ("fMP4 segments have an EXT-X-MAP, and that a URI", "3.3, 4.3.2.5", _map),
    ("EXT-X-KEY has a METHOD, a URI, and an IV that is one", "4.3.2.4", _keys),
    ("EXT-X-PLAYLIST-TYPE is EVENT, or VOD with an end", "4.3.3.5", _type),
)  # fmt: skip


# ---- multivariant playlists


def _each(judge: Callable[[Variant], str | None]) -> Callable[[Parsed], str | None]:
    def all_of(playlist: Parsed) -> str | None:
        for variant in playlist.variants:
            if (problem := judge(variant)) is not None:
                return f"line {variant.line}: {problem}"
        return None

    return all_of


def _bandwidth(variant: Variant) -> str | None:
    peak, average = (variant.attributes.get(name, "") for name in ("BANDWIDTH", "AVERAGE-BANDWIDTH"))
    if not peak.isdecimal() or not int(peak):
        return f"BANDWIDTH is {peak or 'missing'}"
    if average and (not average.isdecimal() or int(average) > int(peak)):
        return f"AVERAGE-BANDWIDTH {average} is no number up to BANDWIDTH {peak}"
    return None


def _has(name: str) -> Callable[[Variant], str | None]:
    return lambda variant: None if variant.attributes.get(name) else f"no {name}"


def _groups(playlist: Parsed) -> str | None:
    known = {(media.attributes.get("TYPE"), media.attributes.get("GROUP-ID")) for media in playlist.media}
    for variant in playlist.variants:
        for kind in ("AUDIO", "VIDEO", "SUBTITLES"):
            group = variant.attributes.get(kind)
            if group and (kind, group) not in known:
                return f"line {variant.line}: there is no EXT-X-MEDIA of {kind} group {group!r}"
    return None


def _media_names(playlist: Parsed) -> str | None:
    known: set[tuple[str | None, ...]] = set()
    for media in playlist.media:
        told = media.attributes
        if lacking := [name for name in ("TYPE", "GROUP-ID", "NAME") if not told.get(name)]:
            return f"line {media.line}: no {lacking[0]}"
        if told["TYPE"] not in ("AUDIO", "VIDEO", "SUBTITLES", "CLOSED-CAPTIONS"):
            return f"line {media.line}: TYPE is {told['TYPE']}"
        if told["TYPE"] == "SUBTITLES" and not media.uri:
            return f"line {media.line}: subtitles without a URI"
        if told["TYPE"] == "CLOSED-CAPTIONS" and media.uri:
            return f"line {media.line}: closed captions with a URI"
        name = (told["TYPE"], told["GROUP-ID"], told["NAME"])
        if name in known:
            return f"line {media.line}: a second {told['NAME']!r} in group {told['GROUP-ID']!r}"
        known.add(name)
    return None


def _defaults(playlist: Parsed) -> str | None:
    known: set[tuple[str | None, str | None]] = set()
    for media in playlist.media:
        told = media.attributes
        group = (told.get("TYPE"), told.get("GROUP-ID"))
        if told.get("DEFAULT") == "YES":
            if told.get("AUTOSELECT", "YES") != "YES":
                return f"line {media.line}: DEFAULT=YES, but AUTOSELECT={told['AUTOSELECT']}"
            if group in known:
                return f"line {media.line}: a second DEFAULT=YES in group {group[1]!r}"
            known.add(group)
    return None


_MULTIVARIANT: tuple[_Rule, ...] = (
    ("every EXT-X-STREAM-INF has a URI", "4.3.4.2", _each(lambda one: None if one.uri else "no URI follows")),
    ("BANDWIDTH is a number, AVERAGE-BANDWIDTH not above it", "4.3.4.2", _each(_bandwidth)),
    ("every variant has CODECS", "4.3.4.2", _each(_has("CODECS"))),
    ("every group that a variant names is there", "4.3.4.2.1", _groups),
    ("every EXT-X-MEDIA has TYPE, GROUP-ID and a NAME of its own", "4.3.4.1", _media_names),
    ("a group has one default at most, which may be selected", "4.3.4.1.1", _defaults),
)


# ---- helpers


def _went_back(before: int, after: int) -> str | None:
    return f"{before} became {after}" if after < before else None


def _changed(before: Parsed, first: int, after: Parsed, then: int) -> str | None:
    later = dict(enumerate(after.entries, start=then))
    for number, entry in enumerate(before.entries, start=first):
        now = later.get(number)
        if now is None and number >= then:
            return f"number {number}, {entry.uri}, was taken back"
        if now is not None and (now.uri, now.duration, now.gap) != (entry.uri, entry.duration, entry.gap):
            return f"number {number} was {entry.uri}, is {now.uri}" if now.uri != entry.uri else f"{entry.uri} changed"
    return None
