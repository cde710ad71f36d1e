"""The picture size and frame rate that an H.264 sequence header announces (ISO 14496-15 5.3.3.1, H.264 7.3.2.1.1)."""

from dataclasses import dataclass
from fractions import Fraction

from streamkit.errors import SourceError

_MAX_SPS = 4096
_MAX_SIZE = 16384
# profile_idc values whose SPS carries the chroma format (H.264 7.3.2.1.1)
_CHROMA_PROFILES = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135}
_EXTENDED_SAR = 255


@dataclass(frozen=True, slots=True)
class Picture:
    """Size in pixels after cropping; `fps` is None when the header carries no timing."""

    width: int
    height: int
    fps: Fraction | None


def parse_config(record: bytes) -> Picture:
    """Return the picture of an AVCDecoderConfigurationRecord's first SPS. Raises SourceError on anything else."""
    if len(record) < 8 or record[0] != 1 or record[5] & 31 == 0:
        raise SourceError("the H.264 sequence header holds no sequence parameter set")
    length = int.from_bytes(record[6:8], "big")
    sps = record[8 : 8 + length]
    if len(sps) != length or length < 4:
        raise SourceError("the H.264 sequence header is cut off")
    return parse_sps(sps)


def parse_sps(nal: bytes) -> Picture:
    """Return the picture that a sequence parameter set NAL unit describes. Raises SourceError when it is not one."""
    if not 4 <= len(nal) <= _MAX_SPS or nal[0] & 31 != 7:
        raise SourceError("the H.264 sequence parameter set is not one")
    bits = _Bits(nal[1:].replace(b"\x00\x00\x03", b"\x00\x00"))  # emulation prevention, 7.3.1
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
        raise SourceError(f"the H.264 sequence header announces an impossible picture of {width}x{height}")
    return Picture(width, height, _timing(bits) if bits.read(1) else None)


def _chroma_format(bits: "_Bits") -> int:
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


def _skip_scaling_list(bits: "_Bits", size: int) -> None:  # 7.3.2.1.1.1
    last, following = 8, 8
    for _ in range(size):
        if following:
            following = (last + bits.signed()) % 256
        last = following or last


def _skip_frame_numbering(bits: "_Bits") -> None:
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


def _timing(bits: "_Bits") -> Fraction | None:
    """Return frames per second from the VUI (annex E.1.1): two ticks a frame. None without timing, or cut off."""
    try:
        if bits.read(1) and bits.read(8) == _EXTENDED_SAR:
            bits.read(32)
        if bits.read(1):  # overscan_info_present_flag
            bits.read(1)
        if bits.read(1):  # video_signal_type_present_flag
            bits.read(4)
            if bits.read(1):
                bits.read(24)
        if bits.read(1):  # chroma_loc_info_present_flag
            bits.unsigned()
            bits.unsigned()
        if not bits.read(1):
            return None
        tick, scale = bits.read(32), bits.read(32)
    except SourceError:
        return None
    return Fraction(scale, 2 * tick) if tick and scale else None


class _Bits:
    """Reads bits and Exp-Golomb codes (9.1), most significant bit first; SourceError past the end."""

    def __init__(self, data: bytes) -> None:
        self._number, self._left = int.from_bytes(data, "big"), len(data) * 8

    def read(self, count: int) -> int:
        if count > self._left:
            raise SourceError("the H.264 sequence parameter set is cut off")
        self._left -= count
        return self._number >> self._left & ((1 << count) - 1)

    def unsigned(self) -> int:
        zeros = 0
        while not self.read(1):
            zeros += 1
            if zeros > 32:
                raise SourceError("the H.264 sequence parameter set holds an impossible number")
        return (1 << zeros) - 1 + self.read(zeros)

    def signed(self) -> int:
        code = self.unsigned()
        return (code + 1) // 2 if code & 1 else -(code // 2)
