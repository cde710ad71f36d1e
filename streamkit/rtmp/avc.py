"""The picture size and frame rate that an H.264 sequence header announces (ISO 14496-15 5.3.3.1)."""

from streamkit.errors import MediaError, SourceError
from streamkit.media import h264
from streamkit.media.info import Picture


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
    try:
        return h264.parse_sps(nal)
    except MediaError as error:
        raise SourceError(str(error)) from None
