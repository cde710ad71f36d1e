"""What a file or an RTMP stream is as a source: read through FFmpeg as FLV, as a publisher would send it."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from streamkit.errors import SourceError
from streamkit.ffmpeg.binary import FfmpegInfo
from streamkit.ffmpeg.sandbox import run_contained
from streamkit.rtmp.chunks import RtmpMessage
from streamkit.rtmp.flv_stream import FlvStream
from streamkit.types import Seconds, SourceInfo

TIMEOUT = Seconds(20.0)
"""Seconds that a source may take to show itself."""
_SECONDS = 4
_HEADER, _TAG = 13, 11  # bytes of the file's header with the first PreviousTagSize, and of a tag's
_SCHEMES = ("rtmp://", "rtmps://")


def look_at(source: str, ffmpeg: FfmpegInfo) -> SourceInfo:
    """Return what the first seconds of a file or an RTMP URL hold; raises SourceError in one sentence."""
    is_url = source.lower().startswith(_SCHEMES)
    if not is_url and not Path(source).is_file():
        raise SourceError(f"there is no file {source!r}; a source is a file, an RTMP URL, or such as 1920x1080@30")
    shown = re.sub(r"\?.*", "?...", re.sub(r"//[^/]*@", "//...@", source)) if is_url else source
    name = source if is_url else f"file:{source}"
    patience = ["-rw_timeout", f"{TIMEOUT / 2 * 1e6:.0f}"] if is_url else []
    argv = [ffmpeg.path, "-hide_banner", "-loglevel", "error", "-nostdin", *patience]
    # A file may name others, as playlists do, but no place that is not here; and an address no file.
    argv += ["-protocol_whitelist", "rtmp,rtmps,tcp,tls" if is_url else "file", "-i", name, "-t", str(_SECONDS)]
    argv += ["-map", "0:v:0?", "-map", "0:a:0?", "-c", "copy", "-f", "flv", "-flvflags", "no_duration_filesize", "-"]
    try:
        run = run_contained(argv, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        raise SourceError(f"{shown} sent nothing of use within {TIMEOUT:.0f} s") from None
    except OSError as error:
        raise SourceError(f"FFmpeg cannot look at {shown}: {error.strerror}") from None
    stream = FlvStream()
    for message in _messages(run.stdout):
        stream.push(message)
    found = stream.conclude()
    if found is None:
        lines = run.stderr.decode(errors="replace").replace(source, shown).strip().splitlines()
        said = re.sub(r"^\[[^\]]*\] *", "", lines[0]) if lines else "it holds neither video nor audio"
        raise SourceError(f"{shown} cannot be published as it is (FFmpeg: {said})")
    return found


def _messages(flv: bytes) -> Iterator[RtmpMessage]:
    """Yield the tags of an FLV file as what a publisher sends (annex E.4.1); a tag that is cut off is left out."""
    at = _HEADER
    while at + _TAG <= len(flv):
        size = int.from_bytes(flv[at + 1 : at + 4], "big")
        body = flv[at + _TAG : at + _TAG + size]
        if len(body) == size:
            stamp = flv[at + 7] << 24 | int.from_bytes(flv[at + 4 : at + 7], "big")
            yield RtmpMessage(flv[at] & 31, 1, stamp, body)
        at += _TAG + size + 4
