"""The Supervisor and what the RTMP server says of its publishers, message by message."""

import logging
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
from fakes.stream_world import RecordingRef, StreamWorld

from actors import rtmp_watch
from actors import supervisor as module
from actors.rtmp_watch import RtmpWatch
from actors.shedding import LoadGate
from actors.supervisor import Supervisor
from streamkit.messages import (
    BeginPublish,
    ChildFailed,
    EndPublish,
    PublishersSeen,
    PublishStream,
    RecoverStream,
    ShutDown,
    StopService,
    StreamSettled,
    UnpublishStream,
    Wake,
)
from streamkit.settings import Settings, StreamRule
from streamkit.settings_rtmp import RtmpSettings
from streamkit.snapshots import SnapshotBoard
from streamkit.types import Seconds, SourceKind, StreamKey, StreamState

KEY = StreamKey("alice")
A, B = "nginx:5@10.0.0.8", "nginx:6@10.0.0.8"


class World:
    """A Supervisor that is not started; looks are told by hand."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, **rtmp: Any) -> None:
        self.streams: list[RecordingRef] = []
        self.watches: list[RecordingRef] = []
        services: Any = SimpleNamespace(
            settings=Settings(rtmp=RtmpSettings(**rtmp)),
            timers=SimpleNamespace(after=lambda *_: None),
            board=SnapshotBoard(),
            database=RecordingRef("database"),
            state_folder=folder,
            load=LoadGate(),
            default_source=SourceKind.PULL,
        )
        patch.setattr(module, "StreamActor", SimpleNamespace(start=self._starter(self.streams)))
        patch.setattr(rtmp_watch, "RtmpWatch", SimpleNamespace(start=self._starter(self.watches)))
        self.actor = Supervisor(services=services, on_death=lambda: None, on_drained=lambda: None)

    def _starter(self, refs: list[RecordingRef]) -> Any:
        def start(**_kwargs: Any) -> RecordingRef:
            refs.append(RecordingRef(f"urn:{id(refs)}:{len(refs)}"))
            return refs[-1]

        return start

    def look(self, publisher: str | None = A, *, later: float = 0.0, there: bool = True) -> None:
        """The server says that `publisher` has the key, or that nobody has, `later` seconds from now."""
        publishers = ((KEY, publisher),) if there else ()
        self.actor.on_receive(PublishersSeen(publishers=publishers, asked_at=time.monotonic() + later))

    def publish(self, publisher: str = A) -> Any:
        return self.actor.on_receive(PublishStream(key=KEY, publisher=publisher))

    def unpublish(self, publisher: str = A) -> Any:
        return self.actor.on_receive(UnpublishStream(key=KEY, publisher=publisher))

    @property
    def told(self) -> list[Any]:
        return self.streams[0].told


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def test_a_publisher_that_is_there_at_start_is_taken_up_without_a_webhook(world: World) -> None:
    world.look()
    world.look(later=60)
    assert [type(message) for message in world.told] == [BeginPublish]


def test_a_publisher_that_would_have_to_show_a_key_is_not_taken_up_unseen(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.actor._services.settings = Settings(streams=(StreamRule(match="alice", publish="key"),))
    world.look()
    assert not world.streams
    assert "not let in without its key or token" in caplog.text


def test_a_broadcast_that_asks_for_its_publisher_by_itself_is_no_reason_to_warn(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world.actor._services.settings = Settings(streams=(StreamRule(match="alice", publish="key"),))
    (tmp_path / "alice.journal").write_text('{"event":"session_opened"}\n')
    world.actor.on_start()
    world.look()
    assert [type(message) for message in world.told] == [RecoverStream]
    assert "not let in" not in caplog.text
    world.actor.on_receive(StreamSettled(key=KEY, publish=0))
    world.look(later=60)
    assert "not let in" in caplog.text, "it waits for nobody any more"


def test_its_late_webhook_changes_nothing_and_its_farewell_counts(world: World) -> None:
    world.look()
    assert world.publish().result(0).refused is None
    assert len(world.told) == 1
    assert world.unpublish() is True
    assert world.told[-1] == EndPublish(publish=1)


def test_a_broadcast_that_a_restart_left_open_gets_its_publisher(world: World, tmp_path: Path) -> None:
    (tmp_path / "alice.journal").write_text('{"event":"session_opened"}\n')
    world.actor.on_start()
    world.look()
    assert [type(message) for message in world.told] == [RecoverStream, BeginPublish]


def test_a_lost_farewell_is_made_good(world: World) -> None:
    world.publish()
    world.look(later=60, there=False)
    assert world.told[-1] == EndPublish(publish=1, if_silent=True)


def test_a_look_from_before_a_publish_does_not_end_it(world: World) -> None:
    world.publish()
    world.look(later=-1, there=False)
    world.look(later=1, there=False)
    assert len(world.told) == 1


def test_a_look_from_before_a_farewell_does_not_bring_the_publisher_back(world: World) -> None:
    world.publish()
    world.unpublish()
    world.look(later=-1)
    assert len(world.told) == 2


def test_a_lost_publish_after_a_farewell_is_made_good(world: World) -> None:
    world.publish()
    world.unpublish()
    world.look(B, later=1)
    assert world.told[-1].publish == 2


def test_webhooks_of_both_ends_that_were_lost_leave_the_stream_to_the_new_connection(world: World) -> None:
    world.publish(A)
    world.look(B, later=1)
    assert len(world.told) == 1, "the stream goes on"
    assert world.unpublish(A) is False, "late: it is the old connection's"
    assert world.unpublish(B) is True


def test_a_publisher_whose_stream_failed_is_not_tried_at_every_look(world: World) -> None:
    world.publish()
    world.actor.on_receive(StreamSettled(key=KEY, publish=1))
    for later in range(1, 29):
        world.look(later=later)
    assert len(world.told) == 1
    world.look(later=31)
    assert len(world.told) == 2


def test_a_service_that_stops_takes_nobody_up(world: World) -> None:
    world.actor.on_receive(StopService(deadline=Seconds(5)))
    world.look()
    assert not world.streams


def test_a_publisher_past_the_capacity_is_refused_as_by_a_webhook(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    limits = world.actor._services.settings.limits.model_copy(update={"max_streams": 1})
    world.actor._services.settings = world.actor._services.settings.model_copy(update={"limits": limits})  # type: ignore[misc]
    world.actor.on_receive(PublishStream(key=StreamKey("bob"), publisher=B))
    world.look()
    assert "limits.max_streams is 1" in caplog.text
    assert len(world.streams) == 1


def test_nobody_is_asked_without_a_status_page(world: World) -> None:
    world.actor.on_start()
    assert not world.watches


def test_who_asks_is_replaced_when_it_dies_and_stopped_with_the_supervisor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, monkeypatch, status_url="http://nginx:8082/stat")
    world.actor.on_start()
    world.actor.on_receive(ChildFailed(urn=world.watches[0].actor_urn, name="rtmp watch", error="x"))
    assert len(world.watches) == 2
    world.actor.on_exit(None)
    assert not world.watches[1].alive


# ---- the stream


def test_a_stream_whose_media_arrive_does_not_believe_that_its_publisher_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = StreamWorld(tmp_path, monkeypatch)
    world.go_live(segments=1)
    world.feeds[0].bytes_received = 1000
    world.pass_time(1)
    world.tell(EndPublish(publish=1, if_silent=True))
    assert (world.snapshot.state, world.feeds[0].closed) == (StreamState.LIVE, False)
    world.pass_time(4)
    world.tell(EndPublish(publish=1, if_silent=True))
    assert (world.snapshot.state, world.feeds[0].closed) == (StreamState.RECONNECTING, True)
    world.tell(ShutDown())


# ---- who asks


class Page:
    """An HTTP server that answers with `status` and `body`."""

    def __init__(self) -> None:
        self.status, self.body = 200, b"<rtmp/>"
        page = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(page.status)
                self.send_header("Content-Length", str(len(page.body)))
                self.end_headers()
                self.wfile.write(page.body)

            def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the base class's name
                """Stay silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self._thread = Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()


@pytest.fixture
def page() -> Any:
    page = Page()
    yield page
    page.close()


def test_a_page_that_fails_is_one_warning_and_tells_nothing(
    page: Page, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    parent, after = RecordingRef("parent"), []
    settings = RtmpSettings(status_url=f"http://127.0.0.1:{page.server.server_address[1]}/stat")
    timers: Any = SimpleNamespace(after=lambda *call: after.append(call))
    watch = RtmpWatch(parent=parent, settings=settings, timers=timers)  # type: ignore[arg-type]
    for status, body in ((500, b""), (200, b"<html/>"), (404, b""), (302, b"")):
        page.status, page.body = status, body
        watch.on_receive(Wake())
    assert not parent.told
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    page.status, page.body = 200, b"<rtmp/>"
    watch.on_receive(Wake())
    watch.on_receive(Wake())
    assert [type(message) for message in parent.told] == [PublishersSeen, PublishersSeen]
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert len(after) == 6
    monkeypatch.setattr("streamkit.rtmp_servers.status_page.MOST_BYTES", 3)
    watch.on_receive(Wake())
    assert len(parent.told) == 2
    watch.on_exit(None)


def test_a_server_that_is_away_is_no_error(caplog: pytest.LogCaptureFixture, free_port: Any) -> None:
    parent = RecordingRef("parent")
    settings = RtmpSettings(status_url=f"http://127.0.0.1:{free_port()}/stat")
    timers: Any = SimpleNamespace(after=lambda *_: None)
    watch = RtmpWatch(parent=parent, settings=settings, timers=timers)  # type: ignore[arg-type]
    watch.on_receive(Wake())
    assert "does not answer" in caplog.text
    assert not parent.told
    watch.on_exit(None)
