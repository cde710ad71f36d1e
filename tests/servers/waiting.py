"""Deadlines and ports."""

import socket
import time
from collections.abc import Callable
from random import SystemRandom
from typing import TypeVar

T = TypeVar("T")

PORTS = range(20_000, 32_000)
"""Below those that Linux gives to connections: nobody takes the port of a server that is away for a moment."""


def wait_until(check: Callable[[], T], timeout: float = 120.0, what: str = "the condition", every: float = 0.02) -> T:
    """Return the first truthy value of `check()`; raise AssertionError naming `what` after `timeout` seconds.

    `every` is the pause in seconds between two checks: longer for one that costs others their time.
    """
    deadline = time.monotonic() + timeout
    while not (value := check()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} was not there within {timeout:g} s")
        time.sleep(every)
    return value


def free_port() -> int:
    """Return a loopback TCP port that nothing listened on a moment ago; another process hardly chooses it as well."""
    while True:
        port = SystemRandom().choice(PORTS)  # Hypothesis gives every process the same `random`
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def accepts_connections(port: int) -> bool:
    """Return whether something accepts TCP connections on this loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0
