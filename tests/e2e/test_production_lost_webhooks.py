"""No webhook ever reaches the service: it finds publishers, and their end, by asking nginx-rtmp."""

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from e2e_production import CONFIGURATION, Production
from servers import tools
from servers.nginx import WebhookRecorder
from servers.postgres import PostgresServer
from servers.publishing import Publisher
from servers.s3 import S3Server

pytestmark = pytest.mark.e2e

Push = Callable[..., Publisher]
ASKING = CONFIGURATION + "rtmp: {status_interval: 1.0}\n"


@pytest.fixture(scope="module")
def production_servers(
    tmp_path_factory: pytest.TempPathFactory, _postgres_server: PostgresServer, _s3: S3Server
) -> Iterator[Production]:
    """A production whose webhooks are all lost: somebody else lets every publisher in."""
    _postgres_server.start()
    _s3.start()
    recorder = WebhookRecorder()
    production = Production(
        tmp_path_factory.mktemp("deaf"),
        tools.require("nginx with the rtmp module"),
        _postgres_server.create_database(),
        _s3,
        f"test-{uuid4().hex[:12]}",
        ASKING,
        webhook_port=recorder.port,
    )
    yield production
    production.close()
    recorder.close()


def test_a_publisher_that_nobody_announced_is_on_air_and_ends_when_it_leaves(
    production: Production, make_source: Callable[..., Path], push: Push
) -> None:
    publisher = push(production.nginx.url("unannounced"), make_source(width=426, height=240, gop_seconds=1.0))
    session = production.wait_live("unannounced", segments=2)["session"]

    publisher.stop()

    production.wait_state("unannounced", "ended")
    assert production.stored_playlist("unannounced", "240p.m3u8").ended
    assert [row["session"] for row in production.session_rows("unannounced")] == [session]


def test_a_publisher_that_outlives_a_stop_is_on_air_again_after_the_next_start(
    production: Production, make_source: Callable[..., Path], push: Push
) -> None:
    publisher = push(production.nginx.url("patient"), make_source(width=426, height=240, gop_seconds=1.0))
    ended = production.wait_live("patient", segments=2)["session"]
    assert production.terminate() == 0
    assert production.stored_playlist("patient", "240p.m3u8").ended, "sessions.on_stop is end"

    production.start()

    assert production.wait_live("patient", segments=2)["session"] > ended
    assert publisher.running
    publisher.stop()
    production.wait_state("patient", "ended")
