"""flv.py, sequence.py and headers.py: what a publisher's headers say."""

from fractions import Fraction

import pytest
from fakes.rtmp_kit import AVC_720P25, BOTH, VIDEO_HEADER, audio, audio_header, metadata, video, video_header
from hypothesis import given
from hypothesis import strategies as st

from streamkit.errors import MediaError, SourceError
from streamkit.media import h264
from streamkit.media.info import Picture
from streamkit.media.rates import snap_fps
from streamkit.rtmp import chunks, flv, headers, sequence
from streamkit.rtmp.flv import TagKind
from streamkit.types import AudioSource, VideoSource

NTSC_60, NTSC_24 = Fraction(60000, 1001), Fraction(24000, 1001)
RECORDS = {
    "1080p, cropped from 1088, 59.94": (
        "0164002affe100196764002aacd940780227e5c04400000fa4000753003c60c65801000668ebe3cb22c0fdf8f800",
        Picture(1920, 1080, NTSC_60, profile=100),
    ),
    "1080i, field macroblocks": (
        "01640028ffe1001a67640028acd94078044fde0220000003002000000643e2c5b2c001000668fba3cb22c0fdf8f800",
        Picture(1920, 1080, Fraction(25), may_be_interlaced=True, profile=100),
    ),
    "portrait 720x1280": (
        "0164001fffe1001a6764001facd940b40a1b0110000003001000000303c0f183196001000668ebe3cb22c0fdf8f800",
        Picture(720, 1280, Fraction(30), profile=100),
    ),
    "baseline 720p": (AVC_720P25.hex(), Picture(1280, 720, Fraction(25), profile=66)),
    "4:4:4, 360 cropped from 368, 23.976": (
        "01f4001effe1001967f4001e919b281405ff13808800001f480005dc0078b16cb001000668ebe3c44844fff8f800",
        Picture(640, 360, NTSC_24, profile=244),
    ),
    "4:2:2, width 854 cropped from 864": (
        "017a001fffe1001a677a001fbcd940d83de6f0110000030001000003003c0f18319601000668ebe3cb22c0fef8f800",
        Picture(854, 480, Fraction(30), profile=122),
    ),
}


@pytest.mark.parametrize(("record", "picture"), RECORDS.values(), ids=[f"H.264 7.3.2.1.1 {name}" for name in RECORDS])
def test_a_sequence_header_tells_size_and_rate(record: str, picture: Picture) -> None:
    assert sequence.parse_avc_config(bytes.fromhex(record)) == picture


HEVC_PAL = (
    "0101600000009000000000005af000fcfdf8f800000f01a10001002b42010101600000030090000003000003005aa005a20090596565"
    "4a4c2f046808000003000800000300c840"
)


@pytest.mark.parametrize(
    ("codec", "record", "picture"),
    [
        pytest.param("hevc", HEVC_PAL, Picture(720, 576, Fraction(25), Fraction(16, 11)), id="HEVC, not square"),
        pytest.param("av1", "81040c000a0c0200002526355ef805f00080", Picture(854, 480), id="SVT-AV1"),
        pytest.param("av1", "81050c000a0b0000002d4cffb3cdaf9004", Picture(1280, 720), id="libaom"),
        pytest.param("av1", "81000c000a0b000000043d06d402f80040", Picture(322, 182), id="an old SVT-AV1, odd size"),
    ],
)
def test_a_newer_codec_tells_its_size_where_the_metadata_does_not(codec: str, record: str, picture: Picture) -> None:
    fourcc = {"hevc": b"hvc1", "av1": b"av01"}[codec]
    source = headers.parse_video(b"\x90" + fourcc + bytes.fromhex(record), {})
    assert (source.codec, source.width, source.height) == (codec, picture.width, picture.height)
    assert (source.fps, source.sample_aspect) == (picture.fps, picture.sample_aspect)


@pytest.mark.parametrize("codec", ["hevc", "av1"])
@given(data=st.binary(max_size=80))
def test_garbage_in_a_newer_codecs_header_is_a_picture_or_a_source_error(codec: str, data: bytes) -> None:
    for start in (b"", bytes.fromhex(HEVC_PAL[:46]), b"\x81\x04\x0c\x00\x0a"):
        try:
            picture = sequence.PARSERS[codec](start + data)
        except SourceError:
            continue
        assert picture.width > 0
        assert picture.height > 0


def test_a_newer_codec_without_a_readable_header_has_the_size_of_the_metadata() -> None:
    source = headers.parse_video(b"\x90av01\x00", {"width": 640.0, "height": 360.0})
    assert (source.width, source.height) == (640, 360)


def test_pixels_of_an_impossible_shape_are_taken_for_square() -> None:
    bits = sps().ue(0, 2, 1).u(1, 0).ue(39, 29).u(1, 1).u(1, 1).u(1, 0).u(1, 1)
    bits.u(1, 1).u(8, 255).u(16, 60000).u(16, 1).u(4, 0)
    nal = bits.nal()
    record = b"\x01\x42\x00\x1e\xff\xe1" + len(nal).to_bytes(2, "big") + nal
    assert headers.parse_video(b"\x17\x00\x00\x00\x00" + record, {}).sample_aspect == 1


class Bits:
    """Writes an SPS, to reach what x264 does not write."""

    def __init__(self) -> None:
        self.text = ""

    def u(self, count: int, value: int) -> "Bits":
        self.text += f"{value:0{count}b}"
        return self

    def ue(self, *values: int) -> "Bits":
        for value in values:
            code = f"{value + 1:b}"
            self.text += "0" * (len(code) - 1) + code
        return self

    def nal(self) -> bytes:
        text = self.text + "1"
        text += "0" * (-len(text) % 8)
        return b"\x67" + int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\x00\x00", b"\x00\x00\x03\x00"[:3])


def sps(profile: int = 66) -> Bits:
    return Bits().u(8, profile).u(16, 30).ue(0)


def test_scaling_lists_and_cyclic_picture_order_are_read_over() -> None:
    bits = sps(100).ue(1, 0, 0).u(1, 0).u(1, 1)  # 4:2:0, scaling matrix present
    bits.u(1, 1).ue(*([0] * 16)).u(7, 0)  # one list of 16 deltas of zero, seven absent
    bits.ue(0, 1).u(1, 0).ue(0, 0, 2, 0, 0)  # pic_order_cnt_type 1 with two offsets
    bits.ue(1).u(1, 0).ue(39, 29).u(1, 1).u(1, 1).u(1, 0).u(1, 0)
    assert h264.parse_sps(bits.nal()) == Picture(640, 480, profile=100)


def test_a_sample_aspect_ratio_and_colours_come_before_the_timing() -> None:
    bits = sps().ue(0, 2, 1).u(1, 0).ue(39, 29).u(1, 1).u(1, 1).u(1, 0).u(1, 1)
    bits.u(1, 1).u(8, 255).u(16, 4).u(16, 3).u(1, 1).u(1, 0).u(1, 1).u(4, 0).u(1, 1).u(24, 65793).u(1, 1).ue(0, 0)
    bits.u(1, 1).u(32, 1001).u(32, 60000)
    assert h264.parse_sps(bits.nal()) == Picture(640, 480, Fraction(30000, 1001), Fraction(4, 3), profile=66)


@pytest.mark.parametrize("record", [b"", b"\x01" * 5, bytes(40), AVC_720P25[:20], b"\x00" + AVC_720P25[1:]])
def test_a_broken_sequence_header_is_a_source_error(record: bytes) -> None:
    with pytest.raises(SourceError):
        sequence.parse_avc_config(record)


@given(st.binary(max_size=80))
def test_garbage_after_an_sps_byte_is_a_picture_or_an_error(data: bytes) -> None:
    try:
        picture = h264.parse_sps(b"\x67" + data)
    except MediaError:
        return
    assert 0 < picture.width <= 16384


@pytest.mark.parametrize(
    ("announced", "rate"),
    [
        (29.97, Fraction(30000, 1001)),
        (29.97002997, Fraction(30000, 1001)),
        (30.0, Fraction(30)),
        (30.1, Fraction(30)),
        (59.94, NTSC_60),
        (23.98, NTSC_24),
        (25.02, Fraction(25)),
        (50.0, Fraction(50)),
        (33.0, Fraction(33)),
        (1000.0, None),
        (0.0, None),
        (None, None),
    ],
)
def test_a_frame_rate_snaps_to_the_nearest_standard_one_within_half_a_percent(
    announced: float | None, rate: Fraction | None
) -> None:
    assert snap_fps(announced) == rate


def test_the_rate_is_measured_when_there_are_enough_frames() -> None:
    stamps = [round(number * 1001 / 30) for number in range(30)]
    assert headers.measure_fps(stamps) == Fraction(30000, 1001)
    assert headers.measure_fps(stamps[:5]) is None
    assert headers.measure_fps([7] * 20) is None


@pytest.mark.parametrize(
    ("config", "source"),
    [
        ("1190", AudioSource(codec="aac", sample_rate=48000, channels=2)),
        ("1208", AudioSource(codec="aac", sample_rate=44100, channels=1)),
        ("119056e500", AudioSource(codec="aac", sample_rate=48000, channels=2)),
        ("2b098800", AudioSource(codec="aac", sample_rate=48000, channels=1)),
        ("11b0", AudioSource(codec="aac", sample_rate=48000, channels=6)),
        ("11b8", AudioSource(codec="aac", sample_rate=48000, channels=8)),
        ("1780bb8010", AudioSource(codec="aac", sample_rate=96000, channels=2)),
    ],
    ids=["LC stereo", "LC mono", "LC with backward SBR", "explicit SBR 24 to 48 kHz", "5.1", "7.1", "explicit rate"],
)
def test_an_audio_specific_config_tells_rate_and_channels(config: str, source: AudioSource) -> None:
    assert headers.parse_aac(bytes.fromhex(config)) == source


@pytest.mark.parametrize(
    ("payload", "source"),
    [
        (b"\x2f\xff", AudioSource(codec="mp3", sample_rate=44100, channels=2)),
        (b"\x2a\xff", AudioSource(codec="mp3", sample_rate=22050, channels=1)),
        (b"\xb2\xff", AudioSource(codec="speex", sample_rate=16000, channels=1)),
        (b"\x72\xff", AudioSource(codec="pcm_alaw", sample_rate=8000, channels=1)),
        (b"\x90OpusOpusHead\x01\x06", AudioSource(codec="opus", sample_rate=48000, channels=6)),
        (b"\x90mp4a\x11\x90", AudioSource(codec="aac", sample_rate=48000, channels=2)),
        (b"\x91ac-3xx", AudioSource(codec="ac3", sample_rate=44100, channels=2)),
    ],
)
def test_other_audio_is_told_by_flags_or_fourcc(payload: bytes, source: AudioSource) -> None:
    assert headers.parse_audio(payload, {"audiosamplerate": 44100.0}) == source


@pytest.mark.parametrize(
    ("payload", "codec"),
    [(b"\x90hvc1", "hevc"), (b"\x90av01", "av1"), (b"\x90vp09", "vp9"), (b"\x1c\x00\x00", "hevc"), (b"\x12xx", "flv1")],
)
def test_other_video_takes_its_size_from_metadata(payload: bytes, codec: str) -> None:
    properties = {"width": 1920.0, "height": 1080.0, "framerate": "29.97"}
    expected = VideoSource(codec=codec, width=1920, height=1080, fps=Fraction(30000, 1001))
    assert headers.parse_video(payload, properties) == expected
    with pytest.raises(SourceError, match=f"{codec} video does not announce its size"):
        headers.parse_video(payload, {})


def test_enhanced_rtmp_h264_is_parsed_as_the_old_one() -> None:
    assert headers.parse_video(b"\x90avc1" + AVC_720P25, {}) == headers.parse_video(VIDEO_HEADER, {})


def test_an_unknown_codec_is_named() -> None:
    with pytest.raises(SourceError, match="video codec wxyz is not supported"):
        headers.parse_video(b"\x90wxyz", {})
    with pytest.raises(SourceError, match="audio codec 12 is not supported"):
        headers.parse_audio(b"\xc0x", {})


def test_metadata_fills_in_for_a_broken_sequence_header_and_beats_its_rate() -> None:
    found = headers.parse_video(VIDEO_HEADER[:12], {"width": 640.0, "height": 360.0})
    assert found == VideoSource(codec="h264", width=640, height=360, fps=None)
    assert headers.parse_video(VIDEO_HEADER, {"framerate": 50.0}).fps == 50
    assert headers.parse_video(VIDEO_HEADER, {"framerate": 1000.0}).fps == 25


@pytest.mark.parametrize(
    ("type_id", "payload", "kind"),
    [
        (chunks.VIDEO, VIDEO_HEADER, TagKind.VIDEO_HEADER),
        (chunks.VIDEO, b"\x17\x01\x00\x00\x00x", TagKind.KEY_FRAME),
        (chunks.VIDEO, b"\x27\x01\x00\x00\x00x", TagKind.VIDEO_FRAME),
        (chunks.VIDEO, b"\x17\x02\x00\x00\x00", TagKind.OTHER),
        (chunks.VIDEO, b"\x57\x00\x00", TagKind.OTHER),
        (chunks.VIDEO, b"\x90hvc1x", TagKind.VIDEO_HEADER),
        (chunks.VIDEO, b"\x91hvc1x", TagKind.KEY_FRAME),
        (chunks.VIDEO, b"\xa3hvc1x", TagKind.VIDEO_FRAME),
        (chunks.VIDEO, b"\x92hvc1", TagKind.OTHER),
        (chunks.VIDEO, b"\x17", TagKind.OTHER),
        (chunks.VIDEO, b"", TagKind.OTHER),
        (chunks.AUDIO, b"\xaf\x00\x11\x90", TagKind.AUDIO_HEADER),
        (chunks.AUDIO, b"\xaf\x01x", TagKind.AUDIO_FRAME),
        (chunks.AUDIO, b"\x2fxx", TagKind.AUDIO_FRAME),
        (chunks.AUDIO, b"\x90Opus", TagKind.AUDIO_HEADER),
        (chunks.AUDIO, b"\x91Opusx", TagKind.AUDIO_FRAME),
        (chunks.AUDIO, b"", TagKind.OTHER),
        (chunks.DATA, metadata(BOTH).payload, TagKind.METADATA),
        (chunks.DATA, metadata(BOTH, from_publisher=False).payload, TagKind.METADATA),
        (chunks.DATA, b"\x02\x00\x11|RtmpSampleAccess\x01\x01\x01\x01", TagKind.OTHER),
    ],
)
def test_messages_are_told_apart(type_id: int, payload: bytes, kind: TagKind) -> None:
    assert flv.classify(type_id, payload) is kind


@given(st.sampled_from([chunks.VIDEO, chunks.AUDIO, chunks.DATA, 0, 255]), st.binary(max_size=60))
def test_garbage_headers_raise_nothing_but_source_errors(type_id: int, payload: bytes) -> None:
    kind = flv.classify(type_id, payload)
    if kind in (TagKind.OTHER, TagKind.METADATA):
        return
    parse = headers.parse_video if kind.is_video else headers.parse_audio
    try:
        parse(payload, {})
    except SourceError:
        return


@pytest.mark.parametrize(
    ("properties", "pushed", "complete"),
    [
        (BOTH, [video_header(), audio_header()], True),
        (BOTH, [video_header()], False),
        (BOTH, [audio_header()], False),
        ({"width": 1280, "videocodecid": 7}, [video_header()], True),
        ({"width": 1280, "videocodecid": 7, "audiocodecid": 0, "audiodatarate": 0}, [video_header()], True),
        ({"audiocodecid": 10}, [audio_header()], True),
        ({"width": 0, "videocodecid": 0, "audiocodecid": 10}, [audio_header()], True),
        ({"audiocodecid": 10}, [video_header()], False),
        ({}, [video_header()], False),
        ({}, [video_header(), audio_header()], True),
        ({}, [video(0), audio(0)], False),
    ],
)
def test_headers_are_complete_when_nothing_more_is_announced(properties, pushed, complete) -> None:
    found = headers.SourceHeaders()
    for message in [metadata(properties), *pushed]:
        kind = flv.classify(message.type_id, message.payload)
        if kind in (TagKind.METADATA, TagKind.VIDEO_HEADER, TagKind.AUDIO_HEADER):
            found.remember(kind, message.payload)
    assert found.complete is complete
