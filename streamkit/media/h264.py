"""H.264: what a sequence parameter set says, and whether a picture is an IDR (H.264 7.3.1, 7.3.2.1.1, annex E)."""

from collections.abc import Iterable
from fractions import Fraction

from streamkit.errors import MediaError
from streamkit.media.bits import Bits, without_emulation
from streamkit.media.info import Picture

_SPS, _IDR = 7, 5
_SLICES = (1, 2, 3, 4, 5)
_MAX_SPS = 4096
_MAX_SIZE = 16384
_WHAT = "H.264 sequence parameter set"
# profile_idc values whose SPS carries the chroma format (H.264 7.3.2.1.1)
_CHROMA_PROFILES = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135}
EXTENDED_ASPECT = 255
_ASPECTS = ((1, 1), (12, 11), (10, 11), (16, 11), (40, 33), (24, 11), (20, 11), (32, 11), (80, 33), (18, 11), (15, 11),
            (64, 33), (160, 99), (4, 3), (3, 2), (2, 1))  # table E-1, from 1 on; HEVC has the same  # fmt: skip


def find_sps(units: Iterable[bytes]) -> bytes | None:
    """Return the first sequence parameter set among NAL units."""
    return next((unit for unit in units if unit and unit[0] & 31 == _SPS), None)


def codec(sps: bytes) -> str:
    """Return the codec as RFC 6381 writes it: profile, constraint flags and level in hexadecimal."""
    return f"avc1.{sps[1:4].hex().upper()}"


def starts_with_idr(units: Iterable[bytes]) -> bool:
    """Return whether the first slice among the NAL units of a picture is that of an IDR."""
    return next((unit[0] & 31 for unit in units if unit and unit[0] & 31 in _SLICES), None) == _IDR


def parse_sps(nal: bytes) -> Picture:
    """Return the picture that a sequence parameter set NAL unit describes. Raises MediaError when it is not one."""
    if not 4 <= len(nal) <= _MAX_SPS or nal[0] & 31 != _SPS:
        raise MediaError(f"the {_WHAT} is not one")
    bits = Bits(without_emulation(nal[1:]), _WHAT)
    profile = bits.read(8)
    bits.read(16)  # constraint flags and level
    bits.unsigned()  # seq_parameter_set_id
    chroma = _chroma_format(bits) if profile in _CHROMA_PROFILES else 1
    _skip_frame_numbering(bits)
    width_in_macroblocks = bits.unsigned() + 1
    height_in_map_units = bits.unsigned() + 1
    frame_only = bits.read(1)
    if not frame_only:
        bits.read(1)  # mb_adaptive_frame_field_flag
    bits.read(1)  # direct_8x8_inference_flag
    left, right, top, bottom = [bits.unsigned() for _ in range(4)] if bits.read(1) else [0, 0, 0, 0]
    crop_x = 2 if chroma in (1, 2) else 1
    crop_y = (2 if chroma == 1 else 1) * (2 - frame_only)
    width = width_in_macroblocks * 16 - crop_x * (left + right)
    height = (2 - frame_only) * height_in_map_units * 16 - crop_y * (top + bottom)
    if not (0 < width <= _MAX_SIZE and 0 < height <= _MAX_SIZE):
        raise MediaError(f"the H.264 sequence header announces an impossible picture of {width}x{height}")
    if not bits.read(1):
        return Picture(width, height, may_be_interlaced=not frame_only, profile=profile)
    aspect, fps = _usability(bits)
    return Picture(width, height, fps, aspect, may_be_interlaced=not frame_only, profile=profile)


def _chroma_format(bits: Bits) -> int:
    """Return ChromaArrayType, and leave `bits` after the scaling matrices."""
    chroma = bits.unsigned()
    separate = bits.read(1) if chroma == 3 else 0
    bits.unsigned()  # bit_depth_luma_minus8
    bits.unsigned()  # bit_depth_chroma_minus8
    bits.read(1)  # qpprime_y_zero_transform_bypass_flag
    if bits.read(1):
        for index in range(12 if chroma == 3 else 8):
            if bits.read(1):
                _skip_scaling_list(bits, 16 if index < 6 else 64)
    return 0 if separate else chroma


def _skip_scaling_list(bits: Bits, size: int) -> None:  # 7.3.2.1.1.1
    last, following = 8, 8
    for _ in range(size):
        if following:
            following = (last + bits.signed()) % 256
        last = following or last


def _skip_frame_numbering(bits: Bits) -> None:
    """Read from log2_max_frame_num_minus4 to gaps_in_frame_num_value_allowed_flag."""
    bits.unsigned()
    order_type = bits.unsigned()
    if order_type == 0:
        bits.unsigned()
    elif order_type == 1:
        bits.read(1)
        bits.signed()
        bits.signed()
        for _ in range(min(bits.unsigned(), 256)):
            bits.signed()
    bits.unsigned()  # max_num_ref_frames
    bits.read(1)


def sample_aspect(bits: Bits) -> Fraction:
    """Return the shape of a pixel, from aspect_ratio_info_present_flag on (E.1.1); 1 when it is not known."""
    if not bits.flag():
        return Fraction(1)
    index = bits.read(8)
    if index == EXTENDED_ASPECT:
        width, height = bits.read(16), bits.read(16)
    else:
        width, height = _ASPECTS[index - 1] if 1 <= index <= len(_ASPECTS) else (1, 1)
    return Fraction(width, height) if width and height else Fraction(1)


def _usability(bits: Bits) -> tuple[Fraction, Fraction | None]:
    """Return the pixel's shape and the frames per second of the VUI (E.1.1); what is cut off is not known."""
    aspect = Fraction(1)
    try:
        aspect = sample_aspect(bits)
        return aspect, _timing(bits)
    except MediaError:
        return aspect, None


def _timing(bits: Bits) -> Fraction | None:
    """Return frames per second: two ticks a frame."""
    if bits.flag():  # overscan_info_present_flag
        bits.read(1)
    if bits.flag():  # video_signal_type_present_flag
        bits.read(4)
        if bits.flag():
            bits.read(24)
    if bits.flag():  # chroma_loc_info_present_flag
        bits.unsigned()
        bits.unsigned()
    if not bits.flag():
        return None
    tick, scale = bits.read(32), bits.read(32)
    return Fraction(scale, 2 * tick) if tick and scale else None
