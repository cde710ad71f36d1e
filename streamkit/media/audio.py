"""Audio headers: AAC (ISO 14496-3), MPEG audio layer III (ISO 11172-3), AC-3 and E-AC-3 (ETSI TS 102 366)."""

from dataclasses import dataclass
from fractions import Fraction

from streamkit.errors import MediaError
from streamkit.media.bits import Bits

MP3 = "mp4a.40.34"
AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
AAC_FRAME = 1024  # samples
_AAC_CHANNELS = (0, 1, 2, 3, 4, 5, 6, 8, 0, 0, 0, 7, 8, 0, 8, 0)
_SBR, _PS, _ESCAPE = 5, 29, 31  # audio object types
_SYNC_EXTENSION = 0x2B7
_MP3_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # by version
_AC3_RATES = (48000, 44100, 32000)
_AC3_CHANNELS = (2, 1, 2, 3, 3, 4, 4, 5)  # by acmod, without the low frequencies
_AC3_LAST = 10  # bitstream ids above are E-AC-3's


@dataclass(frozen=True, slots=True)
class Sound:
    """What an audio header says. `frame` is how many samples a frame holds, 0 when that is not needed."""

    codec: str
    channels: int
    sample_rate: int
    frame: int = 0

    @property
    def frame_length(self) -> Fraction:
        """Seconds of a frame."""
        return Fraction(self.frame, self.sample_rate)


def parse_adts(data: bytes) -> Sound:
    """Return what the ADTS header at the beginning says. SBR that is only in the frames is not seen: plain AAC."""
    if len(data) < 7 or data[0] != 0xFF or data[1] & 0xF6 != 0xF0:
        raise MediaError("the AAC in it has no ADTS header")
    rate, channels = data[2] >> 2 & 15, (data[2] & 1) << 2 | data[3] >> 6
    if rate >= len(AAC_RATES):
        raise MediaError("the AAC in it has an impossible sample rate")
    return Sound(f"mp4a.40.{(data[2] >> 6) + 1}", _AAC_CHANNELS[channels], AAC_RATES[rate], AAC_FRAME)


def count_adts(data: bytes) -> int:
    """Return how many ADTS frames begin in `data`, which begins with one."""
    at = count = 0
    while at + 7 <= len(data) and data[at] == 0xFF and data[at + 1] & 0xF6 == 0xF0:
        length = (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
        at, count = at + max(7, length), count + 1
    return count


def parse_asc(data: bytes) -> Sound:
    """Return what an AudioSpecificConfig says (1.6.2.1), SBR included when it is announced."""
    bits = Bits(data, "AAC configuration")
    kind, rate = _object_type(bits), _sample_rate(bits)
    channels = bits.read(4)
    if kind in (_SBR, _PS):
        return Sound(f"mp4a.40.{kind}", _AAC_CHANNELS[channels], _sample_rate(bits), 2 * AAC_FRAME)
    plain = Sound(f"mp4a.40.{kind}", _AAC_CHANNELS[channels], rate, AAC_FRAME)
    try:
        bits.read(3)  # GASpecificConfig of AAC LC: nothing follows its three flags
        if bits.read(11) == _SYNC_EXTENSION and _object_type(bits) == _SBR and bits.flag():
            return Sound(f"mp4a.40.{_SBR}", plain.channels, _sample_rate(bits), 2 * AAC_FRAME)
    except MediaError:
        return plain  # it ends without an extension
    return plain


def _object_type(bits: Bits) -> int:
    kind = bits.read(5)
    return 32 + bits.read(6) if kind == _ESCAPE else kind


def _sample_rate(bits: Bits) -> int:
    index = bits.read(4)
    if index == 15:
        return bits.read(24)
    if index >= len(AAC_RATES):
        raise MediaError("the AAC in it has an impossible sample rate")
    return AAC_RATES[index]


def parse_mp3(data: bytes) -> Sound:
    """Return what the header of an MPEG audio frame says."""
    if len(data) < 4 or data[0] != 0xFF or data[1] & 0xE0 != 0xE0:
        raise MediaError("the MPEG audio in it has no frame header")
    version, layer, rate = data[1] >> 3 & 3, data[1] >> 1 & 3, data[2] >> 2 & 3
    if layer != 1 or version not in _MP3_RATES or rate == 3:
        raise MediaError("the MPEG audio in it is not layer III")
    mono = data[3] >> 6 == 3
    return Sound(MP3, 1 if mono else 2, _MP3_RATES[version][rate], 1152 if version == 3 else 576)


def parse_ac3(data: bytes) -> Sound:
    """Return what the header of an AC-3 or E-AC-3 frame says."""
    if len(data) < 8 or data[:2] != b"\x0b\x77":
        raise MediaError("the AC-3 in it has no frame header")
    bits = Bits(data[2:8], "AC-3 header")
    if data[5] >> 3 > _AC3_LAST:
        bits.read(16)  # stream type, substream and frame size
        rate, blocks, mode, low = bits.read(2), bits.read(2), bits.read(3), bits.read(1)
        return Sound("ec-3", ac3_channels(mode, low), _ac3_rate(rate), (256, 512, 768, 1536)[blocks])
    bits.read(16)  # crc1
    rate = bits.read(2)
    bits.read(6 + 8)  # frame size, bitstream id and mode
    mode = bits.read(3)
    bits.read(2 * (mode & 1 and mode != 1) + 2 * bool(mode & 4) + 2 * (mode == 2))  # mix levels
    return Sound("ac-3", ac3_channels(mode, bits.read(1)), _ac3_rate(rate), 1536)


def ac3_channels(mode: int, low: int) -> int:
    """Return the channels of an acmod and lfeon."""
    return _AC3_CHANNELS[mode] + low


def _ac3_rate(index: int) -> int:
    if index >= len(_AC3_RATES):
        raise MediaError("the AC-3 in it has an unusual sample rate")
    return _AC3_RATES[index]
