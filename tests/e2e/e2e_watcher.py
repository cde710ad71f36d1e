"""Somebody who looks at the bucket and at the HTTP side all the time, and notes every broken promise."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from e2e_player import MediaPlaylist, parse_media, parse_multivariant

BUCKET_EVERY = 0.05  # seconds
HTTP_EVERY = 0.5


@dataclass(slots=True)
class _Numbers:
    sequence: int = 0
    discontinuity_sequence: int = 0


@dataclass(slots=True)
class Report:
    """What was seen. `problems` are sentences, each of them once."""

    problems: dict[str, None] = field(default_factory=dict)
    bucket_playlists: int = 0
    bucket_segments: int = 0
    http_playlists: int = 0
    http_segments: int = 0


class Numbering:
    """Remembers the numbers of playlists, and says when they went back."""

    def __init__(self) -> None:
        self._newest: dict[str, _Numbers] = {}

    def check(self, where: str, playlist: MediaPlaylist) -> list[str]:
        """Return what is wrong with the playlist's numbers after all those before it at the same place."""
        newest = self._newest.setdefault(where, _Numbers())
        problems = []
        if playlist.sequence < newest.sequence:
            problems.append(f"{where}: MEDIA-SEQUENCE went from {newest.sequence} to {playlist.sequence}")
        if playlist.discontinuity_sequence < newest.discontinuity_sequence:
            before, now = newest.discontinuity_sequence, playlist.discontinuity_sequence
            problems.append(f"{where}: DISCONTINUITY-SEQUENCE went from {before} to {now}")
        newest.sequence, newest.discontinuity_sequence = playlist.sequence, playlist.discontinuity_sequence
        return problems


class BucketWatcher:
    """Looks at the files of a bucket: what a playlist lists is there, whole, and stays as it is."""

    def __init__(self, bucket: Path, report: Report) -> None:
        self._bucket = bucket
        self._report = report
        self._numbering = Numbering()
        self._sizes: dict[Path, int] = {}

    def look(self) -> None:
        """Read every playlist, then look for what it lists."""
        for path in sorted(self._bucket.glob("hls/*/*.m3u8")):
            try:
                text = path.read_text()
            except FileNotFoundError:
                continue  # it is being replaced: see _size
            self._report.bucket_playlists += 1
            if "#EXT-X-STREAM-INF" in text:
                self._check_listed(path, [variant.uri for variant in parse_multivariant(text)])
                continue
            playlist = parse_media(text)
            self._check_listed(path, _needed(playlist))
            self._note(*self._numbering.check(str(path.relative_to(self._bucket)), playlist))

    def _check_listed(self, playlist: Path, listed: list[str]) -> None:
        for uri in listed:
            path = playlist.parent / uri
            size = _size(path, patience=1.0 if uri.endswith(".m3u8") else 0.0)
            if not size:
                self._note(f"{playlist.parent.name}/{playlist.name} in the bucket lists {uri}, which is not there")
            elif not uri.endswith(".m3u8"):
                self._report.bucket_segments += path not in self._sizes
                if self._sizes.setdefault(path, size) != size:
                    self._note(f"{uri} in the bucket was listed with {self._sizes[path]} bytes and now has {size}")

    def _note(self, *problems: str) -> None:
        self._report.problems |= dict.fromkeys(problems)


class HttpWatcher:
    """Looks at the service as a player with patience: what was listed is answered with 200, and never vanishes."""

    def __init__(self, client: httpx.Client, report: Report) -> None:
        self._client = client
        self._report = report
        self._numbering = Numbering()
        self._seen: dict[str, set[str]] = {}

    def look(self, keys: set[str]) -> None:
        """Fetch the playlists of these streams and those seen before, and ask for the segments that are listed."""
        for key in sorted(keys | self._seen.keys()):
            self._look_at_stream(key)

    def _look_at_stream(self, key: str) -> None:
        answer = self._client.get(f"/hls/{key}/playlist.m3u8")
        if answer.status_code == 404 and key not in self._seen:
            return
        if answer.status_code != 200:
            self._note(f"{key}/playlist.m3u8 was answered with {answer.status_code} after it had been there")
            return
        seen = self._seen.setdefault(key, set())
        is_media = "#EXT-X-STREAM-INF" not in answer.text  # a ladder of one rendition has nothing to choose from
        names = ["playlist.m3u8"] if is_media else [variant.uri for variant in parse_multivariant(answer.text)]
        for name in names:
            self._look_at_playlist(key, name, seen)

    def _look_at_playlist(self, key: str, name: str, seen: set[str]) -> None:
        answer = self._client.get(f"/hls/{key}/{name}")
        if answer.status_code != 200:
            self._note(f"{key}/{name} is listed and was answered with {answer.status_code}")
            return
        self._report.http_playlists += 1
        playlist = parse_media(answer.text)
        self._note(*self._numbering.check(f"{key}/{name} over HTTP", playlist))
        uris = _needed(playlist)
        # The oldest is the one that is deleted first; the others are looked at once.
        for uri in {*uris[:1], *uris} - (seen - set(uris[:1])):
            status = self._client.head(f"/hls/{key}/{uri}").status_code
            self._report.http_segments += 1
            seen.add(uri)
            if status != 200:
                self._note(f"{key}/{uri} is listed over HTTP and was answered with {status}")

    def _note(self, *problems: str) -> None:
        self._report.problems |= dict.fromkeys(problems)


class Watch:
    """Both watchers in threads of their own, from `start()` to `stop()`.

    While `is_up` is not set the service may be away: only the bucket is looked at then.
    """

    def __init__(self, bucket: Path, base_url: str) -> None:
        self.report = Report()
        self.is_up = threading.Event()
        self._done = threading.Event()
        self._bucket_path = bucket
        self._threads = [
            threading.Thread(
                target=self._run, args=[BucketWatcher(bucket, self.report).look, BUCKET_EVERY], name="bucket watcher"
            ),
            threading.Thread(target=self._run, args=[self._look_at_http, HTTP_EVERY], name="http watcher"),
        ]
        self._client = httpx.Client(base_url=base_url, timeout=60, trust_env=False)
        self._http = HttpWatcher(self._client, self.report)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()
        self._client.close()

    def _run(self, look: Callable[[], None], every: float) -> None:
        while not self._done.wait(every):
            try:
                look()
            except Exception as error:  # noqa: BLE001 - a watcher that died would find nothing any more
                self.report.problems[f"{threading.current_thread().name} failed: {error!r}"] = None

    def _look_at_http(self) -> None:
        if not self.is_up.is_set():
            return
        try:
            self._http.look({path.name for path in self._bucket_path.glob("hls/*")})
        except httpx.TransportError:
            if self.is_up.is_set():
                raise


def _needed(playlist: MediaPlaylist) -> list[str]:
    """Return what a player fetches, the oldest first: segments, each behind its initialization section."""
    entries = [entry for entry in playlist.entries if not entry.gap]
    return list(dict.fromkeys(uri for entry in entries for uri in (entry.init, entry.uri) if uri))


def _size(path: Path, patience: float) -> int:
    """Return the file's bytes, 0 when it does not come within `patience` seconds.

    The test's S3 server takes an object away for some milliseconds when it replaces it. (Real ones do not.)
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            return path.stat().st_size
        except FileNotFoundError:
            if time.monotonic() >= deadline:
                return 0
        time.sleep(0.005)
