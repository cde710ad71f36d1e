"""Names with units, and the small values that every part of StreamKit shares."""

import re
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import NewType

from streamkit.errors import InvalidStreamKeyError

StreamKey = NewType("StreamKey", str)
SessionId = NewType("SessionId", str)
RenditionName = NewType("RenditionName", str)
ClipId = NewType("ClipId", str)
PublishKeyId = NewType("PublishKeyId", str)
Epoch = NewType("Epoch", int)
"""Unix seconds at which a session opened; strictly grows per stream key."""
MediaSequence = NewType("MediaSequence", int)
Seconds = NewType("Seconds", float)
UnixTime = NewType("UnixTime", float)
BitsPerSecond = NewType("BitsPerSecond", int)

FIRST_TIMESTAMP = 1
"""Seconds at which the media of a session begin: what comes a little earlier, an encoder's delay, is not negative."""

STREAM_KEY_RULE = "1 to 64 characters from A-Z a-z 0-9 _ -, beginning with a letter or digit"
_STREAM_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)
_SESSION = re.compile(r"s[0-9a-hjkmnp-tv-z]{7}", re.ASCII)
_SESSION_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford base 32: sorts as the numbers do


def parse_stream_key(text: object) -> StreamKey:
    """Return `text` as a stream key that is safe in a path, a URL and a bucket key.

    Raises InvalidStreamKeyError, whose message states the rule and never echoes more than 64 characters.
    """
    if not isinstance(text, str) or not _STREAM_KEY.fullmatch(text):
        raise InvalidStreamKeyError(text, STREAM_KEY_RULE)
    return StreamKey(text)


def session_id(epoch: Epoch) -> SessionId:
    """Return the session's id: 's' and seven base-32 digits of its epoch, so that ids sort by time."""
    return SessionId("s" + base32(int(epoch), 7))


def base32(number: int, digits: int) -> str:
    """Return the lowest `digits` base-32 digits of the number."""
    text = ""
    for _ in range(digits):
        number, digit = divmod(number, 32)
        text = _SESSION_DIGITS[digit] + text
    return text


def is_session_id(text: str) -> bool:
    """Return whether `text` has the form of a session's id."""
    return _SESSION.fullmatch(text) is not None


def session_epoch(session: SessionId) -> Epoch:
    """Return the epoch that a session's id was made of."""
    epoch = 0
    for digit in session[1:]:
        epoch = epoch * 32 + _SESSION_DIGITS.index(digit)
    return Epoch(epoch)


class StreamState(StrEnum):
    """A stream's life, as `/stats` and the rows show it."""

    ACCEPTED = "accepted"
    CONNECTING = "connecting"
    LIVE = "live"
    RECONNECTING = "reconnecting"
    FINISHING = "finishing"
    ENDED = "ended"
    FAILED = "failed"

    @property
    def is_active(self) -> bool:
        """True while the stream holds an encoder, waits for its publisher, or still has work to finish."""
        return self not in (StreamState.ENDED, StreamState.FAILED)

    @property
    def status(self) -> str:
        """'active', 'inactive' or 'error': what the row says and `/stats` counts."""
        if self.is_active:
            return "active"
        return "error" if self is StreamState.FAILED else "inactive"


class DvrKind(StrEnum):
    """What `hls.dvr` may say."""

    NONE = "none"
    SLIDING = "sliding"  # the newest hours: the oldest entries leave
    EVENT = "event"  # the whole broadcast: nothing ever leaves (RFC 8216 4.3.3.5)


class SegmentFormat(StrEnum):
    """The container of media segments (RFC 8216 3.2, 3.3). Fixed for a session."""

    MPEGTS = "mpegts"
    FMP4 = "fmp4"  # fragmented MP4, CMAF: each segment needs the initialization section of its encoder run

    @property
    def suffix(self) -> str:
        """The end of a segment's file name."""
        return ".m4s" if self is SegmentFormat.FMP4 else ".ts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """For how long a stream's broadcasts are kept. 0 is no limit; `max_bytes` is of all its ended ones together."""

    archive: bool = True
    max_age: Seconds = Seconds(0.0)
    max_bytes: int = 0


class SourceKind(StrEnum):
    """Where a stream's FLV comes from."""

    PULL = "pull"  # an external RTMP server: StreamKit plays the stream from it
    INGEST = "ingest"  # the embedded RTMP server: the publisher is connected to StreamKit itself


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoSource:
    """What the publisher's video headers say. `codec` is FFmpeg's name ('h264', 'hevc', ...); size in pixels.

    `sample_aspect` is the width of a pixel over its height. Interlaced pictures may come among others.
    `profile` is H.264's profile_idc, 0 when it is not known and for other codecs.
    """

    codec: str
    width: int
    height: int
    fps: Fraction | None
    sample_aspect: Fraction = Fraction(1)
    may_be_interlaced: bool = False
    profile: int = 0

    @property
    def shown_size(self) -> tuple[int, int]:
        """The size to show it at, with square pixels; the height is kept."""
        return round(self.width * self.sample_aspect), self.height


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioSource:
    """What the publisher's audio headers say. `sample_rate` in Hz."""

    codec: str
    sample_rate: int
    channels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceInfo:
    """The source as its headers describe it; at least one of the two is present.

    `video_bitrate` is what the publisher announced in onMetaData (bit/s), None when it did not.
    """

    video: VideoSource | None
    audio: AudioSource | None
    video_bitrate: BitsPerSecond | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendition:
    """One resolved rung: exactly what FFmpeg is asked to encode. Bit rates in bit/s, size in pixels.

    `video_codec`/`audio_codec` are FFmpeg encoder names, 'copy', or None when that medium is absent.
    Width, height, fps and the video rates are 0/None for an audio-only rendition.
    """

    name: RenditionName
    video_codec: str | None
    width: int = 0
    height: int = 0
    fps: Fraction | None = None
    video_bitrate: BitsPerSecond = BitsPerSecond(0)
    maxrate: BitsPerSecond = BitsPerSecond(0)
    bufsize: int = 0
    preset: str = ""
    tune: str = ""
    profile: str = ""
    level: str = ""
    audio_codec: str | None = None
    audio_bitrate: BitsPerSecond = BitsPerSecond(0)
    audio_channels: int = 0
    audio_group: RenditionName | None = None
    """The rendition that carries its sound; itself when it is a variant of its own beside that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """What one run of the encoder writes: at least one rendition, best first, all in one container."""

    renditions: tuple[Rendition, ...]
    segment_format: SegmentFormat = SegmentFormat.MPEGTS
    key_rotation: int = 0
    """Segments that one encryption key is for; 0 when they are not encrypted."""
