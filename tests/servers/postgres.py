"""PostgreSQL in a temporary folder."""

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from servers.process import ManagedProcess
from servers.waiting import free_port


@dataclass(frozen=True, slots=True, kw_only=True)
class PgDatabase:
    """An empty database on the test server."""

    host: str
    port: int
    user: str
    password: str
    name: str

    @property
    def url(self) -> str:
        return f"postgresql+asyncpg://{self.user}:{self.password}@{self.host}:{self.port}/{self.name}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead StreamKit to it."""
        return {
            "DB_HOST": self.host,
            "DB_PORT": str(self.port),
            "DB_USER": self.user,
            "DB_PASSWORD": self.password,
            "DB_NAME": self.name,
        }


class PostgresServer:
    """A server that can be stopped, frozen and started again with the same data on the same port."""

    host = "127.0.0.1"
    user = "streamkit"

    def __init__(self, programs: Path, folder: Path) -> None:
        self.password = token_hex(8)
        self.port = free_port()
        self._programs = programs
        self._folder = folder
        self._data = folder / "data"
        self._process: ManagedProcess | None = None
        self._initialise()
        self.start()

    def start(self) -> None:
        """Return when it answers; harmless when it does already."""
        if self._process is not None and self._process.running:
            self._process.thaw()
            return
        options = ["-p", str(self.port), "-h", self.host, "-k", "", "-c", "fsync=off", "-c", "max_connections=60"]
        argv = [*_unprivileged(), str(self._programs / "postgres"), "-D", str(self._data), *options]
        # SIGINT is PostgreSQL's fast shutdown: clients are disconnected, data is checkpointed.
        self._process = ManagedProcess(argv, self._folder / "postgres.log", stop_signal=signal.SIGINT)
        self._process.wait_ready(self._answers)

    def stop(self) -> None:
        """Disconnect everybody and refuse connections until start()."""
        if self._process is not None:
            self._process.stop()

    def freeze(self) -> None:
        """Accept connections but answer nothing until thaw() or start()."""
        if self._process is not None:
            self._process.freeze()

    def thaw(self) -> None:
        """Undo freeze()."""
        if self._process is not None:
            self._process.thaw()

    def close(self) -> None:
        """End it for good."""
        if self._process is not None:
            self._process.close()

    def create_database(self) -> PgDatabase:
        """Return a new, empty database."""
        name = f"test_{token_hex(6)}"
        self._run("createdb", "-h", self.host, "-p", str(self.port), "-U", self.user, "-w", name)
        return PgDatabase(host=self.host, port=self.port, user=self.user, password=self.password, name=name)

    def _initialise(self) -> None:
        self._data.mkdir()
        password_file = self._folder / "password"
        password_file.write_text(self.password)
        if os.getuid() == 0:
            for path in (self._folder, self._data, password_file):
                shutil.chown(path, _OWNER, _OWNER)
        self._run(
            "initdb", "-D", str(self._data), "-U", self.user, "--pwfile", str(password_file), "--auth", "scram-sha-256",
            "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync", prefix=_unprivileged(),
        )  # fmt: skip

    def _answers(self) -> bool:
        argv = [str(self._programs / "pg_isready"), "-q", "-h", self.host, "-p", str(self.port)]
        return subprocess.run(argv, check=False).returncode == 0

    def _run(self, program: str, *arguments: str, prefix: Sequence[str] = ()) -> None:
        done = subprocess.run(
            [*prefix, str(self._programs / program), *arguments],
            env={**os.environ, "PGPASSWORD": self.password},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, f"{program} failed: {done.stderr or done.stdout}"


_OWNER = "postgres"


def _unprivileged() -> list[str]:
    """Return the words that go before a command which refuses to run as root."""
    if os.getuid() != 0:
        return []
    # --pdeathsig again, because a change of user undoes the one that every managed process has.
    return ["setpriv", "--pdeathsig=INT", f"--reuid={_OWNER}", f"--regid={_OWNER}", "--clear-groups"]
