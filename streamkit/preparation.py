"""What a service needs of its machine before it starts: ports, folders, and no FFmpeg of an earlier service."""

import errno
import logging
import socket
from tempfile import TemporaryFile

from streamkit.errors import ServiceError
from streamkit.ffmpeg.leftovers import reap_leftovers
from streamkit.rtmp.tcp import reason
from streamkit.settings import STATE_FOLDER, Settings

logger = logging.getLogger(__name__)


def check_port(host: str, port: int, variable: str) -> None:
    """Raise ServiceError when a port cannot be had: before anything else is touched, and without a traceback."""
    place = f"{bracketed(host)}:{port}"
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.create_server((host, port), family=family):
            return
    except OSError as error:
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            advice = f"set {variable} to a free port"
        else:
            advice = "server.host must be an address of this machine"
        raise ServiceError(f"cannot listen on {place} ({reason(error)}); {advice}") from error


def bracketed(host: str) -> str:
    """Return a host as it stands before a port: an IPv6 address needs brackets."""
    return f"[{host}]" if ":" in host else host


def host_in_urls(host: str) -> str:
    """Return how this machine reaches a server that listens on `host`, as URLs write it."""
    return bracketed({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host))  # noqa: S104


def prepare_folders(settings: Settings) -> None:
    """Make sure that segments and journals can be written, and end what an earlier service left running.

    Raises ServiceError with one sentence.
    """
    folder = settings.hls.output_dir / STATE_FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for place in (folder.parent, folder):  # both may be there and belong to somebody else
            with TemporaryFile(dir=place):
                pass
        for pid in reap_leftovers(folder):
            logger.warning("Killed FFmpeg %d, which an earlier run left behind", pid)
    except OSError as error:
        raise ServiceError(f"cannot write to HLS_OUTPUT_DIR {folder.parent}: {error.strerror or error}") from error
