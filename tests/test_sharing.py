"""What the processes of `make test` share."""

import pytest
from servers.sharing import chain, check_names


@pytest.mark.parametrize("path", ["tests/test_cli.py", "tests/e2e/test_embedded.py", "tests/e2e/test_production.py"])
def test_the_tests_of_a_file_stay_together(path: str) -> None:
    assert chain(f"{path}::test_one[a@b]") == chain(f"{path}::TestCase::test_other[x::y]")


def test_broadcasts_that_go_by_the_clock_do_not_overlap() -> None:
    paths = ["tests/e2e/test_production.py", "tests/e2e/test_real_players.py", "tests/chaos/test_soak.py"]
    assert len({chain(f"{path}::test") for path in paths}) == 1


def test_everything_else_is_as_many_chains_as_files() -> None:
    paths = ["tests/e2e/test_production.py", "tests/e2e/test_embedded.py", "tests/test_cli.py", "tests/hls/test_a.py"]
    assert len({chain(f"{path}::test") for path in paths}) == len(paths)


def test_a_name_that_differs_from_process_to_process_is_refused() -> None:
    check_names(["tests/test_cli.py::test_fine[a-0x1F-1795361760]"])
    with pytest.raises(pytest.UsageError, match="in every process: give its parameters `ids`"):
        check_names(["tests/test_cli.py::test_one[<function parse at 0x7f4280176fc0>]"])
