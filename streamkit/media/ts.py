"""MPEG-TS (ISO 13818-1): the elementary streams of a segment, packet by packet of its PES."""

from dataclasses import dataclass, field
from fractions import Fraction

from streamkit.errors import MediaError
from streamkit.media import audio, h264, hevc
from streamkit.media.info import AudioInfo, MediaInfo, Timeline, VideoInfo

PACKET = 188
SYNC = 0x47
CLOCK = 90_000  # ticks of a PTS a second
_WRAP = 1 << 33
_KEPT = 1 << 16  # bytes of a picture: its parameter sets and first slice are at its beginning
_H264, _HEVC = 0x1B, 0x24
_VIDEO = (_H264, _HEVC)
_AAC, _MP3, _AC3 = (0x0F,), (0x03, 0x04), (0x81, 0x87)


@dataclass(slots=True)
class _Pes:
    pts: int
    data: bytearray


@dataclass(slots=True)
class _Stream:
    """An elementary stream; `kept` bounds the bytes of each packet that are remembered."""

    kind: int
    kept: int
    packets: list[_Pes] = field(default_factory=list)

    def begin(self, payload: bytes) -> None:
        """Take in the beginning of a PES packet; one without a PTS belongs to the one before it (2.4.3.7)."""
        if payload[:3] != b"\x00\x00\x01" or len(payload) < 9:
            raise MediaError("a PES packet in it has no start code")
        data = payload[9 + payload[8] :]
        if payload[7] & 0x80 and len(payload) >= 14:
            pts = (payload[9] >> 1 & 7) << 30 | int.from_bytes(payload[10:12], "big") >> 1 << 15
            self.packets.append(_Pes(self._unwrapped(pts | int.from_bytes(payload[12:14], "big") >> 1), bytearray()))
        self.add(data)

    def add(self, payload: bytes) -> None:
        if self.packets and len(self.packets[-1].data) < self.kept:
            self.packets[-1].data += payload

    def _unwrapped(self, pts: int) -> int:
        if self.packets:
            while pts < self.packets[-1].pts - _WRAP // 2:
                pts += _WRAP
        return pts


def read(data: bytes) -> MediaInfo:
    """Return what the beginning of a segment, or all of it, holds. Raises MediaError when it is no MPEG-TS."""
    streams = _streams(data)
    video = next((one for one in streams if one.kind in _VIDEO and one.packets), None)
    sound = next((one for one in streams if one.kind not in _VIDEO and one.packets), None)
    if video is None and sound is None:
        raise MediaError("it holds neither video nor audio that can be read")
    return MediaInfo(
        video=None if video is None else _video(video),
        audio=None if sound is None else _audio(sound),
        is_complete=all(one.packets for one in streams),
        announces_video=any(one.kind in _VIDEO for one in streams),
        announces_audio=any(one.kind not in _VIDEO for one in streams),
    )


def _streams(data: bytes) -> list[_Stream]:
    """Return the elementary streams of the first program, in the order of its map."""
    maps: set[int] = set()
    streams: dict[int, _Stream] = {}
    for at in range(0, len(data) - PACKET + 1, PACKET):
        if data[at] != SYNC:
            raise MediaError(f"no MPEG-TS packet begins at byte {at}")
        pid, control = (data[at + 1] & 0x1F) << 8 | data[at + 2], data[at + 3]
        if not control & 0x10:  # no payload
            continue
        start = at + 4 + (1 + data[at + 4] if control & 0x20 else 0)
        payload, begins = data[start : at + PACKET], bool(data[at + 1] & 0x40)
        if pid == 0 and begins:
            maps |= _programs(payload)
        elif pid in maps and begins:
            for found, kind in _program_map(payload).items():
                streams.setdefault(found, _Stream(kind, _KEPT))
        elif pid in streams:
            streams[pid].begin(payload) if begins else streams[pid].add(payload)
    return list(streams.values())


def _section(payload: bytes) -> bytes:
    """Return a PSI section's bytes from its length on, without its checksum (2.4.4)."""
    start = 1 + payload[0] if payload else 0
    length = int.from_bytes(payload[start + 1 : start + 3], "big") & 0xFFF
    return payload[start + 3 : start + 3 + length - 4]


def _programs(payload: bytes) -> set[int]:
    body = _section(payload)[5:]
    entries = [body[at : at + 4] for at in range(0, len(body) - 3, 4)]
    return {int.from_bytes(one[2:], "big") & 0x1FFF for one in entries if one[:2] != b"\x00\x00"}


def _program_map(payload: bytes) -> dict[int, int]:
    """Return the stream types by PID."""
    body, found = _section(payload), dict[int, int]()
    at = 9 + (int.from_bytes(body[7:9], "big") & 0xFFF)
    while at + 5 <= len(body):
        kind, pid = body[at], int.from_bytes(body[at + 1 : at + 3], "big") & 0x1FFF
        if kind in (*_VIDEO, *_AAC, *_MP3, *_AC3):
            found[pid] = kind
        at += 5 + (int.from_bytes(body[at + 3 : at + 5], "big") & 0xFFF)
    return found


def _video(stream: _Stream) -> VideoInfo:
    units = _units(bytes(stream.packets[0].data))
    is_h264 = stream.kind == _H264
    sps = h264.find_sps(units) if is_h264 else hevc.find_sps(units)
    if sps is None:
        raise MediaError("its first picture has no sequence parameter set")
    picture = h264.parse_sps(sps) if is_h264 else hevc.parse_sps(sps)
    times = _times(stream)
    step = 1 / (Timeline(times=times, end=times[0]).rate or picture.fps or Fraction(CLOCK))
    return VideoInfo(
        codec=h264.codec(sps) if is_h264 else hevc.codec(sps),
        picture=picture,
        timeline=Timeline(times=times, end=max(times) + step),
        starts_with_idr=h264.starts_with_idr(units) if is_h264 else hevc.starts_with_idr(units),
    )


def _units(data: bytes) -> list[bytes]:
    """Return the NAL units of a byte stream (H.264 annex B)."""
    return [part.rstrip(b"\x00") for part in data.split(b"\x00\x00\x01")[1:] if part]


def _audio(stream: _Stream) -> AudioInfo:
    first, last, times = bytes(stream.packets[0].data), bytes(stream.packets[-1].data), _times(stream)
    if stream.kind in _AAC:
        sound = audio.parse_adts(first)
        length = audio.count_adts(last) * sound.frame_length
    else:
        sound = audio.parse_mp3(first) if stream.kind in _MP3 else audio.parse_ac3(first)
        before = sum(len(packet.data) for packet in stream.packets[:-1])
        length = (times[-1] - times[0]) * len(last) / before if before else sound.frame_length  # constant bit rate
    return AudioInfo(
        codec=sound.codec,
        channels=sound.channels,
        sample_rate=sound.sample_rate,
        timeline=Timeline(times=times, end=max(times) + length),
    )


def _times(stream: _Stream) -> tuple[Fraction, ...]:
    return tuple(Fraction(packet.pts, CLOCK) for packet in stream.packets)
