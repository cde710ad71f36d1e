"""What is inside encoded files: our parsers against what FFmpeg wrote and PyAV reads."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
import ts_kit
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from media_kit import Encoded, encode, look, run_ffmpeg

from streamkit.errors import MediaError
from streamkit.media import audio, probe
from streamkit.media.info import Picture, Timeline, VideoInfo

X264 = "-c:v libx264 -preset veryfast -pix_fmt yuv420p"
X265 = "-c:v libx265 -preset ultrafast -x265-params log-level=none"
OPEN_GOP = "open-gop=1:bframes=2:keyint=15:min-keyint=15:scenecut=0"
TOLERANCE = Fraction(2, 1000)  # FFmpeg writes edit lists in milliseconds
Make = Callable[..., Encoded]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """`make(options, mp4=...)`: encoded once."""
    made: dict[str, Encoded] = {}

    def build(options: str, **how: object) -> Encoded:
        name = f"{options} {how}"
        if name not in made:
            made[name] = encode(tmp_path_factory.mktemp("media"), options, **how)  # type: ignore[arg-type]
        return made[name]

    return build


@pytest.mark.integration
@pytest.mark.parametrize("mp4", [False, True], ids=["mpegts", "fmp4"])
@pytest.mark.parametrize(
    ("options", "video", "codecs"),
    [
        (f"{X264} -profile:v high -level 3.1 -c:a aac -ac 2", "320x180@30", "avc1.64001F,mp4a.40.2"),
        (f"{X264} -profile:v main -level 4 -c:a libmp3lame", "322x182@25", "avc1.4D4028,mp4a.40.34"),
        (f"{X264} -profile:v baseline -level 3 -c:a ac3 -ac 6", "320x180@30000/1001", "avc1.42C01E,ac-3"),
        (f"{X264} -level 4.2 -c:a eac3 -ac 1", "320x180@60000/1001", "avc1.64002A,ec-3"),
        (f"{X264} -level 3 -vf setsar=16/11 -an", "176x144@25", "avc1.64001E"),
        (f"{X265} -tag:v hvc1 -c:a aac -ac 1", "320x180@30", "hvc1.1.6.L60.90,mp4a.40.2"),
        (f"{X265}:level=4:high-tier=0 -tag:v hvc1 -vf setsar=4/3 -an", "326x186@24000/1001", "hvc1.1.6.L120.90"),
        ("-c:a aac -ar 48000 -ac 2", "", "mp4a.40.2"),
    ],
)
def test_a_file_is_what_was_encoded(*, options: str, video: str, codecs: str, mp4: bool, make: Make) -> None:
    made = make(options, mp4=mp4, video=video)
    info, seen = probe.read(made.segment, made.init), look(made.whole)
    assert info.codecs == codecs
    assert (info.video is None) is (video == "")
    if info.video is not None:
        size, _, rate = video.partition("@")
        picture = info.video.picture
        assert (picture.width, picture.height) == seen.size == tuple(map(int, size.split("x")))
        assert picture.sample_aspect == seen.aspect
        assert info.video.frame_rate() == Fraction(rate)
        assert info.video.starts_with_idr
        assert len(info.video.timeline.times) == len(seen.video_times)
        assert abs(info.video.timeline.first - seen.video_times[0]) <= TOLERANCE
        assert abs(info.video.timeline.end - info.video.timeline.first - Fraction(3, 2)) <= 1 / Fraction(rate)
    if info.audio is not None:
        assert (info.audio.channels, info.audio.sample_rate) == (seen.channels, seen.sample_rate)
        assert abs(info.audio.timeline.first - (seen.audio_first or 0)) <= TOLERANCE
        assert abs(info.audio.timeline.end - (seen.audio_end or 0)) <= Fraction(3, 100)


@pytest.mark.integration
def test_av1_and_opus_in_mp4_are_named(make: Make) -> None:
    made = make("-c:v libsvtav1 -preset 12 -c:a libopus -ac 2", mp4=True)
    info = probe.read(made.segment, made.init)
    assert info.codecs == "av01.0.00M.08,Opus"
    assert info.video is not None
    assert info.audio is not None
    assert info.video.picture.display_size == (320, 180)
    assert info.video.frame_rate() == 30
    assert info.video.starts_with_idr is None
    assert info.audio.channels == 2


@pytest.mark.integration
@pytest.mark.parametrize("mp4", [False, True], ids=["mpegts", "fmp4"])
def test_the_beginning_of_a_segment_is_enough(*, mp4: bool, make: Make) -> None:
    made = make(f"{X264} -profile:v high -level 3.1 -c:a aac -ac 2", mp4=mp4, video="320x180@30")
    whole = probe.read(made.segment, made.init)
    # In MP4 the tables of all samples come first; of MPEG-TS so much is read that both have begun.
    part = probe.read(made.segment[: len(made.segment) // 376 * 188], made.init)
    assert part.codecs == whole.codecs
    assert part.video is not None
    assert whole.video is not None
    assert part.video.frame_rate() == whole.video.frame_rate() == 30
    assert part.video.timeline.first == whole.video.timeline.first


@pytest.mark.integration
@pytest.mark.parametrize("mp4", [False, True], ids=["mpegts", "fmp4"])
@pytest.mark.parametrize("codec", [f"{X264} -x264-params {OPEN_GOP}", f"{X265}:{OPEN_GOP} -tag:v hvc1"])
def test_a_segment_of_an_open_gop_does_not_start_with_an_idr(*, codec: str, mp4: bool, tmp_path: Path) -> None:
    encode(tmp_path / "a", f"{codec} -an", mp4=False)
    cut = "-c copy -f hls -hls_time 0.5 -hls_list_size 0 -hls_segment_type " + ("fmp4" if mp4 else "mpegts")
    run_ffmpeg(tmp_path, "-i", "a/o.ts", *cut.split(), "b.m3u8")
    init = (tmp_path / "init.mp4").read_bytes() if mp4 else None
    starts = [probe.read(path.read_bytes(), init).video for path in sorted(tmp_path.glob("b?.*"))[:2]]
    assert [video.starts_with_idr for video in starts if video] == [True, False]


@pytest.mark.integration
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.parametrize("mp4", [False, True], ids=["mpegts", "fmp4"])
def test_a_damaged_file_is_read_or_refused_in_a_sentence(*, data: st.DataObject, mp4: bool, make: Make) -> None:
    made = make(f"{X264} -profile:v high -level 3.1 -c:a aac -ac 2", mp4=mp4, video="320x180@30")
    parts = [bytearray(made.segment[:4000]), bytearray(made.init or b"")]
    for _ in range(data.draw(st.integers(1, 8))):
        part = parts[data.draw(st.integers(0, 1 if mp4 else 0))]
        part[data.draw(st.integers(0, len(part) - 1))] = data.draw(st.integers(0, 255))
    try:
        info = probe.read(bytes(parts[0]), bytes(parts[1]) if mp4 else None)
    except MediaError:
        return
    assert info.codecs


@pytest.mark.parametrize("segment", [b"", b"G", bytes(188), b"G" + bytes(187), b"G" * 1880, b"\x00\x00\x00\x08moof"])
@pytest.mark.parametrize("init", [None, b"", b"\x00\x00\x00\x08moov"])
def test_what_is_no_media_is_refused_in_a_sentence(segment: bytes, init: bytes | None) -> None:
    with pytest.raises(MediaError, match=r"\w+ \w+"):
        probe.read(segment, init)


@pytest.mark.parametrize(
    ("config", "codec", "channels", "rate"),
    [
        ("1210", "mp4a.40.2", 2, 44100),
        ("121056e500", "mp4a.40.2", 2, 44100),  # FFmpeg: says that there is no SBR
        ("131056e598", "mp4a.40.5", 2, 48000),  # SBR, told to those who know it
        ("2b118800", "mp4a.40.5", 2, 48000),
        ("eb098800", "mp4a.40.29", 1, 48000),
    ],
)
def test_aac_says_what_it_is(config: str, codec: str, channels: int, rate: int) -> None:
    sound = audio.parse_asc(bytes.fromhex(config))
    assert (sound.codec, sound.channels, sound.sample_rate) == (codec, channels, rate)


def video(fps: Fraction | None, *milliseconds: int) -> VideoInfo:
    times = tuple(Fraction(ms, 1000) for ms in milliseconds)
    return VideoInfo(codec="avc1.64001F", picture=Picture(2, 2, fps), timeline=Timeline(times=times, end=times[-1]),
                     starts_with_idr=True)  # fmt: skip


@pytest.mark.parametrize(
    ("header", "announced", "expected"),
    [
        pytest.param(Fraction(30000, 1001), None, Fraction(30000, 1001), id="the header's"),
        pytest.param(Fraction(1000), Fraction(30000, 1001), Fraction(30000, 1001), id="ticks are no frames"),
        pytest.param(Fraction(1000), None, Fraction(30), id="measured"),
        pytest.param(None, Fraction(60), Fraction(30), id="what was announced is not so"),
    ],
)
def test_the_frame_rate_is_one_that_the_frames_agree_with(
    header: Fraction | None, announced: Fraction | None, expected: Fraction
) -> None:
    frames = [round(number * 100 / 3) for number in range(12)]
    reordered = [frames[0], *(frames[at] for at in (3, 1, 2, 6, 4, 5, 9, 7, 8, 11))]
    assert video(header, *reordered).frame_rate(announced) == expected


def test_a_single_frame_has_the_rate_that_was_told() -> None:
    assert video(None, 0).frame_rate() is None
    assert video(None, 0).frame_rate(Fraction(25)) == 25


@pytest.mark.parametrize(
    ("aspect", "size"), [(Fraction(1), (720, 576)), (Fraction(16, 11), (1047, 576)), (Fraction(8, 9), (640, 576))]
)
def test_pixels_that_are_not_square_are_shown_wider_or_narrower(aspect: Fraction, size: tuple[int, int]) -> None:
    assert Picture(720, 576, None, aspect).display_size == size


@pytest.mark.integration
@pytest.mark.parametrize("mp4", [False, True], ids=["mpegts", "fmp4"])
def test_a_file_is_read_no_further_than_it_takes(
    *, mp4: bool, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make(f"{X264} -profile:v high -level 3.1 -c:a aac -ac 2", mp4=mp4, video="320x180@30")
    segment, init = tmp_path / "s", tmp_path / "i"
    segment.write_bytes(made.segment)
    init.write_bytes(made.init or b"")
    whole = probe.read(made.segment, made.init)
    header = init if mp4 else None
    monkeypatch.setattr(probe, "_BEGINNING", 40 * 188)
    found = probe.read_file(segment, header)
    assert found.codecs == whole.codecs, "audio begins behind the first part of MPEG-TS"
    assert found.is_complete
    first = probe.read_first_picture(segment, header)
    assert first.video is not None
    assert first.video.starts_with_idr
    monkeypatch.setattr(probe, "_MOST", 40 * 188)
    assert probe.read_file(segment, header).is_complete is mp4


def test_a_track_without_a_sample_is_announced() -> None:
    silent = probe.read(ts_kit.segment(announced=True, audio=None))
    assert silent.audio is None
    assert silent.announces_audio
    without = probe.read(ts_kit.segment(audio=None))
    assert not without.has_audio
    assert without.has_video
