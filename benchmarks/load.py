"""Close to listed with 1, 10, 50, 100 copied streams at once, and what the service takes for them: docs/load.md."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from pathlib import Path

from minio import Minio
from servers import tools
from servers.process import ManagedProcess, descendants
from servers.publishing import SourceSpec, make_source

from benchmarks.cpu import cpu_seconds
from benchmarks.stage import Figure, Service, Stage, percentile, print_figures, stage, wait_for

LEVELS = [int(word) for word in os.environ.get("LOAD_STREAMS", "1,10,50,100").split(",")]
SECONDS = float(os.environ.get("LOAD_SECONDS", "30"))
"""How long each level is measured."""
SETTLE = 6.0  # seconds between the last stream that went live and the first that counts
EVERY = 0.02  # the times come from the file system, so this only has to be shorter than a segment
SEGMENT = 2.0
SOURCE = SourceSpec(width=320, height=180, fps=15, gop_seconds=SEGMENT, seconds=60.0)
CONFIGURATION = f"""
default_ladder: copy
hls: {{segment_duration: {SEGMENT}}}
sessions: {{reconnect_window: 0, connect_timeout: 60.0}}
encoder: {{start_timeout: 60.0}}
limits: {{max_streams: {max(LEVELS) + 8}}}
log: {{level: WARNING}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What something has taken: CPU seconds since it began, and what it has now."""

    cpu: float
    memory: float = 0.0  # MB
    threads: int = 0
    files: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """What was measured with so many streams."""

    streams: int
    lags: list[float]
    raw: list[float]
    service: Taken
    processors: dict[str, float]
    """Shares of one processor, by who took them."""


def run() -> list[Figure]:
    """Print the table of docs/load.md, and return its figures."""
    with stage() as on:
        service = on.serve(configuration=CONFIGURATION)
        source = make_source(tools.require("FFmpeg"), on.folder, SOURCE)
        publishers = start_publishers(on, source)
        levels: list[Level] = []
        for before, streams in pairwise([0, *LEVELS]):
            for number in range(before, streams):
                say(publishers, f"load{number}")
            wait_for(lambda goal=streams: service.live() >= goal, timeout=240, every=0.5)
            time.sleep(SETTLE)
            levels.append(measure(on, service, publishers, streams))
            print(table(levels[-1:]) if len(levels) == 1 else table(levels[-1:]).splitlines()[-1], flush=True)
        assert publishers.poll() is None, "the publishers gave up"
        service.process.stop(timeout=120)
    print("\n" + plot(levels))
    return [figure for level in levels for figure in figures(level)]


def start_publishers(on: Stage, source: Path) -> "subprocess.Popen[str]":
    """Start the process that publishes every key which it is told."""
    argv = [sys.executable, "-m", "benchmarks.copies", str(on.nginx.rtmp_port), str(source)]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, text=True)
    on.stack.callback(process.wait, 30)
    assert process.stdin is not None
    on.stack.callback(process.stdin.close)
    return process


def say(publishers: "subprocess.Popen[str]", key: str) -> None:
    """Let one more key be published."""
    assert publishers.stdin is not None
    publishers.stdin.write(f"{key}\n")
    publishers.stdin.flush()


def measure(on: Stage, service: Service, publishers: "subprocess.Popen[str]", streams: int) -> Level:
    """Watch every stream's playlist in the bucket while a segment and a playlist are put there by hand."""
    pids: dict[str, Callable[[], Iterable[int]]] = {
        "service": lambda: [service.process.pid],
        "FFmpeg": lambda: descendants({service.process.pid}),
        "S3": lambda: named("rclone"),
        "database": lambda: named("postgres"),
        "RTMP": lambda: named("nginx"),
        "publishers": lambda: [publishers.pid],
    }
    before = {who: taken_by(find()) for who, find in pids.items()}
    began = time.monotonic()
    done = threading.Event()
    raw: list[float] = []
    by_hand = threading.Thread(target=put_by_hand, args=[on, service, raw, done])
    by_hand.start()
    lags = watch(service, streams)
    done.set()
    by_hand.join()
    lasted = time.monotonic() - began
    after = {who: taken_by(find()) for who, find in pids.items()}
    return Level(
        streams=streams,
        lags=lags,
        raw=raw,
        service=after["service"],
        processors={who: (after[who].cpu - before[who].cpu) / lasted for who in pids},
    )


def named(program: str) -> list[int]:
    """Return the test servers with this name; nobody else's."""
    found = ManagedProcess.pids | descendants(ManagedProcess.pids)
    return [pid for pid in found if program in _read(Path(f"/proc/{pid}/comm"))]


def taken_by(pids: Iterable[int]) -> Taken:
    """Return what these processes have taken together; those that ended meanwhile count for nothing."""
    cpu, memory, threads, files = 0.0, 0, 0, 0
    for pid in pids:
        try:
            cpu += cpu_seconds(pid)
            status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
            files += len(os.listdir(f"/proc/{pid}/fd"))
        except OSError:
            continue
        memory += int(status["VmRSS"].split()[0])
        threads += int(status["Threads"])
    return Taken(cpu=cpu, memory=memory / 1000, threads=threads, files=files)


def watch(service: Service, streams: int) -> list[float]:
    """Return the seconds from closed to listed of each segment that a bucket playlist begins to list.

    Both times are the file system's: the last write to FFmpeg's file, and the playlist's renaming.
    """
    playlists = {f"load{number}": 0.0 for number in range(streams)}
    listed: dict[str, set[str]] = {}
    lags: list[float] = []
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        for key, seen in playlists.items():
            path = service.bucket / "hls" / key / "playlist.m3u8"
            try:
                changed = path.stat().st_ctime
                text = path.read_text() if changed != seen else ""
            except FileNotFoundError:
                continue  # it is being replaced
            if not text.endswith("\n"):
                continue
            playlists[key] = changed
            names = {line for line in text.splitlines() if line.endswith(".ts")}
            new = names - listed.get(key, names)  # what was listed before we looked says nothing
            listed[key] = names
            lags += [changed - (service.folder / key / name).stat().st_mtime for name in new]
        time.sleep(EVERY)
    return lags


def put_by_hand(on: Stage, service: Service, seconds: list[float], done: threading.Event) -> None:
    """PUT a segment and then its playlist again and again beside the service: the baseline under the same load."""
    client = Minio(
        on.s3.endpoint, access_key=on.s3.access_key, secret_key=on.s3.secret_key, secure=False, region=on.s3.region
    )
    if not client.bucket_exists("raw"):
        client.make_bucket("raw")
    listing = (service.bucket / "hls" / "load0" / "playlist.m3u8").read_bytes()
    segment = max((service.folder / "load0").glob("*.ts"), key=lambda path: path.stat().st_size).read_bytes()
    number = 0
    while not done.wait(0.25):
        number += 1
        began = time.perf_counter()
        client.put_object("raw", f"hls/{number}.ts", BytesIO(segment), len(segment), content_type="video/mp2t")
        client.put_object("raw", "hls/playlist.m3u8", BytesIO(listing), len(listing))
        seconds.append(time.perf_counter() - began)


def figures(level: Level) -> list[Figure]:
    """Return p50 and p99 of a level against the raw PUTs of the same half minute."""
    found = []
    for name, at in (("p50", 0.5), ("p99", 0.99)):
        lag, raw = percentile(level.lags, at) * 1000, percentile(level.raw, at) * 1000
        title = f"{level.streams} copied streams: closed -> listed, {name}"
        found.append(Figure(name=title, value=lag, unit="ms", baseline=raw))
    return found


def table(levels: list[Level]) -> str:
    """Return what was measured as Markdown."""
    head = (
        "streams|segments|p50|p99|ratio p50|ratio p99|memory|threads|files|service|FFmpeg|S3|database|RTMP|publishers"
    )
    lines = [f"| {head.replace('|', ' | ')} |", "|" + "---|" * len(head.split("|"))]
    for level in levels:
        p50, p99, raw50, raw99 = (
            percentile(values, at) * 1000 for values in (level.lags, level.raw) for at in (0.5, 0.99)
        )
        own = level.service
        shares = " | ".join(f"{share:.0%}" for share in level.processors.values())
        lines.append(
            f"| {level.streams} | {len(level.lags)} | {p50:.0f} ms | {p99:.0f} ms | {p50 / raw50:.1f}x "
            f"| {p99 / raw99:.1f}x | {own.memory:.0f} MB | {own.threads} | {own.files} | {shares} |"
        )
    return "\n".join(lines)


def plot(levels: list[Level], width: int = 60) -> str:
    """Return p50 and p99 over the streams as bars of text, on one scale."""
    most = max(percentile(level.lags, 0.99) for level in levels)
    lines = []
    for level in levels:
        for name, at in (("p50", 0.5), ("p99", 0.99)):
            lag = percentile(level.lags, at)
            bar = "#" * max(1, round(width * lag / most))
            lines.append(f"{level.streams if name == 'p50' else '':>4} {name} {bar} {lag * 1000:.0f} ms")
    return "\n".join(lines)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


if __name__ == "__main__":
    print_figures(run())
