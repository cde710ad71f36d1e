import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fakes.upload_recorder import Recorder, ScriptedStore

import actors.uploader
from actors.timers import Timer, Timers
from actors.upload_pool import UploadPool
from actors.uploader import RetryDue, UploaderActor
from streamkit.errors import ObjectNotFoundError, StoreDeniedError, StoreUnavailableError
from streamkit.messages import (
    GiveUpSegments,
    Message,
    SegmentsGivenUp,
    UploadFailed,
    UploadPlaylist,
    UploadSegment,
)
from streamkit.storage.health import UploadHealth
from streamkit.types import Seconds, SessionId, StreamKey

KEY = StreamKey("show")
IN_FLIGHT = 2
WAIT = 60.0


class RecordingPool:
    def __init__(self) -> None:
        self.jobs: list[tuple[str, Callable[[], None], bool]] = []
        self.yielding: list[bool] = []
        self.forgotten: list[str] = []

    def submit(self, owner: str, job: Callable[[], None], *, urgent: bool = False, yields: bool = False) -> None:
        self.jobs.append((owner, job, urgent))
        self.yielding.append(yields)

    def forget(self, owner: str) -> None:
        self.forgotten.append(owner)


class RecordingTimers:
    def __init__(self) -> None:
        self.set: list[tuple[Seconds, Timer]] = []

    def after(self, delay: Seconds, ref: Any, message: Message) -> Timer:
        self.set.append((delay, Timer(ref, message)))
        return self.set[-1][1]

    def waiting(self) -> list[str]:
        return [timer.message.name for _, timer in self.set if not timer.cancelled]  # type: ignore[attr-defined]


class World:
    """An Uploader that is not started, and the collaborators that it is told to use."""

    def __init__(self) -> None:
        self.parent, self.store, self.pool, self.timers = (
            Recorder(),
            ScriptedStore(),
            RecordingPool(),
            RecordingTimers(),
        )
        self.health = UploadHealth()
        self.actor = UploaderActor(
            parent=self.parent,  # type: ignore[arg-type]
            key=KEY,
            store=self.store,  # type: ignore[arg-type]
            pool=self.pool,  # type: ignore[arg-type]
            timers=self.timers,  # type: ignore[arg-type]
            in_flight=IN_FLIGHT,
            health=self.health,
        )

    def segment(self, *numbers: int) -> None:
        for number in numbers:
            self.actor.on_receive(UploadSegment(name=f"{number}.ts", path=Path(f"/local/{number}.ts")))

    def playlist(self, version: int, name: str = "720p.m3u8") -> None:
        self.actor.on_receive(UploadPlaylist(name=name, body=b"version %d" % version, version=version))

    def work(self, jobs: int = 1) -> None:
        """Let the pool do its oldest jobs, and the Uploader hear of them."""
        for _ in range(jobs):
            self.pool.jobs.pop(0)[1]()
            self.actor.on_receive(self.actor.actor_inbox.get().message)

    def work_all(self) -> None:
        while self.pool.jobs:
            self.work()

    def fire(self, which: int = -1) -> None:
        """Let a timer go off."""
        self.actor.on_receive(self.timers.set[which][1].message)


@pytest.fixture
def world() -> World:
    return World()


def unavailable(name: str) -> Exception:
    return StoreUnavailableError(f"{name}: refused")


def test_segments_begin_in_the_order_given_and_few_at_once(world: World) -> None:
    world.segment(5, 1, 3, 2)
    assert len(world.pool.jobs) == IN_FLIGHT
    world.work_all()
    assert world.store.names() == ["5.ts", "1.ts", "3.ts", "2.ts"]
    assert world.parent.stored() == [("5.ts", 0), ("1.ts", 0), ("3.ts", 0), ("2.ts", 0)]


def test_a_repeat_of_a_segment_that_is_queued_sent_or_stored_is_ignored(world: World) -> None:
    world.segment(1, 2, 3)
    world.segment(1, 2, 3)
    world.work_all()
    world.segment(1, 2, 3)
    world.work_all()
    assert world.store.names() == ["1.ts", "2.ts", "3.ts"]


def test_the_memory_of_stored_names_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actors.uploader, "REMEMBERED", 2)
    world.segment(1, 2, 3)
    world.work_all()
    world.segment(3, 2, 1)
    world.work_all()
    assert world.store.names() == ["1.ts", "2.ts", "3.ts", "1.ts"]


def test_objects_get_their_name_type_and_caching_from_the_file_name(world: World) -> None:
    name = "segment_s0000001_720p_7.ts"
    world.actor.on_receive(UploadSegment(name=name, path=Path("/local") / name))
    world.playlist(1)
    world.work_all()
    assert world.store.puts == [
        (f"hls/show/{name}", Path("/local") / name, "video/mp2t", "public, max-age=31536000, immutable"),
        ("hls/show/720p.m3u8", b"version 1", "application/vnd.apple.mpegurl", "public, max-age=1"),
    ]


def test_playlists_do_not_queue_behind_segments(world: World) -> None:
    world.segment(1, 2, 3, 4)
    world.playlist(1)
    assert [urgent for _, _, urgent in world.pool.jobs] == [False, False, True]


def test_of_a_playlist_one_version_is_under_way_and_the_newest_goes_next(world: World) -> None:
    for version in (1, 2, 3):
        world.playlist(version)
    assert len(world.pool.jobs) == 1
    world.work_all()
    assert [content for _, content, *_ in world.store.puts] == [b"version 1", b"version 3"]
    assert world.parent.stored() == [("720p.m3u8", 1), ("720p.m3u8", 3)]


@pytest.mark.parametrize("moment", ["while the newer is sent", "after the newer was stored"])
def test_an_older_version_never_follows_a_newer(world: World, moment: str) -> None:
    world.playlist(5)
    if moment == "after the newer was stored":
        world.work_all()
    world.playlist(4)
    world.playlist(5)
    world.work_all()
    assert [content for _, content, *_ in world.store.puts] == [b"version 5"]


def test_playlists_of_different_names_do_not_wait_for_each_other(world: World) -> None:
    world.playlist(1, "720p.m3u8")
    world.playlist(2, "480p.m3u8")
    assert len(world.pool.jobs) == 2


def test_a_retry_of_a_playlist_sends_the_newest_version(world: World) -> None:
    world.store.fail = unavailable
    world.playlist(1)
    world.playlist(2)  # while version 1 is sent
    world.work()
    world.playlist(3)  # while it waits for the retry
    assert world.pool.jobs == []
    world.store.fail = lambda name: None
    world.fire()
    world.work_all()
    assert [content for _, content, *_ in world.store.puts] == [b"version 1", b"version 3"]
    assert world.parent.stored() == [("720p.m3u8", 3)]


def test_in_an_outage_only_a_few_of_a_long_backlog_are_tried(world: World) -> None:
    world.store.fail = unavailable
    world.segment(*range(100))
    world.work_all()
    for which in range(IN_FLIGHT):
        world.fire(which)
    world.work_all()
    assert set(world.store.names()) == {"0.ts", "1.ts"}


def test_waits_grow_with_the_attempts_and_keep_their_bounds(world: World) -> None:
    world.store.fail = unavailable
    world.segment(1)
    for attempt in range(1, 20):
        world.work()
        delay, timer = world.timers.set[-1]
        assert 0.2 <= delay <= min(5.0, 0.2 * 2**attempt)
        assert timer.message == RetryDue(name="1.ts", attempt=attempt)
        world.fire()


def test_denied_access_is_tried_again_after_the_longest_wait(world: World) -> None:
    world.store.fail = lambda name: StoreDeniedError("wrong key")
    world.segment(1)
    world.work()
    assert world.timers.set[-1][0] == 5.0


@pytest.mark.parametrize(("asked", "waits"), [(30.0, 30.0), (86400.0, actors.uploader.LONGEST_WAIT)])
def test_what_the_store_asks_to_wait_is_waited_within_bounds(world: World, asked: float, waits: float) -> None:
    world.store.fail = lambda name: StoreUnavailableError("HTTP 503 SlowDown", retry_after=asked)
    world.segment(1)
    world.work()
    assert world.timers.set[-1][0] == waits


def test_uploads_that_fail_and_work_are_told_to_the_health_of_all(world: World) -> None:
    seen: list[str] = []
    world.health.failed = lambda reason, denied: seen.append(reason)  # type: ignore[method-assign]
    world.health.worked = lambda: seen.append("worked")  # type: ignore[method-assign]
    world.store.fail = unavailable
    world.segment(1)
    world.work()
    world.store.fail = lambda name: ObjectNotFoundError("the local file is gone")
    world.fire()
    world.work()
    world.store.fail = lambda name: None
    world.segment(2)
    world.work()
    assert seen == ["1.ts: refused", "worked"]


def test_one_success_ends_every_wait_and_the_queue_goes_on_in_order(world: World) -> None:
    world.store.fail = unavailable
    world.segment(1, 2, 3, 4)
    world.playlist(1)
    world.work_all()
    world.store.fail, world.store.puts = lambda name: None, []
    world.fire(1)
    world.work_all()
    assert world.store.names() == ["2.ts", "720p.m3u8", "1.ts", "3.ts", "4.ts"]
    assert world.timers.waiting() == []


def live(world: World, session: str, *numbers: int, is_live: bool = True) -> None:
    for number in numbers:
        name = f"{session}_{number}.ts"
        world.actor.on_receive(
            UploadSegment(name=name, path=Path(f"/local/{name}"), session=SessionId(session), is_live=is_live)
        )


def test_what_is_left_of_an_older_broadcast_comes_behind_the_one_on_air(world: World) -> None:
    live(world, "s1", 0, 1, 2, 3)
    live(world, "s2", 0, 1, 2)
    world.work_all()
    begun = ["s1_0.ts", "s1_1.ts"]
    assert world.store.names() == [*begun, "s2_0.ts", "s2_1.ts", "s2_2.ts", "s1_2.ts", "s1_3.ts"]


def test_what_is_left_of_broadcasts_yields_to_live_segments_of_other_streams(world: World) -> None:
    live(world, "s1", 0, is_live=False)
    live(world, "s2", 0)
    assert world.pool.yielding == [True, False]


def test_segments_that_are_given_up_are_not_uploaded_unless_they_are_on_their_way(world: World) -> None:
    world.segment(*range(6))
    world.actor.on_receive(GiveUpSegments(names=("0.ts", "3.ts", "4.ts", "unknown.ts")))
    world.work_all()
    assert world.store.names() == ["0.ts", "1.ts", "2.ts", "5.ts"]
    assert SegmentsGivenUp(names=("3.ts", "4.ts")) in world.parent.told


def test_a_segment_that_waits_for_its_retry_can_be_given_up(world: World) -> None:
    world.store.fail = unavailable
    world.segment(1)
    world.work()
    world.actor.on_receive(GiveUpSegments(names=("1.ts",)))
    world.fire()
    assert not world.pool.jobs
    assert SegmentsGivenUp(names=("1.ts",)) in world.parent.told


def test_a_timer_that_went_off_too_late_changes_nothing(world: World) -> None:
    world.store.fail = unavailable
    world.segment(1)
    world.work()
    world.fire(0)
    world.work()
    world.fire(0)  # the first wait's, while the second lasts
    assert world.pool.jobs == []
    world.actor.on_receive(RetryDue(name="never-heard-of.ts", attempt=1))


def test_a_segment_whose_file_vanished_is_told_as_gone_and_delays_nobody(world: World) -> None:
    world.store.fail = lambda name: (
        ObjectNotFoundError("the local file 1.ts does not exist") if name == "1.ts" else None
    )
    world.segment(1, 2, 3)
    world.work_all()
    assert [(failure.name, failure.attempt, failure.gone) for failure in world.parent.failures()] == [("1.ts", 1, True)]
    assert world.parent.stored() == [("2.ts", 0), ("3.ts", 0)]
    assert world.timers.set == []


def test_an_error_that_nobody_expected_is_told_and_tried_again(world: World) -> None:
    world.store.fail = lambda name: ZeroDivisionError("oops")
    world.segment(1)
    world.work()
    assert world.parent.failures() == [UploadFailed(name="1.ts", attempt=1, error="ZeroDivisionError: oops")]
    world.store.fail = lambda name: None
    world.fire()
    world.work()
    assert world.parent.stored() == [("1.ts", 0)]


def test_an_uploads_first_failure_is_told_and_then_one_a_second(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 100.9, 101.1, 101.5])
    monkeypatch.setattr(actors.uploader, "time", SimpleNamespace(monotonic=lambda: next(clock), time=lambda: 0.0))
    world.store.fail = unavailable
    world.segment(1)
    for _ in range(3):
        world.work()
        world.fire()
    world.segment(2)
    world.pool.jobs.pop(0)
    world.work()
    assert [(failure.name, failure.attempt) for failure in world.parent.failures()] == [
        ("1.ts", 1),
        ("1.ts", 3),
        ("2.ts", 1),
    ]


def test_after_its_end_nothing_begins_and_no_timer_is_left(world: World) -> None:
    world.store.fail = unavailable
    world.segment(1)
    world.playlist(1)
    world.work_all()
    world.actor.on_exit(None)
    assert world.pool.forgotten == [world.actor.actor_urn]
    assert world.timers.waiting() == []


# ---- started, with a real pool and real timers


@pytest.fixture
def started() -> Iterator[Callable[[ScriptedStore], tuple[Any, Recorder]]]:
    with ExitStack() as cleanup:

        def start(store: ScriptedStore) -> tuple[Any, Recorder]:
            pool, timers, parent = UploadPool(2), Timers(), Recorder()
            cleanup.callback(timers.stop)
            cleanup.callback(pool.close, Seconds(WAIT))
            ref = UploaderActor.start(
                parent=parent, key=KEY, store=store, pool=pool, timers=timers, in_flight=IN_FLIGHT
            )
            cleanup.callback(ref.stop)
            return ref, parent

        yield start


def test_a_backlog_drains_in_order_after_an_outage(started: Callable[..., tuple[Any, Recorder]]) -> None:
    store = ScriptedStore()
    store.fail = unavailable
    ref, parent = started(store)
    for number in range(30):
        ref.tell(UploadSegment(name=f"{number}.ts", path=Path("x")))
    ref.tell(UploadPlaylist(name="720p.m3u8", body=b"", version=1))
    parent.wait_for(lambda: len(parent.failures()) >= IN_FLIGHT + 1)
    store.puts.clear()
    store.fail = lambda name: None
    parent.wait_for(lambda: len(parent.stored()) == 31)
    stored = [name for name, _ in parent.stored() if name.endswith(".ts")]
    assert sorted(stored) == sorted(f"{number}.ts" for number in range(30))
    begun = [name for name in dict.fromkeys(store.names()) if name.endswith(".ts")]
    assert begun[2:] == [f"{number}.ts" for number in range(2, 30)]


def test_what_is_sent_when_the_uploader_stops_finishes_and_its_owner_hears_of_it(
    started: Callable[..., tuple[Any, Recorder]],
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    class SlowStore(ScriptedStore):
        def _put(self, *args: Any) -> str:
            begun.set()
            assert go_on.wait(WAIT)
            return super()._put(*args)

    store = SlowStore()
    ref, parent = started(store)
    for number in range(3):
        ref.tell(UploadSegment(name=f"{number}.ts", path=Path("x")))
    assert begun.wait(WAIT)
    ref.stop()
    go_on.set()
    parent.wait_for(lambda: parent.stored() == [("0.ts", 0)])
    assert store.names() == ["0.ts"]
