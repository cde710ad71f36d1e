"""`streamkit doctor`: what each check says of what is there, of what is not, and how long it takes at most."""

import http.server
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from fakes.faulty_server import FaultyServer
from fakes.front_end import MemoryStore, running
from servers.postgres import PgDatabase
from servers.s3 import S3Server
from test_cli_reference import shape

from streamkit import cli, logs, settings_loader
from streamkit.database.migrate import upgrade_to_head
from streamkit.doctor import machine, servers
from streamkit.doctor.findings import Finding, fault, ok, run
from streamkit.doctor.own_service import OwnService
from streamkit.errors import StoreDeniedError
from streamkit.settings import Settings

Doctor = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture
def doctor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Doctor:
    """`doctor(**variables)` returns (exit code, what --json prints, standard error)."""
    monkeypatch.chdir(tmp_path)
    for variable in [settings_loader.CONFIG_VARIABLE, *settings_loader.VARIABLES]:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(logs, "configure_logging", lambda _: None)

    def call(*arguments: str, **variables: str) -> tuple[int, dict[str, Any], str]:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        code = cli.main(["doctor", "--json", *arguments])
        shown = capsys.readouterr()
        return code, json.loads(shown.out), shown.err

    return call


def settings(**sections: dict[str, Any]) -> Settings:
    return Settings.model_validate(sections)


# ---- running checks


def test_a_check_that_hangs_or_fails_is_a_fault_and_keeps_no_other_from_answering() -> None:
    release = threading.Event()

    def hang() -> Finding:
        release.wait(60)
        return ok("late")

    def fail() -> Finding:
        raise ValueError("password=hunter2")

    found = dict(run({"hangs": hang, "fails": fail, "works": lambda: ok("well")}, timeout=0.2))
    release.set()
    assert list(found) == ["hangs", "fails", "works"]
    assert (found["hangs"].state, found["hangs"].text) == ("fault", "no answer within 0.2 s")
    assert (found["fails"].state, found["fails"].text) == ("fault", "the check itself failed (ValueError)")
    assert found["works"] == ok("well")


def test_a_finding_is_one_line() -> None:
    assert fault("one\ntwo", "do it").text == "one; two"


# ---- the object store


class Denying(MemoryStore):
    """Refuses one kind of request."""

    def __init__(self, denied: str) -> None:
        super().__init__()
        self._denied = denied

    def __getattribute__(self, name: str) -> Any:
        if name in ("put_bytes", "get", "list", "remove") and name == object.__getattribute__(self, "_denied"):
            raise StoreDeniedError("the object store refused the request (HTTP 403 AccessDenied)")
        return super().__getattribute__(name)


@pytest.mark.parametrize(
    ("denied", "said", "left"),
    [
        ("put_bytes", "put: the object store refused", 0),
        ("get", "get: the object store refused the request (HTTP 403 AccessDenied) (put, list, delete worked)", 0),
        ("list", "list: the object store refused the request (HTTP 403 AccessDenied) (put, get, delete worked)", 0),
        ("remove", "delete: the object store refused", 1),
    ],
)
def test_the_permission_that_is_missing_is_named_and_the_probe_is_cleaned_up(denied: str, said: str, left: int) -> None:
    store = Denying(denied)
    found = servers.probed(store)
    assert found.state == "fault"
    assert found.text.startswith(said)
    assert "s3:DeleteObject" in found.fix
    assert len(store.objects) == left
    assert ("is left there" in found.text) == bool(left)


def test_a_store_that_allows_everything_is_left_as_it_was() -> None:
    store = MemoryStore()
    store.objects["hls/a/playlist.m3u8"] = b"x"
    assert servers.probed(store) == ok("an object could be put, got, listed and deleted")
    assert list(store.objects) == ["hls/a/playlist.m3u8"]


# ---- the clock


@contextmanager
def store_with_clock(ahead: float | None) -> Iterator[Settings]:
    """A server whose clock is `ahead` seconds ahead of ours; None: that does not say."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response_only(403)
            if ahead is not None:
                self.send_header("Date", formatdate(time.time() + ahead, usegmt=True))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield settings(storage={"endpoint": f"127.0.0.1:{server.server_port}", "read_timeout": 60.0})
    finally:
        server.shutdown()
        thread.join(20)
        server.server_close()


@pytest.mark.parametrize(
    ("ahead", "state"), [(0.0, "ok"), (-60.0, "warning"), (90.0, "warning"), (3600.0, "fault"), (None, "warning")]
)
def test_clocks_that_differ_are_noticed(ahead: float | None, state: str) -> None:
    with store_with_clock(ahead) as wanted:
        found = servers.clock(wanted)
    assert found.state == state
    assert bool(found.fix) == (state != "ok")


def test_without_a_store_clocks_cannot_be_compared(free_port: Callable[[], int]) -> None:
    found = servers.clock(settings(storage={"endpoint": f"127.0.0.1:{free_port()}"}))
    assert found.state == "warning"
    assert "cannot be compared" in found.text


# ---- RTMP


def answers(first: bytes) -> Callable[[FaultyServer, socket.socket], None]:
    def behave(_server: FaultyServer, connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(first)

    return behave


@pytest.mark.parametrize(("first", "state"), [(b"\x03", "ok"), (b"H", "fault")], ids=["RTMP", "something else"])
def test_what_listens_on_the_rtmp_port_must_speak_rtmp(first: bytes, state: str) -> None:
    with closing(FaultyServer(answers(first))) as server:
        port = int(server.endpoint.rpartition(":")[2])
        assert servers.rtmp(settings(rtmp={"server": "127.0.0.1", "port": port})).state == state


def test_an_rtmp_server_that_is_away_is_a_fault_and_its_status_page_a_warning(free_port: Callable[[], int]) -> None:
    away = servers.rtmp(settings(rtmp={"server": "127.0.0.1", "port": free_port()}))
    assert away.state == "fault"
    assert "RTMP_SERVER" in away.fix
    with closing(FaultyServer(answers(b"\x03"))) as server:
        port = int(server.endpoint.rpartition(":")[2])
        page = f"http://127.0.0.1:{free_port()}/stat"
        found = servers.rtmp(settings(rtmp={"server": "127.0.0.1", "port": port, "status_url": page}))
    assert found.state == "warning"
    assert "speaks RTMP, but the status page does not answer" in found.text


# ---- this machine


def test_a_port_that_somebody_else_has_is_a_fault_that_names_the_variable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        wanted = settings(server={"host": "127.0.0.1", "port": number})
        taken.settimeout(0)

        class Nobody(OwnService):
            version = None

        found = machine.port(wanted, number, "SERVER_PORT", Nobody(wanted))
    assert found.state == "fault"
    assert "SERVER_PORT" in found.fix


def test_a_folder_that_cannot_be_written_to_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = machine.disk(settings(hls={"output_dir": tmp_path / "file"}))
    assert found.state == "fault"
    assert servers.data_folder(settings(embedded={"data_dir": tmp_path / "file/data"})).state == "fault"


def test_an_ffmpeg_that_is_not_there_is_a_fault_of_it_and_of_the_encoders() -> None:
    wanted = settings(encoder={"ffmpeg": "/nowhere/ffmpeg"})
    assert machine.ffmpeg(wanted).state == machine.encoders(wanted).state == "fault"
    assert "encoder.ffmpeg" in machine.ffmpeg(wanted).fix


# ---- the own service


def front_settings(tmp_path: Path, port: int = 1, **access: Any) -> Settings:
    return settings(hls={"output_dir": tmp_path}, server={"host": "127.0.0.1", "port": port}, access=access)


SECRET = "a secret of more than 16"


def test_a_running_service_takes_the_webhook_and_nothing_changes(tmp_path: Path) -> None:
    with running(front_settings(tmp_path, webhook_secret=SECRET, webhook_signed=True)) as front:
        own = OwnService(front_settings(tmp_path, front.port, webhook_secret=SECRET))
        found = own.webhook()
        assert (found.state, front.told_supervisor) == ("ok", [])
        assert machine.port(front.settings, front.port, "SERVER_PORT", own).state == "ok"


def test_another_secret_than_the_services_is_a_fault_and_is_not_shown(tmp_path: Path) -> None:
    with running(front_settings(tmp_path, webhook_secret=SECRET)) as front:
        found = OwnService(front_settings(tmp_path, front.port, webhook_secret=SECRET[::-1])).webhook()
    assert (found.state, "webhook_secret" in found.text) == ("fault", True)
    assert SECRET not in found.text + found.fix
    assert SECRET[::-1] not in found.text + found.fix


def test_a_service_that_takes_webhooks_from_elsewhere_only_is_a_warning(tmp_path: Path) -> None:
    with running(front_settings(tmp_path, webhook_addresses=("192.0.2.7",))) as front:
        found = OwnService(front_settings(tmp_path, front.port)).webhook()
    assert (found.state, "access.webhook_addresses" in found.fix) == ("warning", True)


def test_a_service_that_does_not_run_is_a_warning(tmp_path: Path, free_port: Callable[[], int]) -> None:
    found = OwnService(front_settings(tmp_path, free_port())).webhook()
    assert (found.state, found.fix) == ("warning", "start it with `streamkit serve`")


# ---- the command


def test_what_is_away_is_a_fault_with_a_fix_exit_code_4_and_no_secret(
    doctor: Doctor, free_port: Callable[[], int], tmp_path: Path
) -> None:
    code, found, err = doctor(
        DB_HOST="127.0.0.1",
        DB_PORT=str(free_port()),
        DB_PASSWORD="hunter2",
        MINIO_ENDPOINT=f"127.0.0.1:{free_port()}",
        MINIO_SECRET_KEY="hunter3",
        RTMP_SERVER="127.0.0.1",
        RTMP_PORT=str(free_port()),
        SERVER_PORT=str(free_port()),
        HLS_OUTPUT_DIR=str(tmp_path / "hls"),
    )
    states = {name: one["state"] for name, one in found["checks"].items()}
    assert code == 4
    assert not found["healthy"]
    assert {name for name, state in states.items() if state == "fault"} == {"database", "object store", "rtmp"}
    assert all((one["fix"] is None) == (one["state"] == "ok") for one in found["checks"].values())
    assert "hunter" not in json.dumps(found) + err
    documented = shape("streamkit doctor")
    assert set(documented) == set(found)
    assert set(documented["checks"]) == set(found["checks"])
    assert set(documented["checks"]["disk"]) == set(found["checks"]["disk"])


def test_embedded_needs_no_server_and_lines_have_no_colours_when_they_are_no_terminals(
    doctor: Doctor, capsys: pytest.CaptureFixture[str], free_port: Callable[[], int], tmp_path: Path
) -> None:
    variables = {
        "SERVER_PORT": str(free_port()),
        "RTMP_PORT": str(free_port()),
        "HLS_OUTPUT_DIR": str(tmp_path / "hls"),
    }
    code, found, _ = doctor("--embedded", **variables)
    assert (code, found["healthy"], "clock" in found["checks"]) == (0, True, False)
    assert cli.main(["doctor", "--embedded"]) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert f"\nok       rtmp          {variables['RTMP_PORT']} is free\n" in shown
    assert "\n                       fix: start it with `streamkit serve`\n" in shown
    assert list((tmp_path / ".streamkit").rglob("*.txt")) == []


@pytest.mark.integration
def test_real_servers_are_found_healthy_and_left_as_they_were(
    doctor: Doctor,
    pg_database: PgDatabase,
    s3_server: S3Server,
    s3_bucket: str,
    free_port: Callable[[], int],
    tmp_path: Path,
) -> None:
    with closing(FaultyServer(answers(b"\x03"))) as rtmp:
        variables = {
            **pg_database.environment,
            **s3_server.environment(s3_bucket),
            "RTMP_SERVER": "127.0.0.1",
            "RTMP_PORT": rtmp.endpoint.rpartition(":")[2],
            "SERVER_PORT": str(free_port()),
            "HLS_OUTPUT_DIR": str(tmp_path / "hls"),
        }
        code, found, _ = doctor(**variables)
        assert (code, found["checks"]["database"]["state"]) == (0, "warning")
        assert found["checks"]["database"]["fix"].startswith("run `streamkit migrate`")
        upgrade_to_head(pg_database.url)
        code, found, _ = doctor()
    states = {name: one["state"] for name, one in found["checks"].items()}
    assert (code, {name for name, state in states.items() if state != "ok"}) == (0, {"webhook"})
    assert [path for path in (s3_server.root / s3_bucket).rglob("*") if path.is_file()] == []
