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

    `drawn`: the filter, with a comma, that makes the picture of a stream that is none; '' for a picture.
    """

    options: list[str]
    video: str
    audio: str
    drawn: str = ""


def plan_inputs(source: SourceInfo, renditions: tuple[Rendition, ...], slate: Slate | None) -> Inputs:
    """Return the inputs for the renditions. A medium that they have and nothing brings is black, or silent.

    Both end with what the publisher brings, in every output: black is drawn in step with its sound, and silence is in
    the feed beside its pictures.
    """
    is_copied = any(one.video_codec == COPY for one in renditions)
    is_silent = source.audio is None and any(one.audio_codec for one in renditions)
    options = _publisher(source, is_copied=is_copied, is_silent=is_silent) if slate is None else _slate(slate)
    has_video = slate is not None or source.video is not None
    has_audio = slate.has_audio if slate is not None else source.audio is not None
    picture = next((one for one in renditions if is_encoded(one)), None)
    drawn = _black(picture) if picture is not None and not has_video else ""
    video, audio = "0:a:0" if drawn else "0:v:0", "0:a:0"
    if slate is not None and not has_audio and any(one.audio_codec for one in renditions):
        audio = "1:a:0"
        options += ["-f", "lavfi", "-i", "anullsrc=channel_layout=stereo:sample_rate=48000"]
    return Inputs(options=options, video=video, audio=audio, drawn=drawn)


def _publisher(source: SourceInfo, *, is_copied: bool, is_silent: bool) -> list[str]:
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
    if source.video is None or (source.audio is None and not is_silent):
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


def _black(picture: Rendition) -> str:
    """Return the filter, with a comma, that draws the sound that it gets in black on black."""
    size = f"{max(2, picture.width // 4)}x{max(2, picture.height // 4)}"
    return f"showwaves=size={size}:rate={picture.fps or 30}:colors=black,format=yuv420p,"
