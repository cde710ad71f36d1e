"""The real servers that the benchmarks run against, and the table that they print."""

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
from servers import tools
from servers.nginx import NginxRtmp, WebhookRecorder
from servers.postgres import PgDatabase, PostgresServer
from servers.process import ManagedProcess
from servers.publishing import Publisher
from servers.s3 import S3Server
from servers.waiting import free_port

BITRATE = "2500k"  # of the source
LADDER = ((720, 2_800_000), (480, 1_400_000), (360, 800_000))
PRESET = "ultrafast"
SEGMENT = 2.0

RUNGS = "".join(
    f"      - {{name: {height}p, height: {height}, video_bitrate: {rate}, preset: {PRESET}}}\n"
    for height, rate in LADDER
)
CONFIGURATION = f"""
default_ladder: bench
ladders:
  bench:
    renditions:
{RUNGS}
streams:
  - {{match: "copy*", ladder: copy}}
sessions: {{reconnect_window: 0}}
limits: {{max_streams: 16}}
log: {{level: WARNING}}
"""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One row: a value, what it is compared with, and what it should be at most."""

    name: str
    value: float
    unit: str
    baseline: float | None = None
    baseline_name: str = ""
    target: float | None = None
    of_ratio: bool = True

    @property
    def ratio(self) -> float | None:
        """Value divided by baseline."""
        return self.value / self.baseline if self.baseline else None

    @property
    def verdict(self) -> str:
        """Whether the target was met."""
        if self.target is None:
            return ""
        measured = self.ratio if self.of_ratio and self.ratio is not None else self.value
        return "ok" if measured <= self.target else "NOT MET"


def print_machine() -> None:
    """Say on what the figures were measured."""
    ffmpeg = subprocess.run([ffmpeg_path(), "-version"], capture_output=True, text=True, check=True).stdout.split()[2]
    python, kernel, load = platform.python_version(), platform.release(), os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load {load:.1f}, Linux {kernel}, Python {python}, FFmpeg {ffmpeg}")


def print_figures(figures: list[Figure]) -> None:
    """Print the table."""
    print(f"\n{'figure':58} {'value':>10} {'baseline':>10} {'ratio':>6} {'target':>8}  verdict")
    for one in figures:
        baseline = f"{one.baseline:.3f}" if one.baseline is not None else "-"
        ratio = f"{one.ratio:.2f}x" if one.ratio is not None else "-"
        target = "-"
        if one.target is not None:
            target = f"{one.target:g}x" if one.of_ratio and one.baseline else f"{one.target:g} {one.unit}"
        print(f"{one.name:58} {one.value:>7.3f} {one.unit:2} {baseline:>10} {ratio:>6} {target:>8}  {one.verdict}")
        if one.baseline_name:
            print(f"{'':4}baseline: {one.baseline_name}")


def ffmpeg_path() -> str:
    """Return the FFmpeg that everything here uses."""
    return str(tools.require("FFmpeg"))


@dataclass
class Stage:
    """Everything that runs. `serve` starts StreamKit on `nginx`; on `plain` every publisher is let in without it."""

    folder: Path
    stack: ExitStack
    s3: S3Server
    database: PgDatabase
    port: int
    nginx: NginxRtmp
    plain: NginxRtmp
    source: Path

    def serve(self, *arguments: str, configuration: str = CONFIGURATION, **environment: str) -> "Service":
        """Start StreamKit and return when it answers."""
        bucket = f"bench-{self.port}"
        config = self.folder / "streamkit.yaml"
        config.write_text(configuration)
        env = {
            **os.environ,
            **self.database.environment,
            **self.s3.environment(bucket),
            "SERVER_PORT": str(self.port),
            "RTMP_SERVER": "127.0.0.1",
            "RTMP_PORT": str(self.nginx.rtmp_port),
            "HLS_OUTPUT_DIR": str(self.folder / "hls"),
            "STREAMKIT_CONFIG": str(config),
            **environment,
        }
        argv = [Path(sys.executable).parent / "streamkit", "serve", *arguments]
        process = ManagedProcess(argv, self.folder / "streamkit.log", env=env, cwd=self.folder)
        self.stack.callback(process.close)
        service = Service(process, f"http://127.0.0.1:{self.port}", self.s3.root / bucket, self.folder / "hls")
        process.wait_ready(service.is_ready, timeout=30)
        return service

    def publish(self, url: str, *, loop: bool = True) -> Publisher:
        """Push the source in real time."""
        publisher = Publisher(ffmpeg_path(), url, self.source, self.folder / "publisher.log", loop=loop)
        self.stack.callback(publisher.close)
        return publisher


@dataclass
class Service:
    """StreamKit as its users see it."""

    process: ManagedProcess
    url: str
    bucket: Path
    folder: Path

    def is_ready(self) -> bool:
        """Whether it says that everything it needs is there."""
        try:
            return httpx.get(f"{self.url}/ready", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def states(self) -> dict[str, str]:
        """Return the state of every stream on the node."""
        streams = httpx.get(f"{self.url}/stats", timeout=5).json()["streams"]
        return {stream["stream_key"]: stream["state"] for stream in streams}

    def live(self) -> int:
        """Return how many streams are live."""
        return list(self.states().values()).count("live")


@contextmanager
def stage() -> Iterator[Stage]:
    """Start nginx-rtmp, PostgreSQL and the S3 server, make the source, and end everything."""
    with TemporaryDirectory(prefix="streamkit-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        (folder / "pg").mkdir()
        folder.chmod(0o755)  # PostgreSQL runs as somebody else when we are root
        postgres = PostgresServer(tools.require("PostgreSQL"), folder / "pg")
        stack.callback(postgres.close)
        s3 = S3Server(tools.require("rclone"), folder)
        stack.callback(s3.close)
        (folder / "nginx").mkdir()
        port = free_port()
        nginx = NginxRtmp(tools.require("nginx with the rtmp module"), folder / "nginx", port)
        stack.callback(nginx.close)
        (folder / "plain").mkdir()
        yes = WebhookRecorder()
        stack.callback(yes.close)
        plain = NginxRtmp(tools.require("nginx with the rtmp module"), folder / "plain", yes.port)
        stack.callback(plain.close)
        yield Stage(folder, stack, s3, postgres.create_database(), port, nginx, plain, make_source(folder))


def make_source(folder: Path) -> Path:
    """Encode 30 s of 720p30 with a key frame every 2 s."""
    path = folder / "source.flv"
    argv = [
        ffmpeg_path(), "-nostdin", "-loglevel", "error", "-y",
        "-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=30", "-f", "lavfi", "-i", "sine=sample_rate=44100",
        "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "60", "-keyint_min", "60",
        "-sc_threshold", "0", "-b:v", BITRATE, "-maxrate", BITRATE, "-bufsize", BITRATE,
        "-c:a", "aac", "-b:a", "128k", "-t", "30", "-f", "flv", str(path),
    ]  # fmt: skip
    subprocess.run(argv, check=True)
    return path


def hand_tuned_ladder(url: str, folder: Path) -> list[str]:
    """Return the ladder that somebody who knows FFmpeg writes: the baseline for start-up and CPU."""
    argv = [ffmpeg_path(), "-nostdin", "-hide_banner", "-loglevel", "error", "-y", "-fpsprobesize", "0", "-i", url]
    names = [f"v{height}" for height, _ in LADDER]
    graph = f"[0:v]split={len(LADDER)}" + "".join(f"[s{height}]" for height, _ in LADDER)
    graph += "".join(
        f";[s{height}]scale=-2:{height}:flags=bilinear[v{height}]" if height != 720 else f";[s{height}]null[v{height}]"
        for height, _ in LADDER
    )
    argv += ["-filter_complex", graph]
    for name, (height, rate) in zip(names, LADDER, strict=True):
        argv += [
            "-map", f"[{name}]", "-map", "0:a", "-c:v", "libx264", "-preset", PRESET, "-tune", "zerolatency",
            "-profile:v", "high", "-r", "30", "-sc_threshold", "0", "-g", "120",
            "-force_key_frames", f"expr:gte(t,n_forced*{SEGMENT:g})",
            "-b:v", str(rate), "-maxrate", str(int(rate * 1.07)), "-bufsize", str(int(rate * 1.5)),
            "-c:a", "aac", "-b:a", "128k", "-ac", "1",
            "-f", "hls", "-hls_time", f"{SEGMENT:g}", "-hls_list_size", "15",
            "-hls_segment_filename", str(folder / f"{height}p_%d.ts"), str(folder / f"{height}p.m3u8"),
        ]  # fmt: skip
    return argv


def wait_for(check: Callable[[], bool], *, timeout: float, every: float = 0.005) -> float:
    """Return the monotonic time at which `check` first held; raise TimeoutError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not check():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout:g} s")
        time.sleep(every)
    return time.monotonic()


def percentile(values: list[float], share: float) -> float:
    """Return the value that `share` (0 to 1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
