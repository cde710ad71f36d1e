"""CPU and memory beside FFmpeg's own, and FFmpeg's against the same ladder run by hand."""

import os
import statistics
import time
from pathlib import Path

from servers.process import ManagedProcess, descendants

from benchmarks.stage import Figure, Service, Stage, hand_tuned_ladder, print_figures, stage, wait_for

SECONDS = 30.0
REPEATS = 2
STREAMS = 10
TICKS = os.sysconf("SC_CLK_TCK")


def run() -> list[Figure]:
    """Return control-plane CPU per stream-minute, FFmpeg's ratio, and memory with ten streams."""
    with stage() as on:
        service = on.serve()
        control, encoder, by_hand = [], [], []
        for number in range(REPEATS):
            own, ffmpeg = _measure_streamkit(on, service, f"cpu{number}")
            control.append(own)
            encoder.append(ffmpeg)
            by_hand.append(_measure_by_hand(on, f"hand{number}"))
        memory, copies = _measure_memory(on, service)
        service.process.stop()
    minute = 60 / SECONDS
    own, ffmpeg, hand = (statistics.median(values) for values in (control, encoder, by_hand))
    return [
        Figure(
            name="control plane beside FFmpeg, CPU per stream-minute", value=own * minute, unit="s", target=1.0,
            baseline=ffmpeg * minute, baseline_name="FFmpeg's own CPU per stream-minute", of_ratio=False,
        ),
        Figure(
            name="FFmpeg's CPU, ladder of three, 30 s", value=ffmpeg, unit="s", target=1.02,
            baseline=hand, baseline_name="the same ladder run by hand on the same server",
        ),
        Figure(name=f"the same, {STREAMS} copy streams at once", value=copies * minute / STREAMS, unit="s"),
        Figure(name=f"resident memory with {STREAMS} streams", value=memory, unit="MB", target=150, of_ratio=False),
    ]  # fmt: skip


def _measure_streamkit(on: Stage, service: Service, key: str) -> tuple[float, float]:
    """Return CPU seconds of the service and of its FFmpeg during SECONDS of a live stream."""
    publisher = on.publish(on.nginx.url(key))
    wait_for(lambda: service.states().get(key) == "live", timeout=30, every=0.1)
    time.sleep(3)
    encoder = max(descendants({service.process.pid}), key=cpu_seconds)
    before = cpu_seconds(service.process.pid), cpu_seconds(encoder)
    time.sleep(SECONDS)
    after = cpu_seconds(service.process.pid), cpu_seconds(encoder)
    publisher.stop()
    wait_for(lambda: service.states().get(key) != "live", timeout=30, every=0.1)
    return after[0] - before[0], after[1] - before[1]


def _measure_by_hand(on: Stage, key: str) -> float:
    folder = on.folder / key
    folder.mkdir()
    publisher = on.publish(on.plain.url(key))
    wait_for(lambda: key in on.plain.publishers(), timeout=10)
    encoder = ManagedProcess(hand_tuned_ladder(on.plain.url(key), folder), folder / "ffmpeg.log")
    wait_for((folder / "720p.m3u8").exists, timeout=30)
    time.sleep(3)
    before = cpu_seconds(encoder.pid)
    time.sleep(SECONDS)
    used = cpu_seconds(encoder.pid) - before
    encoder.close()
    publisher.stop()
    return used


def _measure_memory(on: Stage, service: Service) -> tuple[float, float]:
    """Return the service's resident megabytes with ten live streams, and its CPU seconds during SECONDS of them."""
    publishers = [on.publish(on.nginx.url(f"copy{number}")) for number in range(STREAMS)]
    wait_for(lambda: list(service.states().values()).count("live") == STREAMS, timeout=60, every=0.2)
    before = cpu_seconds(service.process.pid)
    time.sleep(SECONDS)
    used = cpu_seconds(service.process.pid) - before
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    for publisher in publishers:
        publisher.stop()
    return resident / 1000, used


def cpu_seconds(pid: int) -> float:
    """Return user and system CPU seconds of the process, its ended children not counted."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


if __name__ == "__main__":
    print_figures(run())
