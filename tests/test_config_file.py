"""config/streamkit.yaml documents every key and changes nothing."""

import re
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from streamkit import resources
from streamkit.errors import StreamKitError
from streamkit.resources import data_dir
from streamkit.settings import Settings, StreamRule
from streamkit.settings_ladder import LadderSettings, RenditionSettings
from streamkit.settings_loader import VARIABLES, load_settings

FILE = Path(__file__).parents[1] / "config" / "streamkit.yaml"
TEXT = FILE.read_text()
SECTIONS = [name for name, field in Settings.model_fields.items() if isinstance(field.default, BaseModel)]
KEYS = [(section, key) for section in SECTIONS for key in type(Settings.model_fields[section].default).model_fields]


def test_the_file_that_we_bring_along_is_the_one_in_the_checkout() -> None:
    assert data_dir("config") / "streamkit.yaml" == FILE


def test_a_wheel_has_its_own_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "__file__", str(tmp_path / "streamkit" / "resources.py"))
    for folder in ("streamkit/_data/migrations", "migrations"):
        (tmp_path / folder).mkdir(parents=True)
    assert data_dir("migrations") == tmp_path / "streamkit" / "_data" / "migrations"
    with pytest.raises(StreamKitError, match="incomplete: its folder 'config' is missing"):
        data_dir("config")


def test_the_documented_configuration_equals_the_defaults() -> None:
    assert load_settings({}, FILE) == Settings()


def test_its_ladders_say_all_that_the_built_in_ones_say() -> None:
    assert set(yaml.safe_load(TEXT)["ladders"]) == set(Settings().ladders)


@pytest.mark.parametrize(("section", "key"), KEYS, ids=lambda part: part)
def test_every_key_of_every_section_is_written_out(section: str, key: str) -> None:
    assert key in yaml.safe_load(TEXT)[section]


@pytest.mark.parametrize("key", Settings.model_fields)
def test_every_section_is_written_out(key: str) -> None:
    assert key in yaml.safe_load(TEXT)


@pytest.mark.parametrize("key", RenditionSettings.model_fields)
def test_the_first_rendition_shows_every_key_of_a_rendition(key: str) -> None:
    assert key in yaml.safe_load(TEXT)["ladders"]["default"]["renditions"][0]


@pytest.mark.parametrize("key", LadderSettings.model_fields)
def test_the_first_ladder_shows_every_key_of_a_ladder(key: str) -> None:
    assert key in yaml.safe_load(TEXT)["ladders"]["default"]


@pytest.mark.parametrize("key", StreamRule.model_fields)
def test_the_example_of_a_stream_rule_shows_every_key_of_it(key: str) -> None:
    assert re.search(rf"^#\s+(- )?{key}: ", TEXT, re.MULTILINE)


def test_the_example_of_a_stream_rule_is_valid_when_it_is_used(tmp_path: Path) -> None:
    example = re.findall(r"^#   ?((?:streams:| +).*)$", TEXT.partition("An example:\n")[2], re.MULTILINE)
    changed = tmp_path / "changed.yaml"
    changed.write_text(TEXT.replace("streams: []", "\n".join(example)))
    assert load_settings({}, changed).streams == (
        StreamRule(
            match="cam-*",
            ladder="copy",
            selectable_ladders=(),
            reconnect_window=60.0,
            takeover="takeover",
            slate="",
            window=60.0,
            dvr="sliding",
            dvr_window=43_200.0,
            archive=True,
            max_age=2_592_000.0,
            max_bytes=200_000_000_000,
            encryption="none",
            publish="key",
            playback="open",
            pictures=False,
        ),
    )


@pytest.mark.parametrize("variable", VARIABLES)
def test_every_environment_variable_is_named_right_above_its_key(variable: str) -> None:
    section, key = VARIABLES[variable]
    assert re.search(rf"Environment: {variable}\.\n  {key}: ", TEXT.partition(f"\n{section}:\n")[2])
