"""How a run in several processes (`make test`) shares the tests out: which stay together, and which begin first."""

import re
from collections.abc import Iterable
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

WHOLE_SERVICE = ("tests/e2e/", "tests/chaos/")
ENCODING = ("test_source_profiles.py", "test_embedded.py", "test_encryption.py")
"""What takes all the processor time there is; the other tests of the whole service follow broadcasts by the clock."""


class Sharing(LoadScopeScheduling):
    """Gives every chain of tests to one process, in the order of collection."""

    def _split_scope(self, nodeid: str) -> str:
        return chain(nodeid)


def scheduler(config: pytest.Config, log: Any) -> Sharing:
    """Return the scheduler of a run; nothing but `in_turn` decides what is first."""
    config.option.loadscopereorder = False
    return Sharing(config, log)


def chain(nodeid: str) -> str:
    """Return what the test has in common with those that must run in the same process, one after the other.

    The tests of a file stay together, for the module's fixtures. Those of the whole service are two chains: more than
    one of each at a time would starve each other.
    """
    path = nodeid.partition("::")[0]
    if not path.startswith(WHOLE_SERVICE):
        return path
    return "encoding" if path.endswith(ENCODING) else "real time"


def check_names(nodeids: Iterable[str]) -> None:
    """Raise UsageError for a test whose name holds an address in memory: every process has its own."""
    wrong = next((one for one in nodeids if re.search(r"\bat 0x[0-9a-f]{6,}", one)), None)
    if wrong:
        raise pytest.UsageError(f"{wrong} is called otherwise in every process: give its parameters `ids`")


def in_turn(items: list[pytest.Item]) -> None:
    """Put first what takes longest: the two chains, then real servers, then the rest."""
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    if item.nodeid.startswith(WHOLE_SERVICE):
        return 0
    return 1 if item.get_closest_marker("integration") else 2
