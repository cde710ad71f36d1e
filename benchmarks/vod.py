"""A broadcast's end -> its playlists as a recording are in the bucket, against raw PUTs of the same playlists."""

import time
from io import BytesIO
from pathlib import Path

from minio import Minio

from benchmarks.stage import Figure, Service, Stage, percentile, print_figures, stage, wait_for

BROADCASTS = 5
SECONDS = 7.0  # of each: it ends in the middle of a segment
WITHIN = 1.0


def run() -> list[Figure]:
    """Return how long after the publisher's leave, and after the last segment, players can have the recording."""
    gone: list[float] = []
    closed: list[float] = []
    raw: list[float] = []
    with stage() as on:
        service = on.serve()
        client = Minio(
            on.s3.endpoint, access_key=on.s3.access_key, secret_key=on.s3.secret_key, secure=False, region=on.s3.region
        )
        client.make_bucket("raw")
        for number in range(BROADCASTS):
            left, recording = _broadcast(on, service, f"vod{number}")
            stored = max(path.stat().st_ctime for path in recording)
            segments = (service.folder / f"vod{number}").glob("segment_*.ts")
            gone.append(stored - left)
            closed.append(stored - max(path.stat().st_mtime for path in segments))
            raw.append(_by_hand(client, recording))
        service.process.stop()
    name = f"the same playlists, one PUT after the other, of {len(raw)} broadcasts"
    return [
        Figure(name="publisher gone -> recording's playlists in the bucket, longest", value=max(gone), unit="s",
               target=WITHIN, of_ratio=False),
        Figure(name="last segment closed -> recording's playlists, p50", value=percentile(closed, 0.5), unit="s",
               baseline=percentile(raw, 0.5), baseline_name=name),
    ]  # fmt: skip


def _broadcast(on: Stage, service: Service, key: str) -> tuple[float, list[Path]]:
    """Return when the publisher was gone, in Unix seconds, and the playlists of the recording."""
    publisher = on.publish(on.nginx.url(key))
    wait_for(lambda: service.states().get(key) == "live", timeout=30)
    time.sleep(SECONDS)
    publisher.stop()
    left = time.time()
    folder = service.bucket / "hls" / key
    wait_for(lambda: any(folder.glob("s???????.m3u8")), timeout=30)  # the entry point is put last
    return left, sorted(folder.glob("s???????*.m3u8"))


def _by_hand(client: Minio, recording: list[Path]) -> float:
    """Return the seconds that the PUTs of these files take."""
    bodies = [path.read_bytes() for path in recording]
    began = time.perf_counter()
    for path, body in zip(recording, bodies, strict=True):
        client.put_object("raw", path.name, BytesIO(body), len(body))
    return time.perf_counter() - began


if __name__ == "__main__":
    print_figures(run())
