"""MPEG-TS written by hand, so that one thing at a time can be wrong in it."""

from fakes.rtmp_kit import AVC_720P25

SPS = AVC_720P25[8 : 8 + int.from_bytes(AVC_720P25[6:8], "big")]
START = b"\x00\x00\x00\x01"
AAC_FRAME = 1024 / 48000


def segment(
    first: float = 1.0, *, frames: int = 25, fps: float = 25.0, idr: bool = True, sps: bytes = SPS,
    audio: float | None = 0.0, announced: bool = False, padding: int = 100,
) -> bytes:  # fmt: skip
    """Return a segment of H.264, and AAC that begins `audio` seconds later; None: without, `announced` or not."""
    length = frames / fps
    pat = _section(0, b"\x00\x01\xe1\x00")
    streams = b"\x1b\xe1\x01\xf0\x00" + (b"" if audio is None and not announced else b"\x0f\xe1\x02\xf0\x00")
    data = _packets(0, pat) + _packets(0x100, _section(2, b"\xe1\x01\xf0\x00" + streams))
    for number in range(frames):
        head = START + b"\x09\xf0" + (START + sps + START + b"\x68\xee\x3c\x80" if number == 0 else b"")
        slice_type = b"\x65" if number == 0 and idr else b"\x41"
        data += _packets(0x101, _pes(0xE0, first + number / fps, head + START + slice_type + b"\x88" * padding))
    if audio is not None:
        for number in range(round(length / AAC_FRAME)):
            data += _packets(0x102, _pes(0xC0, first + audio + number * AAC_FRAME, _adts(b"\x21" * 20)))
    return data


def _section(table: int, body: bytes) -> bytes:
    whole = b"\x00\x01\xc1\x00\x00" + body + b"\x00\x00\x00\x00"  # the checksum is not looked at
    return b"\x00" + bytes([table, 0xB0 | len(whole) >> 8, len(whole) & 255]) + whole


def _pes(stream: int, seconds: float, data: bytes) -> bytes:
    pts = round(seconds * 90_000) % (1 << 33)
    stamp = bytes([0x21 | pts >> 29 & 0x0E, pts >> 22 & 255, pts >> 14 & 254 | 1, pts >> 7 & 255, pts << 1 & 254 | 1])
    return b"\x00\x00\x01" + bytes([stream]) + b"\x00\x00\x80\x80\x05" + stamp + data


def _adts(data: bytes) -> bytes:
    length = len(data) + 7
    return bytes([0xFF, 0xF1, 0x4C, 0x80 | length >> 11, length >> 3 & 255, (length & 7) << 5 | 31, 0xFC]) + data


def _packets(pid: int, data: bytes) -> bytes:
    packets, begins = b"", 0x40
    while data:
        part, data = data[:184], data[184:]
        head = bytes([0x47, begins | pid >> 8, pid & 255])
        stuffing = 184 - len(part)
        if not stuffing:
            packets += head + b"\x10" + part
        else:
            field = b"" if stuffing == 1 else b"\x00" + b"\xff" * (stuffing - 2)
            packets += head + b"\x30" + bytes([stuffing - 1]) + field + part
        begins = 0
    return packets
