"""The whole service in production, with a line to each of its servers that can be broken."""

from collections.abc import Callable, Mapping
from typing import Any

from chaos_proxy import FaultProxy
from e2e_production import Production
from servers.postgres import PgDatabase

CONFIGURATION = """
server: {host: 127.0.0.1, shutdown_deadline: 20.0}
storage: {connect_timeout: 0.5, read_timeout: 1.0}
hls: {segment_duration: 1.0, window: 6.0, local_grace: 2.0}
encoder: {start_timeout: 60.0}
sessions: {connect_timeout: 30.0, reconnect_window: 2.0}
default_ladder: copy
"""
"""Nothing is encoded, so that a stream costs hardly any CPU; and what hangs is given up soon."""


class Chaos(Production):
    """`store_line`, `database_line` and `rtmp_line` lie between the service and the real servers; nothing else does."""

    def _documented_environment(self, database: PgDatabase, storage: Mapping[str, str], text: str) -> dict[str, str]:
        self.store_line = FaultProxy(storage["MINIO_ENDPOINT"])
        self.database_line = FaultProxy(f"{database.host}:{database.port}")
        self.rtmp_line = FaultProxy(f"127.0.0.1:{self.nginx.rtmp_port}")
        return {
            **super()._documented_environment(database, storage, text),
            "MINIO_ENDPOINT": self.store_line.endpoint,
            "DB_PORT": str(self.database_line.port),
            "RTMP_PORT": str(self.rtmp_line.port),
        }

    def close(self) -> None:
        super().close()
        for line in (self.store_line, self.database_line, self.rtmp_line):
            line.close()

    def heal(self) -> None:
        """Undo every fault of a line; servers that were stopped or frozen stay so."""
        for line in (self.store_line, self.database_line, self.rtmp_line):
            line.heal()

    # ---- what it says

    def check(self, part: str) -> dict[str, str]:
        """Return state and reason of one part in /ready."""
        found: dict[str, str] = self.client.get("/ready").json()["checks"][part]
        return found

    def stream(self, key: str) -> dict[str, Any]:
        """Return what /stats says of a stream that is on air."""
        found = self.live(key)
        assert found is not None, f"{key} is not in /stats"
        return found

    def wait_media(self, key: str, seconds: int) -> None:
        """Return when so many more segments (of a second each) were closed, and players here may have them."""
        goal = self.stream(key)["segments_closed"] + seconds
        self.wait(lambda: self.stream(key)["segments_closed"] >= goal, f"{seconds} more segments of {key}")
        newest = self.client.get(f"/hls/{key}/source.m3u8").text.split()[-1]
        assert self.client.get(f"/hls/{key}/{newest}").status_code == 200, newest

    def catches_up(self, key: str) -> Callable[[], bool]:
        """Return a check whether the bucket's live playlist has come to where the encoder is now."""
        goal = self.stream(key)["segments_closed"]

        def look() -> bool:
            stream = self.stream(key)
            return bool(stream["segments_listed"] + stream["segments_lost"] >= goal)

        return look

    def lines(self, *words: str) -> list[str]:
        """Return the lines of the service's log that have all these words."""
        return [line for line in self.log().splitlines() if all(word in line for word in words)]
