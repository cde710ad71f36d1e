"""Who may publish, who is current, and what happens when a StreamActor dies."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fakes.stream_world import RecordingRef

from actors import supervisor as module
from actors.deaths import MAX_RESTARTS, RESTART_WINDOW
from actors.shedding import LoadGate
from actors.supervisor import Supervisor
from streamkit.hls.clip import Span
from streamkit.messages import (
    BeginPublish,
    ChildFailed,
    CutClip,
    DrainService,
    EndPublish,
    JoinOverdue,
    LookWhetherDrained,
    Message,
    PublishAnswer,
    PublisherFound,
    PublisherGone,
    PublishStream,
    ReconcileStreams,
    RecoverStream,
    RestartStream,
    ShutDown,
    StopOverdue,
    StopService,
    StreamIdle,
    StreamSettled,
    StreamStopped,
    UnpublishStream,
)
from streamkit.settings import HlsSettings, LimitSettings, Settings
from streamkit.snapshots import SnapshotBoard, StreamSnapshot
from streamkit.types import Seconds, SourceKind, StreamKey, StreamState, UnixTime

KEY = StreamKey("alice")


@dataclass
class Later:
    """Stands for Timers: remembers what would be told."""

    messages: list[tuple[float, Message]] = field(default_factory=list)

    def after(self, delay: float, ref: Any, message: Message) -> None:
        self.messages.append((delay, message))


class World:
    """A Supervisor that is not started, with recording collaborators."""

    def __init__(self, folder: Path, max_streams: int = 3) -> None:
        self.streams: list[RecordingRef] = []
        self.database = RecordingRef("database")
        self.timers = Later()
        self.board = SnapshotBoard()
        settings = Settings(hls=HlsSettings(output_dir=folder), limits=LimitSettings(max_streams=max_streams))
        services = SimpleNamespace(
            settings=settings,
            timers=self.timers,
            board=self.board,
            database=self.database,
            state_folder=folder,
            load=LoadGate(),
            default_source=SourceKind.PULL,
        )
        self.services = services
        self.deaths: list[str] = []
        self.drained: list[str] = []
        self.actor = Supervisor(
            services=services,  # type: ignore[arg-type]
            on_death=lambda: self.deaths.append("x"),
            on_drained=lambda: self.drained.append("x"),
        )

    def allow_takeover(self) -> None:
        settings = self.services.settings
        sessions = settings.sessions.model_copy(update={"takeover": "takeover"})
        self.services.settings = settings.model_copy(update={"sessions": sessions})

    def start_stream(self, **_kwargs: Any) -> RecordingRef:
        ref = RecordingRef(f"urn:{len(self.streams)}")
        self.streams.append(ref)
        return ref

    def tell(self, message: Message) -> Any:
        return self.actor.on_receive(message)

    def publish(self, key: StreamKey = KEY, publisher: str | None = "p1", at: float | None = None) -> PublishAnswer:
        future = self.tell(PublishStream(key=key, publisher=publisher, at=None if at is None else UnixTime(at)))
        for _, message in self.timers.messages:
            if isinstance(message, JoinOverdue):
                self.tell(message)
        answer: PublishAnswer = future.result(0)
        return answer

    def unpublish(self, publisher: str | None = "p1", at: float | None = None) -> bool:
        answer: bool = self.tell(UnpublishStream(key=KEY, publisher=publisher, at=None if at is None else UnixTime(at)))
        return answer


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(tmp_path)
    monkeypatch.setattr(module, "StreamActor", SimpleNamespace(start=world.start_stream))
    return world


def test_a_publish_starts_a_stream_and_a_repeat_changes_nothing(world: World) -> None:
    assert world.publish().refused is None
    assert world.publish().refused is None
    assert [type(message) for message in world.streams[0].told] == [BeginPublish]
    assert len(world.streams) == 1


def test_a_publish_is_answered_when_the_stream_is_joined_or_the_wait_is_over(world: World) -> None:
    future = world.tell(PublishStream(key=KEY, publisher="p1"))
    assert not future.done()
    joined = world.streams[0].told[0].joined
    joined.set_result(PublishAnswer())
    assert future.result(0).refused is None
    late = [message for _, message in world.timers.messages if isinstance(message, JoinOverdue)]
    world.tell(late[0])  # nothing happens to an answer that was given


def test_a_second_publisher_of_a_live_key_is_refused_and_its_unpublish_stops_nothing(world: World) -> None:
    world.publish(publisher="p1")
    assert world.publish(publisher="p2").code == "busy"
    assert world.unpublish(publisher="p2") is False
    assert EndPublish(publish=1) not in world.streams[0].told


def test_where_takeover_is_allowed_another_publisher_takes_the_place_of_the_first(world: World) -> None:
    world.allow_takeover()
    world.publish(publisher="p1")
    assert world.publish(publisher="p2").refused is None
    begun = [message for message in world.streams[0].told if isinstance(message, BeginPublish)]
    assert [(message.publish, message.takes_over) for message in begun] == [(1, False), (2, True)]
    assert world.unpublish(publisher="p1") is False, "the first one is not on air any more"
    assert world.publish(publisher="p2").refused is None
    assert len([message for message in world.streams[0].told if isinstance(message, BeginPublish)]) == 2
    assert world.unpublish(publisher="p2") is True
    assert world.streams[0].told[-1] == EndPublish(publish=2)


def test_a_publisher_of_another_kind_takes_nothing_over(world: World) -> None:
    world.allow_takeover()
    world.publish(publisher="p1")
    future = world.tell(PublishStream(key=KEY, publisher="p2", source=SourceKind.INGEST))
    assert future.result(0).code == "busy"


def test_an_unpublish_reaches_the_stream_once_matched(world: World) -> None:
    world.publish()
    assert world.unpublish() is True
    assert world.streams[0].told[-1] == EndPublish(publish=1)


def test_an_unpublish_of_an_unknown_key_is_ignored(world: World) -> None:
    assert world.unpublish() is False
    assert not world.streams


@pytest.mark.parametrize(("at", "matters"), [(99.0, False), (100.0, True), (101.0, True), (None, True)])
def test_an_unnamed_unpublish_older_than_the_publish_is_ignored(world: World, at: float | None, matters: bool) -> None:
    world.publish(publisher=None, at=100.0)
    assert world.unpublish(publisher=None, at=at) is matters


def test_a_publish_after_an_unpublish_goes_to_the_same_stream_with_a_new_number(world: World) -> None:
    world.publish(publisher="p1")
    world.unpublish(publisher="p1")
    assert world.publish(publisher="p2").refused is None
    assert world.streams[0].told[-1] == BeginPublish(publish=2, source=SourceKind.PULL)
    assert world.unpublish(publisher="p1") is False


def test_a_new_publisher_may_come_when_the_media_of_the_old_one_ended_without_a_webhook(world: World) -> None:
    world.publish(publisher="p1")
    world.tell(PublisherGone(key=KEY, publish=1))
    assert world.publish(publisher="p2").refused is None


def test_a_late_word_about_an_older_publish_changes_nothing(world: World) -> None:
    world.publish(publisher="p1")
    world.unpublish(publisher="p1")
    world.publish(publisher="p2")
    world.tell(PublisherGone(key=KEY, publish=1))
    world.tell(StreamSettled(key=KEY, publish=1))
    world.tell(StreamIdle(key=KEY, publish=1))
    assert world.publish(publisher="p3").code == "busy"
    assert world.streams[0].alive


def test_past_capacity_a_publish_is_refused_with_the_reason_and_a_settled_stream_frees_its_place(world: World) -> None:
    for name in ("a", "b", "c"):
        assert world.publish(key=StreamKey(name)).refused is None
    answer = world.publish(key=StreamKey("d"))
    assert answer.code == "capacity"
    assert "limits.max_streams is 3" in (answer.refused or "")
    world.tell(StreamSettled(key=StreamKey("b"), publish=1))
    assert world.publish(key=StreamKey("d")).refused is None


def test_a_stream_that_waits_for_its_publisher_is_not_refused_its_own_place(world: World) -> None:
    for name in ("a", "b", "alice"):
        world.publish(key=StreamKey(name))
    world.unpublish()
    assert world.publish().refused is None


def test_a_found_publisher_holds_its_key_against_others(world: World) -> None:
    world.publish(publisher="p1")
    world.tell(PublisherGone(key=KEY, publish=1))
    world.tell(PublisherFound(key=KEY, publish=1))
    assert world.publish(publisher="p2").code == "busy"


def test_an_idle_stream_is_stopped_and_forgotten(world: World) -> None:
    world.publish()
    world.board.publish(StreamSnapshot(key=KEY, state=StreamState.ENDED))
    world.tell(StreamSettled(key=KEY, publish=1))
    world.tell(StreamIdle(key=KEY, publish=1))
    assert not world.streams[0].alive
    assert world.board.get(KEY) is None
    assert world.publish().refused is None
    assert len(world.streams) == 2


def test_a_dead_stream_restarts_after_a_backoff_and_goes_on_with_its_publisher(world: World) -> None:
    world.publish()
    world.streams[0].alive = False
    world.tell(ChildFailed(urn=world.streams[0].actor_urn, name="stream alice", error="ValueError: x"))
    assert RestartStream(key=KEY) in [message for _, message in world.timers.messages]
    world.tell(RestartStream(key=KEY))
    assert world.streams[1].told == [
        RecoverStream(publish=0, source=SourceKind.PULL),
        BeginPublish(publish=1, source=SourceKind.PULL),
    ]


def test_a_stream_that_dies_too_often_fails_loudly_and_the_others_go_on(world: World) -> None:
    world.publish()
    world.publish(key=StreamKey("bob"))
    for _ in range(MAX_RESTARTS + 1):
        dead = world.streams[0] if len(world.streams) == 2 else world.streams[-1]
        dead.alive = False
        world.tell(ChildFailed(urn=dead.actor_urn, name="stream alice", error="ValueError: x"))
        world.tell(RestartStream(key=KEY))
    snapshot = world.board.get(KEY)
    assert snapshot is not None
    assert snapshot.state is StreamState.FAILED
    assert "ValueError: x" in (snapshot.last_error or "")
    assert world.streams[1].alive


def test_a_stop_is_answered_when_every_stream_has_stopped(world: World) -> None:
    world.publish()
    world.publish(key=StreamKey("bob"))
    future = world.tell(StopService(deadline=Seconds(5.0)))
    assert world.streams[0].told[-1] == ShutDown()
    world.tell(StreamStopped(key=KEY, pending=0))
    assert not future.done()
    world.tell(StreamStopped(key=StreamKey("bob"), pending=0))
    assert future.result(0).finished == 2


def test_a_stop_past_its_deadline_names_the_streams_with_pending_uploads(world: World) -> None:
    world.publish()
    future = world.tell(StopService(deadline=Seconds(5.0)))
    world.tell(StopOverdue())
    assert future.result(0).pending == (KEY,)


def test_while_stopping_a_publish_is_refused(world: World) -> None:
    future = world.tell(StopService(deadline=Seconds(5.0)))
    assert future.result(0).finished == 0
    assert world.publish().code == "stopping"


def drain(world: World) -> list[Message]:
    """Tell it to drain, and return what its timer will tell."""
    world.tell(DrainService())
    return [message for _, message in world.timers.messages if isinstance(message, LookWhetherDrained)]


def test_while_draining_a_new_stream_is_refused_and_a_running_one_goes_on(world: World) -> None:
    world.publish()
    drain(world)
    refused = world.publish(key=StreamKey("bob"))
    assert (refused.code, refused.refused) == ("stopping", "the service is draining: it takes no new streams")
    assert world.publish().refused is None
    world.unpublish()
    assert world.publish(publisher="p2").refused is None, "its publisher came back within the window"
    assert world.board.is_draining


def test_a_drained_service_ends_with_its_last_stream_and_not_before_all_is_stored(world: World) -> None:
    world.publish()
    (look,) = drain(world)
    world.board.publish(StreamSnapshot(key=KEY, state=StreamState.LIVE))
    world.tell(look)
    world.tell(StreamSettled(key=KEY, publish=1))
    world.board.publish(StreamSnapshot(key=KEY, state=StreamState.FINISHING))
    world.tell(look)
    assert not world.drained
    world.board.publish(StreamSnapshot(key=KEY, state=StreamState.ENDED))
    world.tell(look)
    assert world.drained == ["x"]
    assert world.publish().code == "stopping", "its place is not given away"


def test_a_drained_service_stores_first_what_an_earlier_one_left(world: World) -> None:
    world.publish()
    (look,) = drain(world)
    world.tell(StreamSettled(key=KEY, publish=1))
    world.tell(look)
    assert not world.drained, "its actor has not yet said what is left"
    world.board.publish(StreamSnapshot(key=KEY, state=StreamState.ENDED, upload_lag=Seconds(3600.0)))
    world.tell(look)
    assert not world.drained
    world.board.publish(StreamSnapshot(key=KEY, state=StreamState.ENDED))
    world.tell(look)
    assert world.drained == ["x"]


def test_a_service_without_streams_is_drained_at_the_first_look(world: World) -> None:
    (look,) = drain(world)
    assert len(drain(world)) == 1, "a repeat changes nothing"
    world.tell(look)
    assert world.drained == ["x"]


def test_a_stop_while_draining_is_a_stop(world: World) -> None:
    (look,) = drain(world)
    world.tell(StopService(deadline=Seconds(5.0)))
    world.tell(look)
    assert not world.drained


def test_at_start_the_database_is_told_which_streams_are_alive(world: World) -> None:
    world.actor.on_start()
    assert world.database.told == [ReconcileStreams(keys=())]


def test_after_a_crash_of_an_embedded_service_its_streams_wait_for_their_publishers_to_connect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    monkeypatch.setattr(module, "StreamActor", SimpleNamespace(start=world.start_stream))
    world.actor._services.default_source = SourceKind.INGEST  # type: ignore[misc]
    (tmp_path / "alice.journal").write_text('{"event":"session_opened"}\n')
    world.actor.on_start()
    assert world.streams[0].told == [RecoverStream(publish=0, source=SourceKind.INGEST)]


def give_up(world: World) -> None:
    for _ in range(MAX_RESTARTS + 1):
        dead = world.streams[-1]
        dead.alive = False
        world.tell(ChildFailed(urn=dead.actor_urn, name="stream alice", error="OSError: disk full"))
        if len(world.streams) <= MAX_RESTARTS:
            world.tell(RestartStream(key=KEY))


def test_a_stream_that_was_given_up_frees_its_place_and_is_tried_again_slowly(tmp_path: Path, world: World) -> None:
    world.publish()
    give_up(world)
    assert world.timers.messages[-1] == (RESTART_WINDOW, RestartStream(key=KEY))
    for name in ("a", "b", "c"):
        assert world.publish(key=StreamKey(name)).refused is None
    world.tell(RestartStream(key=KEY))
    assert world.streams[-1].told == [RecoverStream(publish=1, source=SourceKind.PULL)]


def test_a_publish_of_a_stream_that_was_given_up_recovers_it_at_once(world: World) -> None:
    world.publish()
    give_up(world)
    assert world.publish(publisher="p2").refused is None
    assert world.streams[-1].told == [
        RecoverStream(publish=0, source=SourceKind.PULL),
        BeginPublish(publish=2, source=SourceKind.PULL),
    ]


def test_what_a_restarted_stream_says_of_its_past_does_not_settle_the_publish_that_goes_on(world: World) -> None:
    world.publish()
    world.streams[0].alive = False
    world.tell(ChildFailed(urn=world.streams[0].actor_urn, name="stream alice", error="ValueError: x"))
    world.tell(RestartStream(key=KEY))
    recover = world.streams[1].told[0]
    assert isinstance(recover, RecoverStream)
    world.tell(StreamSettled(key=KEY, publish=recover.publish))
    assert world.unpublish() is True


def test_a_stream_that_is_dead_at_the_stop_is_named_as_unfinished(world: World) -> None:
    world.publish()
    world.streams[0].alive = False
    assert world.tell(StopService(deadline=Seconds(5.0))).result(0).pending == (KEY,)


def test_the_death_of_the_supervisor_is_told_and_its_stop_is_not(world: World) -> None:
    world.actor.on_exit(None)
    assert not world.deaths
    world.actor.on_exit(RuntimeError("can't start new thread"))
    assert world.deaths


def test_a_journal_that_cannot_be_read_is_its_own_streams_trouble(world: World, tmp_path: Path) -> None:
    (tmp_path / "bob.journal").mkdir()
    world.actor.on_start()
    assert len(world.streams) == 1


def test_a_publisher_of_the_embedded_server_is_no_repeat_of_an_unnamed_webhook(world: World) -> None:
    world.publish(publisher=None)
    answer = world.tell(PublishStream(key=KEY, publisher="ingest-1", source=SourceKind.INGEST)).result(0)
    assert answer.code == "busy"


def test_an_unnamed_unpublish_from_before_the_publish_was_accepted_stops_nothing(world: World) -> None:
    world.publish(publisher="nginx:1")
    assert world.unpublish(publisher=None, at=1.0) is False
    assert world.unpublish(publisher=None, at=None) is True


def test_a_webhook_never_ends_a_publisher_that_is_connected_to_streamkit_itself(world: World) -> None:
    world.tell(PublishStream(key=KEY, publisher="ingest-1", source=SourceKind.INGEST))
    assert world.unpublish(publisher=None) is False
    assert world.unpublish(publisher="nginx:1") is False
    assert world.unpublish(publisher="ingest-1") is True


def choosing(world: World, *ladders: str) -> None:
    settings = world.actor._services.settings.model_copy(update={"selectable_ladders": ladders})
    world.actor._services.settings = settings  # type: ignore[misc]


def test_a_ladder_that_may_be_chosen_reaches_the_stream_and_the_answer(world: World) -> None:
    choosing(world, "copy")
    future = world.tell(PublishStream(key=KEY, publisher="p1", ladder="copy"))
    assert world.streams[0].told == [BeginPublish(publish=1, source=SourceKind.PULL, ladder="copy")]
    overdue = next(message for _, message in world.timers.messages if isinstance(message, JoinOverdue))
    world.tell(overdue)
    assert future.result(0) == PublishAnswer(ladder="copy")
    assert world.publish(publisher="p1").ladder == "copy"


@pytest.mark.parametrize(
    ("allowed", "says"),
    [((), r"it may choose none \(selectable_ladders\)"), (("default",), "it may choose default")],
)
def test_a_ladder_that_may_not_be_chosen_refuses_the_publisher(
    world: World, allowed: tuple[str, ...], says: str
) -> None:
    choosing(world, *allowed)
    answer = world.tell(PublishStream(key=KEY, publisher="p1", ladder="copy")).result(0)
    assert answer.code == "ladder"
    assert re.search(says, answer.refused)
    assert not world.streams


def test_a_stream_whose_actor_died_keeps_the_chosen_ladder(world: World) -> None:
    choosing(world, "copy")
    world.tell(PublishStream(key=KEY, publisher="p1", ladder="copy"))
    world.streams[0].alive = False
    world.tell(RestartStream(key=KEY))
    assert world.streams[1].told[-1] == BeginPublish(publish=1, source=SourceKind.PULL, ladder="copy")


def test_a_clip_is_cut_by_the_streams_actor_or_there_is_none_that_knows_it(world: World) -> None:
    message = CutClip(key=KEY, session=None, span=Span(start=-5.0, end=0.0))
    assert world.tell(message).result(timeout=0) is None
    world.publish()
    answer = world.tell(message)
    assert not answer.done()
    assert world.streams[0].of(CutClip)[0].answer is answer
    world.streams[0].alive = False
    assert world.tell(message).result(timeout=0) is None


def test_a_new_stream_is_refused_while_the_machine_cannot_encode_more_and_running_ones_are_not(world: World) -> None:
    assert world.publish().refused is None
    world.services.load.note(KEY, ("1080p",))
    refused = world.publish(StreamKey("other"))
    assert refused.code == "capacity"
    assert "cannot encode more" in str(refused.refused)
    world.unpublish()
    assert world.publish(publisher="p2").refused is None, "it comes back within its window"
