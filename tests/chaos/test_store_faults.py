"""The object store breaks in every way it can: encoding and serving go on, and nothing that was closed is lost."""

import re

import pytest
from chaos_proxy import Fault, http_answer
from chaos_record import measured
from chaos_service import CONFIGURATION, Chaos
from conftest import OnAir
from servers.s3 import S3Server

pytestmark = pytest.mark.chaos

PUT = ("PUT",)
GONE = "reset by peer|closed the connection"
FAULTS = {
    "refuses connections": (Fault(refuse=True), "refused"),
    "resets connections": (Fault(reset=True), GONE),
    "is a black hole": (Fault(silent=True), "did not react in time"),
    "denies access (403)": (http_answer(403, "AccessDenied"), "HTTP 403 AccessDenied.*check the access key"),
    "says that clocks differ (403)": (http_answer(403, "RequestTimeTooSkewed", methods=PUT), "its clock and this"),
    "cannot be reached": (Fault(unreachable=True), "did not react in time"),
    "asks to slow down (503)": (http_answer(503, "SlowDown", methods=PUT, retry_after=2), "HTTP 503 SlowDown"),
    "is full (507)": (http_answer(507, "XMinioStorageFull", methods=PUT), "is full"),
}


@pytest.fixture(scope="module")
def chaos_configuration() -> str:
    """The budget is smaller than anything: what no player here needs any more is given up at once."""
    return CONFIGURATION + "limits: {spool_bytes: 1, uploads_per_stream: 1}\n"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_store_that_fails_is_named_and_caught_up_with(chaos: Chaos, on_air: OnAir, fault: str) -> None:
    broken, reason = FAULTS[fault]
    with measured(f"object store {fault}") as measure:
        chaos.store_line.inject(broken)
        measure.injected()
        measure.detected(lambda: re.search(reason, chaos.check("object_store")["reason"]), "the fault in /ready")
        chaos.wait_media(on_air.key, 1)
        attempts = chaos.store_line.accepted
        chaos.heal()
        measure.healed()
        measure.recovered(chaos.catches_up(on_air.key), "the bucket's live playlist at the live edge")
    live = chaos.stream(on_air.key)
    assert (live["session"], live["restarts"], live["segments_lost"]) == (on_air.session, 0, 0)
    assert attempts < 500, "a store that fails is not hammered"


def test_a_restart_of_the_store_is_caught_up_with(chaos: Chaos, on_air: OnAir, s3_server: S3Server) -> None:
    with measured("object store restarts") as measure:
        s3_server.stop()
        measure.injected()
        measure.detected(lambda: re.search(GONE, chaos.check("object_store")["reason"]), "the fault in /ready")
        chaos.wait_media(on_air.key, 1)
        s3_server.start()
        measure.healed()
        measure.recovered(chaos.catches_up(on_air.key), "the bucket's live playlist at the live edge")
    assert chaos.stream(on_air.key)["segments_lost"] == 0


def test_a_store_slower_than_real_time_costs_what_the_spool_has_no_room_for(chaos: Chaos, on_air: OnAir) -> None:
    segment = chaos.stream(on_air.key)["bytes"] / chaos.stream(on_air.key)["segments_uploaded"]
    with measured("object store is slower than real time, spool full") as measure:
        chaos.store_line.inject(Fault(rate=round(segment * 0.6)))
        measure.injected()
        measure.detected(lambda: "behind" in chaos.check("object_store")["reason"], "the backlog in /ready")
        chaos.wait(lambda: chaos.stream(on_air.key)["segments_lost"] >= 2, "segments that are given up")
        chaos.wait_media(on_air.key, 1)
        chaos.heal()
        measure.healed()
        measure.recovered(chaos.catches_up(on_air.key), "the bucket's live playlist at the live edge")
        lost = chaos.stream(on_air.key)["segments_lost"]
        measure.lost(lost)
    assert chaos.get("/stats")["spool_given_up"] == lost
    assert len(chaos.lines("ERROR", "the oldest segments are given up")) == 1
    chaos.wait(lambda: chaos.lines(f"Uploads have caught up; {lost} segments were given up"), "the line that ends it")


def test_every_segment_of_the_broadcast_is_accounted_for(chaos: Chaos, on_air: OnAir) -> None:
    given_up = chaos.stream(on_air.key)["segments_lost"]
    accounts = on_air.settle()
    assert len(accounts.lost) == given_up
    assert len(accounts.uploaded) > 2 * len(FAULTS)


def test_the_log_has_few_lines_for_all_of_it(chaos: Chaos) -> None:
    told, ended = chaos.lines("Uploads fail"), chaos.lines("Uploads work again")
    assert 1 <= len(told) <= len(FAULTS) + 2
    assert 1 <= len(ended) <= len(told)
    lines = [*chaos.lines(" WARNING "), *chaos.lines(" ERROR ")]
    assert len(lines) < 3 * len(FAULTS), "\n".join(lines)
