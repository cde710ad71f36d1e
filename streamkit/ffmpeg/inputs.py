"""Pure: where FFmpeg reads pictures and sound from: the publisher's media, a slate, or what it makes itself."""

from dataclasses import dataclass
from pathlib import Path

from streamkit.ffmpeg.encoders import COPY, is_encoded
from streamkit.types import Rendition, SourceInfo

DECODER_THREADS = 4
PICTURES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp"})
"""What the name of a slate that is a picture ends in; anything else is a clip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slate:
    """A picture or clip that is shown while the publisher is gone."""

    path: Path
    has_audio: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """FFmpeg's input options, and which stream of which input is the picture and the sound.

    `is_endless`: one of them never ends, so that outputs must end with the other.
    """

    options: list[str]
    video: str
    audio: str
    is_endless: bool


def plan_inputs(source: SourceInfo, renditions: tuple[Rendition, ...], slate: Slate | None) -> Inputs:
    """Return the inputs for the renditions. A medium that they have and nothing brings is black, or silent."""
    is_copied = any(one.video_codec == COPY for one in renditions)
    options = _publisher(source, is_copied=is_copied) if slate is None else _slate(slate)
    has_video = slate is not None or source.video is not None
    has_audio = slate.has_audio if slate is not None else source.audio is not None
    picture = next((one for one in renditions if is_encoded(one)), None)
    video = audio = "0"
    if picture is not None and not has_video:
        video, rate = "1", picture.fps or 30
        options += _made(f"color=black:size={picture.width}x{picture.height}:rate={rate}")
    is_silent = not has_audio and any(one.audio_codec for one in renditions)
    if is_silent:
        audio = "2" if video == "1" else "1"
        options += _made("anullsrc=channel_layout=stereo:sample_rate=48000")
    is_endless = slate is None and (video != "0" or audio != "0")
    return Inputs(options=options, video=f"{video}:v:0", audio=f"{audio}:a:0", is_endless=is_endless)


def _publisher(source: SourceInfo, *, is_copied: bool) -> list[str]:
    options = [
        # The source is standard input and nothing else: no media can make FFmpeg open a file or a connection.
        *("-protocol_whitelist", "pipe"),
        # The output's frame rate is given below; guessing the input's costs a second of waiting. Of copied video it
        # tells how long the last frame is: a few frames are enough.
        *("-fpsprobesize", "5" if is_copied else "0"),
        # Segments of copied video begin where the FLV says that there is a key frame, and not where a parser sees one.
        *(("-fflags", "+noparse") if is_copied else ()),
        # Every decoder thread delays the picture by one frame: one per core of a big machine would be half a second.
        *("-threads", str(DECODER_THREADS)),
    ]
    if source.video is None or source.audio is None:
        # FFmpeg waits 5 s for the second stream of an FLV. The headers said that there is none. (With both, it
        # starts as soon as it saw both, and a limit could only make it miss one.)
        options += ["-analyzeduration", "1"]
    return [*options, "-f", "flv", "-i", "pipe:0"]


def _slate(slate: Slate) -> list[str]:
    is_picture = slate.path.suffix.lower() in PICTURES
    return [
        # The operator's own file, which may name no other place than files.
        *("-protocol_whitelist", "file,pipe"),
        *("-threads", str(DECODER_THREADS)),
        # As fast as it plays, not as fast as it can be encoded; and again from the start, for ever.
        "-re",
        *(("-loop", "1", "-framerate", "10") if is_picture else ("-stream_loop", "-1")),
        *("-i", f"file:{slate.path}"),
    ]


def _made(description: str) -> list[str]:
    return ["-f", "lavfi", "-i", description]
