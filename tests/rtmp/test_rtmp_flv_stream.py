"""flv_stream.py and gop.py: what an encoder gets, whenever it joins."""

from dataclasses import replace
from fractions import Fraction

import pytest
from fakes.rtmp_kit import (
    AUDIO_HEADER,
    AVC_720P25,
    BOTH,
    VIDEO_HEADER,
    audio,
    audio_header,
    metadata,
    parse_flv,
    video,
    video_header,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from streamkit.errors import SourceError
from streamkit.rtmp import chunks
from streamkit.rtmp.chunks import RtmpMessage
from streamkit.rtmp.clocks import SILENT_AFTER
from streamkit.rtmp.flv_stream import FlvStream
from streamkit.rtmp.gop import MAX_BYTES, MAX_SPAN, Frame, GopBuffer
from streamkit.types import AudioSource, SourceInfo, VideoSource

DAY = 86_400_000
OTHER_HEADER = VIDEO_HEADER + b"\x00"


def stream_of(*messages: RtmpMessage, headers: bool = True) -> FlvStream:
    stream = FlvStream()
    for message in [metadata(BOTH), video_header(), audio_header()] if headers else []:
        stream.push(message)
    for message in messages:
        stream.push(message)
    return stream


def taken(stream: FlvStream) -> list[tuple[int, int, bytes]]:
    """Return the tags that a joined encoder got, without FLV header, metadata and sequence headers."""
    _, tags = parse_flv(b"".join(stream.take()))
    return [tag for tag in tags if tag[0] != chunks.DATA and tag[2] not in (VIDEO_HEADER, AUDIO_HEADER)]


def stamps(stream: FlvStream) -> list[tuple[int, int]]:
    return [(type_id, timestamp) for type_id, timestamp, _ in taken(stream)]


def test_an_encoder_gets_header_metadata_sequence_headers_and_then_media() -> None:
    stream = stream_of(video(100, key=True), audio(110), video(140))
    stream.join()
    flags, tags = parse_flv(b"".join(stream.take()))
    assert flags == 5
    assert tags[0][:2] == (chunks.DATA, 0)
    assert tags[0][2].startswith(b"\x02\x00\x0aonMetaData")
    assert [payload for _, _, payload in tags[1:3]] == [VIDEO_HEADER, AUDIO_HEADER]
    assert [tag[:2] for tag in tags[3:]] == [(9, 0), (8, 10), (9, 40)]
    stream.push(video(180))
    assert b"".join(stream.take())[11:-4] == video(180).payload


def test_nothing_before_the_first_key_frame_reaches_the_encoder() -> None:
    stream = stream_of(audio(0), video(10), audio(20), video(50, key=True), audio(45), audio(60))
    stream.join()
    assert stamps(stream) == [(9, 0), (8, 10)]


def test_audio_from_before_the_video_header_is_dropped() -> None:
    stream = stream_of(audio_header(), audio(0), audio(23), headers=False)
    for message in (video_header(), audio(46), video(50, key=True), audio(69)):
        stream.push(message)
    stream.join()
    assert stamps(stream) == [(9, 0), (8, 19)]


@pytest.mark.parametrize(
    ("properties", "messages", "flags", "expected"),
    [
        ({"audiocodecid": 10}, [audio_header(), audio(1000), audio(1023)], 4, [(8, 0), (8, 23)]),
        ({"videocodecid": 7, "width": 1}, [video_header(), video(5, key=True), video(45)], 1, [(9, 0), (9, 40)]),
    ],
    ids=["audio only", "video only"],
)
def test_one_medium_alone_begins_at_once(properties, messages, flags, expected) -> None:
    stream = stream_of(metadata(properties), *messages, headers=False)
    stream.conclude()
    stream.join()
    pieces = stream.take()
    assert parse_flv(b"".join(pieces))[0] == flags
    stream.join()
    for message in messages[1:]:
        stream.push(message)
    assert stamps(stream) == expected


def test_the_source_is_described_by_its_headers() -> None:
    assert stream_of().conclude() == SourceInfo(
        video=VideoSource(codec="h264", width=1280, height=720, fps=Fraction(25), profile=66),
        audio=AudioSource(codec="aac", sample_rate=48000, channels=2),
        video_bitrate=2_500_000,
    )


def test_there_is_no_source_without_a_header() -> None:
    assert stream_of(video(0, key=True), audio(0), headers=False).conclude() is None


def test_a_broken_header_is_a_source_error() -> None:
    with pytest.raises(SourceError):
        stream_of(video_header(b"\x17\x00\x00\x00\x00garbage"), headers=False).conclude()


def test_an_unannounced_frame_rate_is_measured() -> None:
    header = b"\x1c\x00\x00\x00\x00x"
    size = metadata({"width": 640, "height": 360})
    frames = [RtmpMessage(9, 1, number * 20, b"\x1c\x01\x00\x00\x00x") for number in range(12)]
    source = stream_of(size, video_header(header), *frames, headers=False).conclude()
    assert source is not None
    assert source.video == VideoSource(codec="hevc", width=640, height=360, fps=Fraction(50))


def test_audio_that_begins_late_is_taken_in_from_the_next_key_frame_on() -> None:
    stream = stream_of(metadata({"videocodecid": 7}), video_header(), video(0, key=True), headers=False)
    before = stream.conclude()
    stream.join()
    for message in (audio_header(), video(40), audio(45), video(80, key=True), audio(85), video(120)):
        stream.push(message)
    assert stamps(stream) == [(9, 0), (9, 40)], "the encoder of the picture alone gets all of it, and nothing else"
    assert not stream.is_joined
    after = stream.conclude()
    assert before is not None
    assert after == replace(before, audio=AudioSource(codec="aac", sample_rate=48000, channels=2))
    stream.join()
    assert stamps(stream) == [(9, 0), (8, 5), (9, 40)]


def test_video_that_begins_late_is_taken_in_from_its_first_key_frame_on() -> None:
    stream = stream_of(audio_header(), audio(0), headers=False)
    stream.conclude()
    stream.join()
    for message in (audio(20), video_header(), audio(40), video(50), video(60, key=True), audio(65)):
        stream.push(message)
    assert stamps(stream) == [(8, 0), (8, 20), (8, 40)]
    source = stream.conclude()
    assert source is not None
    assert source.video is not None
    stream.join()
    assert stamps(stream) == [(9, 0), (8, 5)]


def test_audio_that_falls_silent_is_no_part_of_the_source_until_it_is_heard_again() -> None:
    stream = stream_of(video(0, key=True), audio(5))
    stream.conclude()
    stream.join()
    last = send_video(stream, 40, SILENT_AFTER + 200)
    source = stream.conclude()
    assert source is not None
    assert source.audio is None
    assert not stream.is_joined
    stream.join()
    stream.push(audio(last))
    stream.push(video(last + 40, key=True))
    assert not stream.is_joined
    source = stream.conclude()
    assert source is not None
    assert source.audio is not None


def test_video_that_falls_silent_leaves_the_audio() -> None:
    stream = stream_of(video(0, key=True))
    stream.conclude()
    stream.join()
    for stamp in range(0, SILENT_AFTER + 100, 20):
        stream.push(audio(stamp))
    source = stream.conclude()
    assert source is not None
    assert source.video is None
    assert stream.can_begin, "audio alone can begin anywhere"


def test_a_jump_of_both_clocks_is_no_silence() -> None:
    stream = stream_of(video(0, key=True), audio(0))
    stream.conclude()
    stream.join()
    for stamp in (DAY, DAY + 40):
        stream.push(video(stamp, key=True))
    assert not stream.has_changed
    assert stream.is_joined


def test_media_that_are_missing_after_a_pause_begin_another_run_which_is_dated_anew() -> None:
    stream = stream_of(video(0, key=True), audio(5))
    stream.conclude()
    stream.join()
    stream.note_pause()
    stream.push(video(40))
    assert not stream.has_changed, "what was only late is not missing"
    stream.note_pause()
    for message in (video(6000), audio(6010), video(8000, key=True)):
        stream.push(message)
    assert not stream.is_joined
    assert stream.conclude() is not None
    stream.join()
    assert stamps(stream) == [(9, 0)]


def send_video(stream: FlvStream, first: int, last: int) -> int:
    """Push 25 frames a second, with a key frame each second; return the last timestamp."""
    for stamp in range(first, last + 1, 40):
        stream.push(video(stamp, key=stamp % 1000 == 0))
    for stamp in range(last, last + 2000, 40):
        stream.push(video(stamp, key=stamp % 1000 == 0))
    return last + 2000


def test_mp3_needs_no_header() -> None:
    stream = stream_of(*(RtmpMessage(8, 1, stamp, b"\x2fmp3") for stamp in (7, 33)), headers=False)
    assert stream.conclude() == SourceInfo(video=None, audio=AudioSource(codec="mp3", sample_rate=44100, channels=2))
    stream.join()
    assert stamps(stream) == [(8, 0), (8, 26)]


def test_an_encoder_that_joins_again_begins_at_the_next_key_frame_with_headers() -> None:
    stream = stream_of(video(0, key=True), video(40))
    stream.join()
    stream.take()
    stream.join()
    for message in (video(80), audio(90), video(2000, key=True), audio(2010)):
        stream.push(message)
    assert stamps(stream) == [(9, 0), (8, 10)]


def test_media_from_while_no_encoder_was_there_are_kept_from_a_key_frame_on() -> None:
    stream = stream_of(video(0, key=True))
    stream.join()
    stream.take()
    stream.leave()
    for message in (video(40), audio(50), video(80, key=True), audio(90), video(120)):
        stream.push(message)
    stream.join()
    assert stamps(stream) == [(9, 0), (8, 10), (9, 40)]


def test_a_repeated_sequence_header_changes_nothing() -> None:
    stream = stream_of(video(0, key=True))
    stream.conclude()
    stream.join()
    for message in (metadata(BOTH), video_header(), audio_header(), video(40), audio(45), video(80, key=True)):
        stream.push(message)
    assert not stream.has_changed
    assert stamps(stream) == [(9, 0), (9, 40), (8, 45), (9, 80)]


def test_what_follows_another_sequence_header_is_kept_for_another_encoder() -> None:
    stream = stream_of(video(0, key=True))
    stream.conclude()
    stream.join()
    for message in (video_header(OTHER_HEADER, 40), video(40), audio(45), video(80, key=True), video(120)):
        stream.push(message)
    assert stamps(stream) == [(9, 0), (8, 45)], "the picture with the new header is nothing for the old decoder"
    assert stream.has_changed
    assert not stream.is_joined
    stream.conclude()
    assert not stream.has_changed
    stream.join()
    tags = parse_flv(b"".join(stream.take()))[1]
    assert [(tag[1], tag[2]) for tag in tags if tag[0] == chunks.VIDEO] == [
        (0, OTHER_HEADER),
        (0, video(80, key=True).payload),
        (40, video(120).payload),
    ]


def test_another_encoder_can_take_over_at_a_key_frame_of_the_same_source() -> None:
    stream = stream_of(video(0, key=True))
    source = stream.conclude()
    stream.join()
    stream.renew()
    for message in (video(40), audio(45), video(80, key=True), video(120)):
        stream.push(message)
    assert stamps(stream) == [(9, 0), (9, 40), (8, 45)], "everything up to there"
    assert stream.has_changed
    assert not stream.is_joined
    assert stream.conclude() == source
    assert not stream.has_changed
    stream.join()
    assert stamps(stream) == [(9, 0), (9, 40)], "everything from there on"


def test_an_encoder_that_is_not_there_need_not_be_replaced() -> None:
    stream = stream_of(video(0, key=True))
    stream.conclude()
    stream.renew()
    assert not stream.has_changed


def tags_of(stream: FlvStream) -> list[tuple[int, int, bytes]]:
    return parse_flv(b"FLV\x01\x05\x00\x00\x00\x09" + bytes(4) + b"".join(stream.take()))[1]


def test_what_was_kept_for_another_header_is_dropped_with_it() -> None:
    stream = stream_of(video(0, key=True), video(40), video_header(OTHER_HEADER, 80), video(80), video(120, key=True))
    stream.join()
    assert [payload for _, _, payload in taken(stream)] == [OTHER_HEADER, video(120, key=True).payload]


def test_useless_messages_are_not_forwarded() -> None:
    stream = stream_of(video(0, key=True))
    stream.join()
    stream.take()
    for type_id, payload in (
        (18, b"\x02\x00\x11|RtmpSampleAccess"),
        (9, b""),
        (9, b"\x17\x02\x00\x00\x00"),
        (15, b"x"),
    ):
        stream.push(RtmpMessage(type_id, 1, 10, payload))
    assert stream.take() == []


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ([5 * DAY, 5 * DAY + 40, 5 * DAY + 80], [0, 40, 80]),
        ([0xFFFFFFE0, 0x8, 0x30], [0, 40, 80]),
        ([10_000, 10_040, 0, 40], [0, 40, 40, 80]),
        ([0, 40, DAY, DAY + 40], [0, 40, 40, 80]),
        ([0, 40, 2900], [0, 40, 2900]),
        ([1000, 990, 1040], [0, 0, 40]),
    ],
    ids=[
        "after 5 days",
        "wrap at 2^32 (RTMP 5.3.1.2)",
        "the clock starts again",
        "a jump forward",
        "frames missing",
        "jitter",
    ],
)
def test_timestamps_begin_at_zero_and_stay_above(sent: list[int], expected: list[int]) -> None:
    stream = stream_of()
    stream.join()
    stream.take()
    for stamp in sent:
        stream.push(video(stamp, key=True))
    assert [timestamp for _, timestamp, _ in tags_of(stream)] == expected


def test_timestamps_beyond_four_and_a_half_hours_use_the_extended_byte() -> None:
    stream = stream_of()
    stream.join()
    stream.take()
    for stamp in range(0, 0x1000028, 1000):
        stream.push(video(stamp, key=True))
    assert [timestamp for _, timestamp, _ in tags_of(stream)][-1] == 0x1000028 // 1000 * 1000


def test_the_buffer_drops_whole_groups_from_the_front_when_it_grows_old() -> None:
    buffer = GopBuffer()
    for stamp in range(0, MAX_SPAN + 3000, 500):
        buffer.append(Frame(9, stamp, b"x"), begins=stamp % 2000 == 0)
    kept = [frame.timestamp for frame in buffer]
    assert kept[0] % 2000 == 0
    assert kept == list(range(kept[0], MAX_SPAN + 3000, 500))
    assert MAX_SPAN - 2000 <= kept[-1] - kept[0] <= MAX_SPAN


def test_the_buffer_is_bounded_in_bytes() -> None:
    buffer = GopBuffer()
    for number in range(40):
        buffer.append(Frame(9, number, bytes(1024 * 1024)), begins=number % 4 == 0)
        assert buffer.size <= MAX_BYTES
    assert buffer.size == sum(len(frame.payload) for frame in buffer) > MAX_BYTES // 2
    buffer.append(Frame(9, 99, bytes(MAX_BYTES + 1)), begins=True)
    assert (len(buffer), buffer.size) == (0, 0)


MESSAGES = st.builds(
    RtmpMessage,
    st.sampled_from([8, 9, 18, 15]),
    st.just(1),
    st.integers(0, 2**32 - 1),
    st.binary(max_size=40)
    | st.sampled_from(
        [VIDEO_HEADER, AUDIO_HEADER, video(0, key=True).payload, audio(0).payload, b"\x17\x00\x00\x00\x00"]
    )
    | st.binary(max_size=20).map(lambda tail: b"\x17\x00\x00\x00\x00" + AVC_720P25[:12] + tail),
)


@given(st.lists(MESSAGES | st.sampled_from(["join", "leave", "conclude"]), max_size=30))
@settings(deadline=None, max_examples=300)
def test_whatever_comes_the_encoder_gets_well_formed_flv_or_there_is_a_source_error(steps) -> None:
    stream, out = FlvStream(), b""
    for step in steps:
        if isinstance(step, RtmpMessage):
            stream.push(step)
        elif step == "conclude":
            try:
                stream.conclude()
            except SourceError:
                return
        else:
            out = b""
            stream.join() if step == "join" else stream.leave()
        out += b"".join(stream.take())
        if out:
            parse_flv(out)


def test_pictures_without_sound_get_silence_beside_them_where_an_encoder_wants_it() -> None:
    stream = FlvStream()
    for message in (video_header(), video(100, key=True), video(140)):
        stream.push(message)
    stream.join(silence=True)
    stream.push(video(183))
    flags, tags = parse_flv(b"".join(stream.take()))
    assert flags == 5
    assert [tag[:2] for tag in tags[1:]] == [(9, 0), (9, 40), (8, 0), (9, 83), (8, 40)]
    assert [len(payload) - 1 for type_id, _, payload in tags if type_id == chunks.AUDIO] == [1764, 1896]


def test_sound_that_is_there_is_the_only_sound() -> None:
    stream = stream_of(video(100, key=True), audio(110))
    stream.join(silence=True)
    assert stamps(stream) == [(9, 0), (8, 10)]
