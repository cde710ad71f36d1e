"""Multivariant playlists as text: what players may choose from. RFC 8216 sections beside each tag."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from streamkit.hls.book import Book
from streamkit.hls.codecs import codecs
from streamkit.hls.live import LiveWindow, PeakRate
from streamkit.hls.names import media_playlist_name, vod_media_name
from streamkit.hls.segments import MICRO, Segment
from streamkit.types import BitsPerSecond, Rendition, RenditionName

_VERSION = "#EXT-X-VERSION:3"  # 4.3.1.2, 7: nothing here needs more, whatever the segments are
_INDEPENDENT = "#EXT-X-INDEPENDENT-SEGMENTS"  # 4.3.5.1: every segment begins with a key frame
_OVERHEAD = 108  # percent of the encoder's bit rate that MPEG-TS takes


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One line of a multivariant playlist. `uri` relative; rates in bit/s; '' codecs and 0 sizes are left out.

    `audio` is the group that its sound comes from (4.3.4.2.1); its rates and codecs then include the group's.
    """

    uri: str
    bandwidth: BitsPerSecond
    average_bandwidth: BitsPerSecond
    codecs: str
    width: int
    height: int
    fps: Fraction | None
    audio: RenditionName | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioMedia:
    """The one audio rendition of a group. `channels` 0 is not known."""

    group: RenditionName
    uri: str
    channels: int


@dataclass(frozen=True, slots=True)
class Rates:
    """Bit/s of one rendition."""

    peak: int
    average: int


def live_multivariant(window: LiveWindow, uri: Callable[[RenditionName], str] = media_playlist_name) -> str:
    """Return the multivariant playlist that a live player may choose from.

    BANDWIDTH is what the encoder may use, or the measured peak when that is higher, rounded up to two digits: the
    file so changes rarely, and no listed segment exceeds it.
    """
    rates = {}
    for rendition in window.present():
        encoder_peak = (max(rendition.maxrate, rendition.video_bitrate) + rendition.audio_bitrate) * _OVERHEAD // 100
        peak = _two_digits_up(max(encoder_peak, window.peak(rendition.name)))
        average = (rendition.video_bitrate + rendition.audio_bitrate) * _OVERHEAD // 100 or peak
        rates[rendition] = Rates(peak, average)
    return _multivariant(rates, uri)


def vod_multivariant(book: Book, whole: Mapping[Rendition, list[Segment]]) -> str:
    """Return that of a whole broadcast, with what was measured over all of it, as 4.3.4.2 demands of a finished one."""
    rates = {rendition: _measured(segments) for rendition, segments in whole.items()}
    return _multivariant(rates, lambda name: vod_media_name(book.session, name))


def render_multivariant(variants: Iterable[Variant], audio: Iterable[AudioMedia] = ()) -> str:
    """Return a multivariant playlist with the variants in the order given: best first."""
    lines = ["#EXTM3U", _VERSION, _INDEPENDENT]
    lines += [f"#EXT-X-MEDIA:{','.join(_media_attributes(one))}" for one in audio]  # 4.3.4.1
    for variant in variants:
        lines += [f"#EXT-X-STREAM-INF:{','.join(_attributes(variant))}", variant.uri]  # 4.3.4.2
    return "\n".join([*lines, ""])


def _multivariant(rates: Mapping[Rendition, Rates], uri: Callable[[RenditionName], str]) -> str:
    """Return the playlist of these renditions; those that are the sound of others are no variants themselves."""
    known = {rendition.name: rendition for rendition in rates}
    groups = {one.audio_group: known[one.audio_group] for one in rates if one.audio_group and one.audio_group in known}
    variants = []
    for rendition, own in rates.items():
        if rendition.name in groups and rendition.audio_group != rendition.name:
            continue
        sound = groups.get(rendition.audio_group) if rendition.audio_group else None
        if sound is None or sound is rendition:
            variants.append(_variant(rendition, uri(rendition.name), own, codecs(rendition), sound))
            continue
        # 4.3.4.2: the peak of all that is played together
        both = Rates(own.peak + rates[sound].peak, own.average + rates[sound].average)
        parts = (codecs(rendition), codecs(sound))
        variants.append(_variant(rendition, uri(rendition.name), both, ",".join(parts) if all(parts) else "", sound))
    audio = [AudioMedia(group=one.name, uri=uri(one.name), channels=one.audio_channels) for one in groups.values()]
    return render_multivariant(variants, audio)


def _variant(rendition: Rendition, uri: str, rates: Rates, codecs: str, sound: Rendition | None) -> Variant:
    return Variant(
        uri=uri,
        bandwidth=BitsPerSecond(max(1, rates.peak)),
        average_bandwidth=BitsPerSecond(max(1, min(rates.average, rates.peak))),
        codecs=codecs,
        width=rendition.width,
        height=rendition.height,
        fps=rendition.fps,
        audio=None if sound is None else sound.name,
    )


def _measured(segments: list[Segment]) -> Rates:
    stored = [segment for segment in segments if not segment.gap]
    rate, target = PeakRate(), max(1, int(max(segment.duration for segment in stored) + 0.5))
    for segment in stored:
        rate.add(segment.size, round(segment.duration * MICRO), target)
    average = int(sum(segment.size for segment in stored) * 8 / sum(segment.duration for segment in stored))
    return Rates(rate.peak, average)


def _attributes(variant: Variant) -> list[str]:
    attributes = [f"BANDWIDTH={variant.bandwidth}", f"AVERAGE-BANDWIDTH={variant.average_bandwidth}"]
    if variant.codecs:
        attributes.append(f'CODECS="{variant.codecs}"')
    if variant.width and variant.height:
        attributes.append(f"RESOLUTION={variant.width}x{variant.height}")
    if variant.fps:
        attributes.append(f"FRAME-RATE={float(variant.fps):.3f}")
    if variant.audio:
        attributes.append(f'AUDIO="{variant.audio}"')
    return attributes


def _media_attributes(media: AudioMedia) -> list[str]:
    # Every group has the same sound at another rate, and so the same NAME (4.3.4.1.1).
    attributes = ["TYPE=AUDIO", f'GROUP-ID="{media.group}"', 'NAME="Main"', "DEFAULT=YES", "AUTOSELECT=YES"]
    attributes += [f'CHANNELS="{media.channels}"'] if media.channels else []
    return [*attributes, f'URI="{media.uri}"']


def _two_digits_up(value: int) -> int:
    step = int(10 ** max(0, len(str(value)) - 2))
    return -(-value // step) * step
