"""HEVC: what a sequence parameter set says, and whether a picture is an IDR (H.265 7.3.1.2, 7.3.2.2, annex E)."""

from collections.abc import Iterable
from fractions import Fraction

from streamkit.errors import MediaError
from streamkit.media.bits import Bits, without_emulation
from streamkit.media.h264 import sample_aspect
from streamkit.media.info import Picture

SPS = 33
_IDR = (19, 20)
_LAST_SLICE = 31
_HEADER = 2  # bytes of a NAL unit's header
_MAX_SETS = 64
_WHAT = "HEVC sequence parameter set"


def unit_type(unit: bytes) -> int:
    """Return nal_unit_type."""
    return unit[0] >> 1 & 63


def find_sps(units: Iterable[bytes]) -> bytes | None:
    """Return the first sequence parameter set among NAL units."""
    return next((unit for unit in units if unit and unit_type(unit) == SPS), None)


def starts_with_idr(units: Iterable[bytes]) -> bool:
    """Return whether the first slice among the NAL units of a picture is that of an IDR, not of an open GOP (CRA)."""
    return next((unit_type(unit) for unit in units if unit and unit_type(unit) <= _LAST_SLICE), None) in _IDR


def codec(sps: bytes) -> str:
    """Return the codec as ISO 14496-15 E.3 writes it: profile, compatibility, tier with level, constraints."""
    level = without_emulation(sps[_HEADER:])[1:13]  # profile_tier_level(), after a byte of ids
    if len(level) < 12:
        raise MediaError(f"the {_WHAT} is cut off")
    return codec_of_profile(level)


def codec_of_profile(level: bytes) -> str:
    """Return the codec that the 12 bytes of a general profile_tier_level() stand for."""
    space, tier, profile = level[0] >> 6, level[0] >> 5 & 1, level[0] & 31
    compatibility = int(f"{int.from_bytes(level[1:5], 'big'):032b}"[::-1], 2)
    constraints = "".join(f".{byte:X}" for byte in level[5:11].rstrip(b"\x00"))
    return f"hvc1.{' ABC'[space].strip()}{profile}.{compatibility:X}.{'LH'[tier]}{level[11]}{constraints}"


def parse_sps(nal: bytes) -> Picture:
    """Return the picture that a sequence parameter set NAL unit describes. Raises MediaError when it is not one."""
    if len(nal) < 16 or unit_type(nal) != SPS:
        raise MediaError(f"the {_WHAT} is not one")
    bits = Bits(without_emulation(nal[_HEADER:]), _WHAT)
    bits.read(4)  # sps_video_parameter_set_id
    layers = bits.read(3)
    bits.read(1)
    _skip_profile(bits, layers)
    bits.unsigned()  # sps_seq_parameter_set_id
    chroma = bits.unsigned()
    separate = bits.read(1) if chroma == 3 else 0
    width, height = bits.unsigned(), bits.unsigned()
    if bits.flag():  # conformance_window_flag
        left, right, top, bottom = [bits.unsigned() for _ in range(4)]
        width -= (2 if chroma in (1, 2) and not separate else 1) * (left + right)
        height -= (2 if chroma == 1 and not separate else 1) * (top + bottom)
    if not (0 < width <= 16384 and 0 < height <= 16384):
        raise MediaError(f"the HEVC sequence header announces an impossible picture of {width}x{height}")
    try:
        aspect, fps = _usability(bits, layers)
    except MediaError:
        return Picture(width, height)
    return Picture(width, height, fps, aspect)


def _skip_profile(bits: Bits, layers: int) -> None:  # 7.3.3
    bits.read(96)
    present = [(bits.flag(), bits.flag()) for _ in range(layers)]
    if layers:
        bits.read(2 * (8 - layers))
    for profile, level in present:
        bits.read(88 * profile + 8 * level)


def _usability(bits: Bits, layers: int) -> tuple[Fraction, Fraction | None]:
    """Return the pixel's shape and the frames per second; reads all that stands before them."""
    bits.unsigned()  # bit_depth_luma_minus8
    bits.unsigned()  # bit_depth_chroma_minus8
    order_bits = bits.unsigned() + 4
    for _ in range(layers + 1 if bits.flag() else 1):
        bits.unsigned(), bits.unsigned(), bits.unsigned()
    for _ in range(6):  # block sizes and hierarchy depths
        bits.unsigned()
    if bits.flag() and bits.flag():
        _skip_scaling_lists(bits)
    bits.read(2)  # amp_enabled_flag, sample_adaptive_offset_enabled_flag
    if bits.flag():  # pcm_enabled_flag
        bits.read(8)
        bits.unsigned(), bits.unsigned()
        bits.read(1)
    _skip_reference_sets(bits)
    if bits.flag():  # long_term_ref_pics_present_flag
        for _ in range(_count(bits)):
            bits.read(order_bits + 1)
    bits.read(2)  # sps_temporal_mvp_enabled_flag, strong_intra_smoothing_enabled_flag
    if not bits.flag():
        return Fraction(1), None
    aspect = sample_aspect(bits)
    return aspect, _timing(bits)


def _skip_scaling_lists(bits: Bits) -> None:  # 7.3.4
    for size in range(4):
        for _ in range(2 if size == 3 else 6):
            if not bits.flag():
                bits.unsigned()
                continue
            if size > 1:
                bits.signed()
            for _ in range(min(64, 1 << 4 + 2 * size)):
                bits.signed()


def _skip_reference_sets(bits: Bits) -> None:
    """Read every st_ref_pic_set() (7.3.7); one may be told as changes of the one before it."""
    before: list[int] = []
    for index in range(_count(bits)):
        if index and bits.flag():  # inter_ref_pic_set_prediction_flag
            sign = -1 if bits.flag() else 1
            delta = sign * (bits.unsigned() + 1)
            kept = [picture + delta for picture in [*before, 0] if bits.flag() or bits.flag()]
            before = sorted((at for at in kept if at < 0), reverse=True) + sorted(at for at in kept if at > 0)
        else:
            earlier, later = _count(bits), _count(bits)
            before = _reference_set(bits, earlier, -1) + _reference_set(bits, later, 1)


def _reference_set(bits: Bits, count: int, sign: int) -> list[int]:
    found, at = [], 0
    for _ in range(count):
        at += sign * (bits.unsigned() + 1)
        bits.read(1)
        found.append(at)
    return found


def _count(bits: Bits) -> int:
    count = bits.unsigned()
    if count > _MAX_SETS:
        raise MediaError(f"the {_WHAT} holds an impossible number")
    return count


def _timing(bits: Bits) -> Fraction | None:  # E.2.1, after the aspect ratio
    if bits.flag():  # overscan_info_present_flag
        bits.read(1)
    if bits.flag():  # video_signal_type_present_flag
        bits.read(4)
        if bits.flag():
            bits.read(24)
    if bits.flag():  # chroma_loc_info_present_flag
        bits.unsigned(), bits.unsigned()
    bits.read(3)  # neutral chroma, field sequence, frame field info
    if bits.flag():  # default_display_window_flag
        for _ in range(4):
            bits.unsigned()
    if not bits.flag():
        return None
    tick, scale = bits.read(32), bits.read(32)
    return Fraction(scale, tick) if tick and scale else None
