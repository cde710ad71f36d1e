"""`streamkit config show` and `config schema`: where values come from, and what editors are told."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from streamkit import cli, logs, settings_loader
from streamkit.config_schema import config_schema
from streamkit.errors import ConfigError
from streamkit.settings import Settings

ROOT = Path(__file__).parents[1]
DEFAULTS = ROOT / "config/streamkit.yaml"
Show = Callable[..., dict[str, Any]]

MINE = """\
server: {port: 9090}
hls:
  window: 60
ladders:
  mobile:
    renditions:
      - name: 720p
        height: 720
        video_bitrate: 2.5M
streams:
  - match: "cam-*"
    dvr_window: 12h
"""
AV1 = "{name: a, height: 720, video_bitrate: 2M, video_codec: av1, preset: 9}"


@pytest.fixture(autouse=True)
def _empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for variable in [settings_loader.CONFIG_VARIABLE, *settings_loader.VARIABLES]:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(logs, "configure_logging", lambda _: None)


@pytest.fixture
def show(capsys: pytest.CaptureFixture[str]) -> Show:
    """`show(*arguments)` returns what `config show --json` prints."""

    def call(*arguments: str) -> dict[str, Any]:
        assert cli.main(["config", "show", "--json", *arguments]) == 0
        answer: dict[str, Any] = json.loads(capsys.readouterr().out)
        return answer

    return call


def test_each_value_names_the_variable_the_line_or_the_default_that_it_comes_from(
    show: Show, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("mine.yaml").write_text(MINE)
    monkeypatch.setenv("SERVER_PORT", "9191")
    shown = show("--config", "mine.yaml")
    assert shown["file"] == "mine.yaml"
    values = shown["values"]
    assert values["server.port"] == {"value": 9191, "source": "environment", "where": "SERVER_PORT"}
    assert values["hls.window"] == {"value": 60.0, "source": "file", "where": "mine.yaml:3"}
    assert values["hls.dvr"] == {"value": "none", "source": "default", "where": None}
    rung = values["ladders.mobile.renditions[0].video_bitrate"]
    assert rung == {"value": 2_500_000, "source": "file", "where": "mine.yaml:9"}
    assert values["streams[0].dvr_window"]["value"] == 43_200.0
    assert "streams[0].ladder" not in values


def test_everything_that_may_be_configured_is_shown(show: Show) -> None:
    shown = set(show()["values"])
    sections = {name for name in Settings.model_fields if name not in ("ladders", "streams")}
    assert {key.split(".")[0] for key in shown if not key.startswith("ladders")} - {"streams"} == sections
    assert {"server.cors_origins", "default_ladder", "ladders.default.renditions[2].max_fps"} <= shown


def test_without_a_file_of_ones_own_everything_is_a_default(show: Show) -> None:
    assert {value["source"] for value in show()["values"].values()} == {"default"}
    assert show("--changed")["values"] == {}


def test_changed_leaves_out_the_defaults(show: Show) -> None:
    Path("mine.yaml").write_text("server: {port: 9090}\n")
    assert list(show("--config", "mine.yaml", "--changed")["values"]) == ["server.port"]


def test_a_line_shows_the_key_the_value_and_the_place(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.yaml").write_text("hls: {cdn_base_url: '', window: 60}\nserver: {cors_origins: [http://a, http://b]}\n")
    assert cli.main(["config", "show", "--changed", "--config", "mine.yaml"]) == 0
    lines = [re.split("  +", line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        ["server.cors_origins", '["http://a", "http://b"]', "mine.yaml:2"],
        ["hls.window", "60.0", "mine.yaml:1"],
        ["hls.cdn_base_url", '""', "mine.yaml:1"],
    ]


@pytest.mark.parametrize("arguments", [["show"], ["show", "--json"], ["check"]], ids=" ".join)
def test_no_secret_is_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    secret = "hunter2-and-sixteen-more"
    words = ("SECRET", "PASSWORD", "TOKEN", "SECRET_KEY")
    secrets = [name for name in settings_loader.VARIABLES if name.endswith(words)]
    assert len(secrets) == 7
    for name in secrets:
        monkeypatch.setenv(name, secret)
    monkeypatch.setenv("RTMP_STATUS_URL", "http://rtmp/stat?token=hunter2")
    assert cli.main(["config", *arguments]) == 0
    shown = capsys.readouterr()
    assert "http://rtmp/stat?..." in shown.out
    assert "hunter2" not in shown.out + shown.err


def test_a_wrong_configuration_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.yaml").write_text("server: {port: 0}\n")
    assert cli.main(["config", "show", "--json", "--config", "mine.yaml"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "mine.yaml:1:16: server.port: '0' is not valid" in shown.err


# ---- schema


def schema() -> dict[str, Any]:
    return json.loads(json.dumps(config_schema()))


def test_the_schema_is_one_and_allows_the_file_with_every_key() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.validate(yaml.safe_load(DEFAULTS.read_text()), schema(), jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    ("written", "is_right"),
    [
        ("server: {port: 9090}", True),
        ("server: {port: 0}", False),
        ("server: {prot: 9090}", False),
        ("sever: {}", False),
        ("hls: {segment_format: fmp4, dvr_window: 4h}", True),
        ("hls: {segment_format: mov}", False),
        ("hls: {dvr_window: 4w}", False),
        ("retention: {max_age: 30d, max_bytes: 200G}", True),
        ("retention: {max_bytes: 200X}", False),
        ("ladders: {m: {renditions: [{name: a, height: 720, video_bitrate: 2.5M}]}}", True),
        ("ladders: {m: {renditions: [{name: a, height: 720, video_bitrate: fast}]}}", False),
        ("ladders: {m: {renditions: [{name: a, height: 720, video_bitrate: 2M, level: 4.1, maxrate: null}]}}", True),
        ("ladders: {m: {renditions: [{name: a, height: 720, video_bitrate: 2M, video_codec: h263}]}}", False),
        (f"ladders: {{m: {{segment_format: fmp4, renditions: [{AV1}]}}}}", True),
        ("ladders: {m: {renditions: []}}", False),
        ("streams: [{match: 'cam-*', max_age: null, dvr: sliding}]", True),
        ("streams: [{ladder: copy}]", False),
    ],
)
def test_the_schema_and_the_service_agree_on_a_file(tmp_path: Path, written: str, *, is_right: bool) -> None:
    validator = jsonschema.Draft202012Validator(schema())
    assert validator.is_valid(yaml.safe_load(written)) == is_right
    file = tmp_path / "a.yaml"
    file.write_text(written)
    if is_right:
        settings_loader.load_settings({}, file)
    else:
        with pytest.raises(ConfigError):
            settings_loader.load_settings({}, file)


def test_editors_are_told_what_the_yaml_file_says_of_a_key() -> None:
    definitions = schema()["$defs"]
    port = definitions["ServerSettings"]["properties"]["port"]
    assert port == {
        "default": 8080, "description": "1 to 65535. Environment: SERVER_PORT.", "maximum": 65535, "minimum": 1,
        "type": "integer",
    }  # fmt: skip
    preset = definitions["RenditionSettings"]["properties"]["preset"]
    assert preset["description"].startswith("The encoder's effort: a slower preset looks better")
    undescribed = [
        f"{name}.{key}"
        for name, definition in definitions.items()
        if name != "StreamRule"  # its keys are those of other sections
        for key, value in definition.get("properties", {}).items()
        if not value.get("description")
    ]
    assert undescribed == []


def test_the_schema_shows_no_password_not_even_the_default_one() -> None:
    password = schema()["$defs"]["DatabaseSettings"]["properties"]["password"]
    assert password["default"] == "**********"


def test_the_command_prints_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["config", "schema"]) == 0
    assert json.loads(capsys.readouterr().out) == schema()
