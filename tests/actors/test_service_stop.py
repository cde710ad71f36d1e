"""The composition root's last steps, when an actor does not cooperate."""

import threading
from collections.abc import Iterator

import pykka
import pytest
from fakes.stream_world import RecordingRef

from actors.base import BaseActor
from streamkit import service
from streamkit.messages import Message


class Stuck(BaseActor):
    """Hangs in its first message until it is let go."""

    def __init__(self, begun: threading.Event, let_go: threading.Event) -> None:
        super().__init__()
        self._begun, self._let_go = begun, let_go

    def on_receive(self, message: Message) -> None:
        self._begun.set()
        self._let_go.wait()


@pytest.fixture
def let_go() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()
    pykka.ActorRegistry.stop_all()


def test_an_actor_that_is_stuck_does_not_keep_the_others_from_stopping(
    let_go: threading.Event, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(service, "ACTOR_STOP_TIMEOUT", 0.05)
    begun = threading.Event()
    stuck = Stuck.start(begun, let_go)
    other = BaseActor.start()
    stuck.tell(Message())
    assert begun.wait(5.0)
    root = service.Service.__new__(service.Service)
    root.supervisor = stuck
    root.database = RecordingRef("database")  # type: ignore[assignment]
    root._guard = RecordingRef("guard")  # type: ignore[assignment]
    root._stop_actors()
    assert not other.is_alive()
    assert "Stuck did not stop" in caplog.text
