"""Playlists as text: pure functions of the ledger. RFC 8216 sections beside each tag; 8216bis for EXT-X-GAP."""

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction

from streamkit.hls.book import Book
from streamkit.hls.codecs import codecs
from streamkit.hls.ledger import Ledger
from streamkit.hls.live import LiveWindow, PeakRate
from streamkit.hls.names import MULTIVARIANT, media_playlist_name, vod_media_name, vod_multivariant_name
from streamkit.hls.segments import MICRO, Segment, View
from streamkit.types import BitsPerSecond, Rendition, RenditionName, SessionId, UnixTime

# 4.3.1.2, 7: decimals in EXTINF need 3, EXT-X-MAP beside them 6. A session keeps to one container, and so every
# playlist of it to one version, even while it lists nothing but gaps and has no EXT-X-MAP.
_VERSION, _VERSION_WITH_MAP = "#EXT-X-VERSION:3", "#EXT-X-VERSION:6"
_INDEPENDENT = "#EXT-X-INDEPENDENT-SEGMENTS"  # 4.3.5.1: every segment begins with a key frame
_OVERHEAD = 108  # percent of the encoder's bit rate that MPEG-TS takes


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One line of a multivariant playlist. `uri` relative; rates in bit/s; '' codecs and 0 sizes are left out."""

    uri: str
    bandwidth: BitsPerSecond
    average_bandwidth: BitsPerSecond
    codecs: str
    width: int
    height: int
    fps: Fraction | None


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
    return files | {MULTIVARIANT: only or render_multivariant(live_variants(window)).encode()}


def render_vod(ledger: Ledger, session: SessionId | None = None) -> dict[str, bytes]:
    """Return the playlists of a whole broadcast (None: the newest) by name; none while nothing of it is stored.

    Lists what the store has acknowledged by now; the rest is a gap.
    """
    book = ledger.book(session)
    renditions = [] if book is None else [one for one in book.renditions() if book.has_stored(one.name)]
    if book is None or not renditions:
        return {}
    files: dict[str, bytes] = {}
    variants = []
    for rendition in renditions:
        name = vod_media_name(book.session, rendition.name)
        segments = list(book.whole(rendition.name))
        files[name] = render_vod_media(segments).encode()
        variants.append(_vod_variant(book, rendition, segments))
    only = next(iter(files.values())) if len(files) == 1 else None
    return files | {vod_multivariant_name(book.session): only or render_multivariant(variants).encode()}


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
        _INDEPENDENT,
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
    if segment.init and not segment.gap and (before is None or before.gap or before.init != segment.init):
        # 4.3.2.5: for this segment and those after it. Nobody fetches a gap, and who has gaps alone has no such file.
        lines.append(f'#EXT-X-MAP:URI="{segment.init}"')
    if before is None or segment.starts_discontinuity:
        lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{_date(segment.program_date_time)}")  # 4.3.2.6
    if segment.gap:
        lines.append("#EXT-X-GAP")  # 8216bis 4.4.4.7
    return "\n".join([*lines, f"#EXTINF:{segment.duration:.6f},", segment.name, ""])  # 4.3.2.1


def tail_text(*, ended: bool) -> str:
    """Return the lines below the last entry."""
    return "#EXT-X-ENDLIST\n" if ended else ""  # 4.3.3.4


def render_vod_media(segments: list[Segment]) -> str:
    """Return the media playlist of a whole broadcast."""
    longest = max(segment.duration for segment in segments)
    return render_media(segments, target_duration=max(1, int(longest + 0.5)), ended=True, kind="VOD")


def render_multivariant(variants: Iterable[Variant]) -> str:
    """Return a multivariant playlist with the variants in the order given: best first."""
    lines = ["#EXTM3U", _VERSION, _INDEPENDENT]
    for variant in variants:
        lines += [f"#EXT-X-STREAM-INF:{','.join(_attributes(variant))}", variant.uri]  # 4.3.4.2
    return "\n".join([*lines, ""])


def _date(at: UnixTime) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _attributes(variant: Variant) -> list[str]:
    attributes = [f"BANDWIDTH={variant.bandwidth}", f"AVERAGE-BANDWIDTH={variant.average_bandwidth}"]
    if variant.codecs:
        attributes.append(f'CODECS="{variant.codecs}"')
    if variant.width and variant.height:
        attributes.append(f"RESOLUTION={variant.width}x{variant.height}")
    if variant.fps:
        attributes.append(f"FRAME-RATE={float(variant.fps):.3f}")
    return attributes


def live_variants(window: LiveWindow, uri: Callable[[RenditionName], str] = media_playlist_name) -> list[Variant]:
    """Return the variants that a live player may choose from.

    BANDWIDTH is what the encoder may use, or the measured peak when that is higher, rounded up to two digits: the
    file so changes rarely, and no listed segment exceeds it.
    """
    variants = []
    for rendition in window.present():
        encoder_peak = (max(rendition.maxrate, rendition.video_bitrate) + rendition.audio_bitrate) * _OVERHEAD // 100
        peak = _two_digits_up(max(encoder_peak, window.peak(rendition.name)))
        average = (rendition.video_bitrate + rendition.audio_bitrate) * _OVERHEAD // 100 or peak
        variants.append(_variant(rendition, uri(rendition.name), peak, average))
    return variants


def _vod_variant(book: Book, rendition: Rendition, segments: list[Segment]) -> Variant:
    """Return the variant with what was measured over the whole broadcast, as 4.3.4.2 demands of a finished one."""
    stored = [segment for segment in segments if not segment.gap]
    rate, target = PeakRate(), max(1, int(max(segment.duration for segment in stored) + 0.5))
    for segment in stored:
        rate.add(segment.size, round(segment.duration * MICRO), target)
    average = int(sum(segment.size for segment in stored) * 8 / sum(segment.duration for segment in stored))
    return _variant(rendition, vod_media_name(book.session, rendition.name), rate.peak, average)


def _variant(rendition: Rendition, uri: str, peak: int, average: int) -> Variant:
    return Variant(
        uri=uri,
        bandwidth=BitsPerSecond(max(1, peak)),
        average_bandwidth=BitsPerSecond(max(1, min(average, peak))),
        codecs=codecs(rendition),
        width=rendition.width,
        height=rendition.height,
        fps=rendition.fps,
    )


def _two_digits_up(value: int) -> int:
    step = int(10 ** max(0, len(str(value)) - 2))
    return -(-value // step) * step
