#!/usr/bin/env python3
"""Runs a command and fails when processes that it started are still there after it.

    python scripts/without_leftovers.py COMMAND [ARGUMENT ...]

Linux gives the orphans of a "subreaper" to it, so that nothing which the command started can get out of sight.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
GRACE = 5.0
"""Seconds that processes which are ending already may take."""


def main() -> int:
    """Return the command's exit code, or 1 when it left processes behind."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "this kernel has no subreapers")
    command = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    code = wait_for(command.pid)
    left = survivors(GRACE)
    for pid, name in left.items():
        print(f"LEFT BEHIND: process {pid}: {name}", file=sys.stderr)
    end_all()
    return code or int(bool(left))


def wait_for(pid: int) -> int:
    """Return the exit code of `pid`, 128 + signal when one ended it; reaps the orphans that end meanwhile."""
    while True:
        ended, status = os.wait()
        if ended == pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def survivors(patience: float) -> dict[int, str]:
    """Return pid and command line of the children that are still alive after `patience` seconds."""
    deadline = time.monotonic() + patience
    while (children := reap()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return {pid: command_line(pid) for pid in children}


def end_all() -> None:
    """Kill what is left; whoever loses its parent by that becomes a child of ours and is next."""
    while children := reap():
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def reap() -> list[int]:
    """Return the children that are alive, having collected the others."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return []
    listing = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return [int(pid) for pid in listing.split()]


def command_line(pid: int) -> str:
    """Return the words that the process was started with."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()


if __name__ == "__main__":
    sys.exit(main())
