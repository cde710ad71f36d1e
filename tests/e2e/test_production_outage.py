"""The object store and PostgreSQL go away in mid-stream, and come back."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from e2e_archive import check_archive, check_nothing_half_written
from e2e_player import LivePlayer
from e2e_production import Production
from servers.postgres import PostgresServer
from servers.publishing import Publisher

pytestmark = pytest.mark.e2e

Push = Callable[..., Publisher]


@pytest.fixture
def all_return(production: Production, postgres: PostgresServer) -> Iterator[None]:
    """Whatever a test does, the servers are there for the next one."""
    yield
    production.s3.start()
    postgres.start()


@pytest.mark.usefixtures("all_return")
def test_an_outage_of_store_and_database_stops_no_player_and_costs_nothing(
    production: Production, postgres: PostgresServer, make_source: Callable[..., Path], push: Push
) -> None:
    key = "outage"
    publisher = push(production.nginx.url(key), make_source(seconds=60))
    before = production.wait_live(key, segments=4)
    player = LivePlayer(production.client, key)
    player.refresh()

    production.s3.stop()
    postgres.stop()

    count = max(len(segments) for segments in player.segments.values())
    production.wait(lambda: player.has(count + 6), "segments from local disk while the servers are away")
    ready = production.get("/ready")
    assert ready["status"] == "degraded", ready
    live = production.live(key)
    assert live is not None
    assert (live["state"], live["session"], live["restarts"]) == ("live", before["session"], 0)
    assert live["segments_closed"] - live["segments_uploaded"] >= 12

    production.s3.start()
    postgres.start()

    production.wait(lambda: has_caught_up(production, key), "the backlog to drain")
    production.wait(lambda: production.get("/ready")["status"] == "ok", "everything to be ready")
    publisher.stop()
    row = production.wait_state(key, "ended")
    assert row["stopped_at"] is not None
    playlists = check_archive(production, key, before["session"], fps=30, discontinuities=0)
    check_nothing_half_written(production, key, playlists)
    manifest = production.get("/manifest", stream_key=key)
    assert [one["url"].rpartition("/")[2] for one in manifest["segments"]] == playlists["240p"].uris


def has_caught_up(production: Production, key: str) -> bool:
    live = production.live(key)
    return live is not None and live["segments_closed"] - live["segments_listed"] <= 4


def test_the_watchers_looked_at_all_of_it(production_servers: Production) -> None:
    report = production_servers.watch.report
    assert report.bucket_segments == len(list(production_servers.bucket.glob("hls/*/*.ts")))
    assert report.http_segments > 0
