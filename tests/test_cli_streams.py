"""`streamkit streams` and the typed client, against the real front end."""

import json
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from fakes.front_end import FrontEnd, later, running
from test_cli_reference import shape

from streamkit import cli, client, logs, settings_loader
from streamkit.client import Client
from streamkit.database.rows import Page, StreamRow
from streamkit.errors import ClientError
from streamkit.messages import FindStream, ListStreams
from streamkit.settings import Settings
from streamkit.types import StreamKey, StreamState, UnixTime
from streamkit.web.schemas import SCHEMAS

TOKEN = "an-admin-token-of-16-or-more"
Streams = Callable[..., tuple[int, str, str]]


@pytest.fixture
def front(tmp_path: Path) -> Iterator[FrontEnd]:
    access = {"admin_token": TOKEN}
    settings = Settings.model_validate({"hls": {"output_dir": tmp_path}, "access": access})
    with running(settings) as front:
        yield front


@pytest.fixture
def streams(
    front: FrontEnd, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Streams:
    """`streams(*arguments)` returns (exit code, standard output, standard error); the environment names the service."""
    monkeypatch.chdir(tmp_path)
    for variable in [settings_loader.CONFIG_VARIABLE, *settings_loader.VARIABLES]:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(logs, "configure_logging", lambda _: None)
    monkeypatch.setenv("STREAMKIT_URL", f"http://127.0.0.1:{front.port}/")
    monkeypatch.setenv("ADMIN_TOKEN", TOKEN)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = cli.main(["streams", *arguments])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return call


def row(key: str, state: StreamState = StreamState.ENDED) -> StreamRow:
    at = UnixTime(1_790_000_000.0)
    times = dict.fromkeys(("started_at", "stopped_at", "created_at", "updated_at"), at)
    return StreamRow(id=1, stream_key=StreamKey(key), status=state, last_error=None, **times)


# ---- the client


def test_the_models_have_the_fields_of_the_api() -> None:
    models = {name: getattr(client, name) for name in client.__all__ if is_dataclass(getattr(client, name))}
    assert len(models) == 8
    for name, model in models.items():
        assert {field.name for field in fields(model)} == set(SCHEMAS[name]["properties"]), name


def test_what_a_newer_service_adds_is_no_hindrance_and_what_is_missing_is_said(
    front: FrontEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    from streamkit.client.models import SessionPage, read

    found = read(SessionPage, {"items": [], "total": 0, "offset": 0, "limit": 5, "new": 1})
    assert found == SessionPage(items=(), total=0, offset=0, limit=5)
    front.database_answers[ListStreams] = lambda _: later(Page(items=(), total=0, offset=0, limit=1))
    service = Client(f"http://127.0.0.1:{front.port}", token=TOKEN)
    assert service.streams(limit=1).total == 0
    monkeypatch.setattr(service, "_ask", lambda *_: {"streams": [{}]})
    with pytest.raises(ClientError, match="is no StreamKit of this version"):
        service.streams()


@pytest.mark.parametrize("url", ["", "ftp://a", "http://me:pass@a", "http://a?b", "http://a b", "/x", "http://a#b"])
def test_a_url_that_is_none_or_carries_a_user_is_refused(url: str) -> None:
    with pytest.raises(ClientError, match="must be http") as refused:
        Client(url)
    assert "pass" not in str(refused.value)


def test_a_service_that_is_away_is_one_sentence(free_port: Callable[[], int]) -> None:
    with pytest.raises(ClientError, match="cannot be reached"):
        Client(f"http://127.0.0.1:{free_port()}").streams()


# ---- the commands


def test_ls_shows_a_page_of_streams_and_how_many_are_left(front: FrontEnd, streams: Streams) -> None:
    def page(message: Any) -> Any:
        assert isinstance(message, ListStreams)
        return later(Page(items=(row("cam-1"),), total=3, offset=message.offset, limit=message.limit))

    front.database_answers[ListStreams] = page
    code, out, err = streams("ls", "--limit", "1", "--offset", "1")
    assert code == 0
    assert [line.split()[:2] for line in out.splitlines()] == [["stream", "state"], ["cam-1", "ended"]]
    assert err == "1 more: --offset 2\n"
    code, out, _ = streams("ls", "--json", "--active")
    found = json.loads(out)
    assert set(found) == set(shape("streamkit streams ls"))
    assert found["streams"][0]["stream_key"] == "cam-1"
    assert front.told_database[-1].active_only


def test_without_streams_ls_says_so(streams: Streams) -> None:
    assert streams("ls") == (0, "there are no streams\n", "")


def test_show_tells_of_one_stream(front: FrontEnd, streams: Streams) -> None:
    front.database_answers[FindStream] = lambda _: later(row("cam-1"))
    code, out, _ = streams("show", "cam-1", "--json")
    found = json.loads(out)
    assert (code, found["stream_key"], found["status"]) == (0, "cam-1", "inactive")
    assert set(found) == set(shape("streamkit streams show"))
    assert set(found["sessions"]) == set(shape("streamkit streams show")["sessions"])
    assert streams("show", "cam-1")[1] == "cam-1  ended\n"


def test_show_of_an_unknown_stream_says_what_the_service_says(streams: Streams) -> None:
    code, out, err = streams("show", "cam-9")
    assert (code, out) == (3, "")
    assert "refused: There is no stream cam-9 (HTTP 404)" in err


def test_a_token_that_is_missing_or_wrong_is_said_and_shown_nowhere(
    streams: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADMIN_TOKEN", TOKEN[::-1])
    code, _, said = streams("ls")
    assert code == 3
    assert "set ADMIN_TOKEN" in said
    assert TOKEN[::-1] not in said


def test_no_option_takes_a_secret(streams: Streams) -> None:
    assert streams("ls", "--token", TOKEN)[0] == 2


def test_a_key_that_is_none_is_refused_before_anybody_is_asked(front: FrontEnd, streams: Streams) -> None:
    code, _, err = streams("show", "../x")
    assert code == 2
    assert "stream_key '../x' is not valid" in err
    assert front.told_database == []


def test_the_url_of_the_service_is_no_unknown_variable_to_serve() -> None:
    settings_loader.load_settings({"STREAMKIT_URL": "http://a"})
