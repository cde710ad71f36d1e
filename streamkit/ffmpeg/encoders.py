"""Pure: the video encoders that a ladder may name, and FFmpeg's options for each, with the reason above each flag.

An encoder belongs to a family (x264, x265, SVT-AV1, libaom, NVENC, VAAPI, QSV) whose options are called alike. What
all of them need, key frames where segments begin, is asked of each in its own way.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from streamkit.types import Rendition

AUTO = "auto"
"""The preset that stands for the slowest with which this machine keeps real time."""
NO_DELAY = "zerolatency"
"""The tune that every family understands: no look-ahead and no B-frames, a frame leaves as soon as it came."""
ENCODER_THREADS = 4

_NAMED = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
EFFORTS = len(_NAMED)
_EFFORTS = {"svtav1": tuple(str(n) for n in range(12, 3, -1)), "aom": tuple("887766555")}
_H264_LEVELS = (
    "1.0",
    "1.1",
    "1.2",
    "1.3",
    "2.0",
    "2.1",
    "2.2",
    "3.0",
    "3.1",
    "3.2",
    "4.0",
    "4.1",
    "4.2",
    "5.0",
    "5.1",
    "5.2",
    "6.0",
    "6.1",
    "6.2",
)
_HEVC_LEVELS = ("1.0", "2.0", "2.1", "3.0", "3.1", "4.0", "4.1", "5.0", "5.1", "5.2", "6.0", "6.1", "6.2")
_AV1_LEVELS = ("2.0", "2.1", "3.0", "3.1", "4.0", "4.1", "5.0", "5.1", "5.2", "5.3", "6.0", "6.1", "6.2", "6.3")


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoEncoder:
    """What one of FFmpeg's encoders understands. `presets` from the fastest to the slowest.

    `usual` is the preset for `auto` until, or because nothing, was measured. `levels` is empty where it cannot be set.
    """

    family: str
    codec: str
    presets: tuple[str, ...]
    usual: str
    tunes: tuple[str, ...]
    profiles: tuple[str, ...]
    levels: tuple[str, ...]

    @property
    def efforts(self) -> tuple[str, ...]:
        """The presets that `auto` chooses from, as many for each encoder, the fastest first."""
        if self.is_hardware:
            return (self.usual,) * EFFORTS
        return _EFFORTS.get(self.family, self.presets)

    @property
    def has_peak_rate(self) -> bool:
        """Whether a peak rate can be set; SVT-AV1 refuses one beside a bit rate."""
        return self.family != "svtav1"

    @property
    def is_hardware(self) -> bool:
        """Whether it needs a device, and costs next to no CPU."""
        return self.family in ("nvenc", "vaapi", "qsv")

    @property
    def forces_key_frames(self) -> bool:
        """Whether a key frame can be asked for anywhere, not only every so many frames."""
        # SVT-AV1 before 2.0 has no way to; newer ones take them only through an FFmpeg that knows it.
        return self.family != "svtav1"


def _hardware(codec: str, family: str) -> VideoEncoder:
    h264, hevc = codec == "h264", codec == "hevc"
    presets = {"nvenc": tuple(f"p{n}" for n in range(1, 8)), "qsv": _NAMED[2:], "vaapi": ("",)}[family]
    return VideoEncoder(
        family=family,
        codec=codec,
        presets=presets,
        usual={"nvenc": "p4", "qsv": "medium", "vaapi": ""}[family],
        tunes=(NO_DELAY, "hq", "ll", "ull", "") if family == "nvenc" else (NO_DELAY, ""),
        profiles=("high", "main", "baseline") if h264 else ("main",),
        levels=_H264_LEVELS if h264 else _HEVC_LEVELS if hevc else _AV1_LEVELS if family == "nvenc" else (),
    )


ENCODERS: Mapping[str, VideoEncoder] = MappingProxyType(
    {
        "libx264": VideoEncoder(
            family="x264",
            codec="h264",
            presets=_NAMED,
            usual="veryfast",
            tunes=(NO_DELAY, "film", "animation", "grain", "stillimage", "fastdecode", ""),
            profiles=("high", "main", "baseline"),
            levels=_H264_LEVELS,
        ),
        "libx265": VideoEncoder(
            family="x265",
            codec="hevc",
            presets=_NAMED,
            usual="ultrafast",
            tunes=(NO_DELAY, "animation", "grain", "fastdecode", ""),
            profiles=("main",),
            levels=_HEVC_LEVELS,
        ),
        "libsvtav1": VideoEncoder(
            family="svtav1",
            codec="av1",
            presets=tuple(str(n) for n in range(13, -1, -1)),
            usual="10",
            tunes=(NO_DELAY, ""),
            profiles=("main",),
            levels=(),
        ),
        "libaom-av1": VideoEncoder(
            family="aom",
            codec="av1",
            presets=("8", "7", "6", "5"),
            usual="8",
            tunes=(NO_DELAY,),
            profiles=("main",),
            levels=(),
        ),
        **{
            f"{codec}_{family}": _hardware(codec, family)
            for family in ("nvenc", "vaapi", "qsv")
            for codec in ("h264", "hevc", "av1")
        },
    }
)
FRIENDLY_NAMES: Mapping[str, str] = MappingProxyType({"h264": "libx264", "hevc": "libx265", "av1": "libsvtav1"})
COPY = "copy"


def encoder_name(video_codec: str) -> str:
    """Return the name of FFmpeg's encoder for what a ladder says."""
    return FRIENDLY_NAMES.get(video_codec, video_codec)


def is_encoded(rendition: Rendition) -> bool:
    """Whether the rendition has a picture that is encoded here."""
    return rendition.video_codec not in (None, COPY)


def pixel_format(video_codec: str) -> str:
    """Return the end of the filter chain that hands pictures to the encoder: always 8 bit 4:2:0, which players take."""
    family = ENCODERS[video_codec].family
    if family == "vaapi":
        return "format=nv12,hwupload"  # pictures are scaled by the CPU, then sent to the device
    return "format=nv12" if family == "qsv" else "format=yuv420p"


def device_options(renditions: tuple[Rendition, ...], device: str) -> list[str]:
    """Return the global options that open the device that the renditions' encoders need; none for NVENC.

    `device` is the path of a render node.
    """
    families = {ENCODERS[r.video_codec].family for r in renditions if r.video_codec and is_encoded(r)}
    if "vaapi" in families:
        # hwupload has no device of its own: it takes the one that filters are given.
        return ["-init_hw_device", f"vaapi=hw:{device}", "-filter_hw_device", "hw"]
    if "qsv" in families:
        return ["-init_hw_device", f"qsv=hw,child_device={device}"]
    return []


def encoder_options(rendition: Rendition, frames: int) -> list[str]:
    """Return the options of the rendition's encoder, for segments of `frames` frames."""
    name = rendition.video_codec or ""
    encoder = ENCODERS[name]
    options = {
        "x264": _x264,
        "x265": _x265,
        "svtav1": _svtav1,
        "aom": _aom,
        "nvenc": _nvenc,
        "vaapi": _vaapi,
        "qsv": _qsv,
    }[encoder.family]
    # After so many frames there is a key frame anyway: a safety net of twice a segment, where more can be forced.
    gop = frames * 2 if encoder.forces_key_frames else frames
    return ["-c:v", name, *options(rendition, gop), "-g", str(gop), *_rate_control(rendition, encoder)]


def _x264(rendition: Rendition, _gop: int) -> list[str]:
    return [
        *("-preset", rendition.preset),
        # zerolatency: no look-ahead and no frame threads, a frame leaves as soon as it came.
        *(("-tune", rendition.tune) if rendition.tune else ()),
        *("-profile:v", rendition.profile),
        *(("-level:v", rendition.level) if rendition.level else ()),
        # With its default (1.5 threads per core, slices of the picture) x264 loses quality on big machines.
        *("-threads", str(ENCODER_THREADS)),
        # Key frames come where segments begin and nowhere else: not at scene changes.
        *("-sc_threshold", "0"),
    ]


def _x265(rendition: Rendition, gop: int) -> list[str]:
    parameters = {
        "keyint": gop,
        # A forced key frame may come right after another one.
        "min-keyint": 1,
        # Key frames come where segments begin and nowhere else, and nothing after one refers to what is before it.
        "scenecut": 0,
        "open-gop": 0,
        # Every segment can be decoded by itself, also where the player missed the initialisation.
        "repeat-headers": 1,
        "pools": ENCODER_THREADS,
        # x265 writes to standard error by itself, whatever FFmpeg's own level is.
        "log-level": "warning",
        **({"level-idc": rendition.level} if rendition.level else {}),
    }
    return [
        *("-preset", rendition.preset),
        *(("-tune", rendition.tune) if rendition.tune else ()),
        *("-profile:v", rendition.profile),
        # x265's forced key frames are otherwise recovery points (CRA), at which not every player can begin.
        *("-forced-idr", "1"),
        *("-x265-params", ":".join(f"{key}={value}" for key, value in parameters.items())),
    ]


def _svtav1(rendition: Rendition, _gop: int) -> list[str]:
    # Low delay: every picture refers to earlier ones only. 2 is constant bit rate, which low delay needs; else
    # 1, variable. A peak rate (-maxrate) is only understood where quality is asked for instead of a rate.
    parameters = {"rc": 2, "pred-struct": 1} if rendition.tune == NO_DELAY else {"rc": 1}
    # No key frames at scene changes.
    parameters |= {"scd": 0, "lp": ENCODER_THREADS}
    return [
        *("-preset", rendition.preset),
        *("-svtav1-params", ":".join(f"{key}={value}" for key, value in parameters.items())),
    ]


def _aom(rendition: Rendition, _gop: int) -> list[str]:
    return [
        # The mode that is made for live pictures; the others are slower than real time by an order of magnitude.
        *("-usage", "realtime"),
        *("-cpu-used", rendition.preset),
        *("-lag-in-frames", "0"),
        *("-row-mt", "1"),
        *("-threads", str(ENCODER_THREADS)),
    ]


def _nvenc(rendition: Rendition, _gop: int) -> list[str]:
    # NVENC's own words for no delay; no reordering, and packets are not held back for pipelining.
    no_delay = ("-tune", "ull", "-zerolatency", "1", "-delay", "0", "-bf", "0")
    return [
        *("-preset", rendition.preset),
        *(no_delay if rendition.tune == NO_DELAY else ("-tune", rendition.tune) if rendition.tune else ()),
        # av1_nvenc has one profile and no option for it.
        *(() if rendition.video_codec == "av1_nvenc" else ("-profile:v", rendition.profile)),
        *(("-level:v", rendition.level) if rendition.level else ()),
        # Without it a forced key frame is an I picture that later ones may look behind.
        *("-forced-idr", "1"),
        # With look-ahead it would put key frames at scene changes.
        *("-no-scenecut", "1"),
        *("-rc", "vbr"),
    ]


def _vaapi(rendition: Rendition, _gop: int) -> list[str]:
    return [
        *("-profile:v", "constrained_baseline" if rendition.profile == "baseline" else rendition.profile),
        *(("-level:v", rendition.level) if rendition.level else ()),
        # Forced key frames are IDR pictures by themselves. One picture at a time leaves at once; more is faster.
        *(("-bf", "0", "-async_depth", "1") if rendition.tune == NO_DELAY else ()),
        *("-rc_mode", "VBR"),
    ]


def _qsv(rendition: Rendition, _gop: int) -> list[str]:
    return [
        *("-preset", rendition.preset),
        *("-profile:v", rendition.profile),
        # FFmpeg hands the number of the level to the driver: 4.1 is 41.
        *(("-level:v", rendition.level.replace(".", "")) if rendition.level else ()),
        # Without it a forced key frame is an I picture that later ones may look behind.
        *("-forced_idr", "1"),
        *(("-bf", "0", "-async_depth", "1") if rendition.tune == NO_DELAY else ()),
    ]


def _rate_control(rendition: Rendition, encoder: VideoEncoder) -> list[str]:
    rate = ["-b:v", str(rendition.video_bitrate)]
    peak = ["-maxrate", str(rendition.maxrate)] if encoder.has_peak_rate else []
    return [*rate, *peak, "-bufsize", str(rendition.bufsize)]
