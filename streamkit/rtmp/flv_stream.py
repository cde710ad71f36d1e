"""One connection's media as an FLV stream that an encoder can join, leave and join again."""

from dataclasses import replace

from streamkit.pace import Pace, Pacer, Place
from streamkit.rtmp import chunks, flv
from streamkit.rtmp.chunks import RtmpMessage
from streamkit.rtmp.clocks import RunClock, Silence, Unwrapper
from streamkit.rtmp.flv import TagKind
from streamkit.rtmp.gop import Frame, GopBuffer
from streamkit.rtmp.headers import SourceHeaders, measure_fps
from streamkit.types import SourceInfo

_MEASURED_FRAMES = 60


class FlvStream:
    """Takes RTMP messages; gives FLV from a key frame on, with headers, timestamps from 0, and nothing useless.

    Until an encoder joins, whole groups of pictures are kept (see GopBuffer). When the source changes (another
    sequence header, a medium that appears or falls silent), the encoder gets what it can decode up to the next key
    frame; from there on the media are kept for the encoder of the changed source.
    """

    def __init__(self) -> None:
        self.headers = SourceHeaders()
        self.source: SourceInfo | None = None
        """Set by `conclude`."""
        self.newest = 0
        """Timestamp of the newest frame, ms, on the publisher's own line; jumps included."""
        self._changed: set[bool] = set()  # media (is video) of which the encoder cannot decode what comes now
        self._buffer = GopBuffer()
        self._joined = self._started = self._renews = False
        self._pacer: Pacer | None = None  # of the run whose encoder copies the video
        self._out: list[bytes] = []
        self._unwrapper, self._base, self._silence = Unwrapper(), RunClock(), Silence()
        self._silent_until: int | None = None  # ms, where silence takes the place of sound
        self._was_paused = False
        self._video_times: list[int] = []

    def push(self, message: RtmpMessage) -> None:
        """Take the next message of any kind; what a decoder has no use for is dropped."""
        kind = flv.classify(message.type_id, message.payload)
        if kind is TagKind.METADATA:
            self.headers.remember(kind, message.payload)
        elif kind is TagKind.OTHER:
            return
        elif kind in (TagKind.VIDEO_HEADER, TagKind.AUDIO_HEADER):
            self._header(kind, message)
        elif self._is_decodable(kind, message):
            self._frame(kind, Frame(message.type_id, self._unwrapper.unwrapped(message.timestamp), message.payload))

    @property
    def is_joined(self) -> bool:
        """Whether an encoder gets the media."""
        return self._joined

    @property
    def has_changed(self) -> bool:
        """Whether the source is not what was concluded any more."""
        return bool(self._changed) or self._renews

    def renew(self) -> None:
        """End what the encoder gets at the next key frame, as if the source changed there: another goes on with it."""
        self._renews = self._joined

    @property
    def can_begin(self) -> bool:
        """Whether media are kept that an encoder can begin with."""
        return len(self._buffer) > 0

    def note_pause(self) -> None:
        """Nothing came for a while: a jump of the next timestamp is media that are missing."""
        self._was_paused = True

    def conclude(self) -> SourceInfo | None:
        """Return what the source is by what came so far; None when there is no header at all.

        Asked again it says the same until the source has changed. Raises SourceError when the headers are of no use.
        """
        if (self.source is None or self._changed) and not (self.headers.video is None and self.headers.audio is None):
            source = self.headers.describe()
            if source.video is not None and source.video.fps is None:
                source = replace(source, video=replace(source.video, fps=measure_fps(self._video_times)))
            self.source = source
            self._changed.clear()
            self._video_times.clear()
        self._renews = False
        return self.source

    def join(self, pace: Pace | None = None, *, silence: bool = False) -> None:
        """An encoder is there: FLV header, headers and what is buffered come first; else the next key frame does.

        With a pace, only frames that segments shall begin with are marked as key frames. With `silence`, a source
        without sound has some: it ends when the pictures do, which silence that FFmpeg makes does not.
        """
        headers = self.headers.tags()
        self._pacer = Pacer(pace) if pace is not None else None
        self._base = RunClock()
        self._silent_until = 0 if silence and self.headers.audio is None else None
        self._joined, self._started = True, len(self._buffer) > 0
        self._out = [
            flv.file_header(
                has_video=self.headers.video is not None,
                has_audio=self.headers.audio is not None or self._silent_until is not None,
            )
        ]
        for type_id, payload in headers:
            self._out += flv.tag(type_id, 0, payload)
        kept = list(self._buffer)
        self._buffer.clear()
        for frame in kept:
            self._forward(flv.classify(frame.type_id, frame.payload), frame)

    def leave(self) -> None:
        """The encoder is gone: keep media again, from the next key frame on."""
        self._joined = self._started = False
        self._out = []

    def take_remark(self) -> str:
        """Return, once, what an operator should know about the publisher's key frames; '' for nothing."""
        return self._pacer.take_remark() if self._pacer is not None else ""

    def take(self) -> list[bytes]:
        """Return what is to be written to the encoder now, piece by piece."""
        out, self._out = self._out, []
        return out

    def _header(self, kind: TagKind, message: RtmpMessage) -> None:
        if not self.headers.remember(kind, message.payload):
            return
        self._change(kind.is_video)
        if self._joined:
            return
        # What is kept would be decoded with the wrong header, or is audio from before the first picture.
        if kind.is_video or self.headers.video is None:
            self._buffer.clear()
        else:
            self._buffer.drop(message.type_id)

    def _change(self, *media: bool) -> None:
        if self.source is not None:
            self._changed.update(media)

    def _is_decodable(self, kind: TagKind, message: RtmpMessage) -> bool:
        if self.headers.restore(is_video=kind.is_video):
            self._change(kind.is_video)
        known = self.headers.video if kind.is_video else self.headers.audio
        if known is None and not flv.needs_header(message.type_id, message.payload):
            if kind.is_video:
                self._buffer.clear()
            self.headers.remember(kind, message.payload[:16])
            self._change(kind.is_video)
            return True
        return known is not None

    def _frame(self, kind: TagKind, frame: Frame) -> None:
        self.newest = frame.timestamp
        if kind.is_video and (self.source is None or self._changed) and len(self._video_times) < _MEASURED_FRAMES:
            self._video_times.append(frame.timestamp)
        self._listen(kind, frame)
        self._forward(kind, frame)

    def _forward(self, kind: TagKind, frame: Frame) -> None:
        """Give the frame to the encoder, or keep it for the next one."""
        begins = kind is TagKind.KEY_FRAME or self.headers.video is None
        if begins and self.has_changed:
            self._joined = False
        if not self._joined:
            self._buffer.append(frame, begins=begins)
            return
        self._started = self._started or begins
        if self._started and kind.is_video not in self._changed:
            self._emit(kind, frame)

    def _listen(self, kind: TagKind, frame: Frame) -> None:
        """Notice media that are missing: a medium that fell silent, or both for a while."""
        jump = self._silence.note(frame.timestamp, is_video=kind.is_video)
        silent = self._silence.has_ended(is_video=not kind.is_video)
        if silent and self.source is not None and self.headers.forget(is_video=not kind.is_video):
            self._change(not kind.is_video)
        if jump and self._was_paused:
            self._change(*{medium for medium, header in self.headers.by_medium() if header is not None})
        self._was_paused = False

    def _emit(self, kind: TagKind, frame: Frame) -> None:
        timestamp, payload = self._base.rebased(frame), frame.payload
        if timestamp is None:
            return
        if self._pacer is not None and kind.is_video:
            is_key = kind is TagKind.KEY_FRAME
            place = self._pacer.place(timestamp + flv.composition_time(payload), is_key=is_key)
            if place is Place.LATE:
                self._miss(kind, frame)
                return
            payload = flv.marked(payload, is_key=place is Place.BEGINS)
        self._out += flv.tag(frame.type_id, timestamp, payload)
        if self._silent_until is not None and timestamp > self._silent_until:
            self._out += flv.tag(chunks.AUDIO, self._silent_until, flv.silence(timestamp - self._silent_until))
            self._silent_until = timestamp

    def _miss(self, kind: TagKind, frame: Frame) -> None:
        """Media are missing before this picture, more than a segment may span: another run goes on, behind them."""
        self._change(kind.is_video)
        if kind is TagKind.KEY_FRAME:
            self._forward(kind, frame)
