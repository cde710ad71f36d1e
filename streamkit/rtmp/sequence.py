"""The picture that the sequence header of a codec announces: the configuration records of ISO 14496-15 and AV1."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from streamkit.errors import MediaError, SourceError
from streamkit.media import av1, h264, hevc
from streamkit.media.info import Picture

_HEVC_ARRAYS = 22  # bytes before numOfArrays (ISO 14496-15 8.3.3.1.2)


def parse_avc_config(record: bytes) -> Picture:
    """Return the picture of an AVCDecoderConfigurationRecord's first SPS. Raises SourceError on anything else."""
    if len(record) < 8 or record[0] != 1 or record[5] & 31 == 0:
        raise SourceError("the H.264 sequence header holds no sequence parameter set")
    length = int.from_bytes(record[6:8], "big")
    sps = record[8 : 8 + length]
    if len(sps) != length or length < 4:
        raise SourceError("the H.264 sequence header is cut off")
    return _picture(h264.parse_sps, sps)


def parse_hevc_config(record: bytes) -> Picture:
    """Return the picture of an HEVCDecoderConfigurationRecord's first SPS. Raises SourceError on anything else."""
    sps = hevc.find_sps(_hevc_units(record))
    if sps is None:
        raise SourceError("the HEVC sequence header holds no sequence parameter set")
    return _picture(hevc.parse_sps, sps)


def parse_av1_config(record: bytes) -> Picture:
    """Return the picture of an AV1CodecConfigurationRecord's sequence header. Raises SourceError on anything else."""
    return _picture(av1.parse_config, record)


PARSERS: Mapping[str, Callable[[bytes], Picture]] = MappingProxyType(
    {"h264": parse_avc_config, "hevc": parse_hevc_config, "av1": parse_av1_config}
)


def _picture(parse: Callable[[bytes], Picture], data: bytes) -> Picture:
    try:
        return parse(data)
    except MediaError as error:
        raise SourceError(str(error)) from None


def _hevc_units(record: bytes) -> list[bytes]:
    """Return every NAL unit that the record holds whole."""
    units, at = [], _HEVC_ARRAYS + 1
    for _ in range(record[_HEVC_ARRAYS] if len(record) > _HEVC_ARRAYS else 0):
        count, at = int.from_bytes(record[at + 1 : at + 3], "big"), at + 3
        for _ in range(min(count, 64)):
            length = int.from_bytes(record[at : at + 2], "big")
            units.append(record[at + 2 : at + 2 + length])
            at += 2 + length
    return units
