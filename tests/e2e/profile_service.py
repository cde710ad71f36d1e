"""Services that take many broadcasts at the same time, each of one source profile, and what players got of them."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from e2e_production import STREAMKIT, Production
from profile_table import LADDERS, Profile, source_argv
from profile_view import Track, look
from servers import tools
from servers.flv_publishing import publish_tags, read_tags
from servers.process import ManagedProcess
from servers.publishing import Publisher
from servers.waiting import accepts_connections, free_port, wait_until

from streamkit.playlist_check import StreamCheck, report

AT_ONCE = 6  # broadcasts, which two cores encode in real time
CONFIGURATION = f"""
server: {{host: 127.0.0.1}}
hls: {{segment_duration: 1.0, window: 60.0}}
encoder: {{ffmpeg: "%(ffmpeg)s", start_timeout: 60.0}}
embedded: {{data_dir: %(folder)s/data}}
sessions: {{connect_timeout: 60.0, reconnect_window: 0.0}}
ladders: {LADDERS}
streams:
  - {{match: "pair-*", ladder: pair}}
  - {{match: "cmaf-*", ladder: cmaf}}
  - {{match: "smooth-*", ladder: smooth}}
  - {{match: "hevc-*", ladder: hevc}}
  - {{match: "av1-*", ladder: av1}}
  - {{match: "copied-*", ladder: copied}}
  - {{match: "apart-*", ladder: apart}}
  - {{match: "apartcmaf-*", ladder: apartcmaf}}
  - {{match: "copiedcmaf-*", ladder: copiedcmaf}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a broadcast: the stream as the API shows it, its tracks, and the broken rules of HLS."""

    stream: dict[str, Any]
    tracks: list[Track]
    rules: str
    """The report of `streamkit check`, "" when there is nothing to check."""
    is_right: bool


class Service:
    """A service that serves, with its address for publishers."""

    def __init__(self, client: httpx.Client, rtmp_port: int, log: Callable[[], str], close: Callable[[], None]) -> None:
        self.client = client
        self.rtmp_port = rtmp_port
        self.log = log
        self.close = close

    def finished(self, key: str) -> dict[str, Any] | None:
        """Return the stream once its broadcast is over."""
        answer = self.client.get(f"/streams/{key}")
        stream: dict[str, Any] = answer.json()
        return stream if answer.status_code == 200 and stream["state"] in ("ended", "failed") else None

    def outcome(self, key: str) -> Outcome:
        """Return what became of the broadcast that is about to end."""
        try:
            stream = wait_until(lambda: self.finished(key), what=f"the end of {key}", every=0.25)
        except AssertionError as error:
            lines = [line for line in self.log().splitlines() if key in line]
            raise AssertionError("\n".join([str(error), *lines[-12:]])) from None
        entry = f"/hls/{key}/playlist.m3u8"
        if self.client.get(entry).status_code != 200:
            return Outcome(stream=stream, tracks=[], rules="", is_right=False)
        url = f"{str(self.client.base_url).rstrip('/')}{entry}"
        rules, is_right = report(StreamCheck(url, segments=20, reload=False).findings())
        return Outcome(stream=stream, tracks=look(lambda name: self._fetch(key, name)), rules=rules, is_right=is_right)

    def _fetch(self, key: str, name: str) -> bytes:
        answer = self.client.get(f"/hls/{key}/{name}")
        assert answer.status_code == 200, f"{name}: {answer.status_code} {answer.text[:300]}"
        return answer.content


def configuration(folder: Path, ffmpeg: Path) -> str:
    """Return the YAML of every service here."""
    return CONFIGURATION % {"ffmpeg": ffmpeg, "folder": folder}


def embedded(folder: Path, ffmpeg: Path, template: str = CONFIGURATION) -> Service:
    """Start `serve --embedded` with this FFmpeg."""
    (folder / "streamkit.yaml").write_text(template % {"ffmpeg": ffmpeg, "folder": folder})
    port, rtmp_port = free_port(), free_port()
    variables = {
        "SERVER_PORT": str(port),
        "RTMP_PORT": str(rtmp_port),
        "HLS_OUTPUT_DIR": str(folder / "hls"),
        "STREAMKIT_CONFIG": str(folder / "streamkit.yaml"),
    }
    argv = [STREAMKIT, "serve", "--embedded", "--no-demo"]
    process = ManagedProcess(argv, folder / "streamkit.log", env={**os.environ, **variables}, cwd=folder)
    process.wait_ready(lambda: accepts_connections(port))
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False)

    def close() -> None:
        client.close()
        process.close()

    return Service(client, rtmp_port, process.log, close)


def behind_nginx(production: Production) -> Service:
    """Start the service of a production, where publishers come through nginx-rtmp."""

    def close() -> None:
        problems = list(production.watch.report.problems)
        production.close()
        assert not problems, "\n".join(problems)

    production.start()
    return Service(production.client, production.nginx.rtmp_port, production.log, close)


class Broadcasts:
    """Runs the profiles, some at a time; `service_for` says where to."""

    def __init__(self, folder: Path, service_for: Callable[[Profile], Service], profiles: Iterable[Profile]) -> None:
        self._folder = folder
        self._service_for = service_for
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._outcomes: dict[Profile, Future[Outcome]] = {
            profile: self._pool.submit(self._run, profile) for profile in profiles
        }

    def outcome(self, profile: Profile) -> Outcome:
        """Return what became of the profile's broadcast; what went wrong raises."""
        return self._outcomes[profile].result(timeout=110)

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self, profile: Profile) -> Outcome:
        service = self._service_for(profile)
        ffmpeg = tools.bundled_ffmpeg() or tools.require("FFmpeg")
        source = self._folder / f"{profile.through}-{profile.encoder}-{profile.key}.flv"
        log = source.with_suffix(".log")
        maker = ManagedProcess(source_argv(profile, ffmpeg, source), log)
        try:
            assert maker.wait(timeout=60) == 0, maker.log()
        finally:
            maker.close()
        self._publish(profile, service, ffmpeg, source, log)
        return service.outcome(profile.key)

    def _publish(self, profile: Profile, service: Service, ffmpeg: Path, source: Path, log: Path) -> None:
        if profile.edit is not None:
            publish_tags(service.rtmp_port, profile.key, profile.edit(read_tags(source)))
            return
        url = f"rtmp://127.0.0.1:{service.rtmp_port}/live/{profile.key}"
        publisher = Publisher(ffmpeg, url, source, log, loop=False)
        try:
            # Its exit code says nothing: FFmpeg complains when the server is faster to hang up.
            publisher.wait(timeout=profile.seconds + 30)
        finally:
            publisher.close()
