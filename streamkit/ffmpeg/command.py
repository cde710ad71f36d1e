"""Pure: what to encode -> the exact FFmpeg command, with the reason above each flag. FFmpeg 5.1 and newer.

One process per stream reads FLV from standard input, decodes it once, and writes every rendition as MPEG-TS
or fMP4 segments. It opens no network connection and ends by itself, cleanly, when its input ends.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm
from pathlib import Path

from streamkit.errors import ConfigError
from streamkit.ffmpeg.encoders import ENCODERS, device_options, encoder_options, is_encoded, pixel_format
from streamkit.ffmpeg.inputs import Inputs, Slate, plan_inputs
from streamkit.ffmpeg.pictures import PictureSpec, picture_filters, picture_input, picture_outputs
from streamkit.hls.names import init_name, private_playlist_name
from streamkit.types import FIRST_TIMESTAMP, MediaSequence, Rendition, Seconds, SegmentFormat, SessionId, SourceInfo

PLAYLIST_LENGTH = 30
"""Segments in FFmpeg's private playlists: durations are read from them, so it bounds how late a reader may be."""
EVERY_KEY_FRAME = "0.2"
"""Seconds; shorter than any segment, so that each frame that is marked as a key frame begins one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderSpec:
    """One run of FFmpeg. `segment_duration` in seconds; `first_sequence` numbers the first segment of the run.

    Raises ConfigError when segments cannot be written to `folder`.
    """

    ffmpeg: str
    source: SourceInfo
    renditions: tuple[Rendition, ...]
    folder: Path
    session: SessionId
    first_sequence: int
    segment_duration: Seconds
    fast_start: bool
    segment_format: SegmentFormat = SegmentFormat.MPEGTS
    starts_at: int = FIRST_TIMESTAMP
    """Seconds; the timestamps of its media begin here."""
    slate: Slate | None = None
    """Encode this, in real time and until FFmpeg is told to end, instead of the publisher's media."""
    device: str = ""
    """Render node of a VAAPI or QSV device; used when a rendition needs one."""
    pictures: PictureSpec | None = None

    def __post_init__(self) -> None:
        # FFmpeg expands % in segment names, and has no escape for it there.
        if "%" in str(self.folder):
            raise ConfigError([f"HLS_OUTPUT_DIR must not contain '%': found {self.folder}"])


def build_argv(spec: EncoderSpec) -> list[str]:
    """Return the FFmpeg command for `spec`; no part of it passes through a shell."""
    inputs = plan_inputs(spec.source, spec.renditions, spec.slate)
    argv = [
        spec.ffmpeg,
        *_global_options(),
        *device_options(spec.renditions, spec.device),
        *picture_input(spec.pictures),
        *inputs.options,
        *_filter_graph(spec, inputs),
    ]
    cuts = plan_cuts(spec)
    for index, rendition in enumerate(spec.renditions):
        argv += [
            *_video_options(index, rendition, cuts),
            *_audio_options(rendition, inputs.audio),
            # Audio that stops holds video back for one second at most.
            *("-max_interleave_delta", "1000000"),
            *_hls_options(spec, rendition, cuts),
        ]
    return [*argv, *picture_outputs(spec.pictures)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cuts:
    """Where segments end, in seconds: the first two after `first` each, the others after `interval` each.

    Both are whole numbers of frames in every rendition; `tolerance` is a fraction of the shortest frame.
    """

    interval: Fraction
    first: Fraction
    tolerance: Fraction


def plan_cuts(spec: EncoderSpec) -> Cuts:
    """Return cuts near `segment_duration` that fall on a frame of every rendition, whatever its frame rate.

    At 59.94 and 29.97 frames per second 'the first frame after 2.000 s' is not always the same instant; 2.002 s is.
    """
    frames = [1 / rendition.fps for rendition in spec.renditions if rendition.fps and rendition.video_codec != "copy"]
    wanted = Fraction(spec.segment_duration).limit_denominator(1_000_000)
    grid = _common_multiple(frames) if frames else wanted
    if grid > wanted:
        grid = wanted
    interval = max(1, round(wanted / grid)) * grid
    # The hls muxer cannot cut audio alone at 1, 2, 4, 6 ... seconds; segment numbers that do not mean the
    # same time in every rendition would cost more than the second that a fast start gains.
    # Nor can every encoder make a key frame after half a segment.
    fast = spec.fast_start and all(_cuts_anywhere(rendition) for rendition in spec.renditions)
    first = max(1, round(interval / 2 / grid)) * grid if fast else interval
    return Cuts(interval=interval, first=first, tolerance=min(frames, default=grid) / 4)


def _cuts_anywhere(rendition: Rendition) -> bool:
    encoder = ENCODERS.get(rendition.video_codec or "")
    return rendition.video_codec == "copy" or (encoder is not None and encoder.forces_key_frames)


def _common_multiple(values: list[Fraction]) -> Fraction:
    numerators = lcm(*(value.numerator for value in values))
    return Fraction(numerators, gcd(*(value.denominator for value in values)))


def _global_options() -> list[str]:
    return [
        "-hide_banner",
        # Each line of the log says how serious it is; below warning there is nothing that explains a death.
        *("-loglevel", "level+warning"),
        # The human status line would fill the log; machine-readable progress goes to standard output instead.
        "-nostats",
        *("-progress", "pipe:1"),
        *("-stats_period", "1"),
        # Standard input is the media: never read commands from it.
        "-nostdin",
        # A restarted run finds the private playlists of the run before it.
        "-y",
        # Timestamps that jump are joined within 3 s, instead of filling an hour's gap with copies of one frame.
        *("-dts_error_threshold", "3"),
    ]


def _filter_graph(spec: EncoderSpec, inputs: Inputs) -> list[str]:
    """Return the graph that scales the picture to every encoded rendition i, as [v{i}], and to pictures."""
    # The same size is scaled too: that costs nothing until the publisher changes its resolution in mid-stream,
    # which would otherwise end the encoder. Bilinear is the cheapest that looks good when making pictures smaller.
    filters = {
        str(i): f"{_thinning(spec.source, rendition)}"
        f"scale={rendition.width}:{rendition.height}:flags=bilinear{_bars(spec, rendition)},setsar=1,"
        f"{pixel_format(rendition.video_codec or '')}"
        for i, rendition in enumerate(spec.renditions)
        if is_encoded(rendition)
    } | picture_filters(spec.pictures)
    picture = f"[{inputs.video}]{inputs.drawn}{_deinterlacer(spec.source)}"
    if len(filters) <= 1:
        return [word for name, chain in filters.items() for word in ("-filter_complex", f"{picture}{chain}[v{name}]")]
    outputs = "".join(f"[s{name}]" for name in filters)
    chains = [f"[s{name}]{chain}[v{name}]" for name, chain in filters.items()]
    return ["-filter_complex", ";".join([f"{picture}split={len(filters)}{outputs}", *chains])]


def _thinning(source: SourceInfo, rendition: Rendition) -> str:
    """Return the filter, with a comma, that drops frames where the rendition has fewer than the source.

    What the output's own -fps_mode keeps instead comes up to two of the rendition's frames late, behind its sound.
    """
    rate = source.video.fps if source.video is not None else None
    if rate is None or rendition.fps is None or rendition.fps >= rate:
        return ""
    return f"fps={rendition.fps.numerator}/{rendition.fps.denominator}:start_time=0,"


def _deinterlacer(source: SourceInfo) -> str:
    """Return the filter, with a comma, that makes one frame of two fields; pictures without fields pass through it."""
    may_be = source.video is not None and source.video.may_be_interlaced
    return "bwdif=mode=send_frame:deint=interlaced," if may_be else ""


def _bars(spec: EncoderSpec, rendition: Rendition) -> str:
    """Return what keeps a slate's shape; the publisher's own is that of the renditions."""
    if spec.slate is None:
        return ""
    size = f"{rendition.width}:{rendition.height}"
    return f":force_original_aspect_ratio=decrease,pad={size}:(ow-iw)/2:(oh-ih)/2"


def _video_options(index: int, rendition: Rendition, cuts: Cuts) -> list[str]:
    if rendition.video_codec is None:
        return []
    if rendition.video_codec == "copy":
        return ["-map", "0:v:0", "-c:v", "copy"]
    fps = rendition.fps or Fraction(30)
    return [
        *("-map", f"[v{index}]"),
        *encoder_options(rendition, max(1, round(fps * cuts.interval))),
        # A constant frame rate: otherwise segments of a variable-rate source differ in length.
        *("-r", f"{fps.numerator}/{fps.denominator}"),
        *("-fps_mode", "cfr"),
        # Key frames come at the same instants in every rendition, so that players can switch between them.
        *("-force_key_frames", _key_frame_expression(cuts)),
    ]


def _key_frame_expression(cuts: Cuts) -> str:
    """Return FFmpeg's expression that is true at t = 0, first, 2 x first, then every interval (seconds)."""
    first, interval, tolerance = float(cuts.first), float(cuts.interval), float(cuts.tolerance)
    # A quarter of a frame before the instant: a sum of floating-point numbers may fall just short of it.
    if cuts.first == cuts.interval:
        return f"expr:gte(t+{tolerance:.9f},n_forced*{interval!r})"
    return f"expr:gte(t+{tolerance:.9f},if(lt(n_forced,2),n_forced*{first!r},(n_forced-2)*{interval!r}+{2 * first!r}))"


def _audio_options(rendition: Rendition, sound: str) -> list[str]:
    if rendition.audio_codec is None:
        return []
    if rendition.audio_codec == "copy":
        return ["-map", sound, "-c:a", "copy"]
    return [
        *("-map", sound),
        *("-c:a", rendition.audio_codec),
        *("-b:a", str(rendition.audio_bitrate)),
        *("-ac", str(rendition.audio_channels)),
        # Alone, sound is cut by its own time: silence where the source has none, from the start on, lets its numbers
        # mean what they mean beside the pictures.
        *(("-af", "aresample=async=1:first_pts=0") if rendition.video_codec is None else ()),
    ]


def _hls_options(spec: EncoderSpec, rendition: Rendition, cuts: Cuts) -> list[str]:
    # "file:" makes FFmpeg take the rest as a path, whatever it begins with or contains.
    folder = f"file:{spec.folder}"
    return [
        # No extra delay between audio and video for players' buffers: segments are complete when they are read.
        *("-muxdelay", "0"),
        *("-muxpreload", "0"),
        # Encoders differ in how far before zero their first packet lies, and FFmpeg would shift each output by its
        # own amount until nothing is negative, which tears the renditions apart: let all begin at the same second.
        # It lies behind the run before: where timestamps of fMP4 go back, FFmpeg as a player drops a segment.
        *("-output_ts_offset", str(spec.starts_at)),
        *("-f", "hls"),
        *("-hls_time", _hls_time(rendition, cuts)),
        *("-hls_list_size", str(PLAYLIST_LENGTH)),
        *("-start_number", str(spec.first_sequence)),
        *_container_options(spec, rendition),
        *("-hls_segment_filename", f"{folder}/segment_{spec.session}_{rendition.name}_%d{spec.segment_format.suffix}"),
        f"{folder}/{private_playlist_name(spec.session, rendition.name)}",
    ]


def _container_options(spec: EncoderSpec, rendition: Rendition) -> list[str]:
    if spec.segment_format is SegmentFormat.MPEGTS:
        return []
    first = MediaSequence(spec.first_sequence)
    return [
        *(("-tag:v", "hvc1") if _is_hevc(spec, rendition) else ()),  # Apple's players refuse FFmpeg's own 'hev1'
        *("-hls_segment_type", "fmp4"),
        # Timestamps as they are. FFmpeg would begin every track at zero and keep what it took off, which differs
        # with the encoder's delay, in edit lists, which players in browsers do not read.
        *("-hls_segment_options", "movflags=+frag_discont:use_editlist=0:avoid_negative_ts=disabled"),
        # Not a path: FFmpeg puts it beside the playlist.
        *("-hls_fmp4_init_filename", init_name(spec.session, rendition.name, first)),
    ]


def _is_hevc(spec: EncoderSpec, rendition: Rendition) -> bool:
    if rendition.video_codec == "copy":
        return spec.source.video is not None and spec.source.video.codec == "hevc"
    return "hevc" in (rendition.video_codec or "") or rendition.video_codec == "libx265"


def _hls_time(rendition: Rendition, cuts: Cuts) -> str:
    """Return the shortest segment in seconds, after which the muxer cuts at the next key frame.

    Our encoders are told where to make them, and whoever feeds copied video marks as such what is to begin a segment.
    """
    return f"{float(cuts.interval):.6f}" if rendition.video_codec is None else EVERY_KEY_FRAME
