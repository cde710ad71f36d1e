"""PostgreSQL breaks in every way it can: streams go on, and the rows come to the truth when it is back."""

import asyncio
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import asyncpg
import httpx
import pytest
from chaos_proxy import Fault
from chaos_record import Measure, measured
from chaos_service import Chaos
from conftest import OnAir
from e2e_production import STREAMKIT
from servers.postgres import PostgresServer
from servers.process import ManagedProcess

pytestmark = pytest.mark.chaos

WRITTEN = "SELECT count(*) AS n FROM segments WHERE stream_key = $1 AND state = 'uploaded'"
READ_ONLY = "default_transaction_read_only"


def is_away(chaos: Chaos) -> bool:
    return chaos.check("database")["state"] == "down"


def has_rows(chaos: Chaos, on_air: OnAir) -> Callable[[], bool]:
    """Return a check whether the rows have come to where the store is now."""
    goal = chaos.stream(on_air.key)["segments_uploaded"]

    def look() -> bool:
        try:
            return bool(chaos.rows(WRITTEN, on_air.key)[0]["n"] >= goal)
        except (OSError, asyncpg.PostgresError):
            return False  # not back yet

    return look


def execute(chaos: Chaos, statement: str) -> None:
    """Run a statement, in a session that may write whatever the database says."""

    async def run() -> None:
        url = chaos.database.url.replace("+asyncpg", "")
        connection = await asyncpg.connect(url, timeout=10, server_settings={READ_ONLY: "off"})
        await connection.execute(statement)
        await connection.close()

    asyncio.run(run())


@contextmanager
def broken(chaos: Chaos, on_air: OnAir, fault: str, heal: Callable[[], None]) -> Iterator[Measure]:
    """Break the database in the block; then media go on, it is healed, and the rows must come to the truth."""
    chaos.wait(lambda: not is_away(chaos), "the end of the fault before in /ready")
    with measured(f"database {fault}") as measure:
        yield measure
        chaos.wait_media(on_air.key, 1)
        heal()
        measure.healed()
        measure.recovered(has_rows(chaos, on_air), "the rows of everything that is stored")
    live = chaos.stream(on_air.key)
    assert (live["session"], live["restarts"], live["segments_lost"]) == (on_air.session, 0, 0)


def test_a_restart_of_the_server_costs_nothing(chaos: Chaos, on_air: OnAir, postgres: PostgresServer) -> None:
    with broken(chaos, on_air, "restarts", postgres.start) as measure:
        postgres.stop()
        measure.injected()
        measure.detected(lambda: is_away(chaos), "the outage in /ready")
    assert len(chaos.lines("WARNING", "rows wait")) <= 3


def test_a_server_that_is_frozen_stops_nobody(chaos: Chaos, on_air: OnAir, postgres: PostgresServer) -> None:
    with broken(chaos, on_air, "is frozen (SIGSTOP)", postgres.thaw) as measure:
        postgres.freeze()
        measure.injected()
        measure.detected(lambda: is_away(chaos), "the outage in /ready")


def test_a_line_on_which_packets_vanish_stops_nobody(chaos: Chaos, on_air: OnAir) -> None:
    with broken(chaos, on_air, "is a black hole", chaos.heal) as measure:
        chaos.database_line.inject(Fault(silent=True))
        measure.injected()
        measure.detected(lambda: is_away(chaos), "the outage in /ready")


def test_after_a_failover_the_connections_to_what_is_a_standby_now_are_left(chaos: Chaos, on_air: OnAir) -> None:
    """The sessions that StreamKit has stay read-only for good; only new ones reach what can be written to."""
    name = chaos.database.name

    def heal() -> None:
        execute(chaos, f"ALTER DATABASE {name} RESET {READ_ONLY}")

    execute(chaos, f"ALTER DATABASE {name} SET {READ_ONLY} = on")
    with broken(chaos, on_air, "fails over (read-only standby)", heal) as measure:
        chaos.database_line.retarget(f"{chaos.database.host}:{chaos.database.port}")
        measure.injected()
        measure.detected(lambda: "read-only" in chaos.check("database")["reason"], "the standby in /ready")


def test_rows_are_written_while_questions_take_every_connection(chaos: Chaos, on_air: OnAir) -> None:
    def ask(_: int) -> int:
        return httpx.get(f"{chaos.client.base_url}/streams", timeout=30, trust_env=False).status_code

    with measured("database is slow, its pool exhausted") as measure, ThreadPoolExecutor(12) as askers:
        chaos.database_line.inject(Fault(latency=0.1))
        answers = askers.map(ask, range(36))
        measure.injected()
        measure.recovered(has_rows(chaos, on_air), "rows that are written all the same")
        chaos.wait_media(on_air.key, 1)
        assert set(answers) <= {200, 503}
        chaos.heal()


def test_every_row_of_the_broadcast_is_the_truth(chaos: Chaos, on_air: OnAir) -> None:
    accounts = on_air.settle()
    assert not accounts.lost
    row = chaos.session_rows(on_air.key)[0]
    assert (row["status"], row["ended_at"] is not None) == ("ended", True)


def test_a_service_that_starts_without_its_database_serves_and_catches_up(
    chaos: Chaos, push: Callable[..., object], small_source: object, postgres: PostgresServer
) -> None:
    assert chaos.terminate() == 0
    with measured("database is down at the start") as measure:
        postgres.stop()
        chaos.start()
        measure.injected()
        measure.detected(lambda: is_away(chaos), "the outage in /ready")
        publisher = push(chaos.nginx.url("early"), small_source)
        chaos.wait_live("early", segments=2)
        postgres.start()
        measure.healed()
        measure.recovered(lambda: chaos.row("early") is not None, "the row of the stream")
    publisher.stop()  # type: ignore[attr-defined]
    chaos.wait_state("early", "ended")


def test_a_service_that_requires_its_database_exits_with_3_and_one_sentence(chaos: Chaos) -> None:
    configuration = chaos.folder / "required.yaml"
    configuration.write_text("database: {required_at_start: true}\nserver: {host: 127.0.0.1}\n")
    environment = {
        **os.environ,
        "STREAMKIT_CONFIG": str(configuration),
        "DB_HOST": "127.0.0.1",
        "DB_PORT": "1",
        "SERVER_PORT": str(chaos.port + 1 if chaos.port < 65535 else chaos.port - 1),
        "HLS_OUTPUT_DIR": str(chaos.folder / "required"),
    }
    process = ManagedProcess([STREAMKIT, "serve"], chaos.folder / "required.log", env=environment, cwd=chaos.folder)
    assert process.wait(timeout=60) == 3
    assert process.log() == "streamkit: the database 127.0.0.1:1/streamkit refused the connection\n"
