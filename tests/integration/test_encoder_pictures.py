"""The real FFmpeg draws pictures beside the ladder, and the ladder never notices."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import av
import pytest
from encoder_kit import DEADLINE, Start, encoders, plan, rung

from streamkit.ffmpeg.pictures import FOLDER, PictureSpec, plan_pictures
from streamkit.jpeg import is_whole
from streamkit.settings_ladder import RenditionSettings
from streamkit.settings_pictures import PictureSettings

pytestmark = [
    pytest.mark.integration,
    pytest.mark.parametrize("ffmpeg_path", ["path", "imageio"], indirect=True),
]


@pytest.fixture
def start(ffmpeg_path: str, tmp_path: Path) -> Iterator[Start]:
    with encoders(ffmpeg_path, tmp_path) as run:
        yield run


def pictures(folder: Path, *rungs: RenditionSettings, **settings: object) -> PictureSpec:
    (folder / FOLDER).mkdir(exist_ok=True)
    ladder = plan(*rungs)
    spec = plan_pictures(PictureSettings(**settings), ladder.source, ladder.renditions, folder=folder)  # type: ignore[arg-type]
    assert spec is not None
    return spec


def shape(path: Path) -> tuple[str, int, int]:
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        return frame.format.name, frame.width, frame.height


def test_the_poster_is_the_newest_frame_and_never_half_a_picture(
    start: Start, make_source: Callable[..., Path], tmp_path: Path
) -> None:
    rungs = (rung("high", 180), rung("low", 90))
    encoder = start(plan(*rungs), pictures=pictures(tmp_path, *rungs, poster_interval=1.0, poster_height=90))
    encoder.push(make_source(width=320, height=180, seconds=9.0).read_bytes())
    assert encoder.process.wait(DEADLINE) == 0
    poster = tmp_path / FOLDER / "poster.jpg"
    assert is_whole(poster.read_bytes())
    assert shape(poster) == ("yuvj420p", 160, 90)
    assert encoder.durations("high")[:4] == encoder.durations("low")[:4] == pytest.approx([1, 1, 2, 2], abs=0.001)
    assert encoder.listener.exits[0][2] == (), "not a word of warning"


def test_a_copied_stream_gets_pictures_of_its_key_frames(
    start: Start, make_source: Callable[..., Path], tmp_path: Path
) -> None:
    copied = RenditionSettings(name="source", video_codec="copy", audio_codec="copy")
    encoder = start(plan(copied), pictures=pictures(tmp_path, copied, decode_copies=True))
    encoder.push(make_source(width=320, height=180, seconds=9.0).read_bytes())
    assert encoder.process.wait(DEADLINE) == 0
    assert shape(tmp_path / FOLDER / "poster.jpg") == ("yuvj420p", 320, 180)
    assert encoder.durations("source")[:4] == pytest.approx([2, 2, 2, 2], abs=0.001)


def test_pictures_that_cannot_be_written_leave_the_ladder_whole(
    start: Start, make_source: Callable[..., Path], tmp_path: Path
) -> None:
    only = rung("only", 180)
    spec = replace(pictures(tmp_path, only, poster_interval=1.0), folder=tmp_path / "there is no such folder")
    encoder = start(plan(only), pictures=spec)
    encoder.push(make_source(width=320, height=180, seconds=9.0).read_bytes())
    assert encoder.process.wait(DEADLINE) == 0
    assert sum(encoder.durations("only")) == pytest.approx(9, abs=0.1)
