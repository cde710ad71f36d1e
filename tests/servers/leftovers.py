"""What a test must not leave behind: actors, threads, processes."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pykka

from servers.process import ManagedProcess, descendants
from servers.waiting import wait_until

MARK = f"/test-run-{uuid4().hex}"
"""A folder on PATH that does not exist, and that every process of this test run inherits, orphans included.

PATH, because StreamKit passes hardly another variable on to FFmpeg.
"""
os.environ["PATH"] += f"{os.pathsep}{MARK}"


@contextmanager
def nothing_left(*, processes: bool = True, patience: float = 5.0) -> Iterator[None]:
    """Fail when something that began within the block lives `patience` seconds after it; managed processes may."""
    threads = set(threading.enumerate())
    find_processes = stray_processes if processes else set[int]
    earlier = find_processes()
    yield

    def leftovers() -> list[str]:
        actors = [f"actor {ref}" for ref in pykka.ActorRegistry.get_all()]
        alive = [f"thread {thread.name}" for thread in threading.enumerate() if thread not in threads]
        return actors + alive + [f"process {pid} ({_name(pid)})" for pid in find_processes() - earlier]

    try:
        wait_until(lambda: not leftovers(), timeout=patience)
    except AssertionError:
        raise AssertionError(f"left behind: {', '.join(leftovers())}") from None


def stray_processes() -> set[int]:
    """Return the pids of all that runs below or because of this test run and that no ManagedProcess accounts for."""
    managed = ManagedProcess.pids | descendants(ManagedProcess.pids)
    marked = {int(folder.name) for folder in Path("/proc").glob("[0-9]*") if _is_marked(folder)}
    return (descendants({os.getpid()}) | marked) - managed - {os.getpid()}


def _is_marked(folder: Path) -> bool:
    try:
        return MARK.encode() in (folder / "environ").read_bytes()
    except OSError:
        return False  # it ended while we looked, or is somebody else's


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return "ended"
