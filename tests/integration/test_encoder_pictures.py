"""The real FFmpeg draws pictures beside the ladder, and the ladder never notices."""

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import pytest
from encoder_kit import DEADLINE, SESSION, Start, encoders, plan, rung

from streamkit import jpeg
from streamkit.ffmpeg.pictures import FOLDER, PictureSpec, parse_thumbnail, plan_pictures
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


def pictures(folder: Path, *rungs: RenditionSettings, **fields: Any) -> PictureSpec:
    (folder / FOLDER).mkdir(exist_ok=True)
    ladder, settings = plan(*rungs), PictureSettings(**fields)
    spec = plan_pictures(settings, ladder.source, ladder.renditions, folder=folder, session=SESSION, first_sequence=0)
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


def make_brightening(ffmpeg: str, path: Path) -> bytes:
    """Encode 8 s whose grey says the time: 20 more each second."""
    grey = "geq=lum='20+20*floor(T)':cb=128:cr=128"
    argv = [ffmpeg, "-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", f"color=size=320x180:rate=30,{grey}"]
    argv += ["-f", "lavfi", "-i", "sine=sample_rate=44100", "-c:v", "libx264", "-preset", "ultrafast", "-g", "60"]
    argv += ["-pix_fmt", "yuv420p", "-c:a", "aac", "-t", "8"]
    subprocess.run([*argv, "-f", "flv", str(path)], check=True, timeout=60)
    return path.read_bytes()


def greys(path: Path) -> list[tuple[float, int]]:
    """Return the time in the file, in seconds, and the luma of every frame."""
    with av.open(str(path)) as container:
        return [(frame.time, bytes(frame.planes[0])[0]) for frame in container.decode(video=0)]


def test_a_small_picture_shows_the_frame_that_players_see_at_its_time(
    start: Start, ffmpeg_path: str, tmp_path: Path
) -> None:
    only = rung("only", 180)
    spec = pictures(tmp_path, only, storyboard_interval=2.0, storyboard_height=90)
    encoder = start(plan(only), pictures=spec)
    encoder.push(make_brightening(ffmpeg_path, tmp_path / "source.flv"))
    assert encoder.process.wait(DEADLINE) == 0
    seen: dict[float, int] = {}
    for number, duration in enumerate(encoder.durations("only")):
        begins = sum(encoder.durations("only")[:number])
        frames = greys(encoder.segment("only", number)) if duration > 0.1 else []  # else a rest of sound
        seen |= {begins + time - frames[0][0]: grey for time, grey in frames}
    found = [parse_thumbnail(path.name) for path in (tmp_path / FOLDER).iterdir()]
    thumbnails = sorted((one for one in found if one is not None), key=lambda one: one.ms)
    assert [round(one.ms / 1000) for one in thumbnails] == [0, 2, 4, 6]
    for one in thumbnails:
        (_, grey), *_ = greys(tmp_path / FOLDER / one.name)
        at = min(seen, key=lambda time: abs(time - one.ms / 1000))
        assert abs(at - one.ms / 1000) < 0.04
        full_range = (seen[at] - 16) * 255 / 219
        assert grey == pytest.approx(full_range, abs=4), one
    heads = {jpeg.head((tmp_path / FOLDER / one.name).read_bytes()) for one in thumbnails}
    assert len(heads) == 1, "pictures of one run can be tiled"
