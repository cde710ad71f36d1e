"""Pure: the pictures that FFmpeg makes beside a ladder, from the frames that it decodes anyway, and its options.

They cost next to nothing: of each interval one frame is scaled and compressed. Nothing that goes wrong with them
reaches the ladder: each kind of picture is written by a thread of its own, which drops what it cannot write.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from streamkit.ffmpeg.encoders import is_encoded
from streamkit.jpeg import LARGEST
from streamkit.settings_pictures import PictureSettings
from streamkit.types import Rendition, Seconds, SessionId, SourceInfo

FOLDER = ".pictures"
"""Below the stream's folder; the dot keeps it from being public."""
POSTER_FILE = "poster.jpg"
_THUMBNAIL = re.compile(r"thumb_([0-9a-z]{8})_([0-9]{1,15})_([0-9]{1,12})\.jpg", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Still:
    """One kind of picture: its name in the filter graph, its size in pixels, and one every `interval` seconds.

    `options` are those of FFmpeg's encoder, `muxer` those of its image2 muxer.
    """

    kind: str
    file: str
    width: int
    height: int
    interval: Seconds
    options: tuple[str, ...]
    muxer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureSpec:
    """The pictures of one run of FFmpeg. `key_frames_only`: nothing else is decoded."""

    folder: Path
    stills: tuple[Still, ...]
    quality: int
    key_frames_only: bool


def plan_pictures(
    settings: PictureSettings | None,
    source: SourceInfo,
    renditions: tuple[Rendition, ...],
    *,
    folder: Path,
    session: SessionId,
    first_sequence: int,
) -> PictureSpec | None:
    """Return the pictures to make of a stream in `folder`, or None: no video, not wanted, or too expensive."""
    if settings is None or source.video is None or why_none(settings, source, renditions):
        return None
    best = next(rendition for rendition in renditions if rendition.video_codec)
    size = (best.width or source.video.width, best.height or source.video.height)
    stills = (_poster(settings, size), _thumbnail(settings, size, f"{session}_{first_sequence}"))
    wanted = tuple(still for still in stills if still is not None)
    if not wanted:
        return None
    return PictureSpec(
        folder=folder / FOLDER,
        stills=wanted,
        quality=settings.quality,
        key_frames_only=not any(map(is_encoded, renditions)),
    )


def why_none(settings: PictureSettings | None, source: SourceInfo, renditions: tuple[Rendition, ...]) -> str | None:
    """Return why there are no pictures of a stream, as it follows on 'no poster: '; None when there are."""
    if settings is None:
        return "it is encrypted, or a rule says `pictures: false`"
    if source.video is None:
        return "its publisher sends no video"
    if not any(rendition.video_codec for rendition in renditions):
        return "its ladder has no video"
    if not (any(map(is_encoded, renditions)) or settings.decode_copies):
        return "its video is only copied, and pictures.decode_copies is false"
    return None


def _poster(settings: PictureSettings, size: tuple[int, int]) -> Still | None:
    if settings.poster_interval is None:
        return None
    width, height = fit(size, settings.poster_height)
    return Still(
        kind="poster",
        file=POSTER_FILE,
        width=width,
        height=height,
        interval=Seconds(settings.poster_interval),
        options=("-threads", "1"),
        # One file, which is replaced as a whole.
        muxer="update=1:atomic_writing=1",
    )


def _thumbnail(settings: PictureSettings, size: tuple[int, int], run: str) -> Still | None:
    if settings.storyboard_interval is None:
        return None
    # A sheet of them is one JPEG, whose sides have 16 bits, in whole blocks of at most 16 pixels a cell.
    longest = LARGEST // max(settings.storyboard_columns, settings.storyboard_rows) - 16
    width, height = fit(size, min(settings.storyboard_height, longest * min(size) // max(size)))
    return Still(
        kind="thumbnail",
        file=f"thumb_{run}_%d.jpg",
        width=width,
        height=height,
        interval=Seconds(settings.storyboard_interval),
        # Slices end each row of blocks with a restart marker: the pictures can be tiled without decoding them.
        options=("-threads", "2", "-thread_type", "slice", "-huffman", "default"),
        # One file each, with its time in its name.
        muxer="frame_pts=1:atomic_writing=1",
    )


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A small picture's file: of which run of the encoder, and how many milliseconds after that began."""

    name: str
    session: SessionId
    first: int
    ms: int


def parse_thumbnail(name: str) -> Thumbnail | None:
    """Return what a small picture's file name says, None when it is the name of anything else."""
    match = _THUMBNAIL.fullmatch(name)
    return Thumbnail(name, SessionId(match[1]), int(match[2]), int(match[3])) if match else None


def fit(size: tuple[int, int], short_side: int) -> tuple[int, int]:
    """Return the even size of a picture that is no larger than `size` and has its shape."""
    scale = min(1.0, short_side / min(size))
    width, height = (max(2, round(side * scale / 2) * 2) for side in size)
    return width, height


def picture_input(spec: PictureSpec | None) -> list[str]:
    """Return the options that stand before the publisher's input."""
    # Where only pictures are decoded and everything else is copied, frames between key frames are not worth it.
    return ["-skip_frame:v", "nokey"] if spec and spec.key_frames_only else []


def picture_filters(spec: PictureSpec | None) -> dict[str, str]:
    """Return the filters that make each kind of picture of the decoded frames."""
    return {still.kind: _filters(still) for still in spec.stills} if spec else {}


def _filters(still: Still) -> str:
    slot = f"{still.interval:g}"
    return ",".join(
        [
            # The first frame of each interval, at once; most frames end here, before anything is done with them.
            f"select='isnan(prev_selected_t)+gt(floor(t/{slot}),floor(prev_selected_t/{slot}))'",
            # JPEG has the whole range of values and the colours of BT.601.
            f"scale={still.width}:{still.height}:flags=bilinear:out_range=full:out_color_matrix=bt601",
            "setsar=1",
            "format=yuv420p",
        ]
    )


def picture_outputs(spec: PictureSpec | None) -> list[str]:
    """Return FFmpeg's options for every picture's output; they come after the renditions'."""
    return [option for still in spec.stills for option in _output(spec, still)] if spec else []


def _output(spec: PictureSpec, still: Still) -> list[str]:
    return [
        *("-map", f"[v{still.kind}]"),
        *("-c:v", "mjpeg"),
        # Full range is the standard for JPEG; older encoders want to be told that it is meant.
        *("-strict", "unofficial"),
        *("-q:v", str(spec.quality)),
        *still.options,
        # Each selected frame is a picture, whose time is in milliseconds: none is repeated to fill a frame rate.
        *("-fps_mode", "passthrough"),
        *("-enc_time_base", "1:1000"),
        # A queue and a thread of its own: what cannot be written is dropped, and tried again with a later picture.
        *("-f", "fifo"),
        *("-fifo_format", "image2"),
        *("-format_opts", still.muxer),
        *("-drop_pkts_on_overflow", "1"),
        *("-attempt_recovery", "1"),
        *("-recover_any_error", "1"),
        f"file:{spec.folder}/{still.file}",
    ]
