"""What was really encoded in a rendition, as its first segments showed it, and what that says in playlists."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction

from streamkit.hls.codecs import AAC_LC, codecs
from streamkit.media.info import MediaInfo
from streamkit.types import Rendition


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """One rendition in one run of the encoder.

    Codecs as RFC 6381 writes them, '' for a medium that was not seen; the size that the picture is to be shown at.
    `independent` is False once a segment was seen that does not begin with an IDR.
    """

    video_codec: str = ""
    audio_codec: str = ""
    width: int = 0
    height: int = 0
    fps: Fraction | None = None
    channels: int = 0
    independent: bool = True


def encoded(media: MediaInfo, rendition: Rendition, before: Encoded | None) -> Encoded:
    """Return what the segments up to this one show of a rendition; what was seen `before` stays, for one run."""
    seen, video, audio = before or Encoded(), media.video, media.audio
    if video is not None and not seen.video_codec:
        width, height = video.picture.display_size
        fps = video.frame_rate(rendition.fps)
        seen = replace(seen, video_codec=video.codec, width=width, height=height, fps=fps)
    if audio is not None and not seen.audio_codec:
        seen = replace(seen, audio_codec=audio.codec, channels=audio.channels)
    return replace(seen, independent=seen.independent and (video is None or video.starts_with_idr is not False))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a multivariant playlist says of a rendition (RFC 8216 4.3.4.2); '' codecs and 0 are not known."""

    codecs: str
    width: int
    height: int
    fps: Fraction | None
    channels: int


def shape(rendition: Rendition, seen: Iterable[Encoded]) -> Shape:
    """Return what all the runs of a rendition have in common or at most; the newest is first.

    What was seen counts. For what was not, there is what the encoder was asked for, if it is certain to do that.
    """
    runs = list(seen)
    parts = [_highest(run.video_codec for run in runs), _highest(run.audio_codec for run in runs)]
    asked = _asked(rendition)
    told = [part or asked[kind] for kind, part in enumerate(parts)]
    expected = [bool(rendition.video_codec) or bool(parts[0]), _has_own_audio(rendition) or bool(parts[1])]
    known = all(codec for codec, is_expected in zip(told, expected, strict=True) if is_expected)
    largest = max(runs, key=lambda run: run.width * run.height, default=Encoded())
    rates = [run.fps for run in runs if run.fps]
    return Shape(
        codecs=",".join(codec for codec, is_expected in zip(told, expected, strict=True) if is_expected)
        if known
        else "",
        width=largest.width or rendition.width,
        height=largest.height or rendition.height,
        fps=max(rates) if rates else rendition.fps,
        channels=next((run.channels for run in runs if run.channels), rendition.audio_channels),
    )


def _asked(rendition: Rendition) -> tuple[str, str]:
    """Return the video and audio codecs that the encoder is certain to write, '' otherwise."""
    video = codecs(rendition).partition(",")[0] if rendition.video_codec else ""
    return (video if video.startswith("avc1") else "", AAC_LC if rendition.audio_codec == "aac" else "")


def _has_own_audio(rendition: Rendition) -> bool:
    return rendition.audio_codec is not None


def _highest(found: Iterable[str]) -> str:
    """Return of each kind of codec the one with the highest level, which decodes the others too."""
    kinds: dict[str, str] = {}
    for codec in found:
        kind = codec.partition(".")[0] if not codec.startswith("mp4a") else codec
        if codec and (kind not in kinds or _level(codec) > _level(kinds[kind])):
            kinds[kind] = codec
    return ",".join(kinds.values())


def _level(codec: str) -> tuple[int, str]:
    kind, *rest = codec.split(".")
    if kind == "avc1" and rest:
        return int(rest[0][4:6] or "0", 16), codec
    level = rest[2 if kind in ("hvc1", "hev1") else 1] if len(rest) > 2 else "0"
    return int("".join(digit for digit in level if digit.isdecimal()) or "0"), codec
