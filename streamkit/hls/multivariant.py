"""Multivariant playlists as text: what players may choose from. RFC 8216 sections beside each tag."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from streamkit.hls.book import Book
from streamkit.hls.encoded import Shape, shape
from streamkit.hls.live import LiveWindow
from streamkit.hls.names import media_playlist_name, vod_media_name
from streamkit.hls.rates import PeakRate
from streamkit.hls.segments import MICRO, Segment
from streamkit.types import BitsPerSecond, Rendition, RenditionName

_VERSION = "#EXT-X-VERSION:3"  # 4.3.1.2, 7: nothing here needs more, whatever the segments are
_INDEPENDENT = "#EXT-X-INDEPENDENT-SEGMENTS"  # 4.3.5.1: every segment can be decoded without another


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """A rendition with what it really is; rates in bit/s."""

    rendition: Rendition
    shape: Shape
    peak: int
    average: int


def live_multivariant(window: LiveWindow, uri: Callable[[RenditionName], str] = media_playlist_name) -> str:
    """Return the multivariant playlist that a live player may choose from: what was encoded, and rates that hold."""
    rates = {one.name: window.rate(one.name) for one in window.present()}
    tracks = [
        Track(rendition=one, shape=window.shape(one), peak=rates[one.name].peak, average=rates[one.name].average)
        for one in window.present()
    ]
    return _multivariant(tracks, uri, independent=window.book is None or window.book.is_independent)


def vod_multivariant(book: Book, whole: Mapping[Rendition, list[Segment]]) -> str:
    """Return that of a whole broadcast, with what was measured over all of it, as 4.3.4.2 demands of a finished one."""
    tracks = []
    for rendition, segments in whole.items():
        peak, average = _measured(segments)
        seen = shape(rendition, book.encoded(rendition.name))
        tracks.append(Track(rendition=rendition, shape=seen, peak=peak, average=average))
    return _multivariant(tracks, lambda name: vod_media_name(book.session, name), independent=book.is_independent)


def render_multivariant(
    variants: Iterable[Variant], audio: Iterable[AudioMedia] = (), *, independent: bool = True
) -> str:
    """Return a multivariant playlist with the variants in the order given: best first."""
    lines = ["#EXTM3U", _VERSION, *([_INDEPENDENT] if independent else [])]
    lines += [f"#EXT-X-MEDIA:{','.join(_media_attributes(one))}" for one in audio]  # 4.3.4.1
    for variant in variants:
        lines += [f"#EXT-X-STREAM-INF:{','.join(_attributes(variant))}", variant.uri]  # 4.3.4.2
    return "\n".join([*lines, ""])


def _multivariant(tracks: list[Track], uri: Callable[[RenditionName], str], *, independent: bool) -> str:
    """Return the playlist of these renditions; those that are the sound of others are no variants themselves."""
    known = {track.rendition.name: track for track in tracks}
    names = [track.rendition.audio_group for track in tracks]
    groups = {name: known[name] for name in names if name is not None and name in known}
    variants = []
    for track in tracks:
        name, group = track.rendition.name, track.rendition.audio_group
        if name in groups and group != name:
            continue
        sound = groups.get(group) if group else None
        variants.append(_variant(track, uri(name), sound))
    audio = [AudioMedia(group=name, uri=uri(name), channels=one.shape.channels) for name, one in groups.items()]
    return render_multivariant(variants, audio, independent=independent)


def _variant(track: Track, uri: str, sound: Track | None) -> Variant:
    """Return the variant; 4.3.4.2: the rates and codecs of all that is played together."""
    parts = [track] if sound is None or sound is track else [track, sound]
    peak, average = sum(part.peak for part in parts), sum(part.average for part in parts)
    codecs = [part.shape.codecs for part in parts]
    return Variant(
        uri=uri,
        bandwidth=BitsPerSecond(max(1, peak)),
        average_bandwidth=BitsPerSecond(max(1, min(average, peak))),
        codecs=",".join(codecs) if all(codecs) else "",
        width=track.shape.width,
        height=track.shape.height,
        fps=track.shape.fps,
        audio=None if sound is None else sound.rendition.name,
    )


def _measured(segments: list[Segment]) -> tuple[int, int]:
    """Return the peak and the average bit rate of what the store has."""
    stored = [segment for segment in segments if not segment.gap]
    rate, target = PeakRate(), max(1, int(max(segment.duration for segment in stored) + 0.5))
    for segment in stored:
        rate.add(segment.size, round(segment.duration * MICRO), target)
    average = int(sum(segment.size for segment in stored) * 8 / sum(segment.duration for segment in stored))
    return rate.peak, average


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
