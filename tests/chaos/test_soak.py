"""`make soak`: streams come and go for an hour while faults strike at random; here for a minute."""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest
from chaos_service import CONFIGURATION, Chaos
from servers.postgres import PostgresServer
from servers.publishing import Publisher
from servers.s3 import S3Server
from servers.waiting import wait_until
from soak_plan import MOMENTARY, Incident, Showing, Wrong, incidents, showings
from soak_run import PATIENCE, Faults, Holdings, Slot, holdings

SECONDS = float(os.environ.get("SOAK_SECONDS", "45"))
SEED = int(os.environ.get("SOAK_SEED", "1"))
SLOTS = 4
WARM_UP = Showing(3.0, 0.0)
JOURNAL = 1.0  # kB: of a stream that is silent only its numbers are kept
MEMORY = 1.2
"""What the service may grow by, with next to no memory for players (`limits.memory_cache_bytes`), which fills."""

pytestmark = [pytest.mark.timeout(SECONDS + 5 * PATIENCE)]


@pytest.fixture(scope="module")
def chaos_configuration() -> str:
    """Frozen encoders are noticed soon, recordings go two minutes after their end, and little is kept for players."""
    return (
        CONFIGURATION.replace("start_timeout: 60.0", "start_timeout: 60.0, stall_timeout: 3.0, max_failures: 1000000")
        + "retention: {max_age: 120.0, grace: 10.0, interval: 5.0}\n"
        + "limits: {memory_cache_bytes: 1000000}\n"
    )


@pytest.mark.parametrize("seed", range(20))
def test_the_same_seed_lets_the_same_happen_and_all_of_it_within_the_time(seed: int) -> None:
    plan = incidents(seed, 120.0, SLOTS)
    assert plan == incidents(seed, 120.0, SLOTS)
    assert {incident.what for incident in plan} == set(Wrong)
    assert all(incident.at + incident.lasts <= 120.0 for incident in plan)
    assert all((incident.what in MOMENTARY) == (incident.lasts == 0) for incident in plan)
    assert all(one.at + one.lasts < other.at for one, other in pairwise(plan))


class Soak:
    """The slots and the faults of one run."""

    def __init__(self, chaos: Chaos, store: S3Server, database: PostgresServer, publish: Callable[[str], Publisher]):
        self.slots = [Slot(chaos, f"soak-{number}", publish) for number in range(SLOTS)]
        self.chaos = chaos
        self.happened: list[Incident] = []
        self._faults = Faults(chaos, store, database, self.slots)
        self._over = threading.Event()

    def warm_up(self) -> None:
        """Let every slot broadcast once with nothing wrong."""
        with ThreadPoolExecutor(SLOTS) as pool:
            for shown in [pool.submit(slot.show, WARM_UP) for slot in self.slots]:
                shown.result()

    def run(self) -> None:
        """Let all of it happen; what a slot found is raised."""
        began = time.monotonic()
        with ThreadPoolExecutor(SLOTS) as pool:
            shown = [pool.submit(self._fill, number, began + SECONDS) for number in range(SLOTS)]
            try:
                self._strike(began)
            finally:
                for one in shown:
                    one.result()

    def _strike(self, began: float) -> None:
        for incident in incidents(SEED, SECONDS, SLOTS):
            if self._over.wait(max(0.0, began + incident.at - time.monotonic())):
                return
            print(f"{incident.at:7.1f} s  {incident.what} ({incident.lasts:.1f} s)", flush=True)
            self._faults.happen(incident, self._over)
            self.happened.append(incident)

    def _fill(self, number: int, until: float) -> None:
        programme = showings(SEED, number)
        try:
            while time.monotonic() < until and not self._over.is_set():
                showing = next(programme)
                self.slots[number].show(showing)
                self._over.wait(showing.silent)
        except BaseException:
            self._over.set()
            raise


@pytest.fixture
def soak(
    chaos: Chaos,
    _s3: S3Server,
    _postgres_server: PostgresServer,
    push: Callable[[str, Path], Publisher],
    small_source: Path,
) -> Iterator[Soak]:
    return Soak(chaos, _s3, _postgres_server, lambda url: push(url, small_source))


@pytest.mark.chaos
def test_nothing_is_lost_or_left_while_streams_come_and_go_and_everything_breaks(soak: Soak) -> None:
    soak.warm_up()
    before = at_rest(soak.chaos)
    soak.run()
    after = at_rest(soak.chaos)
    accounts = [account for slot in soak.slots for account in slot.accounts.values()]
    closed, lost = (
        sum(len(part) for part in parts) for parts in zip(*((one.closed, one.lost) for one in accounts), strict=True)
    )
    ratios = after.ratios(before)
    print(f"\nseed {SEED}, {SECONDS:g} s: {len(accounts)} broadcasts, {closed} segments closed, {lost} named as lost")
    print("faults:", dict(Counter(str(incident.what) for incident in soak.happened)))
    print(f"before {before}\nafter  {after}\nratios", {name: round(ratio, 2) for name, ratio in ratios.items()})
    assert closed > SECONDS / 3
    assert not lost
    assert after.processes == before.processes
    assert ratios["threads"] <= 1.2
    assert ratios["files"] <= 1.2
    assert ratios["megabytes"] <= MEMORY
    assert after.disk <= before.disk + SLOTS * JOURNAL


def at_rest(chaos: Chaos) -> Holdings:
    """Return what the service holds when the broadcasts are gone from the disk and FFmpeg has ended."""
    wait_until(lambda: not [*chaos.hls_folder.glob("soak-*")], PATIENCE, "an empty disk", every=0.5)
    wait_until(lambda: not chaos.encoders(), PATIENCE, "the end of every FFmpeg", every=0.5)
    return holdings(chaos)
