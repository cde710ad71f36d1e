from pathlib import Path

import pytest

from streamkit.machine import Machine


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    folder = tmp_path / "proc"
    folder.mkdir()
    return folder


def test_the_busy_share_is_that_since_the_last_reading(proc: Path) -> None:
    machine = Machine(proc, proc=proc)
    (proc / "stat").write_text("cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 1 1 1 1\n")
    (proc / "meminfo").write_text("MemTotal:       1000 kB\nMemFree:  1 kB\nMemAvailable:    400 kB\n")
    assert machine.read().cpu is None
    (proc / "stat").write_text("cpu  130 0 100 740 130 0 0 0 0 0\n")
    load = machine.read()
    assert load.cpu == pytest.approx(0.3)
    assert (load.memory_used, load.memory_total) == (600 << 10, 1000 << 10)
    assert machine.read().cpu is None, "no time has passed"


@pytest.mark.parametrize("text", ["", "cpu x y\n", "cpu 1 2\n"])
def test_what_cannot_be_read_is_not_known(text: str, proc: Path) -> None:
    (proc / "stat").write_text(text)
    load = Machine(proc / "not" / "there", proc=proc).read()
    assert (load.cpu, load.memory_used) == (None, None)
    assert load.disk_total, "the disk of the nearest folder that is there"


def test_this_machine_can_be_read(tmp_path: Path) -> None:
    load = Machine(tmp_path).read()
    assert load.memory_total
    assert load.disk_free
