"""What is beside the service on its node breaks: it says so in one line, and goes on.

One broadcast (copied, segments of a second) lives through it all, and every closed segment is accounted for.
"""

import pytest
from chaos_record import measured
from chaos_service import CONFIGURATION, Chaos
from conftest import OnAir
from test_process_faults import goes_on

pytestmark = pytest.mark.chaos


@pytest.fixture(scope="module")
def chaos_configuration() -> str:
    """A publisher may take its time to come back."""
    return CONFIGURATION.replace("reconnect_window: 2.0", "reconnect_window: 60.0")


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_an_rtmp_server_that_restarts_costs_a_discontinuity(chaos: Chaos, on_air: OnAir, end: str) -> None:
    """Killed, it tells nobody that its publishers are gone."""
    with measured(f"the RTMP server restarts ({end})") as measure:
        seen = len(chaos.lines("Waiting 60 s for the publisher"))
        getattr(chaos.nginx, end)()
        measure.injected()
        measure.detected(lambda: len(chaos.lines("Waiting 60 s for the publisher")) > seen, "the line in the log")
        chaos.nginx.start()
        on_air.publish()
        measure.healed()
        measure.recovered(goes_on(chaos, on_air), "more segments")
    assert chaos.stream(on_air.key)["session"] == on_air.session
    assert len(chaos.encoders(on_air.key)) == 1


def test_every_segment_of_the_broadcast_is_accounted_for(chaos: Chaos, on_air: OnAir) -> None:
    lost = chaos.stream(on_air.key)["segments_lost"]
    assert chaos.terminate() == 0
    accounts = on_air.settle()
    assert len(accounts.lost) == lost == 0
    assert len(accounts.uploaded) > 4
    assert accounts.playlist.entries[-1].period == 2
    assert [row["status"] for row in chaos.session_rows(on_air.key)] == ["ended"]
