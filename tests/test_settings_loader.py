"""Every wrong configuration is refused with the place, the value and the rule; every right one says what it means."""

import os
from pathlib import Path

import pytest
from pydantic import SecretStr

from streamkit.errors import ConfigError
from streamkit.settings import Settings
from streamkit.settings_ladder import LadderSettings, RenditionSettings
from streamkit.settings_loader import VARIABLES, config_file, load_settings

RUNG = "{name: a, height: 480, video_bitrate: 800k}"
LADDER = f"ladders: {{mine: {{renditions: [{RUNG}]}}}}\n"
MANY = """\
ladders:
  default:
    renditions:
      - name: 720p
        height: 720
        video_codec: libx264
        preset: fast
        video_bitrate: many
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, with config/ in it."""
    (tmp_path / "config").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(text: str | bytes, environ: dict[str, str] | None = None) -> Settings:
    Path("config/streamkit.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_settings(environ or {})


def problems_of(text: str | bytes, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(text, environ)
    return [problem.removeprefix("config/streamkit.yaml:") for problem in caught.value.problems]


WRONG_VARIABLES = {
    "DB_PORT": ("x", "'x' is not valid: it must be a whole number from 1 to 65535 (database.port)"),
    "RTMP_PORT": ("", "'' is not valid: it must be a whole number from 1 to 65535 (rtmp.port)"),
    "RTMP_STATUS_URL": (
        "http://user:hunter2@srs:1985/",
        (
            "'http://...@srs:1985/' is not valid: it must be empty or an http:// or https:// URL "
            "without a user or a password (rtmp.status_url)"
        ),
    ),
    "SERVER_PORT": ("0", "'0' is not valid: it must be a whole number from 1 to 65535 (server.port)"),
    "MINIO_USE_SSL": ("maybe", "'maybe' is not valid: it must be true or false (storage.use_ssl)"),
    "MINIO_BUCKET": (
        "A",
        (
            "'A' is not valid: it must be 3 to 63 characters from a-z 0-9 . -, "
            "beginning and ending with a letter or digit (storage.bucket)"
        ),
    ),
    "DB_HOST": (
        "",
        "'' is not valid: it must be a host name or an IP address, without scheme and port (database.host)",
    ),
    "DB_NAME": ("", "'' is not valid: it must be text that is not empty (database.name)"),
    "HLS_OUTPUT_DIR": ("", "'' is not valid: it must be a path that is not empty (hls.output_dir)"),
    "RTMP_SERVER": (
        "rtmp://host/live",
        (
            "'rtmp://host/live' is not valid: it must be a host name or an IP address, without scheme and port "
            "(rtmp.server)"
        ),
    ),
    "CDN_BASE_URL": (
        "https://cdn.example.org/?token=hunter2",
        (
            "'https://cdn.example.org/?...' is not valid: it must be empty or an http:// or https:// URL "
            "without user, query and fragment (hls.cdn_base_url)"
        ),
    ),
    "MINIO_ENDPOINT": (
        "https://user:hunter2@minio:9000",
        (
            "'https://...@minio:9000' is not valid: it must be host or host:port, without http:// "
            "(use_ssl chooses the scheme) (storage.endpoint)"
        ),
    ),
    "ENCRYPTION_SECRET": (
        "hunter2",
        "the value is not valid: it must be empty or text of at least 16 characters (encryption.secret)",
    ),
    "ADMIN_TOKEN": (
        "hunter2 hunter2 hunter2",
        (
            "the value is not valid: it must be empty or at least 16 characters from A-Z a-z 0-9 - . _ ~ + /, and = at "
            "the end: only these fit into an Authorization header (access.admin_token)"
        ),
    ),
    "KEY_URL_BASE": (
        "//live.example.org",
        (
            "'//live.example.org' is not valid: it must be empty or an http:// or https:// URL "
            "without user, query and fragment (encryption.key_url_base)"
        ),
    ),
    "STREAMKIT_CONFG": ("x", "is not known: did you mean STREAMKIT_CONFIG?"),
    "STREAMKIT_DB_HOST": ("x", "is not known: did you mean DB_HOST?"),
    "STREAMKIT_X": ("x", "is not known: did you mean STREAMKIT_CONFIG?"),
}


@pytest.mark.parametrize(
    ("variable", "value", "problem"), [(name, *case) for name, case in WRONG_VARIABLES.items()], ids=WRONG_VARIABLES
)
def test_a_wrong_variable_is_named(folder: Path, variable: str, value: str, problem: str) -> None:
    assert problems_of("", {variable: value}) == [f"environment variable {variable}: {problem}"]


@pytest.mark.parametrize(
    "text",
    [
        "password: 47114711",
        "password: 2026-11-22",
        "password: 47114711:30",
        "password: [47114711]",
        "password: {hunter2: hunter2}",
        "password: !hunter2 47114711",
        "password: !hun!ter2",
        "password: *hunter2",
        "password: @hunter2",
        "password: hunter2: hunter2",
        "password: 'hunter2",
    ],
)
def test_a_secret_is_never_shown(folder: Path, text: str) -> None:
    shown = "\n".join(problems_of(f"database:\n  {text}\n"))
    assert not any(part in shown for part in ("hunter2", "hun", "4711", "2026"))


def test_every_problem_is_reported_at_once_in_the_order_of_the_file(folder: Path) -> None:
    text = f"{MANY}      - {{name: 480p, hight: 480}}\nserver: 5\ndefault_ladder: hd\nhls: {{window: 1, window: 2}}\n"
    found = problems_of(text, {"DB_PORT": "x", "STREAMKIT_X": ""})
    assert [problem.split(": ")[:2] for problem in found] == [
        ["8:24", "ladders.default.renditions[0].video_bitrate"],
        ["9:22", "ladders.default.renditions[1].hight"],
        ["10:9", "server"],
        ["11:17", "default_ladder"],
        ["12:15", "hls.window"],
        ["12:18", "hls.window"],
        ["environment variable STREAMKIT_X", "is not known"],
        ["environment variable DB_PORT", "'x' is not valid"],
    ]


def test_a_wrong_value_does_not_hide_the_rules_that_are_checked_after_it(folder: Path) -> None:
    rungs = "[{name: a, height: x, video_bitrate: 1M}, {name: b, height: 1}, {name: c, video_codec: copy}]"
    found = problems_of(f"ladders: {{mine: {{renditions: {rungs}}}}}\ndefault_ladder: mien\n")
    assert [problem.split(": ")[1] for problem in found] == [
        "ladders.mine.renditions[0].height",
        "ladders.mine.renditions[1].height",
        "default_ladder",
    ]


@pytest.mark.parametrize("text", ["database: {port: 22:30}", "database: 5", "database: !tag {}", "database: [a]"])
def test_a_variable_is_checked_also_where_the_file_is_wrong(folder: Path, text: str) -> None:
    assert [problem.split(": ")[0] for problem in problems_of(text, {"DB_PORT": "x"})] == [
        f"1:{18 if 'port' in text else 11}",
        "environment variable DB_PORT",
    ]


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "\ufeffserver: {}\n"])
def test_an_empty_file_means_the_defaults(folder: Path, text: str) -> None:
    assert load(text) == Settings()


def test_values_of_every_kind_are_read(folder: Path) -> None:
    settings = load(
        "server: {host: '::1', port: 0x50, cors_origins: [a, b]}\n"
        "hls: {window: 60, output_dir: /a b, fast_start: no}\n"
        "limits: {memory_cache_bytes: 1_000}\ndatabase: {password: '0777', host: 127.0.0.1}\n"
        "streams: [{match: '22:30'}]\n"
    )
    assert (settings.server.host, settings.server.port, settings.server.cors_origins) == ("::1", 80, ("a", "b"))
    assert (settings.hls.window, settings.hls.output_dir, settings.hls.fast_start) == (60.0, Path("/a b"), False)
    assert (settings.limits.memory_cache_bytes, settings.streams[0].match) == (1000, "22:30")
    assert settings.database.password == SecretStr("0777")


@pytest.mark.parametrize(
    ("text", "bits"), [("800k", 800_000), ("800K", 800_000), ("2.5M", 2_500_000), ("8000", 8000), ("0.1234M", 123_400)]
)
def test_bit_rates_may_have_a_unit(folder: Path, text: str, bits: int) -> None:
    assert load(LADDER.replace("800k", text)).ladders["mine"].renditions[0].video_bitrate == bits


def test_ladders_of_the_file_extend_the_built_in_ones_and_replace_the_one_of_the_same_name(folder: Path) -> None:
    mine = LadderSettings(renditions=(RenditionSettings(name="a", height=480, video_bitrate=800_000),))
    assert load(LADDER).ladders == {**Settings().ladders, "mine": mine}
    assert load(LADDER.replace("mine", "default")).ladders == {**Settings().ladders, "default": mine}


def test_an_anchor_may_be_used_again(folder: Path) -> None:
    settings = load(f"ladders:\n  a: &a {{renditions: [{RUNG}]}}\n  b: *a\n")
    assert settings.ladders["a"] == settings.ladders["b"]


VALUES = {
    "DB_HOST": "db",
    "DB_PORT": "1",
    "DB_USER": "user",
    "DB_PASSWORD": "p@ss: word",
    "DB_NAME": "name",
    "RTMP_SERVER": "10.0.0.1",
    "RTMP_PORT": "2",
    "RTMP_STATUS_URL": "http://srs:1985/api/v1/streams",
    "HLS_OUTPUT_DIR": "/srv/hls",
    "MINIO_ENDPOINT": "[::1]:9000",
    "MINIO_ACCESS_KEY": "access",
    "MINIO_SECRET_KEY": "12345",
    "MINIO_BUCKET": "bucket",
    "MINIO_REGION": "eu",
    "MINIO_USE_SSL": "TRUE",
    "SERVER_PORT": "3",
    "CDN_BASE_URL": "https://cdn.example.org/live",
    "ENCRYPTION_SECRET": "sixteen or more letters",
    "TOKEN_SECRET": "others for the tokens",
    "KEY_URL_BASE": "https://live.example.org/streamkit",
    "AUTH_CALLBACK_SECRET": "a callback secret of ours",
    "WEBHOOK_SECRET": "a webhook secret of ours",
    "ADMIN_TOKEN": "an-admin.token~of+ours/==",
}
DEFAULTS = {
    "DB_HOST": "localhost",
    "DB_PORT": 5432,
    "DB_USER": "postgres",
    "DB_PASSWORD": "password",
    "DB_NAME": "streamkit",
    "RTMP_SERVER": "rtmp",
    "RTMP_PORT": 1935,
    "RTMP_STATUS_URL": "",
    "HLS_OUTPUT_DIR": "/tmp/hls",
    "MINIO_ENDPOINT": "localhost:9000",
    "MINIO_ACCESS_KEY": "minioadmin",
    "MINIO_SECRET_KEY": "minioadmin",
    "MINIO_BUCKET": "hls-streams",
    "MINIO_REGION": "us-east-1",
    "MINIO_USE_SSL": False,
    "SERVER_PORT": 8080,
    "CDN_BASE_URL": "",
    "ENCRYPTION_SECRET": "",
    "TOKEN_SECRET": "",
    "KEY_URL_BASE": "",
    "AUTH_CALLBACK_SECRET": "",
    "WEBHOOK_SECRET": "",
    "ADMIN_TOKEN": "",
}


def plain(settings: Settings, variable: str) -> object:
    section, key = VARIABLES[variable]
    value = getattr(getattr(settings, section), key)
    return value.get_secret_value() if isinstance(value, SecretStr) else value


@pytest.mark.parametrize("variable", DEFAULTS)
def test_without_a_variable_its_documented_default_holds(folder: Path, variable: str) -> None:
    assert str(plain(load_settings({}), variable)) == str(DEFAULTS[variable])


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_variable_wins_over_the_file_and_leaves_its_neighbours_alone(folder: Path, variable: str) -> None:
    section, key = VARIABLES[variable]
    file = f"rtmp: {{app: other}}\n{section}: {{{key}: [wrong, but not used]}}\n".replace(
        "rtmp: {app: other}\nrtmp: {", "rtmp: {app: other, "
    )
    settings = load(file, {variable: VALUES[variable]})
    assert str(plain(settings, variable)).lower() == VALUES[variable].lower()
    assert settings.rtmp.app == "other"
    assert all(plain(settings, name) == plain(Settings(), name) for name in VARIABLES if name != variable)


@pytest.mark.parametrize(
    ("text", "value"), [("1", True), ("yes", True), ("On", True), ("0", False), ("no", False), ("FALSE", False)]
)
def test_true_and_false_have_their_usual_spellings_in_variables(folder: Path, text: str, value: bool) -> None:
    assert load("", {"MINIO_USE_SSL": text}).storage.use_ssl is value


def test_the_file_is_the_given_one_then_the_variables_then_the_working_directorys_then_ours(folder: Path) -> None:
    for name in ("given.yaml", "named.yaml", "config/streamkit.yaml"):
        Path(name).write_text("")
    environ = {"STREAMKIT_CONFIG": "named.yaml"}
    assert config_file(environ, Path("given.yaml")) == Path("given.yaml")
    assert config_file(environ) == Path("named.yaml")
    assert config_file({"STREAMKIT_CONFIG": ""}) == Path("config/streamkit.yaml")
    Path("config/streamkit.yaml").unlink()
    assert config_file({}).parts[-2:] == ("config", "streamkit.yaml")
    assert config_file({}).is_absolute()


@pytest.mark.parametrize(
    ("path", "environ", "problem"),
    [
        (Path("a.yaml"), {}, "a.yaml: there is no such configuration file"),
        (
            None,
            {"STREAMKIT_CONFIG": "b.yaml"},
            "b.yaml: there is no such configuration file (STREAMKIT_CONFIG names it)",
        ),
        (Path("config"), {}, "config: there is no such configuration file"),
    ],
)
def test_a_named_file_that_is_missing_is_an_error(
    folder: Path, path: Path | None, environ: dict[str, str], problem: str
) -> None:
    Path("config/streamkit.yaml").write_text("")
    with pytest.raises(ConfigError) as caught:
        load_settings(environ, path)
    assert caught.value.problems == [problem]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read_is_an_error(folder: Path) -> None:
    Path("closed.yaml").touch(mode=0)
    with pytest.raises(ConfigError, match=r"closed.yaml: the configuration file cannot be read: Permission denied"):
        load_settings({}, Path("closed.yaml"))
