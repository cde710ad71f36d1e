"""One connection's media as an FLV stream that an encoder can join, leave and join again."""

from dataclasses import replace

from streamkit.rtmp import chunks, flv
from streamkit.rtmp.chunks import RtmpMessage
from streamkit.rtmp.flv import TagKind
from streamkit.rtmp.gop import Frame, GopBuffer
from streamkit.rtmp.headers import SourceHeaders, measure_fps
from streamkit.types import SourceInfo

_HALF, _FULL = 1 << 31, 1 << 32
_JITTER = 1000
"""Milliseconds by which a frame may be older than the stream's start without being taken for a jump."""
_MEASURED_FRAMES = 60


class FlvStream:
    """Takes RTMP messages; gives FLV from a key frame on, with headers, timestamps from 0, and nothing useless.

    Until an encoder joins, whole groups of pictures are kept (see GopBuffer).
    """

    def __init__(self) -> None:
        self.headers = SourceHeaders()
        self.source: SourceInfo | None = None
        """Set by `conclude`; from then on only the media that it names are forwarded."""
        self._buffer = GopBuffer()
        self._joined = self._started = False
        self._out: list[bytes] = []
        self._clock = _Unwrapper()
        self._base = _Base()
        self._video_times: list[int] = []

    def push(self, message: RtmpMessage) -> None:
        """Take the next message of any kind; what a decoder has no use for is dropped."""
        kind = flv.classify(message.type_id, message.payload)
        if kind is TagKind.METADATA:
            self.headers.remember(kind, message.payload)
        elif kind is TagKind.OTHER or self._is_unwanted(kind):
            return
        elif kind in (TagKind.VIDEO_HEADER, TagKind.AUDIO_HEADER):
            self._header(kind, message)
        elif self._is_decodable(kind, message):
            self._frame(kind, Frame(message.type_id, self._clock.unwrapped(message.timestamp), message.payload))

    def conclude(self) -> SourceInfo | None:
        """Return what the source is by what came so far, and keep to it; None when there is no header at all.

        Raises SourceError when the headers are of no use.
        """
        if self.source is None and not (self.headers.video is None and self.headers.audio is None):
            source = self.headers.describe()
            if source.video is not None and source.video.fps is None:
                source = replace(source, video=replace(source.video, fps=measure_fps(self._video_times)))
            self.source = source
            self._video_times.clear()
        return self.source

    def join(self) -> None:
        """An encoder is there: FLV header, headers and what is buffered come first; else the next key frame does."""
        headers = self.headers.tags()
        self._base = _Base()
        self._joined, self._started = True, len(self._buffer) > 0
        self._out = [
            flv.file_header(has_video=self.headers.video is not None, has_audio=self.headers.audio is not None)
        ]
        for type_id, payload in headers:
            self._out += flv.tag(type_id, 0, payload)
        for frame in self._buffer:
            self._emit(frame)
        self._buffer.clear()

    def leave(self) -> None:
        """The encoder is gone: keep media again, from the next key frame on."""
        self._joined = self._started = False
        self._out = []

    def take(self) -> list[bytes]:
        """Return what is to be written to the encoder now, piece by piece."""
        out, self._out = self._out, []
        return out

    def _is_unwanted(self, kind: TagKind) -> bool:
        """A medium that was not there when the source was concluded: no encoder expects it."""
        if self.source is None:
            return False
        return self.source.video is None if kind.is_video else self.source.audio is None

    def _header(self, kind: TagKind, message: RtmpMessage) -> None:
        is_first = (self.headers.video if kind.is_video else self.headers.audio) is None
        if not self.headers.remember(kind, message.payload):
            return
        if self._joined:
            self._out += flv.tag(message.type_id, self._base.newest, message.payload)
        elif kind.is_video or not is_first:
            self._buffer.clear()  # what is kept would be decoded with the wrong header, or is audio before video

    def _is_decodable(self, kind: TagKind, message: RtmpMessage) -> bool:
        known = self.headers.video if kind.is_video else self.headers.audio
        if known is None and not flv.needs_header(message.type_id, message.payload):
            if kind.is_video:
                self._buffer.clear()
            self.headers.remember(kind, message.payload[:16])
            return True
        return known is not None

    def _frame(self, kind: TagKind, frame: Frame) -> None:
        if kind.is_video and self.source is None and len(self._video_times) < _MEASURED_FRAMES:
            self._video_times.append(frame.timestamp)
        begins = kind is TagKind.KEY_FRAME or self.headers.video is None
        if not self._joined:
            self._buffer.append(frame, begins=begins)
            return
        self._started = self._started or begins
        if self._started:
            self._emit(frame)

    def _emit(self, frame: Frame) -> None:
        timestamp = self._base.rebased(frame)
        if timestamp is not None:
            self._out += flv.tag(frame.type_id, timestamp, frame.payload)


class _Unwrapper:
    """Timestamps modulo 2^32 become a line without jumps (RTMP 1.0 section 5.3.1.2: they wrap every 49.7 days)."""

    def __init__(self) -> None:
        self._newest: int | None = None

    def unwrapped(self, timestamp: int) -> int:
        if self._newest is None:
            self._newest = timestamp
        self._newest += (timestamp - self._newest + _HALF) % _FULL - _HALF
        return self._newest


class _Base:
    """Timestamps of one encoder run: they begin at 0 and never go below it."""

    def __init__(self) -> None:
        self._base: int | None = None
        self.newest = 0

    def rebased(self, frame: Frame) -> int | None:
        """Return the frame's timestamp in the run; None for audio from just before its start, which is dropped."""
        if self._base is None:
            self._base = frame.timestamp
        timestamp = frame.timestamp - self._base
        if timestamp < -_JITTER:  # the publisher's clock started again: go on from where we are
            self._base = frame.timestamp - self.newest
            timestamp = self.newest
        elif timestamp < 0:
            if frame.type_id == chunks.AUDIO:
                return None
            timestamp = 0
        self.newest = timestamp
        return timestamp
