"""Segment closed -> listed in the bucket, against a raw PUT of the segment followed by a PUT of the playlist."""

import time
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

from minio import Minio
from servers.process import ManagedProcess

from benchmarks.stage import LADDER, Figure, Stage, hand_tuned_ladder, percentile, print_figures, stage, wait_for

SECONDS = 15.0
PUBLISHES = (
    3  # a publisher's key frames meet the other things that go on at moments that differ from publish to publish
)
POLL = 0.003  # the bucket is read from the S3 server's disk, so that watching costs it nothing
RENDITIONS = [f"{height}p" for height, _ in LADDER]


def run() -> list[Figure]:
    """Return p50 and p99 of the lag of every segment of three renditions; the baseline meets the same load."""
    raw: list[float] = []
    lags: list[float] = []
    with stage() as on:
        service = on.serve()
        client = Minio(
            on.s3.endpoint, access_key=on.s3.access_key, secret_key=on.s3.secret_key, secure=False, region=on.s3.region
        )
        client.make_bucket("raw")
        for number in range(PUBLISHES):
            key = f"lag{number}"
            raw += _by_hand(on, client, key)
            publisher = on.publish(on.nginx.url(key))
            wait_for(lambda key=key: service.states().get(key) == "live", timeout=30)
            lags += _watch(service.bucket / "hls" / key, service.folder / key)
            publisher.stop()
            wait_for(lambda key=key: service.states().get(key) != "live", timeout=30, every=0.1)
        service.process.stop()
    name = f"PUT of the segment, then of the playlist: {len(raw)} of a ladder run by hand, a thread per rendition"
    return [
        Figure(name=f"closed -> listed in the bucket, p50 of {len(lags)} segments", value=percentile(lags, 0.5) * 1000,
               unit="ms", baseline=percentile(raw, 0.5) * 1000, baseline_name=name, target=1.5),
        Figure(name="closed -> listed in the bucket, p99", value=percentile(lags, 0.99) * 1000,
               unit="ms", baseline=percentile(raw, 0.99) * 1000, target=3.0),
    ]  # fmt: skip


def _watch(bucket: Path, local: Path) -> list[float]:
    """Return, for each segment that a bucket playlist begins to list, the seconds since FFmpeg closed its file.

    Both times are the file system's, whose clock ticks every few milliseconds, so that neither is ahead of the other.
    """
    seen: dict[str, str] = {}
    listed: set[str] = set()
    lags: list[float] = []
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        for rendition in RENDITIONS:
            playlist = bucket / f"{rendition}.m3u8"
            text = _read(playlist)
            if not text or seen.get(rendition) == text:
                continue
            now, first = min(time.time(), playlist.stat().st_ctime), rendition not in seen
            seen[rendition] = text
            new = [line for line in text.splitlines() if line.endswith(".ts") and line not in listed]
            listed.update(new)
            if not first:  # what was listed before we looked says nothing
                lags += [now - (local / name).stat().st_mtime for name in new]
        time.sleep(POLL)
    return lags


def _read(path: Path) -> str:
    """Return a playlist, or nothing in the moment in which the server replaces it."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        return ""
    return text if text.endswith("\n") else ""


def _by_hand(on: Stage, client: Minio, key: str) -> list[float]:
    """Return the seconds that PUT and PUT took, of every segment that a bare FFmpeg closed; detection not counted."""
    folder = on.folder / key
    folder.mkdir()
    publisher = on.publish(on.plain.url(key))
    wait_for(lambda: key in on.plain.publishers(), timeout=10)
    encoder = ManagedProcess(hand_tuned_ladder(on.plain.url(key), folder), folder / "ffmpeg.log")
    seconds: list[float] = []
    with ThreadPoolExecutor(len(RENDITIONS)) as pool:
        for rendition in RENDITIONS:
            pool.submit(_upload, client, folder / f"{rendition}.m3u8", seconds)
    encoder.close()
    publisher.stop()
    return seconds


def _upload(client: Minio, playlist: Path, seconds: list[float]) -> None:
    """Upload what FFmpeg's playlist lists, as soon as it does: the segment, then the playlist."""
    done: set[str] = set()
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        text = _read(playlist)
        for name in [line for line in text.splitlines() if line.endswith(".ts") and line not in done]:
            done.add(name)
            segment, listing = (playlist.parent / name).read_bytes(), text.encode()
            began = time.perf_counter()
            prefix = f"hls/{playlist.parent.name}"
            client.put_object("raw", f"{prefix}/{name}", BytesIO(segment), len(segment), content_type="video/mp2t")
            client.put_object("raw", f"{prefix}/{playlist.name}", BytesIO(listing), len(listing))
            seconds.append(time.perf_counter() - began)
        time.sleep(POLL)


if __name__ == "__main__":
    print_figures(run())
