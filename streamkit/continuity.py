"""Pure: what the later encoder runs of a session encode, so that players which watch it go on.

A player that plays 1080p.m3u8 reloads that file alone: a rendition that vanished would stall it, and a track that
vanished would stall every player whose buffers wait for it. So renditions, pictures and sound that a session once had
stay, smaller, black or silent if need be.
"""

from collections.abc import Collection
from dataclasses import replace
from fractions import Fraction

from streamkit.ffmpeg.encoders import COPY, ENCODERS, NO_DELAY, encoder_name
from streamkit.types import BitsPerSecond, Rendition, SourceInfo, VideoSource

_AUDIO_BITRATE = BitsPerSecond(128_000)
_VIDEO_BITRATE = BitsPerSecond(2_000_000)  # of a copied source that did not announce its own


def continued(
    planned: tuple[Rendition, ...], before: tuple[Rendition, ...], source: SourceInfo
) -> tuple[Rendition, ...]:
    """Return what to encode of `source` after a run that encoded `before`; `planned` is what the ladder makes of it.

    A source without picture gives the renditions of before, whose pictures are black. One without sound gives silence
    where there was sound. A single rendition with pictures stays the only one: players have its media playlist
    in the place of a multivariant one.
    """
    if source.video is None and any(one.video_codec for one in before):
        return generated(before, None)
    known = {one.name: one for one in before}
    if len(before) == 1 and before[0].video_codec is not None:
        planned = tuple(one for one in planned if one.name in known) or planned
    sounding = tuple(_with_sound(one, known.get(one.name)) if source.audio is None else one for one in planned)
    names = {one.name for one in planned}
    sounds = tuple(one for one in before if one.name not in names and one.video_codec is None)
    return sounding + (generated(sounds, None) if source.audio is None else sounds)


def generated(before: Collection[Rendition], copied: VideoSource | None) -> tuple[Rendition, ...]:
    """Return the renditions as they are encoded when there is nothing to copy; `copied` is what was copied before."""
    return tuple(_with_encoded_sound(_with_encoded_picture(one, copied)) for one in before)


def _with_encoded_picture(rendition: Rendition, copied: VideoSource | None) -> Rendition:
    if rendition.video_codec != COPY:
        return rendition
    encoder = encoder_name(copied.codec if copied else "h264")
    known = ENCODERS[encoder if encoder in ENCODERS else "libx264"]
    bitrate = rendition.video_bitrate or _VIDEO_BITRATE
    return replace(
        rendition,
        video_codec=encoder if encoder in ENCODERS else "libx264",
        width=rendition.width // 2 * 2,
        height=rendition.height // 2 * 2,
        fps=rendition.fps or Fraction(30),
        video_bitrate=bitrate,
        maxrate=bitrate,
        bufsize=bitrate,
        preset=known.usual,
        tune=NO_DELAY,
        profile=known.profiles[0],
    )


def _with_encoded_sound(rendition: Rendition) -> Rendition:
    if rendition.audio_codec != COPY:
        return rendition
    return replace(rendition, audio_codec="aac", audio_bitrate=rendition.audio_bitrate or _AUDIO_BITRATE)


def _with_sound(rendition: Rendition, before: Rendition | None) -> Rendition:
    if before is None:
        return rendition
    return _with_encoded_sound(
        replace(
            rendition,
            audio_codec=before.audio_codec,
            audio_bitrate=before.audio_bitrate,
            audio_channels=before.audio_channels,
            audio_group=before.audio_group,
        )
    )
