"""Which tests of a run in several processes (`make test`) stay together, and which of them begin first."""

import pytest

REAL_TIME, ENCODING = "real time", "encoding"
"""Two chains of tests of the whole service: those that follow a broadcast by the clock, which nothing but waiting takes
most of; and those whose encoders take all the processor time there is. More than one of each at a time would starve
each other."""
ENCODING_FILES = ("test_source_profiles.py", "test_embedded.py", "test_encryption.py")


def share_out(items: list[pytest.Item]) -> None:
    """Give every test its group, and begin with what takes longest: the chains, then real servers, then the rest.

    The tests of a file always stay together, for the module's fixtures.
    """
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
    items.sort(key=_turn)


def _group(item: pytest.Item) -> str:
    if not _is_whole_service(item):
        return item.nodeid.partition("::")[0]
    return ENCODING if item.path.name in ENCODING_FILES else REAL_TIME


def _turn(item: pytest.Item) -> int:
    if _is_whole_service(item):
        return 0
    return 1 if item.get_closest_marker("integration") else 2


def _is_whole_service(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(name) for name in ("e2e", "chaos"))
