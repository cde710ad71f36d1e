"""Publishes the test pattern of `serve --demo`."""

import asyncio
import logging

from streamkit.ffmpeg.demo import build_demo_argv
from streamkit.ffmpeg.environment import ffmpeg_environment
from streamkit.ffmpeg.sandbox import contained, set_limits
from streamkit.types import Seconds, StreamKey

logger = logging.getLogger(__name__)

PAUSE = Seconds(1.0)


async def publish_demo(ffmpeg: str, url: str, key: StreamKey) -> None:
    """Publish the test pattern to `url` until cancelled, again and again when somebody ends it."""
    argv, nothing = build_demo_argv(ffmpeg, url), asyncio.subprocess.DEVNULL
    while True:
        process = await asyncio.create_subprocess_exec(
            *contained(argv),
            stdin=nothing,
            stdout=nothing,
            stderr=nothing,
            start_new_session=True,
            env=ffmpeg_environment(),
        )
        set_limits(process.pid)
        try:
            await process.wait()
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()
        logger.warning("The test pattern's publisher ended, it starts again", extra={"key": key})
        await asyncio.sleep(PAUSE)
