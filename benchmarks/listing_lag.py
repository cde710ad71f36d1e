"""Segment closed -> listed in the bucket, against a raw PUT of a segment followed by a PUT of a playlist."""

import threading
import time
from io import BytesIO
from pathlib import Path

from minio import Minio

from benchmarks.stage import LADDER, Figure, Stage, percentile, print_figures, stage, wait_for

SECONDS = 60.0
POLL = 0.003  # the bucket is read from the S3 server's disk, so that watching costs it nothing
RENDITIONS = [f"{height}p" for height, _ in LADDER]
RAW_EVERY = 0.7  # not a divisor of the segment duration: the raw PUTs meet every load there is


def run() -> list[Figure]:
    """Return p50 and p99 of the lag, of every segment of three renditions during a minute."""
    with stage() as on:
        service = on.serve()
        publisher = on.publish(on.nginx.url("lag"))
        wait_for(lambda: service.states().get("lag") == "live", timeout=30)
        stop = threading.Event()
        raw: list[float] = []
        prober = threading.Thread(target=_put_raw, args=(on, service.folder / "lag", raw, stop))
        prober.start()
        lags = _watch(service.bucket / "hls" / "lag", service.folder / "lag")
        stop.set()
        prober.join()
        publisher.stop()
        service.process.stop()
    name = f"{len(raw)} raw PUTs of a segment and of a playlist in the same minute"
    return [
        Figure(name=f"closed -> listed in the bucket, p50 of {len(lags)} segments", value=percentile(lags, 0.5) * 1000,
               unit="ms", baseline=percentile(raw, 0.5) * 1000, baseline_name=name, target=1.5),
        Figure(name="closed -> listed in the bucket, p99", value=percentile(lags, 0.99) * 1000,
               unit="ms", baseline=percentile(raw, 0.99) * 1000, target=3.0),
    ]  # fmt: skip


def _watch(bucket: Path, local: Path) -> list[float]:
    """Return, for each segment that a bucket playlist begins to list, the seconds since FFmpeg closed its file."""
    seen: dict[str, str] = {}
    listed: set[str] = set()
    lags: list[float] = []
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        for rendition in RENDITIONS:
            text = _read(bucket / f"{rendition}.m3u8")
            if not text or seen.get(rendition) == text:
                continue
            now, first = time.time(), rendition not in seen
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


def _put_raw(on: Stage, local: Path, seconds: list[float], stop: threading.Event) -> None:
    client = Minio(
        on.s3.endpoint, access_key=on.s3.access_key, secret_key=on.s3.secret_key, secure=False, region=on.s3.region
    )
    client.make_bucket("raw")
    number = 0
    while not stop.wait(RAW_EVERY):
        newest = max(local.glob("segment_*.ts"), key=lambda path: path.stat().st_mtime_ns).read_bytes()
        playlist = b"#EXTM3U\n" + b"#EXTINF:2.000000,\nsegment.ts\n" * 15
        number += 1
        began = time.perf_counter()
        client.put_object(
            "raw", f"hls/raw/segment_{number}.ts", BytesIO(newest), len(newest), content_type="video/mp2t"
        )
        client.put_object("raw", "hls/raw/720p.m3u8", BytesIO(playlist), len(playlist))
        seconds.append(time.perf_counter() - began)


if __name__ == "__main__":
    print_figures(run())
