"""Pure: whether a source already is what its ladder would make of it, so that it is passed on without encoding."""

from fractions import Fraction
from math import inf

from streamkit.ffmpeg.encoders import COPY
from streamkit.settings_ladder import FPS_TOLERANCE, MAXRATE_RATIO, LadderSettings, RenditionSettings
from streamkit.types import SourceInfo, VideoSource

PLAYED_EVERYWHERE = (66, 77, 100)
"""H.264's profiles Baseline, Main and High (H.264 A.2), which have 8 bits and 4:2:0."""


def fitting_rung(ladder: LadderSettings, source: SourceInfo) -> tuple[RenditionSettings | None, str]:
    """Return the rung that the source is taken for, which copies then, or None and why it must be encoded."""
    video = source.video
    if video is None:
        return None, "it has no picture"
    rung = _rung_of(ladder, video)
    if rung is None:
        return None, f"its picture is larger than every rung: {video.width}x{video.height}"
    reason = _misfit(rung, video, source.video_bitrate)
    if reason:
        return None, reason
    sound = source.audio is not None and source.audio.codec == "aac" and source.audio.channels <= rung.audio_channels
    return rung.model_copy(update={"video_codec": COPY, "audio_codec": COPY if sound else rung.audio_codec}), ""


def _rung_of(ladder: LadderSettings, video: VideoSource) -> RenditionSettings | None:
    """Return the lowest rung that holds the whole picture."""
    holds = [rung for rung in ladder.renditions if rung.is_encoded and (rung.height or 0) >= min(video.shown_size)]
    return min(holds, key=lambda rung: rung.height or 0, default=None)


def _misfit(rung: RenditionSettings, video: VideoSource, bitrate: int | None) -> str:
    """Return why the rung would change this picture; '' when it would not."""
    limit = rung.maxrate or (rung.video_bitrate or 0) * MAXRATE_RATIO
    checks = (
        (video.codec != rung.encoder.codec, f"it is {video.codec}, the rung is {rung.encoder.codec}"),
        (video.profile not in PLAYED_EVERYWHERE, "it is not H.264 of a profile that every player has"),
        (video.may_be_interlaced, "it may be interlaced"),
        (video.sample_aspect != 1, "its pixels are not square"),
        (video.fps is None, "its frame rate is not known"),
        ((video.fps or 0) > Fraction(rung.max_fps) * FPS_TOLERANCE, "it has too many frames per second"),
        (bitrate is None, "the publisher does not announce its bit rate"),
        ((bitrate or inf) > limit, f"its bit rate is above the rung's peak of {limit:.0f} bit/s"),
    )
    reason = next((why for is_wrong, why in checks if is_wrong), "")
    return f"{reason} ('{rung.name}')" if reason else ""
