"""A service in production whose lines and servers break, and the table of what came of it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from subprocess import run
from uuid import uuid4

import pytest
from chaos_accounting import Account, Ledger, account
from chaos_record import OUTCOMES, table
from chaos_service import CONFIGURATION, Chaos
from servers import tools
from servers.postgres import PostgresServer
from servers.publishing import Publisher
from servers.s3 import S3Server


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what docs/reliability.md shows."""
    if OUTCOMES:
        terminalreporter.section("faults")
        for line in table():
            terminalreporter.write_line(line)


@pytest.fixture(scope="module")
def chaos_configuration() -> str:
    """What the module's service is configured with; a module may have its own."""
    return CONFIGURATION


@pytest.fixture(scope="module")
def chaos_servers(
    tmp_path_factory: pytest.TempPathFactory, _postgres_server: PostgresServer, _s3: S3Server, chaos_configuration: str
) -> Iterator[Chaos]:
    """The module's service; it may be stopped, and its lines may be broken."""
    _postgres_server.start()
    _s3.start()
    chaos = Chaos(
        tmp_path_factory.mktemp("chaos"),
        tools.require("nginx with the rtmp module"),
        _postgres_server.create_database(),
        _s3,
        f"test-{uuid4().hex[:12]}",
        chaos_configuration,
    )
    yield chaos
    chaos.close()


@pytest.fixture(scope="module")
def small_disk(chaos_servers: Chaos) -> Iterator[Path]:
    """A disk of 48 MB with the HLS folder and what an account keeps of it: for a module whose tests fill it."""
    folder = chaos_servers.folder / "disk"
    folder.mkdir()
    chaos_servers.hls_folder = folder / "hls"
    chaos_servers.environment["HLS_OUTPUT_DIR"] = str(chaos_servers.hls_folder)
    mount = ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(folder)]
    done = run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        tools.unavailable(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    yield folder
    chaos_servers.kill()
    run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def chaos(chaos_servers: Chaos, _postgres_server: PostgresServer, _s3: S3Server) -> Iterator[Chaos]:
    """The module's service, serving; whatever a test breaks is whole for the next one.

    What the watchers of the bucket and of the HTTP side noted meanwhile is the test's failure.
    """
    chaos_servers.start()
    yield chaos_servers
    chaos_servers.heal()
    _postgres_server.start()
    _s3.start()
    problems = dict(chaos_servers.watch.report.problems)
    chaos_servers.watch.report.problems.clear()
    assert not problems, "\n".join(problems)


@pytest.fixture(scope="module")
def push(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, Path], Publisher]]:
    """`push(url, source) -> Publisher` that repeats the source until it is stopped; ended with the module."""
    ffmpeg = tools.ffmpeg() or tools.bundled_ffmpeg() or tools.require("FFmpeg")
    folder = tmp_path_factory.mktemp("publishers")
    with ExitStack() as cleanup:

        def start(url: str, source: Path) -> Publisher:
            process = Publisher(ffmpeg, url, source, folder / f"{uuid4().hex}.log", loop=True)
            cleanup.callback(process.close)
            return process

        yield start


@pytest.fixture(scope="module")
def small_source(make_source: Callable[..., Path]) -> Path:
    """A small picture with a key frame every second."""
    return make_source(width=320, height=180, fps=10, gop_seconds=1.0, seconds=30.0)


class OnAir:
    """One broadcast through all the faults of a module, and its account at the end."""

    def __init__(self, chaos: Chaos, key: str, publish: Callable[[str], Publisher]) -> None:
        self.chaos, self.key = chaos, key
        self._ledger = Ledger(chaos.hls_folder / key)
        self._publish = publish
        self.publish()
        self.session: str = chaos.wait_live(key, segments=2)["session"]

    def publish(self) -> None:
        """Publish, or publish again, under the same key."""
        self._publisher = self._publish(self.chaos.nginx.url(self.key))

    def settle(self) -> Account:
        """End the broadcast, and return what became of its segments; AssertionError unless it adds up."""
        self._publisher.stop()
        self.chaos.wait_state(self.key, "ended")
        return account(self.chaos, self.key, self.session, self._ledger)

    def close(self) -> None:
        """End what this has started."""
        self._ledger.close()


@pytest.fixture(scope="module")
def on_air(chaos_servers: Chaos, push: Callable[[str, Path], Publisher], small_source: Path) -> Iterator[OnAir]:
    """A broadcast that goes on through the tests of the module, until one of them settles it."""
    chaos_servers.start()
    broadcast = OnAir(chaos_servers, "chaos", lambda url: push(url, small_source))
    yield broadcast
    broadcast.close()
