"""Whether the FFmpeg at hand can do what the ladders ask for: asked at the start and by `streamkit config check`."""

import subprocess
from collections.abc import Mapping

from streamkit.errors import ConfigError, EncoderNotFoundError
from streamkit.ffmpeg.binary import RUN_TIMEOUT, FfmpegInfo
from streamkit.ffmpeg.encoders import ENCODERS, device_options, encoder_name, pixel_format
from streamkit.ffmpeg.sandbox import run_contained
from streamkit.settings_ladder import LadderSettings
from streamkit.types import Rendition, RenditionName


def check_ladders(ladders: Mapping[str, LadderSettings], ffmpeg: FfmpegInfo, device: str) -> None:
    """Return when every encoder that a ladder names is in FFmpeg, and those that need a device can use it.

    Raises ConfigError, which names the keys; EncoderNotFoundError when a device or its driver is not there. Runs FFmpeg
    once for each encoder that needs a device; blocks for some 0.1 s each.
    """
    wanted = _encoders_by_key(ladders)
    problems = [_missing(key, name, ffmpeg) for key, name in wanted.items() if name not in ffmpeg.encoders]
    if problems:
        raise ConfigError(problems)
    for name in sorted(set(wanted.values())):
        if ENCODERS[name].is_hardware:
            _try(name, ffmpeg, device)


def _encoders_by_key(ladders: Mapping[str, LadderSettings]) -> dict[str, str]:
    return {
        f"ladders.{ladder}.renditions.{number}.video_codec": encoder_name(rendition.video_codec)
        for ladder, settings in ladders.items()
        for number, rendition in enumerate(settings.renditions)
        if rendition.is_encoded
    }


def _missing(key: str, name: str, ffmpeg: FfmpegInfo) -> str:
    codec = ENCODERS[name].codec
    others = [other for other, encoder in ENCODERS.items() if other in ffmpeg.encoders and encoder.codec == codec]
    instead = f"for {codec} it has {', '.join(others)}" if others else f"it has none for {codec}"
    return f"{key}: FFmpeg {ffmpeg.version_text} ({ffmpeg.path}) was built without {name}; {instead}"


def _try(name: str, ffmpeg: FfmpegInfo, device: str) -> None:
    """Encode one picture; raises EncoderNotFoundError with FFmpeg's first complaint."""
    rendition = Rendition(name=RenditionName("test"), video_codec=name)
    argv = [ffmpeg.path, "-hide_banner", "-loglevel", "error", "-nostdin", *device_options((rendition,), device)]
    argv += ["-f", "lavfi", "-i", "color=size=320x240:duration=0.1", "-vf", pixel_format(name)]
    argv += ["-c:v", name, "-frames:v", "1", "-f", "null", "-"]
    try:
        result = run_contained(argv, timeout=RUN_TIMEOUT)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EncoderNotFoundError(f"a ladder asks for {name}, and FFmpeg cannot be tried with it: {error}") from error
    if result.returncode:
        complaint = next(iter(result.stderr.decode(errors="replace").strip().splitlines()), "it says nothing").strip()
        raise EncoderNotFoundError(
            f"a ladder asks for {name}, which this machine's device or driver does not offer (FFmpeg: {complaint})"
        )
