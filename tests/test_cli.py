"""The command line: what it calls, what it prints, and its exit codes."""

import shlex
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

import streamkit
from streamkit import cli, logs, settings_loader
from streamkit.access.tokens import check_token, make_token
from streamkit.errors import EncoderNotFoundError, StreamKitError
from streamkit.ffmpeg import binary
from streamkit.ffmpeg.binary import FfmpegInfo
from streamkit.settings import LogSettings, Settings
from streamkit.types import StreamKey, UnixTime

FFMPEG = FfmpegInfo(path="/opt/my ffmpeg", version=(5, 1), version_text="5.1", encoders=frozenset({"libx264", "aac"}))
MIGRATE = "streamkit.database.migrate"


class Service:
    """In the place of the composition root: what it was told, and how it ends."""

    def __init__(self) -> None:
        self.calls: list[tuple[Settings, bool, bool]] = []
        self.ends: int | BaseException = 0
        self.drains = False

    def serve(self, settings: Settings, *, embedded: bool, demo: bool, drain: bool) -> int:
        self.drains = drain
        self.calls.append((settings, embedded, demo))
        if isinstance(self.ends, BaseException):
            raise self.ends
        return self.ends


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    fake = Service()
    module = types.ModuleType("streamkit.service")
    module.serve = fake.serve  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "streamkit.service", module)
    return fake


@pytest.fixture(autouse=True)
def log_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[LogSettings]:
    """Run in an empty folder and environment, and leave the logging of the tests alone."""
    monkeypatch.chdir(tmp_path)
    for variable in [settings_loader.CONFIG_VARIABLE, *settings_loader.VARIABLES]:
        monkeypatch.delenv(variable, raising=False)
    configured: list[LogSettings] = []
    monkeypatch.setattr(logs, "configure_logging", configured.append)
    monkeypatch.setattr(binary, "find_ffmpeg", lambda _configured: FFMPEG)
    return configured


SECRET = "a secret of more than 16"


def test_token_prints_what_opens_the_stream_until_it_expires(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli.time, "time", lambda: 1_790_000_000.5)
    monkeypatch.setenv("ENCRYPTION_SECRET", SECRET)
    assert cli.main(["token", "cam-1", "--expires", "30m"]) == 0
    token = capsys.readouterr().out.strip()
    assert token == make_token(SECRET.encode(), StreamKey("cam-1"), 1_790_001_800)
    check_token(SECRET.encode(), StreamKey("cam-1"), token, UnixTime(1_790_001_799))


def test_a_token_is_signed_with_the_tokens_own_secret_where_there_is_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli.time, "time", lambda: 1_790_000_000.0)
    monkeypatch.setenv("ENCRYPTION_SECRET", "some other secret, long enough")
    monkeypatch.setenv("TOKEN_SECRET", SECRET)
    assert cli.main(["token", "cam-1"]) == 0
    assert capsys.readouterr().out.strip() == make_token(SECRET.encode(), StreamKey("cam-1"), 1_790_003_600)


@pytest.mark.parametrize("text", ["", "1", "0s", "-1h", "1.5h", "1w", "367d", "1h ", "999999999d", "٣h"])
def test_token_refuses_an_expiry_that_is_none(
    text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENCRYPTION_SECRET", SECRET)
    assert cli.main(["token", "cam-1", "--expires", text]) == 2
    assert "90s, 30m, 12h or 7d" in capsys.readouterr().err


def test_token_says_what_is_wrong_with_the_key_and_that_a_secret_is_needed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.main(["token", "cam-1"]) == 2
    assert "set ENCRYPTION_SECRET (encryption.secret)" in capsys.readouterr().err
    monkeypatch.setenv("ENCRYPTION_SECRET", SECRET)
    assert cli.main(["token", "../x"]) == 2
    assert "stream_key '../x' is not valid" in capsys.readouterr().err


def test_config_check_shows_no_secret(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENCRYPTION_SECRET", SECRET)
    monkeypatch.setenv("TOKEN_SECRET", SECRET[::-1])
    assert cli.main(["config", "check"]) == 0
    shown = capsys.readouterr()
    assert "key_rotation: 60" in shown.out
    assert SECRET not in shown.out + shown.err
    assert SECRET[::-1] not in shown.out + shown.err


def test_serve_passes_the_configuration_and_its_options_on(service: Service, log_settings: list[LogSettings]) -> None:
    Path("my.yaml").write_text("server: {port: 1234}\nlog: {level: ERROR}\n")
    assert cli.main(["serve", "--embedded", "--demo", "--config", "my.yaml"]) == 0
    [(settings, embedded, demo)] = service.calls
    assert (settings.server.port, embedded, demo) == (1234, True, True)
    assert log_settings == [LogSettings(level="ERROR")]


def test_serve_without_options_is_production(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVER_PORT", "4321")
    assert cli.main(["serve"]) == 0
    [(settings, embedded, demo)] = service.calls
    assert (settings.server.port, embedded, demo, service.drains) == (4321, False, False, False)


def test_serve_may_only_finish_what_is_left(service: Service) -> None:
    assert cli.main(["serve", "--drain"]) == 0
    assert service.drains


@pytest.mark.parametrize(
    ("ends", "code", "said"),
    [
        (0, 0, ""),
        (143, 143, ""),
        (KeyboardInterrupt(), 130, ""),
        (StreamKitError("cannot listen on 0.0.0.0:80"), 3, "streamkit: cannot listen on 0.0.0.0:80\n"),
        (FileNotFoundError(2, "No such file", "/x"), 3, "streamkit: No such file: /x\n"),
    ],
    ids=["well", "SIGTERM", "SIGINT", "not available", "operating system"],
)
def test_how_the_service_ends_is_the_exit_code(
    service: Service, capsys: pytest.CaptureFixture[str], ends: int | BaseException, code: int, said: str
) -> None:
    service.ends = ends
    assert cli.main(["serve"]) == code
    assert capsys.readouterr().err.lstrip("\n") == said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["serve", "--demo"], "--demo needs --embedded"),
        (["serve", "--prot", "1"], "No such option"),
        (["sevre"], "No such command"),
        (["config", "check", "--source", "1920x1080"], "write it as WIDTHxHEIGHT@FPS"),
        (["config", "check", "--source", "0x1080@30"], "write it as WIDTHxHEIGHT@FPS"),
        (["config", "check", "--source", "1920x1080@30/0"], "write it as WIDTHxHEIGHT@FPS"),
        (["config", "check", "--source", "1920x1080@1e9"], "write it as WIDTHxHEIGHT@FPS"),
        (["serve", "--config", "gone.yaml"], "gone.yaml: there is no such configuration file"),
    ],
)
def test_wrong_usage_is_said_and_exits_with_2(
    service: Service, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert cli.main(arguments) == 2
    assert said in capsys.readouterr().err
    assert not service.calls


@pytest.mark.parametrize("command", [["serve"], ["migrate"], ["config", "check"]], ids=" ".join)
def test_a_wrong_configuration_exits_with_2_and_a_line_per_problem(
    service: Service, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    Path("wrong.yaml").write_text("server: {port: 0}\n")
    monkeypatch.setenv("STREAMKIT_CONFIG", "wrong.yaml")
    monkeypatch.setenv("DB_PORT", "x")
    assert cli.main(command) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.splitlines() == [
        "wrong.yaml:1:16: server.port: '0' is not valid: it must be a whole number from 1 to 65535",
        "environment variable DB_PORT: 'x' is not valid: it must be a whole number from 1 to 65535 (database.port)",
    ]


def test_migrate_says_the_revision(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    urls: list[str] = []
    monkeypatch.setattr(f"{MIGRATE}.upgrade_to_head", lambda url: urls.append(url) or "0007")
    monkeypatch.setenv("DB_PASSWORD", "p@ss/word")
    assert cli.main(["migrate"]) == 0
    assert urls == ["postgresql+asyncpg://postgres:p%40ss%2Fword@localhost:5432/streamkit"]
    assert capsys.readouterr().out == "the database 'streamkit' is at revision 0007\n"


def test_migrate_without_a_database_exits_with_3_and_one_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, free_port: Callable[[], int]
) -> None:
    monkeypatch.setenv("DB_HOST", "127.0.0.1")
    monkeypatch.setenv("DB_PORT", str(free_port()))
    assert cli.main(["migrate"]) == 3
    error = capsys.readouterr().err
    assert error.startswith("streamkit: the database 127.0.0.1:")
    assert error.count("\n") == 1
    assert "password" not in error


def test_config_check_shows_the_file_the_settings_and_no_secret(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("config").mkdir()
    Path("config/streamkit.yaml").write_text("hls: {window: 60}\n")
    monkeypatch.setenv("DB_PASSWORD", "hunter2")
    monkeypatch.setenv("MINIO_SECRET_KEY", "hunter3")
    assert cli.main(["config", "check"]) == 0
    output = capsys.readouterr().out
    assert output.startswith("# config/streamkit.yaml is valid\n")
    assert "  window: 60.0\n" in output
    assert "hunter" not in output


def test_config_check_names_the_file_and_the_key_of_a_slate_that_is_not_there(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("mine.yaml").write_text("sessions: {slate: /nowhere/soon.png}\n")
    assert cli.main(["config", "check", "--config", "mine.yaml"]) == 2
    captured = capsys.readouterr()
    assert "is valid" not in captured.out
    assert "mine.yaml: sessions.slate: there is no file /nowhere/soon.png" in captured.err


def test_config_check_shows_the_renditions_of_every_ladder_for_the_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["config", "check", "--source", "1280x720@60000/1001"]) == 0
    lines = capsys.readouterr().out.splitlines()
    default = lines.index("ladder 'default' for a source of 1280x720 at 59.94 frames per second:")
    rows = [line.split() for line in lines[default + 2 : default + 4]]
    assert [row[:5] for row in rows] == [
        ["720p", "1280x720", "59.94", "libx264", "veryfast"],
        ["480p", "854x480", "29.97", "libx264", "veryfast"],
    ]
    assert "ladder 'copy' for a source of 1280x720 at 59.94 frames per second:" in lines


def test_config_check_shows_the_exact_command_quoted_for_a_shell(capsys: pytest.CaptureFixture[str]) -> None:
    Path("my.yaml").write_text("hls: {output_dir: /tmp/my hls}\n")
    assert cli.main(["config", "check", "--config", "my.yaml"]) == 0
    commands = [line for line in capsys.readouterr().out.splitlines() if line.startswith("'/opt/my ffmpeg' ")]
    assert len(commands) == len(Settings().ladders)
    argv = shlex.split(commands[0])
    assert argv[0] == FFMPEG.path
    assert "file:/tmp/my hls/STREAM_KEY/.s0000000_480p.m3u8" in argv
    assert "file:/tmp/my hls/STREAM_KEY/.pictures/poster.jpg" in argv


def test_config_check_shows_which_streams_use_which_ladder(capsys: pytest.CaptureFixture[str]) -> None:
    Path("my.yaml").write_text("streams: [{match: 'cam-*', ladder: copy}, {match: a, reconnect_window: 0}]\n")
    assert cli.main(["config", "check", "--config", "my.yaml"]) == 0
    lines = capsys.readouterr().out.splitlines()
    first = lines.index("  streams     ladder   reconnect window")
    assert [line.split() for line in lines[first + 1 : first + 4]] == [
        ["cam-*", "copy", "15", "s"],
        ["a", "default", "0", "s"],
        ["all", "others", "default", "15", "s"],
    ]


def test_config_check_without_ffmpeg_exits_with_3(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def find_none(_configured: str) -> FfmpegInfo:
        raise EncoderNotFoundError("there is no FFmpeg")

    monkeypatch.setattr(binary, "find_ffmpeg", find_none)
    assert cli.main(["config", "check"]) == 3
    assert capsys.readouterr().err == "streamkit: there is no FFmpeg\n"


@pytest.mark.parametrize(
    "arguments", [["--help"], ["serve", "--help"], ["migrate", "--help"], ["config", "check", "--help"]], ids=" ".join
)
def test_every_help_has_an_example(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert cli.main(arguments) == 0
    text = capsys.readouterr().out
    assert "Example" in text
    command = " ".join(["streamkit", *arguments[:-1]])
    assert any(command in line for line in text.partition("Example")[2].splitlines())


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"streamkit, version {streamkit.__version__}\n"


def test_nothing_heavy_is_imported_for_version_and_help() -> None:
    script = (
        "import sys; from streamkit.cli import main; code = main(['--version'])\n"
        "heavy = {'pydantic', 'yaml', 'sanic', 'sqlalchemy', 'minio', 'pykka', 'asyncio'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else code)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, timeout=30)


def test_the_module_is_the_command(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "streamkit", "serve", "--config", "gone.yaml"],
        capture_output=True,
        text=True,
        timeout=30,
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(cli.__file__).parents[1])},
        check=False,
    )
    assert run.returncode == 2
    assert run.stderr == "gone.yaml: there is no such configuration file\n"
