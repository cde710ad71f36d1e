"""What Apple's HLS authoring specification asks for beyond RFC 8216: advice about playlists. Pure."""

from collections.abc import Callable, Iterable

from streamkit.hls.conformance import APPLE, Finding
from streamkit.hls.parse import Parsed, Variant

_RECOMMENDED_TARGET = 6
_MOST_PEAK = 2  # times the average
_MOST_FPS = 60
_VIDEO = ("avc1", "avc3", "hvc1", "hev1", "av01", "vp09", "dvh1")
_BOUNDARY = 0.5  # seconds


def advise(where: str, playlist: Parsed) -> list[Finding]:
    """Return the advice for a playlist of its kind."""
    rules = _MULTIVARIANT if playlist.is_multivariant else _MEDIA
    return [Finding(rule, APPLE, where, judge(playlist), is_advice=True) for rule, judge in rules]


def advise_variants(where: str, media: Iterable[tuple[str, Parsed]]) -> Finding:
    """Return whether the same numbers are the same pieces of time in every media playlist."""
    known: dict[int, tuple[str, float]] = {}
    problem = None
    for name, playlist in media:
        begin = playlist.number("EXT-X-MEDIA-SEQUENCE") or 0
        for number, entry in enumerate(playlist.entries, start=begin):
            of, duration = known.setdefault(number, (name, entry.duration or 0.0))
            if abs(duration - (entry.duration or 0.0)) > _BOUNDARY and problem is None:
                problem = f"number {number} lasts {duration:g} s in {of}, {entry.duration or 0.0:g} s in {name}"
    return Finding("all variants have the same segment boundaries", APPLE, where, problem, is_advice=True)


def _target(playlist: Parsed) -> str | None:
    return None if playlist.target in (None, _RECOMMENDED_TARGET) else f"it is {playlist.target} s"


def _dated(playlist: Parsed) -> str | None:
    return None if playlist.values("EXT-X-PROGRAM-DATE-TIME") else "there is none"


def _independent(playlist: Parsed) -> str | None:
    return None if playlist.values("EXT-X-INDEPENDENT-SEGMENTS") else "it is not there"


def _each(judge: Callable[[Variant], str | None]) -> Callable[[Parsed], str | None]:
    def all_of(playlist: Parsed) -> str | None:
        found = ((variant.line, judge(variant)) for variant in playlist.variants)
        return next((f"line {line}: {problem}" for line, problem in found if problem is not None), None)

    return all_of


def _has_video(variant: Variant) -> bool:
    codecs = variant.attributes.get("CODECS", "")
    return not codecs or any(codec.strip().startswith(_VIDEO) for codec in codecs.split(","))


def _needs(name: str) -> Callable[[Variant], str | None]:
    return lambda one: None if one.attributes.get(name) or not _has_video(one) else f"no {name}"


def _average(variant: Variant) -> str | None:
    return None if variant.attributes.get("AVERAGE-BANDWIDTH") else "no AVERAGE-BANDWIDTH"


def _peak(variant: Variant) -> str | None:
    peak, average = (variant.attributes.get(name, "") for name in ("BANDWIDTH", "AVERAGE-BANDWIDTH"))
    if not (peak.isdecimal() and average.isdecimal()) or int(peak) <= _MOST_PEAK * int(average):
        return None
    return f"BANDWIDTH {peak}, AVERAGE-BANDWIDTH {average}"


def _fastest(variant: Variant) -> str | None:
    rate = variant.attributes.get("FRAME-RATE", "")
    is_more = rate.replace(".", "", 1).isdecimal() and float(rate) > _MOST_FPS
    return f"FRAME-RATE is {rate}" if is_more else None


_Advice = tuple[str, Callable[[Parsed], str | None]]
_MEDIA: tuple[_Advice, ...] = (
    ("the target duration is 6 s", _target),
    ("segments have dates (EXT-X-PROGRAM-DATE-TIME)", _dated),
)
_MULTIVARIANT: tuple[_Advice, ...] = (
    ("every variant with video has RESOLUTION", _each(_needs("RESOLUTION"))),
    ("every variant with video has FRAME-RATE", _each(_needs("FRAME-RATE"))),
    ("every variant has AVERAGE-BANDWIDTH", _each(_average)),
    ("BANDWIDTH is at most twice AVERAGE-BANDWIDTH", _each(_peak)),
    ("there are at most 60 frames a second", _each(_fastest)),
    ("EXT-X-INDEPENDENT-SEGMENTS is there", _independent),
)
