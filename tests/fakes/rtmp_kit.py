"""What the pure RTMP tests build their input from."""

from streamkit.rtmp import amf0, chunks
from streamkit.rtmp.chunks import RtmpMessage

AVC_720P25 = bytes.fromhex("0142c01fffe100176742c01fda014016ec0440000003004000000ca3c60ca801000468ce0fc8")
AAC_48000_STEREO = bytes.fromhex("1190")
VIDEO_HEADER = b"\x17\x00\x00\x00\x00" + AVC_720P25
AUDIO_HEADER = b"\xaf\x00" + AAC_48000_STEREO
BOTH = {"width": 1280, "height": 720, "framerate": 25, "videocodecid": 7, "videodatarate": 2500, "audiocodecid": 10}


def video(timestamp: int, payload: bytes = b"picture", *, key: bool = False) -> RtmpMessage:
    head = b"\x17\x01\x00\x00\x00" if key else b"\x27\x01\x00\x00\x00"
    return RtmpMessage(chunks.VIDEO, 1, timestamp, head + payload)


def audio(timestamp: int, payload: bytes = b"sound") -> RtmpMessage:
    return RtmpMessage(chunks.AUDIO, 1, timestamp, b"\xaf\x01" + payload)


def video_header(payload: bytes = VIDEO_HEADER, timestamp: int = 0) -> RtmpMessage:
    return RtmpMessage(chunks.VIDEO, 1, timestamp, payload)


def audio_header(payload: bytes = AUDIO_HEADER) -> RtmpMessage:
    return RtmpMessage(chunks.AUDIO, 1, 0, payload)


def metadata(properties: dict[str, amf0.AmfValue], *, from_publisher: bool = True) -> RtmpMessage:
    name: list[amf0.AmfValue] = ["@setDataFrame"] if from_publisher else []
    return RtmpMessage(chunks.DATA, 1, 0, amf0.encode(*name, "onMetaData", properties))


def parse_flv(data: bytes) -> tuple[int, list[tuple[int, int, bytes]]]:
    """Return the header's flags and every whole tag as (type, timestamp, payload), checking each size that is there."""
    assert data[:4] == b"FLV\x01"
    assert data[5:13] == bytes((0, 0, 0, 9, 0, 0, 0, 0))
    tags, position = [], 13
    while position < len(data):
        size = int.from_bytes(data[position + 1 : position + 4], "big")
        timestamp = int.from_bytes(data[position + 4 : position + 7], "big") | data[position + 7] << 24
        end = position + 11 + size
        assert int.from_bytes(data[end : end + 4], "big") == size + 11
        tags.append((data[position], timestamp, data[position + 11 : end]))
        position = end + 4
    return data[4], tags
