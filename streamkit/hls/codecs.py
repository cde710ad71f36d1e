"""The CODECS attribute of what FFmpeg is asked to encode (RFC 8216 4.3.4.2, RFC 6381)."""

from dataclasses import dataclass
from functools import lru_cache

from streamkit.types import Rendition

AAC_LC = "mp4a.40.2"
_USUAL_FPS = 30
_PROFILES = {"baseline": "42C0", "main": "4D40", "high": "6400"}  # profile_idc and constraint flags, as x264 sets them
_RATE_QUARTERS = {"high": 5}  # the High profile may have 1.25 times the rate and buffer (H.264 A.3.3)
_REFERENCES = {"faster": 2, "fast": 2, "medium": 3, "slow": 5, "slower": 8, "veryslow": 16}
_WITH_B_FRAMES = 4  # x264 keeps this many pictures when it uses a pyramid of B-frames


@dataclass(frozen=True, slots=True)
class _Level:
    """A row of H.264 table A-1: macroblocks a second, a frame and in the picture buffer; kbit/s; kbit of buffer."""

    idc: int
    rate: int
    frame: int
    buffer: int
    kilobits: int
    coded: int


_LEVELS = tuple(
    _Level(*row)
    for row in (
        (10, 1485, 99, 396, 64, 175),
        (11, 3000, 396, 900, 192, 500),
        (12, 6000, 396, 2376, 384, 1000),
        (13, 11880, 396, 2376, 768, 2000),
        (20, 11880, 396, 2376, 2000, 2000),
        (21, 19800, 792, 4752, 4000, 4000),
        (22, 20250, 1620, 8100, 4000, 4000),
        (30, 40500, 1620, 8100, 10000, 10000),
        (31, 108000, 3600, 18000, 14000, 14000),
        (32, 216000, 5120, 20480, 20000, 20000),
        (40, 245760, 8192, 32768, 20000, 25000),
        (41, 245760, 8192, 32768, 50000, 62500),
        (42, 522240, 8704, 34816, 50000, 62500),
        (50, 589824, 22080, 110400, 135000, 135000),
        (51, 983040, 36864, 184320, 240000, 240000),
        (52, 2073600, 36864, 184320, 240000, 240000),
        (60, 4177920, 139264, 696320, 240000, 240000),
        (61, 8355840, 139264, 696320, 480000, 480000),
        (62, 16711680, 139264, 696320, 800000, 800000),
    )
)


@lru_cache(maxsize=256)
def codecs(rendition: Rendition) -> str:
    """Return the CODECS value, or '' when it cannot be known: a copied medium is whatever the publisher sends, and
    only of x264 it is certain what it writes.

    A wrong value keeps players from playing at all, and a missing one only makes them look into the first segment.
    """
    if (rendition.video_codec or "libx264") != "libx264" or rendition.audio_codec == "copy":
        return ""
    media = []
    if rendition.video_codec:
        media.append(f"avc1.{_PROFILES[_profile(rendition)]}{level_idc(rendition):02X}")
    if rendition.audio_codec:
        media.append(AAC_LC)
    return ",".join(media)


def level_idc(rendition: Rendition) -> int:
    """Return ten times the H.264 level that was asked for, or that x264 chooses: the lowest that holds it all."""
    if rendition.level:
        return int(rendition.level.replace(".", ""))
    macroblocks = -(-rendition.width // 16) * -(-rendition.height // 16)
    quarters = _RATE_QUARTERS.get(_profile(rendition), 4)
    for level in _LEVELS:
        fits = (
            macroblocks <= level.frame
            and macroblocks * (rendition.fps or _USUAL_FPS) <= level.rate
            and macroblocks * _pictures(rendition) <= level.buffer
            and rendition.maxrate * 4 <= level.kilobits * 1000 * quarters
            and rendition.bufsize * 4 <= level.coded * 1000 * quarters
        )
        if fits:
            return level.idc
    return _LEVELS[-1].idc


def _profile(rendition: Rendition) -> str:
    """Return the profile that x264 writes: the lowest that has what it uses; 'ultrafast' needs only Baseline."""
    return "baseline" if rendition.preset == "ultrafast" else rendition.profile or "high"


def _pictures(rendition: Rendition) -> int:
    has_b_frames = rendition.tune != "zerolatency" and _profile(rendition) != "baseline"
    return max(_REFERENCES.get(rendition.preset, 1), _WITH_B_FRAMES if has_b_frames else 1)
