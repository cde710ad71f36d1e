"""The whole service in production: nginx-rtmp, PostgreSQL, S3 and `streamkit serve`, as an operator runs them."""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import httpx
from e2e_player import MediaPlaylist, parse_media
from e2e_watcher import Watch
from servers.nginx import NginxRtmp
from servers.postgres import PgDatabase
from servers.process import ManagedProcess, live_processes
from servers.s3 import S3Server
from servers.waiting import free_port, wait_until

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
STREAMKIT = ROOT / ".venv" / "bin" / "streamkit"

CONFIGURATION = """
server: {host: 127.0.0.1, shutdown_deadline: 30.0}
hls: {segment_duration: 1.0, window: 8.0, local_grace: 3.0}
encoder: {start_timeout: 60.0}
sessions: {connect_timeout: 15.0, reconnect_window: 2.0}
ladders:
  default:
    renditions:
      - {name: 720p, height: 720, video_bitrate: 1500k, preset: ultrafast}
      - {name: 480p, height: 480, video_bitrate: 800k, preset: ultrafast}
      - {name: 360p, height: 360, video_bitrate: 500k, preset: ultrafast}
  small:
    renditions:
      - {name: 240p, height: 240, video_bitrate: 200k, preset: ultrafast}
      - {name: 144p, height: 144, video_bitrate: 100k, preset: ultrafast}
  cmaf:
    segment_format: fmp4
    separate_audio: true
    renditions:
      - {name: 240p, height: 240, video_bitrate: 200k, preset: veryfast, tune: ""}
      - {name: 144p, height: 144, video_bitrate: 100k, preset: ultrafast}
streams:
  - {match: show}
  - {match: "cmaf-*", ladder: cmaf, reconnect_window: 6.0}
  - {match: "patient-*", ladder: small, reconnect_window: 120.0}
  - {match: "*", ladder: small}
"""


class Production:
    """The servers and the service; the service can be stopped, killed and started again on the same addresses."""

    def __init__(
        self,
        folder: Path,
        nginx_program: Path,
        database: PgDatabase,
        s3: S3Server,
        bucket: str,
        configuration: str = CONFIGURATION,
        webhook_query: str = "",
        *,
        webhook_port: int | None = None,
    ) -> None:
        """`webhook_port`: nginx tells somebody else of its publishers, and the service has to ask for them."""
        self.folder = folder
        self.database = database
        self.s3 = s3
        self.bucket = s3.root / bucket
        self.hls_folder = folder / "hls"
        self.port = free_port()
        self.nginx = NginxRtmp(nginx_program, folder, webhook_port or self.port, webhook_query)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60, trust_env=False)
        self.watch = Watch(self.bucket, f"http://127.0.0.1:{self.port}")
        self.watch.start()
        self._service: ManagedProcess | None = None
        self.environment = self._documented_environment(database, s3.environment(bucket), configuration)

    def _documented_environment(self, database: PgDatabase, storage: Mapping[str, str], text: str) -> dict[str, str]:
        configuration = self.folder / "streamkit.yaml"
        configuration.write_text(text)
        return {
            **os.environ,
            **database.environment,
            **storage,
            "RTMP_SERVER": "127.0.0.1",
            "RTMP_PORT": str(self.nginx.rtmp_port),
            "RTMP_STATUS_URL": self.nginx.status_url,
            "HLS_OUTPUT_DIR": str(self.hls_folder),
            "SERVER_PORT": str(self.port),
            "STREAMKIT_CONFIG": str(configuration),
        }

    # ---- the service

    def start(self, *options: str) -> None:
        """Return when it serves; harmless when it does already."""
        if self._service is not None and self._service.running:
            return
        self._service = ManagedProcess(
            [STREAMKIT, "serve", *options], self.folder / "streamkit.log", env=self.environment, cwd=self.folder
        )
        self._service.wait_ready(self._serves)
        self.watch.is_up.set()

    def _serves(self) -> bool:
        try:
            return self.client.get("/health").status_code == 200
        except httpx.TransportError:
            return False

    @property
    def pid(self) -> int:
        assert self._service is not None
        return self._service.pid

    def terminate(self) -> int:
        """Stop it as `systemctl stop` and `docker stop` do, and return its exit code."""
        assert self._service is not None
        self.watch.is_up.clear()
        return self._service.stop(timeout=60)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal and go on."""
        assert self._service is not None
        if number == signal.SIGTERM:
            self.watch.is_up.clear()
        os.kill(self._service.pid, number)

    def wait_exit(self) -> int:
        """Return its exit code when it has ended."""
        assert self._service is not None
        self.watch.is_up.clear()
        return self._service.wait(60)

    def kill(self) -> None:
        """End it as the kernel does when memory is out."""
        assert self._service is not None
        self.watch.is_up.clear()
        self._service.kill()

    def close(self) -> None:
        """End everything that this has started."""
        self.watch.is_up.clear()
        self.watch.stop()
        if self._service is not None:
            self._service.close()
        self.client.close()
        self.nginx.close()

    def log(self) -> str:
        return self._service.log() if self._service is not None else ""

    def encoders(self, key: str = "") -> set[int]:
        """Return the pids of the FFmpegs that write segments (of `key`), whoever their parent is by now."""
        written = f"{self.hls_folder}/{key}".encode()
        return {pid for pid in live_processes() if written in _command_line(pid) and b"ffmpeg" in _command_line(pid)}

    # ---- what it says

    def wait(self, check: Callable[[], T | None], what: str) -> T:
        """Return the first truthy value of `check()`; AssertionError with the service's log when it takes too long."""
        try:
            found = wait_until(check, what=what, every=0.2)
        except AssertionError as error:
            raise AssertionError(f"{error}; the service said:\n{self.log()[-6000:]}") from None
        assert found is not None
        return found

    def get(self, path: str, **parameters: str) -> Any:
        """Return the JSON at this path; AssertionError unless the answer is 200."""
        answer = self.client.get(path, params=parameters)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:300]}"
        return answer.json()

    def live(self, key: str) -> dict[str, Any] | None:
        """Return what /stats says of a stream, None when it is not there."""
        found: list[dict[str, Any]] = [one for one in self.get("/stats")["streams"] if one["stream_key"] == key]
        return found[0] if found else None

    def wait_live(self, key: str, segments: int = 1) -> dict[str, Any]:
        """Return what /stats says once the stream is live and `segments` of its session are in the bucket."""

        def look() -> dict[str, Any] | None:
            live = self.live(key)
            return live if live and live["state"] == "live" and live["segments_listed"] >= segments else None

        return self.wait(look, f"{key} live with {segments} listed segments")

    # ---- what is left of it

    def rows(self, statement: str, *arguments: object) -> list[dict[str, Any]]:
        """Return the rows of a query."""

        async def query() -> list[dict[str, Any]]:
            async with asyncio.timeout(10):
                connection = await asyncpg.connect(self.database.url.replace("+asyncpg", ""))
                try:
                    return [dict(row) for row in await connection.fetch(statement, *arguments)]
                finally:
                    await connection.close()

        return asyncio.run(query())

    def row(self, key: str) -> dict[str, Any] | None:
        """Return the row of `streams`."""
        return next(iter(self.rows("SELECT * FROM streams WHERE stream_key = $1", key)), None)

    def session_rows(self, key: str) -> list[dict[str, Any]]:
        """Return the rows of `sessions`, oldest first."""
        return self.rows("SELECT * FROM sessions WHERE stream_key = $1 ORDER BY epoch", key)

    def wait_state(self, key: str, state: str) -> dict[str, Any]:
        """Return the row of `streams` once it has this state."""

        def look() -> dict[str, Any] | None:
            row = self.row(key)
            return row if row is not None and row["state"] == state else None

        return self.wait(look, f"the row of {key} with state {state}")

    def stored(self, key: str, suffix: str) -> dict[str, bytes]:
        """Return the objects of a stream in the bucket by their file names, without those deleted meanwhile."""
        found = {}
        for path in (self.bucket / "hls" / key).glob(f"*{suffix}"):
            with suppress(FileNotFoundError):
                found[path.name] = path.read_bytes()
        return found

    def stored_playlist(self, key: str, name: str) -> MediaPlaylist:
        """Return a media playlist from the bucket, which the S3 server takes away for a moment when it replaces it."""
        found = wait_until(lambda: self.stored(key, name).get(name), what=f"{key}/{name} in the bucket")
        return parse_media(found.decode())


def without_retries(last_error: str | None) -> str | None:
    """Return the error unless it is that of an upload: those are repeated, and the test's S3 server, busy with its own
    renames, answers some with 500."""
    return None if last_error is not None and last_error.startswith("upload of ") else last_error


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
