"""Can this node do its work? Each part with its state and the reason, looked at together at most every two seconds."""

import asyncio
import logging
import os
import shutil
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamkit.errors import StreamKitError
from streamkit.messages import CheckDatabase
from streamkit.types import Seconds
from streamkit.web.bridge import ask
from streamkit.web.deps import WebDeps

logger = logging.getLogger(__name__)

KEEP = Seconds(2.0)
CHECK_TIMEOUT = Seconds(3.0)
DISK_LOW = 1 << 30
"""Bytes free below which the disk counts as degraded."""
DISK_FULL = 64 << 20
"""Bytes free below which no segment can be counted on to be written."""
VITAL = ("ffmpeg", "disk", "supervisor")
"""Without one of these nothing can be encoded: down. Without the database or the store, encoding and local serving go
on, and with an actor that hangs for all other streams: degraded, and still ready, because taking the node away from
its players would help nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """`state` is 'ok', 'degraded' or 'down'; `reason` is one sentence."""

    state: str
    reason: str


class Readiness:
    """One look at all parts, shared by everybody who asks while it is fresh."""

    def __init__(self, deps: WebDeps, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._deps = deps
        self._clock = clock
        self._looking: asyncio.Task[dict[str, Check]] | None = None
        self._seen: dict[str, Check] = {}
        self._seen_at = float("-inf")

    async def report(self) -> dict[str, Any]:
        """Return the state of the whole ('ok', 'degraded', 'down') and of each part."""
        checks = await self._checks()
        return {
            "status": overall(checks),
            "checks": {n: {"state": c.state, "reason": c.reason} for n, c in checks.items()},
        }

    async def _checks(self) -> dict[str, Check]:
        if self._clock() - self._seen_at < KEEP:
            return self._seen
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        return await asyncio.shield(self._looking)

    async def _look(self) -> dict[str, Check]:
        try:
            parts: dict[str, Awaitable[Check]] = {
                "database": _checked(self._database()),
                "object_store": _checked(self._store()),
                "ffmpeg": _checked(self._encoder()),
                "disk": _checked(asyncio.to_thread(check_disk, self._deps.settings.hls.output_dir)),
                "supervisor": _checked(self._supervisor()),
                "actors": _checked(self._actors()),
            }
            self._seen = dict(zip(parts, await asyncio.gather(*parts.values()), strict=True))
            self._seen_at = self._clock()
            return self._seen
        finally:
            self._looking = None

    async def _database(self) -> Check:
        await ask(self._deps.database, CheckDatabase(), timeout=CHECK_TIMEOUT)
        return Check(state="ok", reason="The database answers.")

    async def _store(self) -> Check:
        await asyncio.to_thread(self._deps.store.check)
        if (problem := self._deps.spool.health.problem) is not None:  # it answers, and takes nothing
            return Check(state="down", reason=problem)
        if (backlog := self._deps.spool.problem) is not None:
            return Check(state="degraded", reason=backlog)
        return Check(state="ok", reason="The object store can be written to.")

    async def _encoder(self) -> Check:
        return Check(state="ok", reason=await asyncio.to_thread(self._deps.encoder_check))

    async def _supervisor(self) -> Check:
        if self._deps.supervisor.is_alive() and self._deps.board.is_draining:
            return Check(state="degraded", reason="Draining: running streams go on, new publishes are refused.")
        if self._deps.supervisor.is_alive():
            return Check(state="ok", reason="Publishes are accepted.")
        return Check(state="down", reason="The supervisor is not running; nobody can publish.")

    async def _actors(self) -> Check:
        stuck = self._deps.stuck()
        if not stuck:
            return Check(state="ok", reason="No actor hangs.")
        return Check(state="degraded", reason=f"{'; '.join(stuck)}. The log shows where.")


async def _checked(check: Awaitable[Check]) -> Check:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT):
            return await check
    except TimeoutError:
        return Check(state="down", reason=f"No answer in {CHECK_TIMEOUT:g} s.")
    except StreamKitError as error:
        return Check(state="down", reason=str(error))
    except Exception:
        logger.exception("A readiness check failed")
        return Check(state="down", reason="The check itself failed; the log says why.")


def overall(checks: dict[str, Check]) -> str:
    """Return 'down' when a vital part is, 'degraded' when any part is not ok."""
    if any(checks[name].state == "down" for name in VITAL):
        return "down"
    return "ok" if all(check.state == "ok" for check in checks.values()) else "degraded"


def check_disk(folder: Path) -> Check:
    """Return whether segments can be written to `folder`, or will be where it is made at the first publish. Blocks."""
    place = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        return Check(state="down", reason="The folder for segments (HLS_OUTPUT_DIR) cannot be written to.")
    free = shutil.disk_usage(place).free
    said = f"{free / (1 << 30):.1f} GiB are free for segments."
    if free < DISK_FULL:
        return Check(state="down", reason=said)
    return Check(state="degraded" if free < DISK_LOW else "ok", reason=said)
