"""What a look at the RTMP server's publishers means, while webhooks are lost, late, doubled or out of order."""

from itertools import pairwise

from streamkit.reconciliation import FIRST_RETRY, GRACE, LAST_RETRY, Known, Reconciliation, departed, renamed
from streamkit.types import StreamKey

KEY = StreamKey("alice")


def known(
    publisher: str | None = "nginx:5@h", *, there: bool = True, over: bool = False, since: float = 0.0
) -> dict[StreamKey, Known]:
    return {KEY: Known(publisher=publisher, has_publisher=there, is_settled=over, since=since)}


def seen(publisher: str | None = "nginx:5@h") -> dict[StreamKey, str | None]:
    return {KEY: publisher}


def taken(memory: Reconciliation, at: float, there: dict[StreamKey, Known] | None = None) -> bool:
    return list(memory.arrived(seen(), there or {}, at)) == [(KEY, "nginx:5@h")]


def test_a_publisher_that_nobody_announced_is_taken_up_at_once() -> None:
    assert taken(Reconciliation(), 100.0)


def test_a_publisher_that_is_on_air_is_left_alone() -> None:
    assert not taken(Reconciliation(), 100.0, known())


def test_a_stream_that_a_restart_left_open_gets_its_publisher() -> None:
    assert taken(Reconciliation(), 100.0, known(None, there=False))


def test_a_look_that_is_older_than_a_farewell_changes_nothing() -> None:
    assert not taken(Reconciliation(), 100.0, known("nginx:4@h", there=False, since=100.5))


def test_a_publisher_whose_connection_replaced_another_is_taken_up() -> None:
    assert taken(Reconciliation(), 100.0, known("nginx:4@h", there=False, since=99.0))


def test_a_silent_publisher_is_left_to_its_stream_while_that_waits_for_it() -> None:
    assert not taken(Reconciliation(), 1000.0, known(there=False, since=0.0))


def test_a_publisher_whose_stream_ended_all_the_same_is_tried_again_but_ever_more_rarely() -> None:
    memory, over = Reconciliation(), known(there=False, over=True, since=0.0)
    assert not taken(memory, FIRST_RETRY - 1, over)
    times = [at for at in range(4000) if taken(memory, float(at), over)]
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert times[0] == FIRST_RETRY
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (FIRST_RETRY, LAST_RETRY)


def test_a_publisher_that_left_the_server_may_come_back_at_once() -> None:
    memory, over = Reconciliation(), known("nginx:4@h", there=False, over=True)
    assert taken(memory, 100.0, over)
    assert not taken(memory, 101.0, over)
    assert not list(memory.arrived({}, over, 102.0))
    assert taken(memory, 103.0, over)


def test_a_stream_that_was_healthy_for_a_minute_is_no_failure_that_repeats() -> None:
    memory = Reconciliation()
    over = known(there=False, over=True, since=0.0)
    for at in (30.0, 60.0, 120.0):
        assert taken(memory, at, over)
    assert not taken(memory, 185.0, known(since=121.0))
    assert taken(memory, 230.0, known(there=False, over=True, since=200.0))


def test_a_publisher_without_a_name_is_taken_up_as_well() -> None:
    assert list(Reconciliation().arrived(seen(None), {}, 100.0)) == [(KEY, None)]


def test_a_publisher_that_is_not_there_any_more_has_departed() -> None:
    assert departed({}, known(), 100.0) == (KEY,)
    assert departed(seen(), known(), 100.0) == ()
    assert departed({}, known(there=False), 100.0) == ()


def test_a_publisher_that_was_accepted_just_now_need_not_be_on_the_page_yet() -> None:
    assert departed({}, known(since=100.0), 100.0 + GRACE) == ()
    assert departed({}, known(since=100.0), 100.1 + GRACE) == (KEY,)


def test_another_connection_under_the_same_key_gives_the_publisher_its_name() -> None:
    assert renamed(seen("nginx:6@h"), known(), 100.0) == {KEY: "nginx:6@h"}
    assert renamed(seen("nginx:6@h"), known(None), 100.0) == {KEY: "nginx:6@h"}
    assert renamed(seen(), known(), 100.0) == {}
    assert renamed(seen(None), known(), 100.0) == {}
    assert renamed(seen("nginx:6@h"), known(since=100.0), 100.0) == {}
    assert renamed(seen("nginx:6@h"), known(there=False), 100.0) == {}
