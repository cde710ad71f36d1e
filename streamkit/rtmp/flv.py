"""FLV tags: writing them, and what an RTMP audio, video or data message is (FLV 10.1 annex E, Enhanced RTMP v2)."""

from enum import Enum, auto
from functools import cached_property

from streamkit.rtmp import chunks

AVC_CODEC, HEVC_CODEC = 7, 12  # 12 is what Chinese encoders agreed on before Enhanced RTMP
AAC_FORMAT, ENHANCED_AUDIO_FORMAT = 10, 9
_ENHANCED_VIDEO = 0x80
_METADATA_NAME = b"\x02\x00\x0aonMetaData"
_SET_DATA_FRAME = b"\x02\x00\x0d@setDataFrame"

VIDEO_CODECS = {2: "flv1", 3: "flashsv", 4: "vp6f", 5: "vp6a", 6: "flashsv2", AVC_CODEC: "h264", HEVC_CODEC: "hevc"}
"""FFmpeg's name for each CodecID (annex E.4.3.1)."""
AUDIO_CODECS = {
    0: "pcm_s16le",
    1: "adpcm_swf",
    2: "mp3",
    3: "pcm_s16le",
    4: "nellymoser",
    5: "nellymoser",
    6: "nellymoser",
    7: "pcm_alaw",
    8: "pcm_mulaw",
    AAC_FORMAT: "aac",
    11: "speex",
    14: "mp3",
}
"""FFmpeg's name for each SoundFormat (annex E.4.2.1)."""
VIDEO_FOURCCS = {
    b"avc1": "h264",
    b"hvc1": "hevc",
    b"vvc1": "vvc",
    b"av01": "av1",
    b"vp09": "vp9",
    b"vp08": "vp8",
}
AUDIO_FOURCCS = {b"mp4a": "aac", b"Opus": "opus", b"fLaC": "flac", b"ac-3": "ac3", b"ec-3": "eac3", b".mp3": "mp3"}


class TagKind(Enum):
    """What a message means to a decoder."""

    METADATA = auto()
    VIDEO_HEADER = auto()
    KEY_FRAME = auto()
    VIDEO_FRAME = auto()
    AUDIO_HEADER = auto()
    AUDIO_FRAME = auto()
    OTHER = auto()
    """Empty, unknown or of no use to a decoder (|RtmpSampleAccess, end of sequence, ...): not forwarded."""

    @cached_property
    def is_video(self) -> bool:
        """True for everything that needs a video decoder."""
        return self in (TagKind.VIDEO_HEADER, TagKind.KEY_FRAME, TagKind.VIDEO_FRAME)


_AUDIO_PACKETS = {0: TagKind.AUDIO_HEADER, 1: TagKind.AUDIO_FRAME}


def classify(type_id: int, payload: bytes) -> TagKind:
    """Return what the message is, from its first bytes; garbage is OTHER."""
    if type_id == chunks.VIDEO and len(payload) > 1:
        return _video_kind(payload)
    if type_id == chunks.AUDIO and len(payload) > 1:
        return _audio_kind(payload)
    if type_id == chunks.DATA and metadata_body(payload).startswith(_METADATA_NAME):
        return TagKind.METADATA
    return TagKind.OTHER


def _video_kind(payload: bytes) -> TagKind:
    first = payload[0]
    is_key = (first >> 4) & 7 in (1, 4)
    if first & _ENHANCED_VIDEO:
        packet = first & 15
        if packet == 0:
            return TagKind.VIDEO_HEADER
        if packet == 2:  # end of sequence
            return TagKind.OTHER
        return TagKind.KEY_FRAME if is_key and packet in (1, 3) else TagKind.VIDEO_FRAME
    if first & 15 not in VIDEO_CODECS or first >> 4 == 5:  # 5: a command for the player, no picture
        return TagKind.OTHER
    if first & 15 in (AVC_CODEC, HEVC_CODEC) and payload[1] != 1:
        return TagKind.VIDEO_HEADER if payload[1] == 0 else TagKind.OTHER
    return TagKind.KEY_FRAME if is_key else TagKind.VIDEO_FRAME


def composition_time(payload: bytes) -> int:
    """Return how many ms after its timestamp a coded picture is shown (annex E.4.3.1, Enhanced RTMP v2)."""
    first = payload[0]
    if first & _ENHANCED_VIDEO:
        has_it = first & 15 == 1 and payload[1:5] in (b"avc1", b"hvc1", b"vvc1")
        return int.from_bytes(payload[5:8], "big", signed=True) if has_it else 0
    return int.from_bytes(payload[2:5], "big", signed=True) if first & 15 in (AVC_CODEC, HEVC_CODEC) else 0


def marked(payload: bytes, *, is_key: bool) -> bytes:
    """Return the picture as one that is announced as a key frame, or as none; what is in it stays as it is."""
    first = payload[0] & 0x8F | (0x10 if is_key else 0x20)
    return payload if first == payload[0] else bytes((first,)) + payload[1:]


def _audio_kind(payload: bytes) -> TagKind:
    sound_format = payload[0] >> 4
    if sound_format == ENHANCED_AUDIO_FORMAT:
        return _AUDIO_PACKETS.get(payload[0] & 15, TagKind.OTHER)
    if sound_format == AAC_FORMAT:
        return _AUDIO_PACKETS.get(payload[1], TagKind.OTHER)
    return TagKind.AUDIO_FRAME if sound_format in AUDIO_CODECS else TagKind.OTHER


def needs_header(type_id: int, payload: bytes) -> bool:
    """Return whether frames of this frame's codec can only be decoded after a sequence header."""
    if type_id == chunks.VIDEO:
        return bool(payload[0] & _ENHANCED_VIDEO) or payload[0] & 15 in (AVC_CODEC, HEVC_CODEC)
    if payload[0] >> 4 == ENHANCED_AUDIO_FORMAT:
        return payload[1:5] not in (b".mp3", b"ac-3", b"ec-3")
    return payload[0] >> 4 == AAC_FORMAT


def metadata_body(payload: bytes) -> bytes:
    """Return a data message as a file holds it: without the @setDataFrame that publishers put before it."""
    return payload[len(_SET_DATA_FRAME) :] if payload.startswith(_SET_DATA_FRAME) else payload


def silence(milliseconds: int) -> bytes:
    """Return an audio payload that is silent for this long: PCM of 8 bits, 44.1 kHz, mono, which needs no header."""
    return b"\x3c" + b"\x80" * (milliseconds * 441 // 10)


def file_header(*, has_video: bool, has_audio: bool) -> bytes:
    """Return the FLV header and the first PreviousTagSize (annex E.2 and E.3)."""
    return b"FLV\x01" + bytes((has_video | has_audio << 2,)) + b"\x00\x00\x00\x09" + bytes(4)


def tag(type_id: int, timestamp: int, payload: bytes) -> tuple[bytes, bytes, bytes]:
    """Return one FLV tag: header, payload (uncopied), PreviousTagSize (annex E.4.1). `timestamp` in ms, modulo 2^32."""
    low, high = timestamp & 0xFFFFFF, timestamp >> 24 & 0xFF
    size = len(payload)
    head = (type_id << 24 | size).to_bytes(4, "big") + (low << 8 | high).to_bytes(4, "big") + b"\x00\x00\x00"
    return head, payload, (size + 11).to_bytes(4, "big")
