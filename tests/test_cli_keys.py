"""`streamkit keys`, on a database of its own."""

from collections.abc import Callable
from pathlib import Path

import pytest

from streamkit import cli, logs, settings_loader
from streamkit.access.keys import digest, key_id

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.integration)])
def run(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """`run(*arguments) -> (exit code, standard output, standard error)` of `streamkit keys`."""
    monkeypatch.chdir(tmp_path)
    for variable in [settings_loader.CONFIG_VARIABLE, *settings_loader.VARIABLES]:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(logs, "configure_logging", lambda _: None)
    if request.param == "postgresql":
        for name, value in request.getfixturevalue("pg_database").environment.items():
            monkeypatch.setenv(name, value)

    def call(*arguments: str) -> tuple[int, str, str]:
        where = ["--embedded"] if request.param == "sqlite" else []
        code = cli.main(["keys", *arguments, *where])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return call


def test_a_key_is_shown_once_listed_and_revoked(run: Run) -> None:
    code, out, err = run("create", "cam-1", "--label", "at the door")
    key = out.strip()
    assert code == 0
    assert (found := key_id(key)) is not None
    assert key not in err
    code, listed, _ = run("list")
    assert code == 0
    assert listed.startswith(f"{found}  cam-1  valid  made 20")
    assert listed.rstrip().endswith("at the door")
    assert run("revoke", found)[1].startswith(f"publish key {found} of the stream cam-1 is revoked 20")
    assert "revoked 20" in run("list", "cam-1")[1]
    everything = "".join(run("list")[1:])
    assert key.partition("-")[2] not in everything
    assert digest(key) not in everything


def test_keys_are_listed_by_stream_and_their_end_is_said(run: Run) -> None:
    run("create", "cam-1", "--expires", "30d")
    run("create", "cam-2")
    assert "valid until 20" in run("list", "cam-1")[1]
    assert len(run("list")[1].splitlines()) == 2
    assert run("list", "cam-3") == (0, "", "cam-3 has no publish keys\n")


def test_a_revoked_key_stays_revoked_as_of_the_first_time(run: Run) -> None:
    found = run("create", "cam-1")[1][:10]
    assert run("revoke", found)[1] == run("revoke", found)[1]


def test_what_is_wrong_is_said(run: Run) -> None:
    assert run("create", "../x")[2].startswith("streamkit: stream_key '../x' is not valid")
    assert "90s, 30m, 12h or 7d" in run("create", "cam-1", "--expires", "soon")[2]
    assert "at most 200 printable" in run("create", "cam-1", "--label", "a\nb")[2]
    assert "there is no publish key 0123456789" in run("revoke", "0123456789")[2]
    assert "the ID of a publish key" in run("revoke", "junk")[2]
    assert run("list") == (0, "", "there are no publish keys\n")


def test_a_database_that_is_away_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logs, "configure_logging", lambda _: None)
    monkeypatch.setenv("DB_HOST", "127.0.0.1")
    monkeypatch.setenv("DB_PORT", "1")
    assert cli.main(["keys", "list"]) == 3
    assert capsys.readouterr().err == "streamkit: the database 127.0.0.1:1/streamkit refused the connection\n"
