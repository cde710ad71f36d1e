"""flv_stream.py with an encoder that copies: which pictures it is told to begin a segment with."""

import pytest
from fakes.rtmp_kit import BOTH, VIDEO_HEADER, audio, audio_header, metadata, parse_flv, video, video_header

from streamkit.pace import Pace
from streamkit.rtmp import chunks
from streamkit.rtmp.chunks import RtmpMessage
from streamkit.rtmp.flv import composition_time, marked
from streamkit.rtmp.flv_stream import FlvStream

PACE = Pace(segment_duration=2.0)


def copying(*messages: RtmpMessage, pace: Pace | None = PACE) -> FlvStream:
    stream = FlvStream()
    for message in (metadata(BOTH), video_header(), audio_header()):
        stream.push(message)
    stream.conclude()
    stream.join(pace)
    for message in messages:
        stream.push(message)
    return stream


def key_frames(stream: FlvStream) -> list[int]:
    """Return the timestamps of the pictures that are marked as key frames."""
    _, tags = parse_flv(b"".join(stream.take()))
    return [at for kind, at, body in tags if kind == chunks.VIDEO and body != VIDEO_HEADER and body[0] >> 4 == 1]


def gop(start: int, end: int) -> list[RtmpMessage]:
    return [video(at, key=at == start) for at in range(start, end, 40)]


def test_key_frames_inside_a_segment_are_not_marked() -> None:
    stream = copying(*gop(0, 1000), *gop(1000, 2000), *gop(2000, 2400))
    assert key_frames(stream) == [0, 2000]


def test_an_encoder_that_decodes_gets_pictures_as_they_are() -> None:
    assert key_frames(copying(*gop(0, 1000), *gop(1000, 1400), pace=None)) == [0, 1000]


def test_a_segment_ends_without_a_key_frame_when_none_comes() -> None:
    stream = copying(*gop(0, 2000), *gop(2000, 9000))
    assert key_frames(stream) == [0, 2000, 4520, 7040]
    assert "no key frame came for 2.5 s" in stream.take_remark()


def test_what_was_kept_for_the_encoder_is_paced_too() -> None:
    stream = copying(pace=None)
    stream.leave()
    for message in (*gop(0, 1000), *gop(1000, 2000), *gop(2000, 2400)):
        stream.push(message)
    stream.join(PACE)
    assert key_frames(stream) == [0, 2000]


@pytest.mark.parametrize("returns_with_key", [True, False])
def test_pictures_behind_a_hole_are_for_the_next_run(*, returns_with_key: bool) -> None:
    stream = copying(*gop(0, 2000), *gop(2000, 3000), video(5500, key=returns_with_key), audio(5510))
    assert stream.has_changed
    assert stream.is_joined is not returns_with_key
    stream.push(video(6000, key=True))
    assert not stream.is_joined
    assert key_frames(stream) == [0, 2000], "for the encoder of before"
    stream.conclude()
    stream.join(Pace(segment_duration=2.0, target=3))
    assert key_frames(stream) == [0]


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"\x27\x01\x00\x00\x50data", 80),
        (b"\x27\x01\xff\xff\xd8data", -40),
        (b"\x91hvc1\x00\x00\x28data", 40),
        (b"\x93hvc1data", 0),
        (b"\x91av01data", 0),
        (b"\x24data", 0),
    ],
    ids=["AVC", "AVC before", "enhanced HEVC", "enhanced HEVC without", "AV1", "VP6"],
)
def test_the_time_of_showing_is_read_from_every_kind_of_picture(payload: bytes, expected: int) -> None:
    assert composition_time(payload) == expected


@pytest.mark.parametrize("payload", [b"\x27\x01rest", b"\x17\x01rest", b"\x91hvc1rest", b"\xa1hvc1rest"])
def test_a_mark_changes_nothing_but_the_kind_of_the_picture(payload: bytes) -> None:
    for is_key in (True, False):
        found = marked(payload, is_key=is_key)
        assert found[0] >> 4 & 7 == (1 if is_key else 2)
        assert found[0] & 0x8F == payload[0] & 0x8F
        assert found[1:] == payload[1:]
