"""The only place that starts the encoder. One process, one thread that reads it to its end."""

import contextlib
import json
import logging
import os
import selectors
import signal
import socket
import subprocess
import threading
from pathlib import Path
from typing import Protocol

from streamkit.errors import EncoderNotFoundError
from streamkit.ffmpeg.environment import ffmpeg_environment
from streamkit.ffmpeg.leftovers import reap_leftovers, start_time
from streamkit.ffmpeg.progress import LogRing, Progress, ProgressParser
from streamkit.ffmpeg.sandbox import MEMORY_LIMIT, contained, set_limits

__all__ = ["EncoderListener", "EncoderProcess", "reap_leftovers"]

logger = logging.getLogger(__name__)

READ_SIZE = 65_536
LINE_BOUND = 8_192
"""Bytes after which a line without an end is taken as a line."""


class EncoderListener(Protocol):
    """Told by the reader thread of one process; `run` is the number given to `EncoderProcess.start`."""

    def encoder_progressed(self, run: int, progress: Progress) -> None:
        """About once a second while FFmpeg moves."""

    def encoder_exited(self, run: int, returncode: int, log: tuple[str, ...]) -> None:
        """Exactly once, last, after everything that FFmpeg wrote was read and the process was reaped."""


class EncoderProcess:
    """A running FFmpeg. Its methods may be called from any thread, at any time, also after it ended."""

    def __init__(self, popen: subprocess.Popen[bytes], run: int, listener: EncoderListener, pid_file: Path) -> None:
        self._popen = popen
        self._run = run
        self._listener = listener
        self._pid_file = pid_file
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._read_to_the_end, name=f"ffmpeg-{popen.pid}", daemon=True)

    @classmethod
    def start(
        cls,
        argv: list[str],
        *,
        run: int,
        stdin: socket.socket,
        listener: EncoderListener,
        pid_file: Path,
        niceness: int = 0,
        memory: int = MEMORY_LIMIT,
    ) -> "EncoderProcess":
        """Start FFmpeg reading from `stdin`, which this process closes in any case.

        `niceness` (0 to 19) is added to ours: the higher, the more often FFmpeg lets others go first. It may
        write to `memory` bytes of memory; 0 any.

        The kernel kills FFmpeg when the calling thread ends: call it from the thread that owns the stream.
        `pid_file` exists while FFmpeg runs, for `reap_leftovers`. Raises EncoderNotFoundError.
        """
        try:
            # A timeout on either end of a socketpair is kept in Python, but as O_NONBLOCK in the kernel.
            stdin.setblocking(True)  # noqa: FBT003 - the standard library's signature
            popen = subprocess.Popen(
                contained(argv, niceness=niceness, dies_with_parent=True),
                stdin=stdin.fileno(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                # Its own group: a Ctrl-C in our terminal must not end FFmpeg before we flush its last segment. But
                # our session: between sessions Linux divides the processors without a look at niceness.
                process_group=0,
                env=ffmpeg_environment(),
            )
        except OSError as error:
            raise EncoderNotFoundError(f"FFmpeg cannot be started ({argv[0]}): {error.strerror}") from error
        finally:
            # FFmpeg holds its copy; with ours open the feed would never learn that FFmpeg is gone.
            stdin.close()
        set_limits(popen.pid, memory)
        process = cls(popen, run, listener, pid_file)
        process._thread.start()
        process._write_pid_file()
        return process

    @property
    def pid(self) -> int:
        """FFmpeg's process id; it may have ended."""
        return self._popen.pid

    def terminate(self) -> None:
        """Send SIGTERM: FFmpeg closes its segments, unless its input is stalled. No error when it has ended."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL to its process group: the segment being written is lost. No error when it has ended."""
        self._signal(signal.SIGKILL)

    def wait(self, timeout: float) -> int | None:
        """Return the exit code once the listener was told and the reader is gone; None after `timeout` seconds.

        Not for the listener itself, which is called by that reader.
        """
        self._thread.join(timeout)
        return None if self._thread.is_alive() else self._popen.returncode

    def _signal(self, number: signal.Signals) -> None:
        # The lock keeps the id from being reaped, and given to another process, between the look and the signal.
        with self._lock:
            if self._popen.returncode is None:
                os.killpg(self._popen.pid, number)

    def _write_pid_file(self) -> None:
        record = json.dumps({"pid": self.pid, "started": start_time(self.pid)})
        with self._lock:
            if self._popen.returncode is None:
                try:
                    self._pid_file.write_text(record)
                except OSError as error:
                    logger.warning("cannot record FFmpeg's pid in %s: %s", self._pid_file, error)

    def _read_to_the_end(self) -> None:
        ring = LogRing()
        try:
            self._read_pipes(ring)
        except Exception as error:  # an encoder that nobody reads must not live on, and its owner must hear of its end
            logger.exception("cannot read what FFmpeg %d writes", self.pid)
            ring.add(f"StreamKit cannot read what FFmpeg writes: {error}")
            self.kill()
        # Wait without reaping, then reap under the lock that _signal holds.
        with contextlib.suppress(ChildProcessError):  # reaped by the kernel: SIGCHLD is ignored here
            os.waitid(os.P_PID, self._popen.pid, os.WEXITED | os.WNOWAIT)
        with self._lock:
            returncode = self._popen.wait()
            try:
                self._pid_file.unlink(missing_ok=True)
            except OSError as error:
                logger.warning("cannot remove %s: %s", self._pid_file, error)
        try:
            self._listener.encoder_exited(self._run, returncode, ring.lines())
        except Exception:  # whatever the listener does, this thread ends in order
            logger.exception("the listener failed on the exit of encoder run %d", self._run)

    def _read_pipes(self, ring: LogRing) -> None:
        stdout, stderr = self._popen.stdout, self._popen.stderr
        if stdout is None or stderr is None:
            raise RuntimeError("the encoder was started without pipes")
        parser = ProgressParser()
        lines = {stdout.fileno(): _LineReader(), stderr.fileno(): _LineReader()}
        with stdout, stderr, selectors.DefaultSelector() as selector:
            for number in lines:
                selector.register(number, selectors.EVENT_READ)
            while selector.get_map():
                for key, _ in selector.select():
                    data = os.read(key.fd, READ_SIZE)
                    if not data:
                        selector.unregister(key.fd)
                    for line in lines[key.fd].feed(data):
                        if key.fd == stderr.fileno():
                            ring.add(line)
                        else:
                            self._report(parser.feed(line))

    def _report(self, progress: Progress | None) -> None:
        if progress is None:
            return
        try:
            self._listener.encoder_progressed(self._run, progress)
        except Exception:  # whatever the listener does, FFmpeg's pipes must be read on
            logger.exception("the listener failed on the progress of encoder run %d", self._run)


class _LineReader:
    """Cuts bytes into lines; no line, and no memory, grows beyond LINE_BOUND."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """Return the lines that `data` completes; empty data is the end and completes the last."""
        *lines, self._rest = (self._rest + data).replace(b"\r", b"\n").split(b"\n")
        if not data or len(self._rest) > LINE_BOUND:
            lines.append(self._rest)
            self._rest = b""
        return [line.decode("utf-8", "replace") for line in lines if line]
