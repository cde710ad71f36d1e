"""Ends the FFmpeg processes of a service that was killed and could not end them itself (Linux)."""

import json
import os
import select
import signal
from pathlib import Path

DEATH_DEADLINE = 2.0
"""Seconds to wait for a killed process to be gone, so that nothing writes to the folder after us."""
_STAT_START_TIME = 22


def start_time(pid: int) -> int | None:
    """Return when `pid` started, in clock ticks since boot (proc(5), stat field 22); None if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # Field 2, the name, is in parentheses and may contain anything: count from behind it.
    return int(stat.rpartition(")")[2].split()[_STAT_START_TIME - 3])


def reap_leftovers(folder: Path) -> list[int]:
    """Kill what the *.pid files in `folder` and its subfolders name, remove the files, return the killed ids.

    A process is killed only if its id and its start time match: ids are given out again.
    """
    killed = []
    for pid_file in sorted([*folder.glob("*.pid"), *folder.glob("*/*.pid")]):
        pid, started = _read(pid_file)
        if pid is not None and started is not None and _kill(pid, started):
            killed.append(pid)
        pid_file.unlink(missing_ok=True)
    return killed


def _read(pid_file: Path) -> tuple[int | None, int | None]:
    try:
        record = json.loads(pid_file.read_text())
        return int(record["pid"]), int(record["started"])
    except (OSError, ValueError, KeyError, TypeError):
        # Cut off by the crash, or of a system without start times: nothing to be sure about, nothing to kill.
        return None, None


def _kill(pid: int, started: int) -> bool:
    """Return whether the process was the recorded one and was killed; waits until it is gone."""
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        # The handle names one process for ever, so the id cannot change hands between the check and the kill.
        if start_time(pid) != started:
            return False
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        select.select([handle], [], [], DEATH_DEADLINE)
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)
    return True
