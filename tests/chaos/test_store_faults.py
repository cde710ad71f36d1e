"""The object store breaks in every way it can: encoding and serving go on, and nothing that was closed is lost."""

import pytest
from chaos_proxy import Fault
from chaos_record import measured
from chaos_service import Chaos
from conftest import OnAir

pytestmark = pytest.mark.chaos

FAULTS = {
    "refuses connections": (Fault(refuse=True), "refused"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_store_that_fails_is_named_and_caught_up_with(chaos: Chaos, on_air: OnAir, fault: str) -> None:
    broken, reason = FAULTS[fault]
    with measured(f"object store {fault}") as measure:
        chaos.store_line.inject(broken)
        measure.injected()
        measure.detected(lambda: reason in chaos.check("object_store")["reason"], "the fault in /ready")
        chaos.wait_media(on_air.key, 3)
        chaos.heal()
        measure.healed()
        measure.recovered(lambda: chaos.is_caught_up(on_air.key), "the bucket's live playlist at the live edge")
    live = chaos.stream(on_air.key)
    assert (live["session"], live["restarts"], live["segments_lost"]) == (on_air.session, 0, 0)


def test_every_segment_of_the_broadcast_is_accounted_for(on_air: OnAir) -> None:
    accounts = on_air.settle()
    assert not accounts.lost
    assert len(accounts.uploaded) >= 5
