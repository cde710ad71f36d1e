"""`streamkit ladder explain`: what a source is, what it would be encoded to, and what that takes."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_cli_reference import shape

from streamkit import cli, logs, settings_loader
from streamkit.ffmpeg import binary
from streamkit.ffmpeg.binary import FfmpegInfo
from streamkit.forecast import Forecast, forecast
from streamkit.ladder import plan_renditions
from streamkit.presets import Capacity, Measure, reference_source, work
from streamkit.settings import Settings
from streamkit.source_look import look_at
from streamkit.types import BitsPerSecond, SourceInfo

FFMPEG = FfmpegInfo(path="ffmpeg", version=(5, 1), version_text="5.1", encoders=frozenset({"libx264", "aac"}))
Explain = Callable[..., tuple[int, str, str]]


@pytest.fixture
def explain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Explain:
    """`explain(*arguments)` returns (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    for variable in [settings_loader.CONFIG_VARIABLE, *settings_loader.VARIABLES]:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HLS_OUTPUT_DIR", str(tmp_path / "hls"))
    monkeypatch.setattr(logs, "configure_logging", lambda _: None)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = cli.main(["ladder", "explain", *arguments])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return call


@pytest.fixture
def _no_ffmpeg_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binary, "find_ffmpeg", lambda _configured: FFMPEG)


def takes(
    settings: Settings, name: str = "default", capacity: Capacity | None = None, source: SourceInfo | None = None
) -> Forecast:
    ladder = settings.ladders[name]
    source, capacity = source or reference_source(settings.ladders["default"]), capacity or Capacity()
    renditions = plan_renditions(ladder, source, capacity=capacity)
    return forecast(settings, ladder, source, renditions, None, capacity)


def test_bandwidth_and_storage_are_those_of_all_renditions() -> None:
    found = takes(Settings())
    assert found.average == (5_000_000 + 2_800_000 + 1_400_000 + 160_000 + 2 * 128_000) * 108 // 100
    assert found.peak is not None
    assert found.peak > found.average
    assert found.bytes_per_hour == found.average * 450


def test_requests_are_segments_and_the_playlists_that_they_change() -> None:
    assert takes(Settings()).puts_per_hour == 1800 * 3 * 2
    assert takes(Settings.model_validate({"hls": {"dvr": "event"}})).puts_per_hour == 1800 * 3 * 3
    assert takes(Settings.model_validate({"hls": {"segment_duration": 4.0}})).puts_per_hour == 900 * 3 * 2


def test_processors_follow_what_was_measured_of_the_effort_that_is_chosen() -> None:
    settings = Settings()
    source = reference_source(settings.ladders["default"])
    wanted = work(source, plan_renditions(settings.ladders["default"], source))
    measures = (
        Measure(speed=4.0, processors=0.5),
        Measure(speed=2.0, processors=1.0),
        Measure(speed=0.5, processors=3.0),
    )
    same = takes(settings, capacity=Capacity(measures=measures, work=wanted, processors=2.0))
    assert (same.processors, same.speed) == (1.0, 2.0)
    half = takes(settings, capacity=Capacity(measures=measures, work=wanted * 2, processors=2.0))
    assert (half.processors, half.speed) == (0.5, 4.0)


def test_what_nobody_measured_is_not_known_and_the_note_says_how_to_measure() -> None:
    found = takes(Settings())
    assert found.processors is None
    assert "streamkit ladder calibrate" in found.notes[0]


def test_a_copy_takes_no_processor_and_the_publishers_bandwidth() -> None:
    source = reference_source(Settings().ladders["default"])
    unknown = takes(Settings(), "copy", source=source)
    assert (unknown.average, unknown.bytes_per_hour, unknown.processors) == (None, None, 0.0)
    announced = takes(Settings(), "copy", source=replace(source, video_bitrate=BitsPerSecond(6_000_000)))
    assert announced.average == (6_000_000 + 128_000) * 108 // 100


@pytest.mark.usefixtures("_no_ffmpeg_runs")
def test_json_has_the_documented_shape(explain: Explain) -> None:
    code, out, _ = explain("1280x720@60", "--json")
    assert code == 0
    found, documented = json.loads(out), shape("streamkit ladder explain")

    def keys(value: Any) -> Any:
        return {key: keys(below) for key, below in value.items()} if isinstance(value, dict) else None

    assert keys(found) == keys(documented)
    assert keys(found["renditions"][0]) == keys(documented["renditions"][0])
    assert found["source"]["video"] == {"codec": "h264", "width": 1280, "height": 720, "fps": 60.0}
    assert [one["name"] for one in found["renditions"]] == ["720p", "480p"]
    assert found["command"][0] == "ffmpeg"


@pytest.mark.usefixtures("_no_ffmpeg_runs")
def test_in_words_it_says_renditions_command_and_what_it_takes(explain: Explain) -> None:
    code, out, _ = explain("1920x1080@30")
    assert code == 0
    assert "source: video h264, audio aac, 48000 Hz, 2 channels\n" in out
    assert "\nffmpeg -hide_banner" in out
    assert "\n  to the store:  10.4 Mbit/s on average, 11.1 Mbit/s at most\n" in out
    assert "\n  storage:       4.67 GB per hour\n" in out


@pytest.mark.usefixtures("_no_ffmpeg_runs")
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["gone.mp4"], 3, "there is no file 'gone.mp4'; a source is a file, an RTMP URL, or such as 1920x1080@30"),
        (["1920x1080@30", "--ladder", "nix"], 2, "there is no ladder 'nix'; there are copy, default"),
        (["0x1080@30"], 3, "there is no file"),
        ([], 2, "Missing argument"),
    ],
    ids=["no file", "no ladder", "no size", "nothing"],
)
def test_what_is_wrong_is_said(explain: Explain, arguments: list[str], code: int, said: str) -> None:
    found, out, err = explain(*arguments)
    assert (found, out) == (code, "")
    assert said in err


@pytest.mark.integration
def test_a_file_is_seen_as_a_publisher_would_send_it(
    explain: Explain, make_source: Callable[..., Path], ffmpeg_path: str
) -> None:
    source = make_source()
    code, out, err = explain(str(source), "--ladder", "copy", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    info = look_at(str(source), binary.find_ffmpeg(ffmpeg_path))
    assert info.video is not None
    assert found["source"]["video"]["width"] == info.video.width > 0
    assert found["source"]["audio"]["codec"] == "aac"
    assert found["renditions"][0]["video_codec"] == "copy"


@pytest.mark.integration
def test_what_is_no_video_and_what_does_not_answer_is_one_sentence_without_secrets(
    explain: Explain, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    (tmp_path / "text.mp4").write_text("nothing that could be played")
    code, _, err = explain("text.mp4")
    assert code == 3
    assert err.startswith("streamkit: text.mp4 cannot be published as it is (FFmpeg: ")
    code, _, err = explain(f"rtmp://me:hunter2@127.0.0.1:{free_port()}/live/x?key=hunter3")
    assert code == 3
    assert "cannot be published as it is" in err
    assert "hunter" not in err
    assert err.count("\n") == 1
