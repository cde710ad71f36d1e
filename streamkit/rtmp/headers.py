"""What a publisher's headers say about its source: onMetaData and sequence headers in, SourceInfo out."""

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

from streamkit.errors import SourceError
from streamkit.media.info import Picture
from streamkit.media.rates import snap_fps
from streamkit.rtmp import amf0, chunks, flv, sequence
from streamkit.rtmp.flv import TagKind
from streamkit.types import AudioSource, BitsPerSecond, SourceInfo, VideoSource

_MIN_MEASURED_FRAMES = 10
_MIN_ASPECT, _MAX_ASPECT = Fraction(1, 5), Fraction(5)  # of pixels that somebody really sends
_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_AAC_CHANNELS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 8, 11: 7, 12: 8, 14: 8}  # by channelConfiguration
_FLAG_RATES = (5512, 11025, 22050, 44100)  # annex E.4.2.1 SoundRate
_FIXED_RATES = {4: 16000, 5: 8000, 7: 8000, 8: 8000, 11: 16000, 14: 8000}  # by SoundFormat, whatever the flags say
_VIDEO_HINTS = ("videocodecid", "width", "height", "videodatarate", "framerate")
_AUDIO_HINTS = ("audiocodecid", "audiodatarate", "audiosamplerate")


def measure_fps(timestamps: Sequence[int]) -> Fraction | None:
    """Return the frame rate of frames with these timestamps (ms, ascending); None for fewer than 10."""
    span = timestamps[-1] - timestamps[0] if len(timestamps) >= _MIN_MEASURED_FRAMES else 0
    return snap_fps(Fraction((len(timestamps) - 1) * 1000, span)) if span > 0 else None


def parse_metadata(payload: bytes) -> Mapping[str, amf0.AmfValue]:
    """Return the properties of an onMetaData message, with or without @setDataFrame; empty when it is garbage."""
    try:
        values = amf0.decode(flv.metadata_body(payload))
    except SourceError:
        return {}
    found = next((value for value in values[1:] if isinstance(value, Mapping)), None)
    return {} if found is None else found


def parse_video(payload: bytes, metadata: Mapping[str, amf0.AmfValue]) -> VideoSource:
    """Return what a video header says; where it does not tell the size, that of onMetaData counts.

    `payload` is a sequence header, or the first frame of a codec that has none. Raises SourceError when the codec is
    unknown or the size is nowhere.
    """
    codec, record = _video_codec(payload)
    picture = Picture(int(_number(metadata, "width") or 0), int(_number(metadata, "height") or 0))
    is_announced = bool(picture.width and picture.height)
    if codec in sequence.PARSERS:
        try:
            picture = sequence.PARSERS[codec](record)
        except SourceError:
            if codec == "h264" and not is_announced:  # its header always tells the size: the error says what is wrong
                raise
    if not (picture.width and picture.height):
        raise SourceError(f"the publisher's {codec} video does not announce its size: onMetaData must hold it")
    announced = snap_fps(_number(metadata, "framerate") or _number(metadata, "fps"))
    return VideoSource(
        codec=codec,
        width=picture.width,
        height=picture.height,
        fps=announced or snap_fps(picture.fps),
        sample_aspect=picture.sample_aspect if _MIN_ASPECT < picture.sample_aspect < _MAX_ASPECT else Fraction(1),
        may_be_interlaced=picture.may_be_interlaced,
        profile=picture.profile,
    )


def parse_audio(payload: bytes, metadata: Mapping[str, amf0.AmfValue]) -> AudioSource:
    """Return what an audio header, or the first frame of a codec without headers, says. Raises SourceError."""
    sound_format, flags = payload[0] >> 4, payload[0] & 15
    stereo = 1 if metadata.get("stereo") is False else 2
    announced = int(_number(metadata, "audiosamplerate") or 0)
    if sound_format == flv.ENHANCED_AUDIO_FORMAT:
        codec = flv.AUDIO_FOURCCS.get(payload[1:5])
        if codec is None:
            raise SourceError(f"the publisher's audio codec {ascii(payload[1:5])[2:-1]} is not supported")
        if codec == "aac":
            return parse_aac(payload[5:], stereo)
        if codec == "opus":  # always decoded at 48 kHz (RFC 7845 5.1)
            return AudioSource(codec=codec, sample_rate=48000, channels=payload[14] if len(payload) > 14 else stereo)
        return AudioSource(codec=codec, sample_rate=announced or 48000, channels=stereo)
    if sound_format == flv.AAC_FORMAT:
        return parse_aac(payload[2:], stereo)
    if sound_format not in flv.AUDIO_CODECS:
        raise SourceError(f"the publisher's audio codec {sound_format} is not supported")
    rate = _FIXED_RATES.get(sound_format, _FLAG_RATES[flags >> 2])
    return AudioSource(codec=flv.AUDIO_CODECS[sound_format], sample_rate=rate, channels=1 + (flags & 1))


def parse_aac(config: bytes, fallback_channels: int = 2) -> AudioSource:
    """Return what an AudioSpecificConfig says (ISO 14496-3 1.6.2.1), SBR and PS included. Raises SourceError."""
    bits, left = int.from_bytes(config[:16], "big"), len(config[:16]) * 8

    def read(count: int) -> int:
        nonlocal left
        left -= count
        if left < 0:
            raise SourceError("the AAC sequence header is cut off")
        return bits >> left & ((1 << count) - 1)

    def object_type() -> int:
        kind = read(5)
        return kind if kind != 31 else 32 + read(6)

    def sample_rate() -> int:
        index = read(4)
        rate = read(24) if index == 15 else _AAC_RATES[index] if index < len(_AAC_RATES) else 0
        if not rate:
            raise SourceError("the AAC sequence header announces no sample rate")
        return rate

    kind, rate, layout = object_type(), sample_rate(), read(4)
    if kind in (5, 29):  # explicit SBR, PS: what comes out has the extension's rate
        rate = sample_rate()
    channels = 2 if kind == 29 else _AAC_CHANNELS.get(layout, fallback_channels)
    return AudioSource(codec="aac", sample_rate=rate, channels=channels)


class SourceHeaders:
    """Remembers the newest metadata and headers of a connection, and concludes what the source is."""

    def __init__(self) -> None:
        self.metadata: bytes | None = None
        self.video: bytes | None = None
        """The sequence header, or the first frame's first bytes for a codec that has none."""
        self.audio: bytes | None = None
        self.properties: Mapping[str, amf0.AmfValue] = {}
        self._silent: dict[bool, bytes] = {}  # is video -> the header of a medium that fell silent

    def by_medium(self) -> tuple[tuple[bool, bytes | None], ...]:
        """Return (is video, header) of both media."""
        return (True, self.video), (False, self.audio)

    def forget(self, *, is_video: bool) -> bool:
        """The medium fell silent: it is no part of the source. Returns whether it was one; never takes the only one."""
        header = self.video if is_video else self.audio
        if header is None or self.video is None or self.audio is None:
            return False
        self._silent[is_video] = header
        self._set(is_video=is_video, header=None)
        return True

    def restore(self, *, is_video: bool) -> bool:
        """The medium is heard again; return whether it had fallen silent."""
        header = self._silent.pop(is_video, None)
        if header is not None:
            self._set(is_video=is_video, header=header)
        return header is not None

    def _set(self, *, is_video: bool, header: bytes | None) -> None:
        if is_video:
            self.video = header
        else:
            self.audio = header

    def remember(self, kind: TagKind, payload: bytes) -> bool:
        """Keep the payload of a header, metadata, or a first frame. Returns whether it says something new."""
        if kind is TagKind.METADATA:
            body = flv.metadata_body(payload)
            self.properties, changed, self.metadata = parse_metadata(body), body != self.metadata, body
        else:
            before = self.video if kind.is_video else self.audio
            changed = payload != before
            self._silent.pop(kind.is_video, None)
            self._set(is_video=kind.is_video, header=payload)
        return changed

    @property
    def announces_video(self) -> bool:
        """True when onMetaData speaks of video."""
        return any(self.properties.get(name) for name in _VIDEO_HINTS)

    @property
    def announces_audio(self) -> bool:
        """True when onMetaData speaks of audio."""
        return any(self.properties.get(name) for name in _AUDIO_HINTS)

    @property
    def complete(self) -> bool:
        """True when both headers are there, or one is and onMetaData speaks of that medium alone."""
        if self.video is not None and self.audio is not None:
            return True
        video_only = self.video is not None and self.announces_video and not self.announces_audio
        audio_only = self.audio is not None and self.announces_audio and not self.announces_video
        return video_only or audio_only

    def describe(self) -> SourceInfo:
        """Return the source as it is known now; at least one header must be there. Raises SourceError."""
        rate = _number(self.properties, "videodatarate")
        return SourceInfo(
            video=None if self.video is None else parse_video(self.video, self.properties),
            audio=None if self.audio is None else parse_audio(self.audio, self.properties),
            video_bitrate=BitsPerSecond(int(rate * 1000)) if rate and self.video is not None else None,
        )

    def tags(self) -> list[tuple[int, bytes]]:
        """Return (type id, payload) of what a decoder must see first, in order."""
        found: list[tuple[int, bytes]] = []
        if self.metadata is not None:
            found.append((chunks.DATA, self.metadata))
        for type_id, payload in ((chunks.VIDEO, self.video), (chunks.AUDIO, self.audio)):
            if payload is not None and flv.needs_header(type_id, payload):
                found.append((type_id, payload))
        return found


def _video_codec(payload: bytes) -> tuple[str, bytes]:
    """Return FFmpeg's name of the codec and the decoder configuration after the tag's own header."""
    if payload[0] & 0x80:
        codec, record, found = flv.VIDEO_FOURCCS.get(payload[1:5]), payload[5:], ascii(payload[1:5])[2:-1]
    else:
        codec, record, found = flv.VIDEO_CODECS.get(payload[0] & 15), payload[5:], str(payload[0] & 15)
    if codec is None:
        raise SourceError(f"the publisher's video codec {found} is not supported")
    return codec, record


def _number(properties: Mapping[str, amf0.AmfValue], name: str) -> float | None:
    """Return a positive finite number from onMetaData, also when it was sent as text; else None."""
    value = properties.get(name)
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and 0 < value < 1e9 else None
