"""Checks of this machine: FFmpeg and its encoders, disk, ports."""

from streamkit.doctor.findings import Finding, fault, ok, warning
from streamkit.doctor.own_service import OwnService
from streamkit.errors import ConfigError, EncoderNotFoundError, ServiceError
from streamkit.ffmpeg.binary import find_ffmpeg
from streamkit.ffmpeg.encoders import encoder_name
from streamkit.ffmpeg.offer import check_ladders
from streamkit.ffmpeg.slates import check_slates
from streamkit.preparation import check_port
from streamkit.settings import Settings
from streamkit.web.readiness import check_disk

_INSTALL = "install FFmpeg 5.1 or newer with libx264 and AAC, or name one with encoder.ffmpeg"


def ffmpeg(settings: Settings) -> Finding:
    """Say which FFmpeg is used."""
    try:
        found = find_ffmpeg(settings.encoder.ffmpeg)
    except EncoderNotFoundError as error:
        return fault(error, _INSTALL)
    return ok(f"FFmpeg {found.version_text} ({found.path})")


def encoders(settings: Settings) -> Finding:
    """Say whether FFmpeg has what the ladders and slates ask for."""
    try:
        found = find_ffmpeg(settings.encoder.ffmpeg)
    except EncoderNotFoundError:
        return fault("without FFmpeg there is no encoder", _INSTALL)
    try:
        check_ladders(settings.ladders, found, settings.encoder.device)
        check_slates(settings, found.path)
    except ConfigError as error:
        return fault(error, "change these keys, or install an FFmpeg that has what they name")
    except EncoderNotFoundError as error:
        return fault(error, "install the driver, name the device with encoder.device, or choose a software encoder")
    rungs = [rung for one in settings.ladders.values() for rung in one.renditions if rung.is_encoded]
    names = sorted({encoder_name(rung.video_codec) for rung in rungs})
    return ok(f"the ladders need {', '.join(names)}, and FFmpeg has it" if names else "the ladders need no encoder")


def disk(settings: Settings) -> Finding:
    """Say whether segments can be written."""
    folder, found = settings.hls.output_dir, check_disk(settings.hls.output_dir)
    text = f"{folder}: {found.reason}".removesuffix(".")
    if found.state == "ok":
        return ok(text)
    fix = "free space there, or name another folder with HLS_OUTPUT_DIR"
    return fault(text, fix) if found.state == "down" else warning(text, fix)


def port(settings: Settings, number: int, variable: str, own: OwnService) -> Finding:
    """Say whether a port is free, or taken by the service itself."""
    if own.version is not None:
        return ok(f"{number}: StreamKit {own.version} runs here")
    try:
        check_port(settings.server.host, number, variable)
    except ServiceError as error:
        return fault(error, f"end what listens there (`ss -ltnp` shows it), or set {variable}")
    return ok(f"{number} is free")
