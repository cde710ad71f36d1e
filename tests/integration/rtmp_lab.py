"""nginx-rtmp, an owner of feeds that remembers what it was told, and an encoder that copies: for the RTMP tests."""

import queue
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import av
from servers import tools
from servers.process import ManagedProcess
from servers.waiting import accepts_connections, free_port

from streamkit.rtmp.loop import FeedHandle, RtmpLoop
from streamkit.settings import RtmpSettings
from streamkit.types import SourceInfo

DEADLINE = 20.0


@contextmanager
def nginx(folder: Path, *directives: str, port: int | None = None) -> Iterator[int]:
    """Run nginx with the rtmp module and yield its port."""
    program = tools.require("nginx with the rtmp module")
    port = port or free_port()
    configuration = folder / f"nginx-{port}.conf"
    configuration.write_text(
        f"load_module {tools.RTMP_MODULE}; daemon off; master_process off; pid {folder}/nginx-{port}.pid;"
        f"error_log stderr info; events {{}} rtmp {{ server {{ listen 127.0.0.1:{port}; chunk_size 4096;"
        f"application live {{ live on; {' '.join(directives)} }} }} }}"
    )
    server = ManagedProcess([program, "-p", f"{folder}/", "-c", configuration], folder / f"nginx-{port}.log")
    try:
        server.wait_ready(lambda: accepts_connections(port))
        yield port
    finally:
        server.close()


@contextmanager
def rtmp_loop(port: int = 1) -> Iterator[RtmpLoop]:
    """Run a loop that pulls from `port`, and stop it."""
    loop = RtmpLoop(RtmpSettings(server="127.0.0.1", port=port))
    loop.start()
    try:
        yield loop
    finally:
        loop.stop(DEADLINE)


@dataclass
class Owner:
    """A FeedListener that remembers, and lets a test wait."""

    events: "queue.Queue[tuple[str, int, object]]" = field(default_factory=queue.Queue)
    joined: threading.Event = field(default_factory=threading.Event)

    def source_joined(self, run: int) -> None:
        self.joined.set()

    def source_detected(self, run: int, source: SourceInfo) -> None:
        self.events.put(("detected", run, source))

    def source_ready(self, run: int) -> None:
        pass

    def source_changed(self, run: int) -> None:
        self.events.put(("changed", run, None))

    def source_closed(self, run: int, error: str | None) -> None:
        self.events.put(("closed", run, error))

    def detected(self, run: int = 1) -> SourceInfo:
        kind, told_run, source = self.events.get(timeout=DEADLINE)
        assert (kind, told_run) == ("detected", run), source
        assert isinstance(source, SourceInfo)
        return source

    def closed(self, run: int = 1) -> str | None:
        kind, told_run, error = self.events.get(timeout=DEADLINE)
        assert (kind, told_run) == ("closed", run)
        assert error is None or isinstance(error, str)
        return error


class Encoder:
    """FFmpeg that copies the FLV on its stdin into a file."""

    def __init__(self, ffmpeg: str, path: Path, feed: FeedHandle) -> None:
        self.path = path
        ours, theirs = socket.socketpair()
        argv = [
            ffmpeg,
            "-nostdin",
            "-v",
            "error",
            "-y",
            "-f",
            "flv",
            "-i",
            "pipe:0",
            "-map",
            "0",
            "-c",
            "copy",
            str(path),
        ]
        with theirs:
            self._process = subprocess.Popen(argv, stdin=theirs, stderr=subprocess.PIPE, text=True)
        feed.attach(ours)

    def wait(self) -> int:
        """Return the exit code once its input ended; whatever it complained about fails the test."""
        try:
            _, errors = self._process.communicate(timeout=DEADLINE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        assert errors == ""
        return self._process.returncode

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()

    def packets(self, kind: str) -> list[tuple[float, bool]]:
        """Return (seconds, is key frame) of every packet that it wrote for the first stream of this kind."""
        with av.open(str(self.path)) as container:
            stream = next(stream for stream in container.streams if stream.type == kind)
            return [
                (float(packet.dts * packet.time_base), packet.is_keyframe)
                for packet in container.demux(stream)
                if packet.dts is not None and packet.time_base is not None
            ]

    def kinds(self) -> list[str]:
        with av.open(str(self.path)) as container:
            return sorted(stream.type for stream in container.streams)


def push_argv(ffmpeg: str, source: Path, url: str, *options: str, paced: bool = True) -> list[str]:
    """Return the command that publishes a recording once, in real time."""
    pace = ["-re"] if paced else []
    return [ffmpeg, "-nostdin", "-v", "warning", *pace, *options, "-i", str(source), "-c", "copy", "-f", "flv", url]
