"""Fixtures for the real servers of tests/servers/: on loopback, in temporary folders, and all of them end."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import pytest
from servers import sharing, tools
from servers.leftovers import nothing_left
from servers.nginx import NginxRtmp, WebhookRecorder
from servers.postgres import PgDatabase, PostgresServer
from servers.process import ManagedProcess
from servers.publishing import Publisher, SourceSpec
from servers.publishing import make_source as generate_source
from servers.s3 import S3Server
from servers.waiting import free_port as find_free_port


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly which tools were missing, so that a green run on a laptop is not mistaken for a whole one."""
    for name in tools.missing_tools():
        terminalreporter.write_line(
            f"NOT TESTED with {name}: it is not installed (scripts/install-test-tools)", red=True
        )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest when several processes share the tests out; they must agree on the names."""
    sharing.check_names(item.nodeid for item in items)
    if "PYTEST_XDIST_WORKER" in os.environ:
        sharing.in_turn(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Say which tests stay together."""
    return sharing.scheduler(config, log)


@pytest.fixture(autouse=True, scope="session")
def _nothing_left_by_the_run() -> Iterator[None]:
    with nothing_left():
        yield
        running = sorted(ManagedProcess.pids)
        assert not running, f"test servers still run: {running}"


@pytest.fixture(autouse=True)
def _nothing_left(request: pytest.FixtureRequest, _nothing_left_by_the_run: None) -> Iterator[None]:
    """Pure tests are spared the look at every process of the machine, which takes longer than they do."""
    real_parts = any(request.node.get_closest_marker(name) for name in ("integration", "e2e", "browser", "chaos"))
    with nothing_left(processes=real_parts):
        yield


@pytest.fixture
def free_port() -> Callable[[], int]:
    return find_free_port


@pytest.fixture(scope="session")
def _postgres_server(_nothing_left_by_the_run: None) -> Iterator[PostgresServer]:
    programs = tools.require("PostgreSQL")
    # Not pytest's own temporary folder: PostgreSQL refuses to be root, and that folder is closed to everybody else.
    with TemporaryDirectory(prefix="streamkit-postgres-") as folder, ExitStack() as cleanup:
        server = PostgresServer(programs, Path(folder))
        cleanup.callback(server.close)
        yield server


@pytest.fixture
def postgres(_postgres_server: PostgresServer) -> PostgresServer:
    _postgres_server.start()
    return _postgres_server


@pytest.fixture
def pg_database(postgres: PostgresServer) -> PgDatabase:
    return postgres.create_database()


@pytest.fixture(scope="session")
def _s3(tmp_path_factory: pytest.TempPathFactory, _nothing_left_by_the_run: None) -> Iterator[S3Server]:
    server = S3Server(tools.require("rclone"), tmp_path_factory.mktemp("s3"))
    yield server
    server.close()


@pytest.fixture
def s3_server(_s3: S3Server) -> S3Server:
    _s3.start()
    return _s3


@pytest.fixture
def s3_bucket() -> str:
    return f"test-{uuid4().hex[:12]}"


@pytest.fixture
def webhook() -> Iterator[WebhookRecorder]:
    recorder = WebhookRecorder()
    yield recorder
    recorder.close()


@pytest.fixture
def nginx_rtmp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[int], NginxRtmp]]:
    program = tools.require("nginx with the rtmp module")
    with ExitStack() as cleanup:

        def start(webhook_port: int) -> NginxRtmp:
            server = NginxRtmp(program, tmp_path_factory.mktemp("nginx"), webhook_port)
            cleanup.callback(server.close)
            return server

        yield start


@pytest.fixture
def ffmpeg_path(request: pytest.FixtureRequest) -> str:
    """FFmpeg; `parametrize("ffmpeg_path", ["path", "imageio"], indirect=True)` runs a test with both."""
    if getattr(request, "param", "path") == "imageio":
        bundled = tools.bundled_ffmpeg()
        return str(bundled) if bundled else pytest.skip("imageio-ffmpeg carries no FFmpeg for this machine")
    return str(tools.require("FFmpeg"))


@pytest.fixture(scope="session")
def make_source(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`make_source(**SourceSpec fields) -> Path` of an FLV, made once."""
    folder = tmp_path_factory.mktemp("sources")
    ffmpeg = tools.ffmpeg() or tools.bundled_ffmpeg() or tools.require("FFmpeg")
    return lambda **spec: generate_source(ffmpeg, folder, SourceSpec(**spec))


@pytest.fixture
def publisher(
    make_source: Callable[..., Path], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Publisher]]:
    """`publisher(url, source=None, *, loop=True) -> Publisher`, ended with the test."""
    ffmpeg = tools.ffmpeg() or tools.bundled_ffmpeg() or tools.require("FFmpeg")
    numbers = count(1)
    with ExitStack() as cleanup:

        def push(url: str, source: Path | None = None, *, loop: bool = True) -> Publisher:
            log_file = tmp_path / f"publisher-{next(numbers)}.log"
            process = Publisher(ffmpeg, url, source or make_source(), log_file, loop=loop)
            cleanup.callback(process.close)
            return process

        yield push


@pytest.fixture
def run_process(tmp_path: Path) -> Iterator[Callable[..., ManagedProcess]]:
    """`run_process(argv, *, env=None, cwd=None, name="process") -> ManagedProcess`, ended with the test."""
    numbers = count(1)
    with ExitStack() as cleanup:

        def start(
            argv: Sequence[str | Path],
            *,
            env: Mapping[str, str] | None = None,
            cwd: Path | None = None,
            name: str = "process",
        ) -> ManagedProcess:
            process = ManagedProcess(argv, tmp_path / f"{name}-{next(numbers)}.log", env=env, cwd=cwd)
            cleanup.callback(process.close)
            return process

        yield start


@pytest.fixture(scope="session")
def chromium_path() -> str:
    return str(tools.require("Chromium"))
