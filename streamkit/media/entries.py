"""Sample entries of MP4 tracks (ISO 14496-12 8.5.2, 14496-14, 14496-15, AV1 and Opus in ISOBMFF) as codecs."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from streamkit.errors import MediaError
from streamkit.media import audio, h264, hevc
from streamkit.media.boxes import boxes, number
from streamkit.media.info import Picture

_VISUAL, _SOUND = 8 + 78, 8 + 28  # bytes before the boxes of a visual and of an audio sample entry
_MP3_TYPES = (0x69, 0x6B)  # objectTypeIndication of MPEG-2 and MPEG-1 audio
_DESCRIPTOR = {3: 3, 4: 13, 5: 0}  # bytes of ES, decoder configuration and decoder specific descriptors


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """The coding of a track: a `codec` as RFC 6381 writes it, and what belongs to its medium."""

    codec: str
    picture: Picture = field(default_factory=lambda: Picture(0, 0))
    channels: int = 0
    sample_rate: int = 0
    unit_length: int = 0
    """Bytes of the length before each NAL unit; 0 where there are none."""

    def starts_with_idr(self, sample: bytes) -> bool | None:
        """Return whether the first bytes of a sample are those of an IDR; None for a codec without NAL units."""
        if not self.unit_length:
            return None
        units = list(_units(sample, self.unit_length))
        return h264.starts_with_idr(units) if self.codec.startswith("avc1") else hevc.starts_with_idr(units)


def audio_entry(descriptions: bytes) -> Entry:
    """Return the first sample entry of an audio track's stsd box."""
    _, kind, entry = next(boxes(descriptions[8:]), (0, b"", b""))
    return _sound(kind, entry)


def video_entry(descriptions: bytes, track_header: bytes) -> Entry:
    """Return the first sample entry of a video track's stsd box; the track header holds the size to show it at."""
    _, kind, entry = next(boxes(descriptions[8:]), (0, b"", b""))
    shown = track_header[-8:]
    size = Picture(number(shown, 0, 2), number(shown, 4, 2))
    inner = {name: body for _, name, body in boxes(entry[_VISUAL - 8 :])}
    if kind in (b"avc1", b"avc3") and b"avcC" in inner:
        return _avc(inner[b"avcC"])
    if kind in (b"hvc1", b"hev1") and b"hvcC" in inner:
        return _hevc(kind.decode(), inner[b"hvcC"])
    if kind == b"av01" and b"av1C" in inner:
        return Entry(codec=_av1(inner[b"av1C"]), picture=size)
    if kind == b"vp09" and b"vpcC" in inner:
        profile, level, depth = (number(inner[b"vpcC"], at, 1) for at in (4, 5, 6))
        return Entry(codec=f"vp09.{profile:02}.{level:02}.{depth >> 4:02}", picture=size)
    raise MediaError(f"its video is {kind.decode(errors='replace')!a}, which is not known here")


def _avc(record: bytes) -> Entry:
    length = number(record, 6, 2)
    sps = record[8 : 8 + length]
    return Entry(codec=h264.codec(sps), picture=h264.parse_sps(sps), unit_length=(record[4] & 3) + 1)


def _hevc(kind: str, record: bytes) -> Entry:
    """Read an HEVCDecoderConfigurationRecord (14496-15 8.3.3.1)."""
    codec = kind + hevc.codec_of_profile(record[1:13])[4:]
    at = 23
    for _ in range(number(record, 22, 1)):
        unit_type, count, at = number(record, at, 1) & 63, number(record, at + 1, 2), at + 3
        for _ in range(count):
            length = number(record, at, 2)
            if unit_type == hevc.SPS:
                picture = hevc.parse_sps(record[at + 2 : at + 2 + length])
                return Entry(codec=codec, picture=picture, unit_length=(record[21] & 3) + 1)
            at += 2 + length
    raise MediaError("its HEVC header has no sequence parameter set")


def _av1(record: bytes) -> str:
    """Return the codec of an AV1CodecConfigurationRecord: profile, level with tier, bit depth."""
    first, second = number(record, 1, 1), number(record, 2, 1)
    depth = 8 if not second & 0x40 else 12 if second & 0x20 else 10
    return f"av01.{first >> 5}.{first & 31:02}{'MH'[second >> 7]}.{depth:02}"


def _sound(kind: bytes, entry: bytes) -> Entry:
    channels, rate = number(entry, 16, 2), number(entry, 24, 2)
    inner = {name: body for _, name, body in boxes(entry[_SOUND - 8 :])}
    if kind == b"mp4a" and b"esds" in inner:
        return _mpeg_audio(inner[b"esds"], channels, rate)
    if kind in (b"ac-3", b"ec-3"):
        return Entry(codec=kind.decode(), channels=_dolby_channels(kind, inner) or channels, sample_rate=rate)
    if kind == b"Opus":
        return Entry(codec="Opus", channels=channels, sample_rate=rate)
    if kind == b"fLaC":
        return Entry(codec="fLaC", channels=channels, sample_rate=rate)
    raise MediaError(f"its audio is {kind.decode(errors='replace')!a}, which is not known here")


def _mpeg_audio(esds: bytes, channels: int, rate: int) -> Entry:
    kind, specific = _decoder(esds)
    if kind in _MP3_TYPES:
        return Entry(codec=audio.MP3, channels=channels, sample_rate=rate)
    sound = audio.parse_asc(specific)
    return Entry(codec=sound.codec, channels=sound.channels or channels, sample_rate=sound.sample_rate)


def _decoder(esds: bytes) -> tuple[int, bytes]:
    """Return the objectTypeIndication and the decoder specific information of an esds box (14496-1 7.2.6)."""
    at, kind = 4, 0
    while at < len(esds):
        tag, at = esds[at], at + 1
        length = 0
        while True:
            byte, at = number(esds, at, 1), at + 1
            length = length << 7 | byte & 127
            if not byte & 128:
                break
        if tag == 4:
            kind = number(esds, at, 1)
        if tag == 5:
            return kind, esds[at : at + length]
        at += _DESCRIPTOR.get(tag, length)
    return kind, b""


def _dolby_channels(kind: bytes, inner: dict[bytes, bytes]) -> int:
    """Return the channels that dac3 or dec3 tell (TS 102 366 annex F); the entry itself always says two."""
    if kind == b"ac-3" and len(inner.get(b"dac3", b"")) >= 3:
        bits = number(inner[b"dac3"], 0, 3)
        return audio.ac3_channels(bits >> 11 & 7, bits >> 10 & 1)
    if kind == b"ec-3" and len(inner.get(b"dec3", b"")) >= 4:
        bits = number(inner[b"dec3"], 2, 2)
        return audio.ac3_channels(bits >> 1 & 7, bits & 1)
    return 0


def _units(sample: bytes, length_size: int) -> Iterator[bytes]:
    at = 0
    while at + length_size < len(sample):
        length = int.from_bytes(sample[at : at + length_size], "big")
        yield sample[at + length_size : at + length_size + length]
        at += length_size + length
