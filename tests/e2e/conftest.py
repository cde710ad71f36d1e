"""The services that the tests of a module share."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest
from e2e_production import Production
from servers import tools
from servers.postgres import PostgresServer
from servers.publishing import Publisher
from servers.s3 import S3Server


@pytest.fixture(scope="module")
def production_servers(
    tmp_path_factory: pytest.TempPathFactory, _postgres_server: PostgresServer, _s3: S3Server
) -> Iterator[Production]:
    """The module's production; its service may be stopped."""
    _postgres_server.start()
    _s3.start()
    production = Production(
        tmp_path_factory.mktemp("production"),
        tools.require("nginx with the rtmp module"),
        _postgres_server.create_database(),
        _s3,
        f"test-{uuid4().hex[:12]}",
    )
    yield production
    production.close()


@pytest.fixture(autouse=True)
def _promises_kept(request: pytest.FixtureRequest) -> Iterator[None]:
    """What the watchers of the bucket and of the HTTP side noted during a test is that test's failure."""
    yield
    if "production_servers" in request.fixturenames:
        problems = request.getfixturevalue("production_servers").watch.report.problems
        found = list(problems)
        problems.clear()
        assert not found, "\n".join(found)


@pytest.fixture
def production(production_servers: Production) -> Production:
    """The module's production, serving."""
    production_servers.start()
    return production_servers


@pytest.fixture(scope="module")
def push(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Publisher]]:
    """`push(url, source, *, loop=True) -> Publisher`, ended with the module."""
    ffmpeg = tools.ffmpeg() or tools.bundled_ffmpeg() or tools.require("FFmpeg")
    folder = tmp_path_factory.mktemp("publishers")
    with ExitStack() as cleanup:

        def start(url: str, source: Path, *, loop: bool = True) -> Publisher:
            process = Publisher(ffmpeg, url, source, folder / f"{uuid4().hex}.log", loop=loop)
            cleanup.callback(process.close)
            return process

        yield start
