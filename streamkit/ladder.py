"""Pure: what the publisher sends and the operator's ladder -> the renditions that FFmpeg is asked for."""

from collections.abc import Collection
from fractions import Fraction
from math import ceil

from streamkit.audio_groups import with_separate_audio
from streamkit.errors import LadderError
from streamkit.ffmpeg.encoders import COPY, encoder_name
from streamkit.passthrough import fitting_rung
from streamkit.presets import UNKNOWN, Capacity, with_presets
from streamkit.settings_ladder import (
    BUFSIZE_RATIO,
    FPS_TOLERANCE,
    MAXRATE_RATIO,
    LadderSettings,
    RenditionSettings,
)
from streamkit.types import AudioSource, BitsPerSecond, Rendition, RenditionName, SegmentFormat, SourceInfo, VideoSource

DEFAULT_FPS = Fraction(30)
"""Used when the publisher does not say how many frames per second it sends."""
SMALLEST_VIDEO_BITRATE = 64_000
WORTH_ITS_OWN = 1.15
"""How much larger than a rung a source is (its short side) to be encoded at its own size as well."""

# What Apple's players take in each container (HLS authoring specification 1.1, 1.3, 2.1).
_VIDEO_IN = {SegmentFormat.MPEGTS: ("h264",), SegmentFormat.FMP4: ("h264", "hevc", "av1")}
_AUDIO_IN = {
    SegmentFormat.MPEGTS: ("aac", "mp3", "ac3", "eac3"),
    SegmentFormat.FMP4: ("aac", "mp3", "ac3", "eac3", "flac", "opus"),
}
# The first FFmpeg whose FLV demuxer knows a codec that only enhanced RTMP carries (FFmpeg's Changelog).
_ENHANCED_SINCE = {
    **dict.fromkeys(("hevc", "av1", "vp9"), (6, 1)),
    **dict.fromkeys(("vvc", "vp8", "opus", "flac", "ac3", "eac3"), (8, 0)),
}


def plan_renditions(
    ladder: LadderSettings,
    source: SourceInfo,
    *,
    ffmpeg_version: tuple[int, int] = (9, 0),
    segment_format: SegmentFormat = SegmentFormat.MPEGTS,
    keep: Collection[RenditionName] = (),
    capacity: Capacity | None = UNKNOWN,
) -> tuple[Rendition, ...]:
    """Return what to encode: at least one rendition, in the ladder's order, never larger than the source.

    A ladder with `passthrough` copies a source that is within the limits of a rung already, and nothing else.
    The rungs that `keep` names are there even if they are larger; their pictures have the source's size then.

    Without video there is exactly one, audio-only, rendition; without audio the audio-only rungs are left out.
    Presets that are `auto` are chosen by `capacity`, and stay `auto` when it is None.
    Raises LadderError when FFmpeg cannot read the source, or nothing of the ladder can be made from it.
    """
    _check_readable(source, ffmpeg_version)
    _check_copies(ladder, source, segment_format)
    if source.video is None:
        return (_only_audio(ladder, source),)
    if (passed := _passed_through(ladder, source, keep)) is not None:
        return (_picture_rendition(passed, source, source.video),)
    rungs = _fitting(ladder.renditions, source.video, keep)
    renditions = [
        _audio_rendition(rung, source.audio) if rung.audio_only else _picture_rendition(rung, source, source.video)
        for rung in rungs
        if source.audio is not None or not rung.audio_only
    ]
    if not renditions:
        raise LadderError("the ladder has audio-only renditions alone and the source has no audio")
    planned = tuple(renditions)
    if capacity is not None:
        planned = with_presets(planned, source, capacity)
    return with_separate_audio(planned) if ladder.separate_audio else planned


def capped_fps(fps: Fraction | None, max_fps: float) -> Fraction:
    """Return the source's rate, divided by the smallest integer that brings it to `max_fps` or below.

    Dividing drops frames evenly (59.94 becomes 29.97, never 30), so that motion stays smooth.
    """
    rate = fps if fps is not None and fps > 0 else DEFAULT_FPS
    limit = Fraction(max_fps).limit_denominator(1001)
    if limit < rate <= limit * FPS_TOLERANCE:
        return limit
    return rate / ceil(rate / limit)


def _check_readable(source: SourceInfo, version: tuple[int, int]) -> None:
    if source.video is None and source.audio is None:
        raise LadderError("the source has neither video nor audio")
    if source.video is not None and min(source.video.shown_size) < 2:
        raise LadderError(f"the source's picture size {source.video.width}x{source.video.height} cannot be encoded")
    for medium in (source.video, source.audio):
        since = _ENHANCED_SINCE.get(medium.codec, (0, 0)) if medium else (0, 0)
        if medium is not None and version < since:
            raise LadderError(
                f"the publisher sends {medium.codec}, which needs FFmpeg {since[0]}.{since[1]} or newer; "
                f"this is FFmpeg {version[0]}.{version[1]}: publish H.264 and AAC, or update FFmpeg"
            )


def _check_copies(ladder: LadderSettings, source: SourceInfo, container: SegmentFormat) -> None:
    """Refuse to copy what players do not take from the container."""
    for rung in ladder.renditions:
        copies_video = rung.video_codec == COPY and not rung.audio_only
        for medium, is_copied, held in (
            (source.video, copies_video, _VIDEO_IN),
            (source.audio, rung.audio_codec == COPY, _AUDIO_IN),
        ):
            if medium is None or not is_copied or medium.codec in held[container]:
                continue
            inside = "fMP4" if container is SegmentFormat.FMP4 else "MPEG-TS"
            advice = "segment_format: fmp4 can" if medium.codec in held[SegmentFormat.FMP4] else "encode it instead"
            raise LadderError(
                f"rendition '{rung.name}' copies {medium.codec}, which players do not take from {inside} segments; "
                f"{advice}"
            )


def _passed_through(
    ladder: LadderSettings, source: SourceInfo, keep: Collection[RenditionName]
) -> RenditionSettings | None:
    """Return the rung that copies, where the ladder allows it and players do not watch other renditions already."""
    rung = fitting_rung(ladder, source)[0] if ladder.passthrough else None
    return rung if rung is not None and set(keep) <= {rung.name} else None


def _fitting(
    rungs: tuple[RenditionSettings, ...], video: VideoSource, keep: Collection[RenditionName]
) -> list[RenditionSettings]:
    """Return the rungs to keep, those that do not enlarge the picture, and the next above when that saves much of it.

    A source between two rungs (900 between 1080 and 720) is worth a rendition of its own size, made of the rung above;
    one that is hardly larger than a rung (768 above 720) is not.
    """
    short_side = min(video.shown_size)
    heights = sorted(rung.height or 0 for rung in rungs if not rung.audio_only)
    best = max((height for height in heights if height <= short_side), default=0)
    above = min((height for height in heights if height > short_side), default=0)
    tallest = above if short_side >= best * WORTH_ITS_OWN else best
    highest = max(tallest, best)
    return [rung for rung in rungs if rung.audio_only or (rung.height or 0) <= highest or rung.name in keep]


def _picture_rendition(rung: RenditionSettings, source: SourceInfo, video: VideoSource) -> Rendition:
    audio_codec, audio_bitrate, channels = _audio(rung, source.audio)
    if rung.video_codec == COPY:
        bitrate = source.video_bitrate or BitsPerSecond(0)
        return Rendition(
            name=RenditionName(rung.name),
            video_codec=COPY,
            width=video.width,
            height=video.height,
            fps=video.fps,
            video_bitrate=bitrate,
            maxrate=bitrate,
            audio_codec=audio_codec,
            audio_bitrate=audio_bitrate,
            audio_channels=channels,
        )
    width, height = _size(rung.height or 0, video)
    bitrate, maxrate, bufsize = _rates(rung, width * height, video)
    return Rendition(
        name=RenditionName(rung.name),
        video_codec=encoder_name(rung.video_codec),
        width=width,
        height=height,
        fps=capped_fps(video.fps, rung.max_fps),
        video_bitrate=bitrate,
        maxrate=maxrate,
        bufsize=bufsize,
        preset=rung.preset,
        tune=rung.tune,
        profile=rung.profile or rung.encoder.profiles[0],
        level=rung.level or "",
        audio_codec=audio_codec,
        audio_bitrate=audio_bitrate,
        audio_channels=channels,
    )


def _size(height: int, video: VideoSource) -> tuple[int, int]:
    """Return even (width, height) whose short side is `height`, or the source's own size if that is smaller.

    Pixels are square: a source whose pixels are not is as wide as it is shown.
    """
    width, shown_height = video.shown_size
    short, long = sorted((width, shown_height))
    if height > short:
        side, other = short // 2 * 2, long // 2 * 2
    else:
        side = height // 2 * 2
        other = max(side, round(Fraction(long * side, short) / 2) * 2)
    return (other, side) if width >= shown_height else (side, other)


def _rates(rung: RenditionSettings, pixels: int, video: VideoSource) -> tuple[BitsPerSecond, BitsPerSecond, int]:
    """Return (bitrate, maxrate, bufsize) in bit/s and bits, reduced when the picture is smaller than the rung's.

    Half the pixels need more than half the bits: the exponent 0.75 is the usual rule of thumb.
    """
    short, long = sorted(video.shown_size)
    wanted_pixels = (rung.height or 0) ** 2 * long / short
    # Rounding to even sizes is no reason to reduce anything.
    scale = (pixels / wanted_pixels) ** 0.75 if (rung.height or 0) > short else 1.0
    full = rung.video_bitrate or 0
    bitrate = max(min(full, SMALLEST_VIDEO_BITRATE), round(full * scale))
    maxrate = round(rung.maxrate * scale) if rung.maxrate else round(bitrate * MAXRATE_RATIO)
    bufsize = round(rung.bufsize * scale) if rung.bufsize else round(bitrate * BUFSIZE_RATIO)
    return BitsPerSecond(bitrate), BitsPerSecond(max(bitrate, maxrate)), bufsize


def _only_audio(ladder: LadderSettings, source: SourceInfo) -> Rendition:
    """Return the one rendition of a source without video: the audio-only rung, or the best rung's audio."""
    rung = next((rung for rung in ladder.renditions if rung.audio_only), None)
    if rung is not None:
        return _audio_rendition(rung, source.audio)
    return _audio_rendition(ladder.renditions[0], source.audio, name="audio")


def _audio_rendition(rung: RenditionSettings, audio: AudioSource | None, name: str | None = None) -> Rendition:
    codec, bitrate, channels = _audio(rung, audio)
    return Rendition(
        name=RenditionName(name or rung.name),
        video_codec=None,
        audio_codec=codec,
        audio_bitrate=bitrate,
        audio_channels=channels,
    )


def _audio(rung: RenditionSettings, audio: AudioSource | None) -> tuple[str | None, BitsPerSecond, int]:
    """Return (codec, bit rate, channels); mono is never widened to stereo."""
    if audio is None:
        return None, BitsPerSecond(0), 0
    if rung.audio_codec == COPY:
        return COPY, BitsPerSecond(rung.audio_bitrate), audio.channels
    channels = min(rung.audio_channels, audio.channels) if audio.channels > 0 else rung.audio_channels
    return rung.audio_codec, BitsPerSecond(rung.audio_bitrate), channels
