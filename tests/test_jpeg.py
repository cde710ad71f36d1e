"""Tiling pictures without decoding them: each cell of the sheet has the blocks of its picture, bit for bit."""

import io
import subprocess
from pathlib import Path

import av
import pytest
from servers import tools

from streamkit import jpeg

GREYS = (16, 60, 100, 140, 180, 220, 250)


def picture(folder: Path, grey: int, size: str = "150x84", *, slices: bool = True) -> bytes:
    """Return a picture as StreamKit's FFmpeg makes it: one grey, with a detail that is not."""
    path = folder / f"{grey}_{size}_{slices}.jpg"
    threads = ["-threads", "2", "-thread_type", "slice"] if slices else ["-threads", "1"]
    argv = [str(tools.require("FFmpeg")), "-nostdin", "-loglevel", "error", "-f", "lavfi"]
    argv += ["-i", f"color=0x{grey:02x}{grey:02x}{grey:02x}:size={size},format=yuv420p,drawbox=4:4:9:9:red"]
    argv += ["-vf", "scale=out_range=full,format=yuv420p", "-frames:v", "1", "-c:v", "mjpeg", "-strict", "unofficial"]
    argv += ["-q:v", "5", "-huffman", "default", *threads, str(path)]
    subprocess.run(argv, check=True, timeout=30)
    return path.read_bytes()


def luma(data: bytes) -> tuple[int, int, list[bytes]]:
    with av.open(io.BytesIO(data)) as container:
        frame = next(container.decode(video=0))
        plane = frame.planes[0]
        raw = bytes(plane)
        return frame.width, frame.height, [raw[y * plane.line_size :][: frame.width] for y in range(frame.height)]


@pytest.mark.parametrize(("count", "columns", "size"), [(7, 3, (480, 288)), (2, 5, (320, 96)), (1, 1, (160, 96))])
def test_every_cell_shows_its_picture_exactly(tmp_path: Path, count: int, columns: int, size: tuple[int, int]) -> None:
    singles = [picture(tmp_path, grey) for grey in GREYS[:count]]
    cell = jpeg.layout(singles[0])
    assert (cell.width, cell.height, cell.cell_width, cell.cell_height) == (150, 84, 160, 96)
    width, height, rows = luma(jpeg.tile(singles, columns))
    assert (width, height) == size
    for number, single in enumerate(singles):
        line, column = divmod(number, min(columns, count))
        x, y = column * 160, line * 96
        _, _, alone = luma(single)
        assert [row[x : x + 150] for row in rows[y : y + 84]] == alone


def test_pictures_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    pictures = [picture(tmp_path, 60), picture(tmp_path, 60, "84x150")]
    with pytest.raises(ValueError, match="same size and tables"):
        jpeg.tile(pictures, 2)
    with pytest.raises(ValueError, match="same size"):
        jpeg.tile([], 2)


def test_a_picture_without_restart_markers_cannot_be_tiled(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no restart marker"):
        jpeg.layout(picture(tmp_path, 60, slices=False))


@pytest.mark.parametrize("cut", [0, 1, 2, 3, 10, 30, 300, 620, -2])
def test_damage_is_an_error_and_never_a_crash(tmp_path: Path, cut: int) -> None:
    whole = picture(tmp_path, 60)
    for damaged in (whole[:cut], whole[:cut] + b"\xff\xd9", b"\xff\xd8" + whole[cut:]):
        if damaged != whole:
            with pytest.raises(ValueError, match="picture"):
                jpeg.layout(damaged)
