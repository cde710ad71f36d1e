"""The FFmpeg command: what it says, and where it cuts."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest

from streamkit.errors import ConfigError
from streamkit.ffmpeg.command import EncoderSpec, build_argv, plan_cuts
from streamkit.ffmpeg.demo import build_demo_argv
from streamkit.types import (
    AudioSource,
    BitsPerSecond,
    Rendition,
    RenditionName,
    Seconds,
    SessionId,
    SourceInfo,
    VideoSource,
)

NTSC_60, NTSC_30 = Fraction(60000, 1001), Fraction(30000, 1001)
VIDEO = VideoSource(codec="h264", width=1280, height=720, fps=Fraction(30))
AUDIO = AudioSource(codec="aac", sample_rate=48000, channels=2)
BOTH = SourceInfo(video=VIDEO, audio=AUDIO)


def picture(name: str = "720p", fps: Fraction = Fraction(30), *, audio: str | None = "aac") -> Rendition:
    return Rendition(
        name=RenditionName(name),
        video_codec="libx264",
        width=1280,
        height=720,
        fps=fps,
        video_bitrate=BitsPerSecond(2_000_000),
        maxrate=BitsPerSecond(2_140_000),
        bufsize=3_000_000,
        preset="veryfast",
        tune="zerolatency",
        profile="high",
        audio_codec=audio,
        audio_bitrate=BitsPerSecond(128_000),
        audio_channels=2,
    )


COPY = Rendition(name=RenditionName("source"), video_codec="copy", width=1280, height=720, audio_codec="copy")
RADIO = Rendition(
    name=RenditionName("radio"),
    video_codec=None,
    audio_codec="aac",
    audio_bitrate=BitsPerSecond(96_000),
    audio_channels=2,
)


def spec(
    *renditions: Rendition,
    source: SourceInfo = BOTH,
    folder: Path = Path("/srv/hls/cam"),
    first_sequence: int = 0,
    duration: float = 2.0,
    fast_start: bool = True,
) -> EncoderSpec:
    return EncoderSpec(
        ffmpeg="/usr/bin/ffmpeg",
        source=source,
        renditions=renditions,
        folder=folder,
        session=SessionId("s0000001"),
        first_sequence=first_sequence,
        segment_duration=Seconds(duration),
        fast_start=fast_start,
    )


def values(argv: list[str], option: str) -> list[str]:
    """Return every value that is given to `option`, in order."""
    return [value for name, value in pairwise(argv) if name == option]


def test_one_decoded_picture_is_split_to_every_rendition() -> None:
    argv = build_argv(spec(picture("720p"), picture("480p"), picture("360p")))
    (graph,) = values(argv, "-filter_complex")
    assert graph.startswith("[0:v:0]split=3[s0][s1][s2];")
    assert values(argv, "-map") == ["[v0]", "0:a:0", "[v1]", "0:a:0", "[v2]", "0:a:0"]
    assert values(argv, "-i") == ["pipe:0"]


def test_a_single_rendition_is_not_split() -> None:
    (graph,) = values(build_argv(spec(picture())), "-filter_complex")
    assert "split" not in graph
    assert graph.startswith("[0:v:0]scale=1280:720")


def test_frames_are_dropped_to_the_nearest_instant_where_a_rendition_has_fewer() -> None:
    fast = SourceInfo(video=replace(VIDEO, fps=Fraction(60)), audio=AUDIO)
    argv = build_argv(replace(spec(picture("720p", Fraction(60)), picture("480p", Fraction(30))), source=fast))
    _, full, half = values(argv, "-filter_complex")[0].split(";")
    assert full.startswith("[s0]scale=")
    assert half.startswith("[s1]fps=30/1:start_time=0,scale=")


def test_only_what_may_be_interlaced_is_deinterlaced_once_for_all_renditions() -> None:
    fields = SourceInfo(video=replace(VIDEO, may_be_interlaced=True), audio=AUDIO)
    for renditions in ((picture(),), (picture("720p"), picture("480p"))):
        (graph,) = values(build_argv(spec(*renditions, source=fields)), "-filter_complex")
        assert graph.startswith("[0:v:0]bwdif=mode=send_frame:deint=interlaced,")
        assert graph.count("bwdif") == 1
        assert "bwdif" not in " ".join(build_argv(spec(*renditions)))


def test_an_audio_only_rendition_between_pictures_keeps_the_labels_straight() -> None:
    argv = build_argv(spec(picture("720p"), RADIO, picture("480p")))
    (graph,) = values(argv, "-filter_complex")
    assert graph.startswith("[0:v:0]split=2[s0][s2];")
    assert values(argv, "-map") == ["[v0]", "0:a:0", "0:a:0", "[v2]", "0:a:0"]


@pytest.mark.parametrize("renditions", [(COPY,), (RADIO,)], ids=["copy", "audio only"])
def test_what_is_not_encoded_needs_no_filter_and_no_forced_key_frames(renditions: tuple[Rendition, ...]) -> None:
    argv = build_argv(spec(*renditions))
    assert "-filter_complex" not in argv
    assert "-force_key_frames" not in argv


def test_a_silent_source_maps_no_audio() -> None:
    argv = build_argv(spec(picture(audio=None), source=SourceInfo(video=VIDEO, audio=None)))
    assert values(argv, "-map") == ["[v0]"]
    assert "-c:a" not in argv


@pytest.mark.parametrize(
    ("source", "limits"),
    [
        pytest.param(BOTH, [], id="both: a limit could miss one"),
        pytest.param(SourceInfo(video=VIDEO, audio=None), ["1"], id="video only"),
        pytest.param(SourceInfo(video=None, audio=AUDIO), ["1"], id="audio only"),
    ],
)
def test_ffmpeg_does_not_wait_for_a_stream_that_the_headers_exclude(source: SourceInfo, limits: list[str]) -> None:
    rendition = RADIO if source.video is None else picture(audio=None)
    assert values(build_argv(spec(rendition, source=source)), "-analyzeduration") == limits


def test_input_options_stand_before_the_input_and_output_options_behind_it() -> None:
    argv = build_argv(spec(picture()))
    at = argv.index("-i")
    assert all(argv.index(option) < at for option in ("-fpsprobesize", "-dts_error_threshold", "-protocol_whitelist"))
    assert all(argv.index(option) > at for option in ("-muxdelay", "-max_interleave_delta", "-hls_time", "-c:v"))


def test_files_are_named_by_session_rendition_and_sequence() -> None:
    argv = build_argv(spec(picture(), first_sequence=17))
    assert values(argv, "-start_number") == ["17"]
    assert values(argv, "-hls_segment_filename") == ["file:/srv/hls/cam/segment_s0000001_720p_%d.ts"]
    assert argv[-1] == "file:/srv/hls/cam/.s0000001_720p.m3u8"


def test_a_folder_that_ffmpeg_would_expand_is_refused() -> None:
    with pytest.raises(ConfigError, match="must not contain '%'"):
        spec(picture(), folder=Path("/srv/100%d/cam"))


@pytest.mark.parametrize(
    ("fps", "duration", "fast_start", "expected"),
    [
        pytest.param([30], 2.0, True, ("2", "1"), id="30"),
        pytest.param([30], 2.0, False, ("2", "2"), id="30 without fast start"),
        pytest.param([60, 30], 2.0, True, ("2", "1"), id="60 beside 30"),
        pytest.param([NTSC_30], 2.0, True, ("1001/500", "1001/1000"), id="29.97: 2.002 s"),
        pytest.param([NTSC_60, NTSC_30], 2.0, True, ("1001/500", "1001/1000"), id="59.94 beside 29.97: 2.002 s"),
        pytest.param([Fraction(24000, 1001)], 2.0, True, ("1001/500", "1001/1000"), id="23.976: 2.002 s"),
        pytest.param([25], 6.0, True, ("6", "3"), id="25, 6 s segments"),
        pytest.param([15], 1.0, True, ("1", "8/15"), id="15, half a segment is 7.5 frames"),
        pytest.param([Fraction(1, 3)], 2.0, True, ("2", "2"), id="a frame every 3 s"),
    ],
)
def test_cuts_fall_on_a_frame_of_every_rendition(
    fps: list[int | Fraction], duration: float, fast_start: bool, expected: tuple[str, str]
) -> None:
    renditions = [picture(f"r{index}", Fraction(rate)) for index, rate in enumerate(fps)]
    cuts = plan_cuts(spec(*renditions, duration=duration, fast_start=fast_start))
    assert (str(cuts.interval), str(cuts.first)) == expected


def test_cuts_are_whole_frames_in_every_rendition() -> None:
    rates = [NTSC_60, NTSC_60 / 2, NTSC_60 / 3]
    cuts = plan_cuts(spec(*(picture(f"r{index}", rate) for index, rate in enumerate(rates))))
    assert all((cuts.interval * rate).denominator == (cuts.first * rate).denominator == 1 for rate in rates)


def forced_frames(expression: str, fps: Fraction, frames: int) -> list[int]:
    """Return the frames for which FFmpeg's expression is true, evaluated as FFmpeg does."""
    body = expression.removeprefix("expr:")
    names = {"gte": lambda a, b: a >= b, "lt": lambda a, b: a < b, "pick": lambda test, yes, no: yes if test else no}
    code = compile(body.replace("if(", "pick("), "expression", "eval")
    forced: list[int] = []
    for frame in range(frames):
        if eval(code, {"__builtins__": {}}, {**names, "t": float(frame / fps), "n_forced": len(forced)}):
            forced.append(frame)
    return forced


@pytest.mark.parametrize(
    ("fps", "half", "whole"),
    [
        (Fraction(30), 30, 60),
        (NTSC_30, 30, 60),
        (NTSC_60, 60, 120),
        (Fraction(25), 25, 50),
        (Fraction(24000, 1001), 24, 48),
        (Fraction(73, 10), 8, 15),
    ],
    ids=str,
)
def test_forced_key_frames_keep_their_distance_for_an_hour(fps: Fraction, half: int, whole: int) -> None:
    (expression,) = values(build_argv(spec(picture(fps=fps))), "-force_key_frames")
    forced = forced_frames(expression, fps, round(fps * 3600))
    distances = [after - before for before, after in pairwise(forced)]
    assert forced[0] == 0
    assert distances[:2] == [half, half]
    assert set(distances[2:]) == {whole}


def test_sound_apart_from_pictures_is_silent_from_their_beginning_until_the_source_has_sound() -> None:
    argv = build_argv(spec(picture(), RADIO))
    assert argv.count("-af") == 1, "sound beside its pictures is left as it is"
    assert argv[argv.index("-af") + 1] == "aresample=async=1:first_pts=0"
    assert argv.index("-af") > argv.index("96000")


def test_segments_of_audio_alone_are_numbered_in_step_with_pictures() -> None:
    argv = build_argv(spec(picture(fps=NTSC_30), RADIO))
    assert values(argv, "-hls_time") == ["0.2", "2.002000"]
    (expression,) = values(argv, "-force_key_frames")
    # No short first segments: the muxer could not make them for audio alone.
    assert "if(" not in expression


def test_a_copied_gop_that_is_a_millisecond_short_still_ends_a_segment() -> None:
    (shortest,) = values(build_argv(spec(COPY)), "-hls_time")
    assert float(shortest) < 1.999


def test_the_demo_publishes_to_the_address_with_a_two_second_gop() -> None:
    argv = build_demo_argv("/usr/bin/ffmpeg", "rtmp://127.0.0.1:1935/live/demo")
    assert argv[0] == "/usr/bin/ffmpeg"
    assert argv[-1] == "rtmp://127.0.0.1:1935/live/demo"
    assert values(argv, "-g") == ["60"]
