"""What FFmpeg sees of the service's environment: enough to run, and no password."""

import os

_PASSED_ON = ("PATH", "HOME", "LANG", "TZ")
_QUIET = {"SVT_LOG": "1"}  # SVT-AV1 writes to standard error by itself: of its messages only errors are worth a line


def ffmpeg_environment() -> dict[str, str]:
    """Return the environment of every FFmpeg that StreamKit starts."""
    return {**{name: os.environ[name] for name in _PASSED_ON if name in os.environ}, **_QUIET}
