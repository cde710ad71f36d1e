"""What every FFmpeg is started with besides its command: a group and limits of its own, and no way to more rights.

FFmpeg parses what strangers send. Its protocol whitelist is part of each command, its environment is that of
`streamkit.ffmpeg.environment`; here is what the kernel enforces. Limits are set on the process from outside: a program
that sets them before it becomes FFmpeg would delay every start, and Python's preexec_fn can deadlock beside threads.

Not limited: the size of files and the processor time, because a broadcast may last for days, and the number of
processes, which the kernel counts for the whole user and not for each FFmpeg.
"""

import contextlib
import logging
import os
import resource
import shutil
import signal
import subprocess
from dataclasses import dataclass

from streamkit.ffmpeg.environment import ffmpeg_environment
from streamkit.types import Seconds

MEMORY_LIMIT = 32 << 30
"""Bytes. Five renditions from 2160p60 take 5 GiB with two processors, and about 15 with 64: more is no encoding."""
OPEN_FILES = 1024
"""Also for the widest ladder many times of what it has open at a time."""
logger = logging.getLogger(__name__)
_NO_LIMIT = resource.RLIM_INFINITY


@dataclass(frozen=True, slots=True)
class Finished:
    """How a run ended, and all that it wrote."""

    returncode: int
    stdout: bytes
    stderr: bytes


def contained(argv: list[str], *, niceness: int = 0, dies_with_parent: bool = False) -> list[str]:
    """Return the command that becomes `argv` with no way to more rights, and `niceness` (0 to 19) added to ours.

    With `dies_with_parent` the kernel kills it when the thread that starts it ends. Its process id stays the same.
    What the machine does not have is left out: see `missing`.
    """
    nice, setpriv = shutil.which("nice") if niceness else None, shutil.which("setpriv")
    prefix = [nice, "-n", str(niceness)] if nice else []
    if setpriv:
        death = ["--pdeathsig", "KILL"] if dies_with_parent else []
        prefix += [setpriv, "--no-new-privs", *death, "--"]
    return [*prefix, *argv]


def set_limits(pid: int, memory: int = MEMORY_LIMIT) -> None:
    """Limit what the process that was just started may take; `memory` in bytes, 0 for any. No error when it has ended.

    Memory is what it can write to: the address space would count what drivers of graphics cards reserve and never use.
    """
    if not hasattr(resource, "prlimit"):  # not Linux
        return
    wanted = [(resource.RLIMIT_CORE, 0), (resource.RLIMIT_NOFILE, OPEN_FILES)]
    wanted += [(resource.RLIMIT_DATA, memory)] if memory else []
    try:
        for what, most in wanted:
            inherited = resource.prlimit(pid, what)[1]
            limit = most if inherited == _NO_LIMIT else min(most, inherited)
            resource.prlimit(pid, what, (limit, limit))
    except ProcessLookupError:
        return
    except PermissionError as error:  # a security module of the kernel
        logger.warning("FFmpeg %d runs without limits of memory and open files: %s", pid, error.strerror)


def run_contained(argv: list[str], *, timeout: Seconds) -> Finished:
    """Run a short FFmpeg command to its end. Raises OSError, or subprocess.TimeoutExpired once it was killed."""
    with subprocess.Popen(
        contained(argv),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        process_group=0,
        env=ffmpeg_environment(),
    ) as process:
        set_limits(process.pid)
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    return Finished(process.returncode, stdout, stderr)


def missing() -> list[str]:
    """Return a sentence for each defence that this machine does not offer."""
    lacks = []
    if not shutil.which("setpriv"):
        lacks.append(
            "There is no setpriv (of util-linux): FFmpeg could get rights by running a set-user-id program, "
            "and outlives a service that is killed until the next start"
        )
    if not shutil.which("nice"):
        lacks.append("There is no nice (of coreutils): encoder.niceness has no effect")
    if not hasattr(resource, "prlimit"):
        lacks.append("This is not Linux: memory and open files of FFmpeg are not limited")
    return lacks
