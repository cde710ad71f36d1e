"""A thousand publishes that come and go leave nothing behind: no actor, thread, descriptor, child, watch or file.

Everything is real (actors, watchdog, upload threads, SQLite, a store in a folder) but the RTMP server and FFmpeg.
"""

import os
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.small_service import WAIT, SmallService
from servers.process import descendants
from servers.waiting import wait_until

from actors import life, stream
from actors.base import running
from streamkit.types import Seconds, StreamKey, StreamState

CYCLES, KEYS = 1000, 20


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallService]:
    with SmallService(tmp_path, monkeypatch) as made:
        yield made


def descriptors() -> Counter[str]:
    found: Counter[str] = Counter()
    for number in os.listdir("/proc/self/fd"):
        try:
            found[os.readlink(f"/proc/self/fd/{number}")] += 1
        except FileNotFoundError:  # the one that lists them
            continue
    return found


def test_a_thousand_publishes_that_come_and_go_leave_nothing_behind(
    service: SmallService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(life, "SHOWN_AFTER_END", 0.0)
    monkeypatch.setattr(stream, "IDLE_TICK", Seconds(0.1))
    keys = [StreamKey(f"key{number}") for number in range(KEYS)]

    def cycle() -> None:
        for key in keys:
            service.publish(key)
        for key in keys:
            service.wait_state(key, StreamState.LIVE)
        for key in keys:
            service.unpublish(key)
        for key in keys:
            service.wait_state(key, StreamState.ENDED)

    def forgotten() -> bool:
        return not service.board.all() and len(running()) == 3  # supervisor, guard, database

    cycle()
    wait_until(forgotten, timeout=WAIT)
    threads, open_files = threading.active_count(), descriptors()
    children = descendants({os.getpid()})
    for _ in range(CYCLES // KEYS):
        cycle()
    wait_until(forgotten, timeout=WAIT)
    wait_until(lambda: threading.active_count() <= threads, timeout=WAIT)
    wait_until(lambda: not descriptors() - open_files, timeout=WAIT)  # what earlier tests left may go meanwhile
    assert descendants({os.getpid()}) == children
    assert not service.services.watch._watches
    output = service.services.settings.hls.output_dir
    left = {path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file()}
    assert left == {f".streamkit/{key}.journal" for key in keys}, "the numbers, which never go back"
    assert {path.name for path in output.iterdir()} == {".streamkit"}
    assert all(len((output / name).read_bytes().splitlines()) == 1 for name in left)
