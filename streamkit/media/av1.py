"""AV1: the picture size that a sequence header OBU announces (AV1 bitstream specification 5.3, 5.5)."""

from fractions import Fraction

from streamkit.errors import MediaError
from streamkit.media.bits import Bits
from streamkit.media.info import Picture

_SEQUENCE_HEADER = 1
_WHAT = "AV1 sequence header"


def parse_config(record: bytes) -> Picture:
    """Return the picture of an AV1CodecConfigurationRecord (AV1 in ISO BMFF 2.3). Raises MediaError on another."""
    if len(record) < 4 or record[0] != 0x81:
        raise MediaError(f"the {_WHAT} is not one")
    return parse_sequence_header(_sequence_header(record[4:]))


def parse_sequence_header(payload: bytes) -> Picture:
    """Return the picture of a sequence header OBU's payload; `fps` when all frames last equally long."""
    bits = Bits(payload, _WHAT)
    bits.read(4)  # seq_profile, still_picture
    fps = None
    if bits.flag():  # reduced_still_picture_header
        bits.read(5)
    else:
        fps = _skip_operating_points(bits)
    width_bits, height_bits = bits.read(4) + 1, bits.read(4) + 1
    return Picture(bits.read(width_bits) + 1, bits.read(height_bits) + 1, fps)


def _skip_operating_points(bits: Bits) -> Fraction | None:
    """Read from timing_info_present_flag to the last operating point; return the frame rate, None if it varies."""
    fps, delay_bits = None, 0
    if bits.flag():  # timing_info_present_flag
        tick, scale = bits.read(32), bits.read(32)
        if bits.flag():  # equal_picture_interval
            fps = Fraction(scale, tick * (bits.unsigned() + 1)) if tick and scale else None
        if bits.flag():  # decoder_model_info_present_flag
            delay_bits = bits.read(5) + 1
            bits.read(42)
    has_display_delay = bits.flag()
    for _ in range(bits.read(5) + 1):
        bits.read(12)  # operating_point_idc
        if bits.read(5) > 7:  # seq_level_idx
            bits.read(1)
        if delay_bits and bits.flag():
            bits.read(2 * delay_bits + 1)
        if has_display_delay and bits.flag():
            bits.read(4)
    return fps


def _sequence_header(units: bytes) -> bytes:
    """Return the payload of the first sequence header among OBUs."""
    at = 0
    while at < len(units):
        header = units[at]
        at += 2 if header & 4 else 1  # obu_extension_flag
        size, at = _leb128(units, at) if header & 2 else (len(units) - at, at)  # obu_has_size_field
        if header >> 3 & 15 == _SEQUENCE_HEADER:
            return units[at : at + size]
        at += size
    raise MediaError(f"there is no {_WHAT}")


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    """Return a number and the index behind it (4.10.5)."""
    number = 0
    for index in range(8):
        if at + index >= len(data):
            break
        number |= (data[at + index] & 127) << 7 * index
        if not data[at + index] & 128:
            return number, at + index + 1
    raise MediaError(f"the {_WHAT} is cut off")
