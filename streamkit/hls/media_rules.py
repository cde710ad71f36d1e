"""Rules that the media must keep, judged by what is inside segments. Pure; RFC 8216 unless said otherwise."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import zip_longest

from streamkit.hls.conformance import APPLE, Finding
from streamkit.media.info import AudioInfo, MediaInfo, Timeline, VideoInfo

_WRAP = Fraction(1 << 33, 90_000)  # seconds after which the timestamps of MPEG-TS begin anew
_ROUNDING = Fraction(2, 1000)  # MP4 edit lists and some muxers count milliseconds
_AUDIO_STEP = Fraction(15, 100)  # a PES packet of MPEG-TS holds several audio frames
_TOGETHER = Fraction(1, 4)  # audio and video of a segment begin within this
_USUAL_FPS = Fraction(25)
_FASTER = Fraction(102, 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A segment that was fetched: its file name, number, EXTINF and whether EXT-X-DISCONTINUITY stands before it."""

    name: str
    number: int
    duration: float
    discontinuity: bool
    media: MediaInfo
    is_mp4: bool

    @property
    def track(self) -> VideoInfo | AudioInfo:
        """The video, or the audio where there is none."""
        found = self.media.video or self.media.audio
        if found is None:
            raise ValueError("a piece has a track")
        return found

    @property
    def frame(self) -> Fraction:
        """How long a picture is shown, or what audio is split into."""
        if self.media.video is None:
            return _AUDIO_STEP
        return 1 / (self.media.video.frame_rate() or _USUAL_FPS) + _ROUNDING


def check_pieces(pieces: list[Piece], declared: Mapping[str, str], *, independent: bool) -> Iterator[Finding]:
    """Yield what the rules say of segments of one playlist, in order.

    `declared` are the attributes of its EXT-X-STREAM-INF, and `independent` whether EXT-X-INDEPENDENT-SEGMENTS holds.
    """
    for piece in pieces:
        yield from _starts(piece, independent=independent)
        yield from _is_declared(piece, declared)
        yield from _container(piece)
        if piece.media.video is not None and piece.media.audio is not None:
            apart = _apart(piece.media.video.timeline.first, piece.media.audio.timeline.first)
            problem = f"{float(apart):+.3f} s" if abs(apart) > _TOGETHER else None
            yield Finding("audio and video of a segment begin together", APPLE, piece.name, problem, is_advice=True)
    for piece, after in zip_longest(pieces, pieces[1:]):
        is_followed = after is not None and _is_next(piece, after)
        yield _lasts(piece, after if is_followed else None)
        if is_followed:
            yield _goes_on(piece, after)


def check_alignment(playlists: Mapping[str, list[Piece]]) -> Iterator[Finding]:
    """Yield what the rules say of the same numbers in several playlists."""
    first: dict[int, tuple[str, Piece]] = {}
    for name, pieces in playlists.items():
        for piece in pieces:
            of, other = first.setdefault(piece.number, (name, piece))
            if of == name:
                continue
            apart = _apart(other.track.timeline.first, piece.track.timeline.first)
            far = abs(apart) > max(piece.frame, other.frame)
            problem = f"it begins {float(apart):+.3f} s from {other.name}" if far else None
            yield Finding("the same number begins at the same time in every variant", "6.2.4", piece.name, problem)


def _starts(piece: Piece, *, independent: bool) -> Iterator[Finding]:
    video = piece.media.video
    if video is None or video.starts_with_idr is None:
        return
    problem = None if video.starts_with_idr else "it begins with another picture"
    if independent:
        rule = "with EXT-X-INDEPENDENT-SEGMENTS every segment begins with an IDR"
        yield Finding(rule, "4.3.5.1", piece.name, problem)
    else:
        yield Finding("every segment begins with an IDR", APPLE, piece.name, problem, is_advice=True)


def _is_declared(piece: Piece, declared: Mapping[str, str]) -> Iterator[Finding]:
    codecs = [codec.strip() for codec in declared.get("CODECS", "").split(",") if codec.strip()]
    tracks = [track for track in (piece.media.video, piece.media.audio) if track is not None]
    if codecs:
        odd = next((track.codec for track in tracks if not any(_covers(codec, track.codec) for codec in codecs)), None)
        problem = f"it holds {odd}, declared is {','.join(codecs)}" if odd else None
        yield Finding("CODECS names what is in the segments", "4.3.4.2", piece.name, problem)
    video = piece.media.video
    if video is None:
        return
    if size := declared.get("RESOLUTION"):
        width, height = video.picture.display_size
        known = {f"{width + off}x{height}" for off in (-1, 0, 1)}  # of pixels that are not square
        problem = None if size in known else f"it is to be shown at {width}x{height}, declared is {size}"
        yield Finding("RESOLUTION is the size of the picture", "4.3.4.2", piece.name, problem)
    rate, fastest = video.frame_rate(), _fraction(declared.get("FRAME-RATE", ""))
    if rate is not None and fastest is not None:
        problem = f"{float(rate):.3f}, declared is {float(fastest):g}" if rate > fastest * _FASTER else None
        yield Finding("no segment has more frames than FRAME-RATE", "4.3.4.2", piece.name, problem)


def _container(piece: Piece) -> Iterator[Finding]:
    video = piece.media.video
    if video is not None and video.codec.startswith(("hvc1", "hev1")):
        problem = None if piece.is_mp4 else "it is MPEG-TS"
        yield Finding("HEVC is in fMP4", APPLE, piece.name, problem, is_advice=True)
        problem = "its sample entry is hev1" if video.codec.startswith("hev1") else None
        yield Finding("HEVC has the sample entry hvc1", APPLE, piece.name, problem, is_advice=True)


def _lasts(piece: Piece, after: Piece | None) -> Finding:
    """Judge EXTINF: up to the end of the last picture, or to the first of the next segment."""
    timeline = piece.track.timeline
    ends = [timeline.end, *([] if after is None else [after.track.timeline.first])]
    lasts = [_apart(timeline.first, end) for end in ends]
    far = all(abs(one - Fraction(piece.duration)) > piece.frame for one in lasts)
    problem = f"it lasts {float(lasts[0]):.3f} s, its EXTINF is {piece.duration:g}" if far else None
    return Finding("EXTINF is how long a segment lasts", "4.3.2.1", piece.name, problem)


def _goes_on(piece: Piece, after: Piece) -> Finding:
    """Judge whether the tracks are the same, and each goes on where it stopped, without EXT-X-DISCONTINUITY.

    A track that is announced may be silent for a while: its sound may begin and end without one.
    """
    rule, was, is_now = "timestamps go on from segment to segment", piece.media, after.media
    tracks = (
        ("video", was.has_video, is_now.has_video, was.video, is_now.video, piece.frame),
        ("audio", was.has_audio, is_now.has_audio, was.audio, is_now.audio, _AUDIO_STEP),
    )
    for kind, had, has, before, now, step in tracks:
        if had is not has:
            return Finding(rule, "4.3.2.3", after.name, f"its {kind} {'is gone' if had else 'begins'}")
        if before is not None and now is not None:
            apart = _apart(before.timeline.end, _earliest(now.timeline))
            if abs(apart) > step:
                return Finding(rule, "4.3.2.3", after.name, f"its {kind} begins {float(apart):+.3f} s off")
    return Finding(rule, "4.3.2.3", after.name, None)


def _is_next(piece: Piece, after: Piece) -> bool:
    return after.number == piece.number + 1 and not after.discontinuity


def _earliest(timeline: Timeline) -> Fraction:
    return min(timeline.times)


def _apart(before: Fraction, after: Fraction) -> Fraction:
    """Return how long `after` is after `before`, on a clock that begins anew now and then."""
    return (after - before + _WRAP / 2) % _WRAP - _WRAP / 2


def _covers(declared: str, found: str) -> bool:
    """Return whether a decoder of the declared codec plays the one found."""
    if declared.lower() == found.lower():
        return True
    if found == "mp4a.40.2":
        return declared in ("mp4a.40.5", "mp4a.40.29")  # MPEG-TS need not say that there is SBR
    kind = found.partition(".")[0]
    if kind != declared.partition(".")[0] or kind not in ("avc1", "hvc1", "hev1"):
        return False
    if kind == "avc1":
        return declared[5:7].lower() == found[5:7].lower() and declared[9:11] >= found[9:11]
    ours, theirs = (text.split(".") for text in (found, declared))
    return len(theirs) > 3 and ours[1] == theirs[1] and int(theirs[3][1:] or 0) >= int(ours[3][1:] or 0)


def _fraction(text: str) -> Fraction | None:
    try:
        return Fraction(text)
    except (ValueError, ZeroDivisionError):
        return None
