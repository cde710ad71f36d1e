"""The file names of a stream: how they are made, read back, and what may be served. Design section 3."""

import re
from dataclasses import dataclass

from streamkit.types import (
    ClipId,
    MediaSequence,
    RenditionName,
    Seconds,
    SegmentFormat,
    SessionId,
    StreamKey,
    base32,
)

MULTIVARIANT = "playlist.m3u8"
"""The live entry point: the multivariant playlist, or the media playlist of a one-rendition ladder."""

DVR = "dvr.m3u8"
"""The entry point of the hours before live, where `hls.dvr` is on."""

POSTER = "poster.jpg"
"""The newest picture of a stream."""

_SESSION = r"s[0-9a-hjkmnp-tv-z]{7}"  # streamkit.types.session_id
_RENDITION = r"[A-Za-z0-9][A-Za-z0-9-]{0,31}"  # no '_', so that it separates the parts without ambiguity
_NUMBER = r"0|[1-9][0-9]{0,14}"  # one spelling per number
_SEGMENT = re.compile(rf"segment_({_SESSION})_({_RENDITION})_({_NUMBER})(\.ts|\.m4s)", re.ASCII)
_INIT = re.compile(rf"init_({_SESSION})_({_RENDITION})_({_NUMBER})\.mp4", re.ASCII)
_VOD = re.compile(rf"{_SESSION}(?:_{_RENDITION})?\.m3u8", re.ASCII)
_LIVE = re.compile(rf"{_RENDITION}\.m3u8", re.ASCII)
_STORYBOARD = re.compile(rf"storyboard_{_SESSION}\.vtt", re.ASCII)
_SHEET = re.compile(rf"storyboard_{_SESSION}_(?:{_NUMBER})\.jpg", re.ASCII)
_IMMUTABLE = (_SEGMENT, _INIT, _SHEET)
_FORMATS = {one.suffix: one for one in SegmentFormat}

_DVR = re.compile(rf"dvr(?:_{_RENDITION})?\.m3u8", re.ASCII)
_CLIP_DIGITS = 10
_CLIP_ID = re.compile(rf"[0-9a-hjkmnp-tv-z]{{{_CLIP_DIGITS}}}", re.ASCII)
_CLIP = re.compile(rf"clip_{_CLIP_ID.pattern}(?:_{_RENDITION})?\.m3u8", re.ASCII)

_CONTENT_TYPES = {
    ".m3u8": "application/vnd.apple.mpegurl",
    ".ts": "video/mp2t",
    ".m4s": "video/mp4",
    ".mp4": "video/mp4",
    ".jpg": "image/jpeg",
    ".vtt": "text/vtt",
}
_YEAR = 31_536_000
_VOD_MAX_AGE = 3600
_USUAL_DURATION = Seconds(2.0)
_PICTURE_MAX_AGE = 5  # a new one comes every few seconds
_ENDED_MAX_AGE = 5  # the same URL goes live again when the publisher comes back


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentName:
    """The parts of a segment's file name."""

    session: SessionId
    rendition: RenditionName
    sequence: MediaSequence
    segment_format: SegmentFormat = SegmentFormat.MPEGTS


@dataclass(frozen=True, slots=True, kw_only=True)
class InitName:
    """The parts of an initialization section's file name; `first` is the first number of its encoder run."""

    session: SessionId
    rendition: RenditionName
    first: MediaSequence


def segment_name(
    session: SessionId,
    rendition: RenditionName,
    sequence: MediaSequence,
    segment_format: SegmentFormat = SegmentFormat.MPEGTS,
) -> str:
    """Return the name that stands for this one segment's content for ever."""
    return f"segment_{session}_{rendition}_{sequence}{segment_format.suffix}"


def parse_segment_name(name: str) -> SegmentName | None:
    """Return the parts of a segment's file name, or None when `name` is anything else."""
    match = _SEGMENT.fullmatch(name)
    if match is None:
        return None
    session, rendition, sequence, suffix = match.groups()
    return SegmentName(
        session=SessionId(session),
        rendition=RenditionName(rendition),
        sequence=MediaSequence(int(sequence)),
        segment_format=_FORMATS[suffix],
    )


def init_name(session: SessionId, rendition: RenditionName, first: MediaSequence) -> str:
    """Return the name of what every fMP4 segment of an encoder run needs (EXT-X-MAP, RFC 8216 4.3.2.5)."""
    return f"init_{session}_{rendition}_{first}.mp4"


def parse_init_name(name: str) -> InitName | None:
    """Return the parts of an initialization section's file name, or None when `name` is anything else."""
    match = _INIT.fullmatch(name)
    if match is None:
        return None
    session, rendition, first = match.groups()
    return InitName(session=SessionId(session), rendition=RenditionName(rendition), first=MediaSequence(int(first)))


def is_immutable(name: str) -> bool:
    """Return whether the file's name means one content for ever: a segment, or what it needs."""
    return any(pattern.fullmatch(name) for pattern in _IMMUTABLE)


def media_playlist_name(rendition: RenditionName) -> str:
    """Return the name of a rendition's live media playlist."""
    return f"{rendition}.m3u8"


def dvr_media_name(rendition: RenditionName) -> str:
    """Return the name of a rendition's DVR playlist."""
    return f"dvr_{rendition}.m3u8"


def is_dvr_name(name: str) -> bool:
    """Return whether this is a DVR playlist, which may list hours."""
    return _DVR.fullmatch(name) is not None


def vod_multivariant_name(session: SessionId) -> str:
    """Return the name of the entry point of a whole broadcast."""
    return f"{session}.m3u8"


def vod_media_name(session: SessionId, rendition: RenditionName) -> str:
    """Return the name of one rendition's media playlist of a whole broadcast."""
    return f"{session}_{rendition}.m3u8"


def clip_id(number: int) -> ClipId:
    """Return a clip's id: ten base-32 digits of the number."""
    return ClipId(base32(number, _CLIP_DIGITS))


def parse_clip_id(text: str) -> ClipId | None:
    """Return `text` as a clip's id, None when it is none."""
    return ClipId(text) if _CLIP_ID.fullmatch(text) else None


def parse_session_id(text: str) -> SessionId | None:
    """Return `text` as a session's id, None when it is none."""
    return SessionId(text) if re.fullmatch(_SESSION, text, re.ASCII) else None


def clip_multivariant_name(clip: ClipId) -> str:
    """Return the name of the entry point of a clip."""
    return f"clip_{clip}.m3u8"


def clip_media_name(clip: ClipId, rendition: RenditionName) -> str:
    """Return the name of one rendition's media playlist of a clip."""
    return f"clip_{clip}_{rendition}.m3u8"


def storyboard_name(session: SessionId) -> str:
    """Return the name of the index (WebVTT) of a broadcast's small pictures."""
    return f"storyboard_{session}.vtt"


def sheet_name(session: SessionId, number: int) -> str:
    """Return the name of one sheet of them, which stands for this one content for ever."""
    return f"storyboard_{session}_{number}.jpg"


def is_picture(name: str) -> bool:
    """Return whether this is the poster or the index of a storyboard, whose contents change."""
    return name == POSTER or _STORYBOARD.fullmatch(name) is not None


def private_playlist_name(session: SessionId, rendition: RenditionName) -> str:
    """Return the name of FFmpeg's own playlist, which only the watcher reads: the dot keeps it from being public."""
    return f".{session}_{rendition}.m3u8"


def object_name(key: StreamKey, file: str) -> str:
    """Return the name in the bucket, and the path below the site's root, of a stream's file."""
    return f"hls/{key}/{file}"


def is_public_name(name: str) -> bool:
    """Return whether a stream's file of this name may ever be served; the whole name must match."""
    return is_picture(name) or is_immutable(name) or any(one.fullmatch(name) for one in (_LIVE, _VOD, _DVR, _CLIP))


def content_type(name: str) -> str:
    """Return the media type of a stream's file by its suffix (RFC 8216 4, 10)."""
    return _CONTENT_TYPES.get(name[name.rfind(".") :], "application/octet-stream")


def cache_control(name: str, *, live: bool, segment_duration: Seconds = _USUAL_DURATION) -> str:
    """Return the Cache-Control of a stream's file.

    A segment's URL means one content for ever. A live playlist changes about every `segment_duration` seconds, so
    half of it is the oldest copy that a player may get; `live` False is a stream that has ended. The playlists of
    a whole broadcast change only when a late segment comes in, those of a clip never.
    """
    if is_immutable(name):
        return f"public, max-age={_YEAR}, immutable"
    if is_picture(name):
        return f"public, max-age={_PICTURE_MAX_AGE}"
    if _VOD.fullmatch(name) or _CLIP.fullmatch(name):
        return f"public, max-age={_VOD_MAX_AGE}"
    if live:
        return f"public, max-age={max(1, int(segment_duration / 2))}"
    return f"public, max-age={_ENDED_MAX_AGE}"
