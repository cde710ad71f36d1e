"""What the commands print with --json: one document, of the shape that docs/cli.md shows."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_cli_reference import COMMANDS, shape

from streamkit import calibration, cli, logs, playlist_check, settings_loader
from streamkit.access.tokens import check_token
from streamkit.database import migrate
from streamkit.ffmpeg import binary
from streamkit.ffmpeg.binary import FfmpegInfo
from streamkit.hls.conformance import Finding
from streamkit.presets import Capacity, Measure
from streamkit.types import StreamKey, UnixTime

FFMPEG = FfmpegInfo(path="ffmpeg", version=(5, 1), version_text="5.1", encoders=frozenset({"libx264", "aac"}))
SECRET = "a secret of more than 16"
Print = Callable[..., Any]


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Print:
    """`printed(*arguments)` returns the one document that the command prints."""
    monkeypatch.chdir(tmp_path)
    for variable in [settings_loader.CONFIG_VARIABLE, *settings_loader.VARIABLES]:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HLS_OUTPUT_DIR", str(tmp_path / "hls"))
    monkeypatch.setattr(logs, "configure_logging", lambda _: None)
    monkeypatch.setattr(binary, "find_ffmpeg", lambda _configured: FFMPEG)

    def call(*arguments: str, code: int = 0) -> Any:
        assert cli.main([*arguments, "--json"]) == code
        return json.loads(capsys.readouterr().out)

    return call


def test_every_command_that_prints_can_print_json() -> None:
    without = {
        name for name, command in COMMANDS.items() if "--json" not in {o for p in command.params for o in p.opts}
    }
    assert without == {"streamkit serve", "streamkit config schema"}  # the one runs, the other always prints JSON


def test_migrate(printed: Print, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "upgrade_to_head", lambda _url: "0007")
    assert printed("migrate") == shape("streamkit migrate")


def test_token(printed: Print, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN_SECRET", SECRET)
    monkeypatch.setattr(cli.time, "time", lambda: 1_790_000_000.0)
    found = printed("token", "mystream", "--expires", "1h")
    assert found.keys() == shape("streamkit token").keys()
    check_token(SECRET.encode(), StreamKey("mystream"), found["token"], UnixTime(1_790_000_001))
    assert (found["purpose"], found["expires_at"]) == ("play", "2026-09-21T15:13:20Z")
    assert printed("token", "mystream", "--publish")["purpose"] == "publish"


def test_keys(printed: Print) -> None:
    made = printed("keys", "create", "mystream", "--label", "door", "--expires", "1d", "--embedded")
    assert made.keys() == shape("streamkit keys create").keys()
    [listed] = printed("keys", "list", "--embedded")["keys"]
    assert listed.keys() == shape("streamkit keys list")["keys"][0].keys()
    assert listed == {name: value for name, value in made.items() if name != "key"}
    revoked = printed("keys", "revoke", made["id"], "--embedded")
    assert revoked.keys() == shape("streamkit keys revoke").keys()
    assert revoked["revoked_at"] is not None
    assert printed("keys", "list", "nobody", "--embedded") == {"keys": []}


def test_config_check(printed: Print) -> None:
    found, documented = printed("config", "check", "--source", "1280x720@30"), shape("streamkit config check")
    assert found.keys() == documented.keys()
    assert found["ladders"].keys() == {"copy", "default"}
    assert found["ladders"]["copy"].keys() == documented["ladders"]["copy"].keys()


def test_calibrate(printed: Print, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = Capacity(measures=(Measure(speed=2.1, processors=0.8),), work=1.0, processors=1.0)
    monkeypatch.setattr(calibration.PresetBook, "measure", lambda *_: measured)
    assert printed("ladder", "calibrate") == shape("streamkit ladder calibrate")


@pytest.mark.parametrize(("problem", "code"), [(None, 0), ("it is cut off", 4)], ids=["right", "wrong"])
def test_check(printed: Print, monkeypatch: pytest.MonkeyPatch, problem: str | None, code: int) -> None:
    finding = Finding("every media playlist is there", "6.2.1", "720p.m3u8", problem)
    monkeypatch.setattr(playlist_check.StreamCheck, "findings", lambda _: iter([finding]))
    found = printed("check", "http://a/playlist.m3u8", code=code)
    if problem is None:
        assert found == shape("streamkit check")
    else:
        assert (found["right"], found["findings"][0]["problem"]) == (False, problem)
