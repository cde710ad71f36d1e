"""The values that describe an encoded file."""

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from streamkit.media.rates import snap_fps

_CLOSE = Fraction(2, 100)  # two frame rates that differ by less are one, told more or less exactly


@dataclass(frozen=True, slots=True)
class Picture:
    """What a video's sequence header says. `width` and `height` are decoded pixels after cropping.

    `fps` is None when the header carries no timing; `sample_aspect` is the width of a pixel over its height.
    `may_be_interlaced` is what the sequence header allows; each picture says for itself whether it is.
    `profile` is H.264's profile_idc, 0 for other codecs.
    """

    width: int
    height: int
    fps: Fraction | None = None
    sample_aspect: Fraction = Fraction(1)
    may_be_interlaced: bool = False
    profile: int = 0

    @property
    def display_size(self) -> tuple[int, int]:
        """The size to show it at, with square pixels; the height is kept."""
        return round(self.width * self.sample_aspect), self.height


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """When the samples that were read are presented, in seconds: in decoding order, and the end of the last."""

    times: tuple[Fraction, ...]
    end: Fraction

    @property
    def first(self) -> Fraction:
        """When the first decoded sample is presented: in a segment that begins with a key frame, that frame."""
        return self.times[0]

    @property
    def last(self) -> Fraction:
        """When the last sample is presented."""
        return max(self.times)

    @property
    def rate(self) -> Fraction | None:
        """Samples a second where they are evenly spaced; None for fewer than three samples."""
        ordered = sorted(set(self.times))
        steps = [after - before for before, after in pairwise(ordered)]
        if len(steps) < 2:
            return None
        usual = sorted(steps)[len(steps) // 2]
        even = [step for step in steps if step <= usual * 3 / 2]  # the end of a cut file lacks B-frames
        return len(even) / sum(even, Fraction(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoInfo:
    """A video track. `codec` is as RFC 6381 writes it; `tag` names the sample entry ('' in MPEG-TS).

    `starts_with_idr`: the first picture refers to nothing before it, and nothing after it refers across it. None
    when the codec's pictures are not looked into.
    """

    codec: str
    picture: Picture
    timeline: Timeline
    starts_with_idr: bool | None

    def frame_rate(self, announced: Fraction | None = None) -> Fraction | None:
        """Return the frame rate: the header's if the frames agree, else the announced one if they do, else theirs.

        A header may hold the ticks of a variable rate (1000 a second) instead of frames.
        """
        measured = self.timeline.rate
        for said in (self.picture.fps, announced):
            if said and (measured is None or abs(said - measured) < measured * _CLOSE):
                return said
        return snap_fps(measured)


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioInfo:
    """An audio track. `sample_rate` in Hz; `channels` is 0 when only the decoder could tell."""

    codec: str
    channels: int
    sample_rate: int
    timeline: Timeline


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaInfo:
    """What is inside a file; None for a medium that it has no sample of.

    `is_complete`: every track that it announces, and that can be read here, has a sample in what was read.
    `announces_video` and `announces_audio`: there is such a track, maybe without a sample of it yet.
    """

    video: VideoInfo | None
    audio: AudioInfo | None
    is_complete: bool = True
    announces_video: bool = False
    announces_audio: bool = False

    @property
    def has_video(self) -> bool:
        """Whether there is a video track, with samples or without."""
        return self.announces_video or self.video is not None

    @property
    def has_audio(self) -> bool:
        """Whether there is an audio track, with samples or without."""
        return self.announces_audio or self.audio is not None

    @property
    def codecs(self) -> str:
        """The CODECS attribute (RFC 8216 4.3.4.2)."""
        return ",".join(track.codec for track in (self.video, self.audio) if track is not None)
