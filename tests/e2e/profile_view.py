"""A finished broadcast from the player's side: what its playlists declare, and what is in every segment."""

import io
import re
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import av
from e2e_player import Entry, MediaPlaylist, parse_media

Fetch = Callable[[str], bytes]
WHITE, LOUD = 200, 0.2  # of 255 and of 1: what counts as a flash and as a beep
_MONO, _SMALL = "mono", 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A segment, decoded by itself. Times in seconds on the stream's own clock, in the order of presentation."""

    entry: Entry
    size: int
    """Bytes, without the initialization section."""
    starts_with_idr: bool
    picture: tuple[int, int] | None
    video: tuple[Fraction, ...]
    decoded: int
    """Pictures that a decoder got out of it."""
    audio: tuple[Fraction, ...]
    codecs: str
    """As RFC 6381 writes what the segment's own headers say."""
    rate: int
    channels: int
    interlaced: bool
    pixels: str
    flashes: tuple[Fraction, ...]
    """When the picture turned white."""
    beeps: tuple[Fraction, ...]
    """When the sound set in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One rendition: its line in the multivariant playlist, its playlist, and its segments.

    There are no attributes where the entry is the one rendition's own playlist.
    """

    name: str
    attributes: dict[str, str]
    playlist: MediaPlaylist
    pieces: tuple[Piece, ...]
    sound: "Track | None" = None
    """The rendition of its AUDIO group; what is in its segments is in `pieces` as well."""

    @property
    def video(self) -> list[Fraction]:
        return [at for piece in self.pieces for at in piece.video]

    @property
    def audio(self) -> list[Fraction]:
        return [at for piece in self.pieces for at in piece.audio]

    @property
    def flashes(self) -> list[Fraction]:
        return _onsets(at for piece in self.pieces for at in piece.flashes)

    @property
    def beeps(self) -> list[Fraction]:
        return _onsets(at for piece in self.pieces for at in piece.beeps)

    def rates(self) -> list[float]:
        """Return the bit rate of every segment that is at least half a target duration long."""
        long_enough = [one for one in self.pieces if one.entry.duration * 2 >= self.playlist.target_duration]
        return [one.size * 8 / one.entry.duration for one in long_enough]


def look(fetch: Fetch) -> list[Track]:
    """Fetch and decode every rendition; whatever is missing or cannot be decoded raises."""
    entry = fetch("playlist.m3u8").decode()
    found = re.findall(r"^#EXT-X-STREAM-INF:(.*)\n(.*)$", entry, re.MULTILINE)
    if not found:
        return [_track(fetch, "playlist.m3u8", {})]
    media = [_attributes(line) for line in re.findall(r"^#EXT-X-MEDIA:(.*)$", entry, re.MULTILINE)]
    sounds = {one["GROUP-ID"]: _track(fetch, one["URI"], one) for one in media}
    tracks = [_track(fetch, uri, _attributes(line)) for line, uri in found]
    return [_with_sound(one, sounds[one.attributes["AUDIO"]]) if "AUDIO" in one.attributes else one for one in tracks]


def _with_sound(track: Track, sound: Track) -> Track:
    """Return the track as a player plays it: with the sound of the same segments from its AUDIO group."""
    numbers = [piece.entry.sequence for piece in track.pieces]
    assert numbers == [piece.entry.sequence for piece in sound.pieces], "picture and sound have other numbers"
    together = [_joined(*both) for both in zip(track.pieces, sound.pieces, strict=True)]
    return replace(track, pieces=tuple(together), sound=sound)


def _joined(picture: Piece, sound: Piece) -> Piece:
    assert not picture.audio, f"{picture.entry} has sound of its own"
    return replace(
        picture,
        size=picture.size + sound.size,
        audio=sound.audio,
        codecs=",".join(one for one in (picture.codecs, sound.codecs) if one),
        rate=sound.rate,
        channels=sound.channels,
        beeps=sound.beeps,
    )


def _attributes(line: str) -> dict[str, str]:
    return {name: value.strip('"') for name, value in re.findall(r'([A-Z-]+)=("[^"]*"|[^,]*)', line)}


def _track(fetch: Fetch, uri: str, attributes: dict[str, str]) -> Track:
    playlist = parse_media(fetch(uri).decode())
    inits: dict[str, bytes] = {"": b""}
    for entry in playlist.entries:
        if entry.init not in inits:
            inits[entry.init] = fetch(entry.init)
    pieces = tuple(_piece(entry, inits[entry.init], fetch(entry.uri)) for entry in playlist.entries if not entry.gap)
    name = playlist.entries[0].uri.split("_")[2]
    return Track(name=name, attributes=attributes, playlist=playlist, pieces=pieces)


@dataclass(slots=True)
class _Media:
    """What comes out of the demuxer and the decoders."""

    video: list[Fraction] = field(default_factory=list)
    audio: list[Fraction] = field(default_factory=list)
    first: Any = None
    decoded: int = 0
    interlaced: bool = False
    white: list[tuple[Fraction, bool]] = field(default_factory=list)
    loud: list[tuple[Fraction, bool]] = field(default_factory=list)


def _piece(entry: Entry, init: bytes, segment: bytes) -> Piece:
    media = _Media()
    with av.open(io.BytesIO(init + segment), format="mp4" if init else "mpegts") as container:
        picture = next(iter(container.streams.video), None)
        sound = next((one for one in container.streams.audio if one.rate), None)
        for packet in container.demux(*(one for one in (picture, sound) if one is not None)):
            _take(packet, media, is_video=packet.stream is picture)
        return Piece(
            entry=entry,
            size=len(segment),
            starts_with_idr=media.first is not None and _is_idr(picture.codec_context.name, media.first),
            picture=(picture.width, picture.height) if picture is not None else None,
            video=tuple(sorted(media.video)),
            decoded=media.decoded,
            audio=tuple(media.audio),
            codecs=",".join(_codecs(picture, sound, media)),
            rate=sound.rate if sound is not None and media.audio else 0,
            channels=sound.channels if sound is not None and media.audio else 0,
            interlaced=media.interlaced,
            pixels=(picture.codec_context.pix_fmt or "") if picture is not None else "",
            flashes=_rises(sorted(media.white)),
            beeps=_rises(media.loud),
        )


def _take(packet: Any, media: _Media, *, is_video: bool) -> None:
    if packet.pts is not None:
        (media.video if is_video else media.audio).append(packet.pts * packet.time_base)
        if is_video and media.first is None:
            media.first = bytes(packet)
    for frame in packet.decode():
        if frame.pts is None:
            continue
        at = frame.pts * frame.time_base
        if is_video:
            media.decoded += 1
            media.interlaced = media.interlaced or frame.interlaced_frame
            media.white.append((at, _is_white(frame)))
        else:
            media.loud += _loudness(at, frame)


def _is_white(frame: Any) -> bool:
    small = frame.reformat(width=_SMALL, height=_SMALL, format="gray")
    plane = small.planes[0]
    pixels = bytes(plane)
    rows = (pixels[row * plane.line_size :][:_SMALL] for row in range(_SMALL))
    return sum(map(sum, rows)) > WHITE * _SMALL * _SMALL


def _loudness(at: Fraction, frame: Any) -> list[tuple[Fraction, bool]]:
    """Return whether the first channel is loud, in steps of 256 samples."""
    samples = array("f", bytes(frame.planes[0])[: frame.samples * 4])
    assert frame.format.name == "fltp", frame.format.name
    return [
        (at + Fraction(start, frame.sample_rate), max(map(abs, samples[start : start + 256]), default=0) > LOUD)
        for start in range(0, len(samples), 256)
    ]


def _rises(levels: Iterable[tuple[Fraction, bool]]) -> tuple[Fraction, ...]:
    """Return when it was high after it had been low; the first level counts as such a change."""
    before, found = False, []
    for at, high in levels:
        if high and not before:
            found.append(at)
        before = high
    return tuple(found)


def _onsets(times: Iterable[Fraction]) -> list[Fraction]:
    """Return the times without those that only go on from the segment before."""
    found: list[Fraction] = []
    for at in times:
        if not found or at - found[-1] > Fraction(1, 2):
            found.append(at)
    return found


# ---- bitstreams


def _is_idr(codec: str, packet: bytes) -> bool:
    """Return whether the access unit can be decoded with nothing before it, and nothing after it needs that either."""
    if "264" in codec:
        return any(unit[0] & 31 == 5 for unit in _units(packet))
    if codec == "hevc":
        return any(unit[0] >> 1 & 63 in (19, 20) for unit in _units(packet))
    return _av1_begins(packet)


def _av1_begins(packet: bytes) -> bool:
    """Return whether a sequence header (OBU type 1) is in the temporal unit: AV1 has it with key frames alone."""
    at = 0
    while at < len(packet):
        kind, has_size, extended = packet[at] >> 3 & 15, packet[at] & 2, packet[at] >> 2 & 1
        if kind == 1:
            return True
        size, shift, at = 0, 0, at + 1 + extended
        while has_size:
            size |= (packet[at] & 127) << shift
            shift, at = shift + 7, at + 1
            if not packet[at - 1] & 128:
                break
        at += size if has_size else len(packet)
    return False


def _units(packet: bytes) -> list[bytes]:
    """Return the NAL units of an access unit, with start codes (MPEG-TS) or lengths (MP4) between them."""
    if packet[:3] == b"\0\0\1" or packet[:4] == b"\0\0\0\1":
        return [unit for unit in packet.split(b"\0\0\1") if unit.strip(b"\0")]
    units, at = [], 0
    while at + 4 < len(packet):
        size = int.from_bytes(packet[at : at + 4], "big")
        units.append(packet[at + 4 : at + 4 + size])
        at += 4 + size
    return units


_SOUNDS = {"aac": "mp4a.40.2", "mp3float": "mp4a.40.34", "mp3": "mp4a.40.34"}
_PICTURES = {"hevc": "hvc1", "libdav1d": "av01", "av1": "av01", "libaom-av1": "av01"}


def _codecs(picture: Any, sound: Any, media: _Media) -> list[str]:
    """Return exact codecs for H.264 and AAC, for others the name alone."""
    found = []
    if picture is not None and media.first is not None:
        name = picture.codec_context.name
        found.append(_avc(picture, media.first) if "264" in name else _PICTURES.get(name, name))
    if sound is not None and media.audio:
        found.append(_SOUNDS.get(sound.codec_context.name, sound.codec_context.name))
    return found


def _avc(picture: Any, packet: bytes) -> str:
    """Return avc1.PPCCLL of the sequence parameter set in the stream, else of the one in the avcC box."""
    parameters = next((unit[1:4] for unit in _units(packet) if unit[0] & 31 == 7), None)
    return f"avc1.{(parameters or picture.codec_context.extradata[1:4]).hex().upper()}"


def steps(times: list[Fraction]) -> list[Fraction]:
    """Return the distances between neighbours."""
    return [after - before for before, after in pairwise(times)]
