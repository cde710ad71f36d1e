"""An exception thrown into the thread of any actor, as a defect or a library may: the stream goes on by itself."""

import ctypes
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.small_service import SmallService
from servers.waiting import wait_until

from actors.base import BaseActor, running
from streamkit.types import StreamKey, StreamState

WAIT = 60.0
KEY = StreamKey("alice")


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallService]:
    with SmallService(tmp_path, monkeypatch, reconnect_window=WAIT) as made:
        yield made


def actor_named(name: str) -> BaseActor | None:
    return next((actor for actor in running() if actor.name == name), None)


def kill(actor: BaseActor) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(actor.thread), ctypes.py_object(MemoryError))
    actor.actor_ref.tell(None)  # wakes it


@pytest.mark.parametrize("name", [f"stream {KEY}", f"watcher {KEY}", f"uploader of {KEY}", "database"])
def test_a_stream_goes_on_when_the_thread_of_an_actor_is_killed(service: SmallService, name: str) -> None:
    service.publish(KEY)
    session = service.wait_state(KEY, StreamState.LIVE).session
    service.segment(KEY)
    service.wait_uploaded(KEY, 2)
    victim = actor_named(name)
    assert victim is not None
    kill(victim)
    wait_until(lambda: victim not in running(), WAIT, f"the end of {name}")
    service.segment(KEY)
    service.wait_uploaded(KEY, 3)
    after = service.wait_state(KEY, StreamState.LIVE)
    wait_until(lambda: actor_named(name) is not None, WAIT, f"another {name}")
    assert (after.session, after.segments.lost) == (session, 0)
