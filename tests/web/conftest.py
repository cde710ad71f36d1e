"""The front end, served for real."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.front_end import FrontEnd, running

from streamkit.settings import HlsSettings, Settings


@pytest.fixture
def front_settings(tmp_path: Path) -> Settings:
    return Settings(hls=HlsSettings(output_dir=tmp_path / "hls"))


@pytest.fixture
def front(front_settings: Settings) -> Iterator[FrontEnd]:
    front_settings.hls.output_dir.mkdir()
    with running(front_settings) as front_end:
        yield front_end
