"""Publish -> first playable: the playlist and its first segment fetched with 200, against FFmpeg run by hand."""

import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urljoin

import httpx
from servers.process import ManagedProcess
from servers.waiting import free_port

from benchmarks.stage import Figure, Stage, ffmpeg_path, hand_tuned_ladder, print_figures, stage, wait_for

REPEATS = 3
NAIVE_REPEATS = 1  # it takes ten seconds and is no close race


def run() -> list[Figure]:
    """Return the figures for the ladder, for copy, for the embedded ingest, and for what everybody writes."""
    with stage() as on:
        service = on.serve()
        tuned = _median(REPEATS, lambda number: _bare(on, f"tuned{number}", hand_tuned_ladder))
        ladder = _median(
            REPEATS, lambda number: _streamkit(on, service.url, on.nginx.url(f"ladder{number}"), f"ladder{number}")
        )
        copy = _median(
            REPEATS, lambda number: _streamkit(on, service.url, on.nginx.url(f"copy{number}"), f"copy{number}")
        )
        naive = _median(NAIVE_REPEATS, lambda number: _bare(on, f"naive{number}", _naive))
        service.process.stop()
        embedded = _embedded(on)
    name = "bare FFmpeg ladder tuned by hand, same source and server"
    return [
        Figure(
            name="publish -> first playable, ladder of three",
            value=ladder,
            unit="s",
            baseline=tuned,
            baseline_name=name,
            target=1.0,
        ),
        Figure(
            name="publish -> first playable, copy", value=copy, unit="s", baseline=tuned, target=2.5, of_ratio=False
        ),
        Figure(
            name="publish -> first playable, embedded ingest, ladder",
            value=embedded,
            unit="s",
            baseline=tuned,
            target=2.8,
            of_ratio=False,
        ),
        Figure(name="the command everyone writes (one rendition)", value=naive, unit="s", baseline=tuned),
    ]


def _median(repeats: int, measure: Callable[[int], float]) -> float:
    return statistics.median(measure(number) for number in range(repeats))


def _streamkit(on: Stage, site: str, url: str, key: str) -> float:
    with httpx.Client(base_url=site, timeout=5) as client:
        started = time.monotonic()
        publisher = on.publish(url)
        elapsed = wait_for(lambda: _plays(client, f"/hls/{key}/playlist.m3u8"), timeout=30) - started
    publisher.stop()
    return elapsed


def _plays(client: httpx.Client, path: str) -> bool:
    """Follow the playlists down to the first segment, as a player does."""
    answer = client.get(path)
    if answer.status_code != 200:
        return False
    entries = [line for line in answer.text.splitlines() if line and not line.startswith("#")]
    target = urljoin(path, entries[0])
    return client.get(target).status_code == 200 if target.endswith(".ts") else _plays(client, target)


def _embedded(on: Stage) -> float:
    rtmp = free_port()
    service = on.serve("--embedded", RTMP_PORT=str(rtmp))
    elapsed = _median(REPEATS, lambda n: _streamkit(on, service.url, f"rtmp://127.0.0.1:{rtmp}/live/e{n}", f"e{n}"))
    service.process.stop()
    return elapsed


def _bare(on: Stage, key: str, command: Callable[[str, Path], list[str]]) -> float:
    """Start FFmpeg by hand, again and again until the stream is there; playable is a playlist on disk."""
    folder = on.folder / key
    folder.mkdir()
    url = on.plain.url(key)
    with ExitStack() as cleanup:
        started = time.monotonic()
        publisher = on.publish(url)
        cleanup.callback(publisher.stop)
        wait_for(lambda: key in on.plain.publishers(), timeout=10)
        encoder = ManagedProcess(command(url, folder), folder / "ffmpeg.log")
        cleanup.callback(encoder.close)
        return wait_for(lambda: any(_lists(path) for path in folder.glob("*.m3u8")), timeout=40) - started


def _lists(playlist: Path) -> bool:
    return ".ts" in playlist.read_text()


def _naive(url: str, folder: Path) -> list[str]:
    return [
        ffmpeg_path(), "-nostdin", "-loglevel", "error", "-i", url, "-c:v", "libx264", "-preset", "ultrafast",
        "-tune", "zerolatency", "-c:a", "aac", "-f", "hls", "-hls_time", "3", "-hls_list_size", "5",
        str(folder / "index.m3u8"),
    ]  # fmt: skip


if __name__ == "__main__":
    print_figures(run())
