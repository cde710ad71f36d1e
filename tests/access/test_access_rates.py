"""How often an address may ask."""

import pytest

from streamkit.access import rates
from streamkit.access.rates import RateLimit


def test_ten_seconds_worth_may_come_at_once_and_then_one_after_the_other() -> None:
    limit = RateLimit(2.0)
    assert [limit.wait("192.0.2.7", 100.0) for _ in range(20)] == [0.0] * 20
    assert limit.wait("192.0.2.7", 100.0) == pytest.approx(0.5)
    assert limit.wait("192.0.2.7", 100.4) == pytest.approx(0.1)
    assert limit.wait("192.0.2.7", 100.5) == 0.0
    assert limit.wait("192.0.2.7", 100.5) > 0


def test_who_is_refused_is_not_punished_for_asking() -> None:
    limit = RateLimit(1.0)
    for _ in range(10):
        limit.wait("a", 0.0)
    assert [limit.wait("a", 0.5) > 0 for _ in range(1000)] == [True] * 1000
    assert limit.wait("a", 1.0) == 0.0


def test_every_address_has_its_own_count_and_an_ipv6_network_of_64_bits_one() -> None:
    limit = RateLimit(0.1)
    assert limit.wait("192.0.2.7", 0.0) == limit.wait("192.0.2.8", 0.0) == limit.wait("2001:db8::1", 0.0) == 0.0
    assert limit.wait("192.0.2.7", 0.0) > 0
    assert limit.wait("::ffff:192.0.2.7", 0.0) == 0.0
    assert limit.wait("2001:db8::ffff:1", 0.0) > 0
    assert limit.wait("2001:db8:0:1::1", 0.0) == 0.0


def test_a_rate_below_one_in_ten_seconds_still_lets_one_through() -> None:
    limit = RateLimit(0.01)
    assert limit.wait("a", 0.0) == 0.0
    assert limit.wait("a", 50.0) == pytest.approx(50.0)
    assert limit.wait("a", 100.0) == 0.0


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "MOST_ADDRESSES", 3)
    limit = RateLimit(0.1)
    for address in ("a", "b", "c"):
        assert limit.wait(address, 0.0) == 0.0
    assert limit.wait("a", 0.0) > 0
    assert limit.wait("d", 0.0) == 0.0  # the one that is forgotten for it may ask again
    assert limit.wait("a", 0.0) == 0.0
    assert limit.wait("d", 0.0) > 0
