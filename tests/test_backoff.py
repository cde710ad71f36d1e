import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.backoff import FIRST, LIMIT, Backoff, delay
from streamkit.types import Seconds

ALMOST_ONE = 1 - 2**-53


@pytest.mark.parametrize(("attempt", "ceiling"), [(1, 0.4), (2, 0.8), (3, 1.6), (4, 3.2), (5, 5.0), (50, 5.0)])
def test_the_ceiling_doubles_until_the_limit(attempt: int, ceiling: float) -> None:
    assert delay(attempt, ALMOST_ONE) == pytest.approx(ceiling)


@given(attempt=st.integers(1, 10**9), random=st.floats(0, ALMOST_ONE))
def test_a_delay_is_never_outside_its_bounds(attempt: int, random: float) -> None:
    assert FIRST <= delay(attempt, random) <= LIMIT


def test_jitter_spreads_over_the_whole_range() -> None:
    assert [delay(2, random) for random in (0.0, 0.5, ALMOST_ONE)] == pytest.approx([0.2, 0.5, 0.8])


def test_a_limit_below_the_first_delay_wins_nothing_and_breaks_nothing() -> None:
    assert delay(3, 0.5, first=Seconds(2.0), limit=Seconds(1.0)) == 2.0


@pytest.mark.parametrize("attempt", [0, -1])
def test_attempts_are_counted_from_one(attempt: int) -> None:
    with pytest.raises(ValueError, match="counted from 1"):
        delay(attempt, 0.5)


def test_a_policy_keeps_its_bounds_and_draws_anew_each_time() -> None:
    draws = iter([0.0, 0.5])
    policy = Backoff(random=lambda: next(draws), first=Seconds(1.0), limit=Seconds(3.0))
    assert [policy.delay(2), policy.delay(2)] == [1.0, 2.0]
