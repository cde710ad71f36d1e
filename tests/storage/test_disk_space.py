"""A full disk is told once, and so is its end."""

import logging
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from streamkit.storage.disk_space import DiskSpace

MB = 1_000_000


def test_the_shortage_of_a_disk_is_what_it_lacks(tmp_path: Path) -> None:
    assert DiskSpace(tmp_path / "not made yet").shortage() == 0
    assert DiskSpace(tmp_path).shortage() >= 0


def test_a_full_disk_is_told_once_and_so_is_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    now = [0.0]
    space = DiskSpace(tmp_path, lambda: now[0])
    lacks = []
    for free in (100, 4, 0, 6, 4, 9, 10, 100):  # of 100 MB, of which 5 are kept free
        disk = SimpleNamespace(f_blocks=100 * MB, f_frsize=1, f_bavail=free * MB)
        monkeypatch.setattr(os, "statvfs", lambda _, disk=disk: disk)
        lacks.append(space.shortage() // MB)
        now[0] += 1.0
    assert lacks == [0, 1, 5, 0, 1, 0, 0, 0]
    full, again = caplog.messages
    assert full.startswith(f"The disk of {tmp_path} is full (4.0 of 100.0 MB are free): make room; segments that")
    assert again == f"The disk of {tmp_path} has room again after 5 s"
