"""What publishers send, and what players must get of it: one row per source profile.

Every source has a picture that turns white for 0.1 s at 1 s, 3 s, 5 s ..., and a beep at the same instants. Sizes are
small and the ladders scaled down, so that many of them run at the same time; the rules do not depend on size.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from servers.flv_publishing import Edit, jumping, with_negative_offsets, without_metadata

SECONDS = 7.4
FLASH = 0.1
Sizes = tuple[tuple[str, tuple[int, int] | None], ...]
"""Renditions in the order of the playlist with the sizes of their pictures, None for audio alone."""
PAIR: Sizes = (("180p", (320, 180)), ("90p", (160, 90)))

LADDERS = """
  pair:
    renditions: &pair
      - {name: 180p, height: 180, video_bitrate: 300k, preset: ultrafast}
      - {name: 90p, height: 90, video_bitrate: 150k, preset: ultrafast}
  cmaf: {segment_format: fmp4, renditions: *pair}
  smooth:
    renditions:
      - {name: 180p, height: 180, video_bitrate: 300k, preset: veryfast, tune: ""}
      - {name: 90p, height: 90, video_bitrate: 150k, preset: veryfast, tune: "", max_fps: 15.0}
  hevc:
    segment_format: fmp4
    renditions:
      - {name: 180p, height: 180, video_codec: hevc, video_bitrate: 300k, preset: ultrafast}
      - {name: 90p, height: 90, video_codec: hevc, video_bitrate: 150k, preset: ultrafast}
  av1:
    segment_format: fmp4
    renditions:
      - {name: 180p, height: 180, video_codec: av1, video_bitrate: 300k, preset: "12"}
      - {name: 90p, height: 90, video_codec: av1, video_bitrate: 150k, preset: "12"}
  copied:
    renditions:
      - {name: source, video_codec: copy, audio_codec: copy}
  apart: {separate_audio: true, renditions: *pair}
  apartcmaf: {segment_format: fmp4, separate_audio: true, renditions: *pair}
  copiedcmaf: {segment_format: fmp4, renditions: [{name: source, video_codec: copy, audio_codec: copy}]}
"""
"""The ladder of a stream is the part of its key before the first hyphen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A source, how it is published and encoded, and what must come out."""

    name: str
    # ---- the source
    size: tuple[int, int] = (320, 180)
    fps: str = "30"
    seconds: float = SECONDS
    picture: str = ""
    """FFmpeg's filters behind the test pattern."""
    video: str | None = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 60 -b:v 400k"
    """FFmpeg's options for the encoder; None: no video."""
    audio: str | None = "-c:a aac -b:a 96k -ac 2"
    audio_rate: int = 48000
    audio_late: float = 0.0
    """Seconds after the video at which audio begins."""
    video_late: float = 0.0
    edit: Edit | None = None
    """Changes the FLV tags; FFmpeg then does not publish them, since it would undo that."""
    # ---- its way
    ladder: str = "pair"
    encoder: str = "path"
    """StreamKit's FFmpeg: "path" (5.1 on Debian 12) or "imageio" (9.0)."""
    through: str = "embedded"
    """"embedded", or "nginx": nginx-rtmp and StreamKit's pull; then the first key frame may be missed."""
    # ---- what must come out
    sizes: Sizes = PAIR
    rate: Fraction = Fraction(30)
    """Frames per second of the first rendition."""
    lower_rate: Fraction | None = None
    """The same of the other renditions when it differs."""
    channels: int = 2
    sound: str = "mp4a.40.2"
    codec: str = "avc1"
    begins: float = 0.0
    """Seconds of the source that players do not get: decoding begins with a picture, if there are any."""
    refused: str = ""
    """What the stream's last error must say; nothing else counts then."""

    @property
    def key(self) -> str:
        return f"{self.ladder}-{re.sub('[^A-Za-z0-9]+', '_', self.name)}"

    def marks(self, after: float) -> list[Fraction]:
        """Return when players see the flashes and hear the beeps of the source from its second `after` on."""
        instants = range(1, int(self.seconds - FLASH) + 1, 2)
        return [Fraction(at) - Fraction(self.begins) for at in instants if at >= max(after, self.begins)]


def source_argv(profile: Profile, ffmpeg: Path, target: Path) -> list[str]:
    """Return the command that makes the profile's recording."""
    argv = [str(ffmpeg), "-nostdin", "-hide_banner", "-loglevel", "error", "-y"]
    if profile.video is not None:
        argv += _late(profile.video_late)
        argv += ["-f", "lavfi", "-i", _picture(profile)]
    if profile.audio is not None:
        argv += _late(profile.audio_late)
        argv += ["-f", "lavfi", "-i", _sound(profile)]
    argv += (profile.video or "").split() + (profile.audio or "").split()
    return [*argv, "-f", "flv", str(target)]


def _late(seconds: float) -> list[str]:
    return ["-itsoffset", str(seconds)] if seconds else []


def _picture(profile: Profile) -> str:
    width, height = profile.size
    duration, late = profile.seconds - profile.video_late, profile.video_late
    flash = f"drawbox=color=white:thickness=fill:enable='lt(mod(t+1+{late},2),{FLASH})'"
    filters = [f"testsrc2=size={width}x{height}:rate={profile.fps}:duration={duration}", flash, profile.picture]
    return ",".join(one for one in filters if one)


def _sound(profile: Profile) -> str:
    late = profile.audio_late
    beep = f"0.7*sin(2000*PI*t)*lt(mod(t+1+{late}\\,2)\\,{FLASH})"
    return f"aevalsrc=exprs={beep}:sample_rate={profile.audio_rate}:duration={profile.seconds - late}"


X264 = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -b:v 400k"
X265 = "-c:v libx265 -preset ultrafast -pix_fmt yuv420p -b:v 300k -g 60 -x265-params log-level=error"
AV1 = "-c:v libsvtav1 -preset 12 -pix_fmt yuv420p -b:v 300k -g 60 -svtav1-params lp=1"

PROFILES = (
    # ---- sizes and rates
    Profile(name="1080p30", size=(1920, 1080), video=f"{X264} -g 60"),
    Profile(name="720p25", size=(1280, 720), fps="25", rate=Fraction(25), encoder="imageio"),
    Profile(name="29.97", fps="30000/1001", rate=Fraction(30000, 1001)),
    Profile(name="50", fps="50", rate=Fraction(50), encoder="imageio"),
    Profile(name="59.94", fps="60000/1001", rate=Fraction(60000, 1001)),
    Profile(name="59.94 and a quarter of it", fps="60000/1001", ladder="smooth", encoder="imageio",
            rate=Fraction(60000, 1001), lower_rate=Fraction(15000, 1001)),
    Profile(name="15", fps="15", rate=Fraction(15)),
    Profile(name="120 above the cap", fps="120", rate=Fraction(60), encoder="imageio"),
    Profile(name="variable rate", picture="select='not(between(mod(n,30),8,13))'",
            video="-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 60 -b:v 400k -fps_mode vfr"),
    Profile(name="portrait", size=(720, 1280), sizes=(("180p", (180, 320)), ("90p", (90, 160))), encoder="imageio"),
    Profile(name="odd size, 4:4:4", size=(641, 361), video="-c:v libx264 -preset ultrafast -pix_fmt yuv444p -g 60"),
    Profile(name="square", size=(240, 240), sizes=(("180p", (180, 180)), ("90p", (90, 90))), encoder="imageio"),
    Profile(name="tiny", size=(64, 48), sizes=(("90p", (64, 48)),)),
    Profile(name="between two rungs", size=(240, 136), encoder="imageio",
            sizes=(("180p", (240, 136)), ("90p", (158, 90)))),
    Profile(name="hardly above a rung", size=(168, 96), sizes=(("90p", (158, 90)),)),
    Profile(name="anamorphic", size=(240, 180), picture="setsar=4/3"),
    # ---- audio
    Profile(name="44.1 kHz", audio_rate=44100),
    Profile(name="mono", audio="-c:a aac -b:a 64k -ac 1", channels=1, encoder="imageio"),
    Profile(name="5.1", audio="-c:a aac -b:a 256k -ac 6"),
    Profile(name="no audio", audio=None, encoder="imageio"),
    Profile(name="audio only", video=None, sizes=(("audio", None),)),
    Profile(name="audio only, no metadata", video=None, sizes=(("audio", None),), edit=without_metadata),
    Profile(name="late audio", audio_late=4.0, seconds=9.4, encoder="imageio"),
    Profile(name="late audio, no metadata", audio_late=4.0, seconds=9.4, edit=without_metadata),
    Profile(name="late video", video_late=4.0, begins=4.0, seconds=9.4),
    Profile(name="MP3", audio="-c:a libmp3lame -b:a 96k -ac 2", audio_rate=44100, encoder="imageio"),
    # ---- how H.264 was made
    Profile(name="B-frames", video="-c:v libx264 -preset veryfast -bf 3 -g 60 -pix_fmt yuv420p", encoder="imageio"),
    Profile(name="open GOP", video="-c:v libx264 -preset veryfast -bf 3 -g 30 -x264-params open-gop=1:scenecut=0"),
    Profile(name="10 s GOP", seconds=12.4, video=f"{X264} -g 300 -keyint_min 300", encoder="imageio"),
    Profile(name="0.5 s GOP", video=f"{X264} -g 15"),
    Profile(name="intra refresh", video=f"{X264} -g 30 -x264-params intra-refresh=1", encoder="imageio"),
    Profile(name="10-bit 4:2:2", video="-c:v libx264 -preset ultrafast -pix_fmt yuv422p10le -g 60"),
    Profile(name="interlaced", fps="50", picture="interlace=scan=tff", rate=Fraction(25), encoder="imageio",
            video="-c:v libx264 -preset ultrafast -pix_fmt yuv420p -flags +ildct+ilme -x264-params tff=1 -g 50"),
    # ---- other codecs
    Profile(name="HEVC", video=X265, encoder="imageio"),
    Profile(name="AV1", video=AV1, encoder="imageio"),
    Profile(name="HEVC for an old FFmpeg", video=X265, refused="hevc, which needs FFmpeg 6.1"),
    Profile(name="AV1 for an old FFmpeg", video=AV1, refused="av1, which needs FFmpeg 6.1"),
    # ---- timestamps and headers
    Profile(name="no metadata", edit=without_metadata, encoder="imageio"),
    Profile(name="negative composition times", edit=with_negative_offsets,
            video="-c:v libx264 -preset veryfast -bf 2 -g 60 -pix_fmt yuv420p"),
    Profile(name="starts near 2^32", edit=jumping(after=0, by=(1 << 32) - 3000), encoder="imageio"),
    Profile(name="jumps an hour ahead", edit=jumping(after=3500, by=3_600_000)),
    Profile(name="jumps back", edit=jumping(after=3500, by=-3400), encoder="imageio"),
    # ---- ladders
    Profile(name="copy of B-frames", ladder="copied", sizes=(("source", (320, 180)),),
            video="-c:v libx264 -preset veryfast -bf 3 -g 30 -keyint_min 30 -pix_fmt yuv420p"),
    Profile(name="copy of 0.5 s GOP", ladder="copied", sizes=(("source", (320, 180)),), encoder="imageio",
            video="-c:v libx264 -preset ultrafast -g 15 -keyint_min 15 -pix_fmt yuv420p"),
    Profile(name="copy of MP3", ladder="copied", sizes=(("source", (320, 180)),), sound="mp4a.40.34",
            audio="-c:a libmp3lame -b:a 96k -ac 2", audio_rate=44100),
    Profile(name="B-frames both ways", ladder="smooth", lower_rate=Fraction(15),
            video="-c:v libx264 -preset veryfast -bf 3 -g 60 -pix_fmt yuv420p"),
    Profile(name="sound apart", ladder="apart"),
    Profile(name="late sound apart", ladder="apart", audio_late=4.0, seconds=9.4, encoder="imageio"),
    Profile(name="late sound apart, no metadata", ladder="apart", audio_late=4.0, seconds=9.4, edit=without_metadata),
    # ---- fMP4
    Profile(name="30", ladder="hevc", codec="hvc1", encoder="imageio"),
    Profile(name="30", ladder="av1", codec="av01", encoder="imageio"),
    Profile(name="30", ladder="cmaf"),
    Profile(name="29.97", ladder="cmaf", fps="30000/1001", rate=Fraction(30000, 1001), encoder="imageio"),
    Profile(name="audio only", ladder="cmaf", video=None, sizes=(("audio", None),)),
    Profile(name="no audio", ladder="cmaf", audio=None, encoder="imageio"),
    Profile(name="sound apart", ladder="apartcmaf", audio_rate=44100, encoder="imageio"),
    Profile(name="copy of B-frames", ladder="copiedcmaf", sizes=(("source", (320, 180)),),
            video="-c:v libx264 -preset veryfast -bf 3 -g 30 -keyint_min 30 -pix_fmt yuv420p"),
    # ---- through nginx-rtmp
    Profile(name="30", through="nginx"),
    Profile(name="B-frames", through="nginx",
            video="-c:v libx264 -preset veryfast -bf 3 -g 60 -pix_fmt yuv420p"),
    Profile(name="10 s GOP", through="nginx", seconds=12.4, video=f"{X264} -g 300 -keyint_min 300"),
)  # fmt: skip
