"""Quality by VMAF at equal bit rate: StreamKit's presets against `ultrafast`, all with `zerolatency`.

The clip is generated: a zoom into a fractal, growing cells, a scrolling automaton and moving gradients, with film grain
over all of it. That is harder than a talking head and has no faces, cuts or text, for which VMAF was trained: the
scores order the presets on this clip, and are no promise for another.
"""

import re
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.encoding import FPS, SIZE, command, cpu_of, newest_ffmpeg
from benchmarks.stage import Figure, print_figures
from streamkit.settings_ladder import LadderSettings, RenditionSettings

SECONDS = 10
BITRATE = 2_800_000
BASELINE = "ultrafast"
DEFAULT = RenditionSettings(name="any", height=720, video_bitrate=BITRATE).preset


def run() -> list[Figure]:
    """Return how far each preset's VMAF is from 100, against `ultrafast`; and what it costs."""
    with TemporaryDirectory(prefix="streamkit-bench-") as name:
        folder = Path(name)
        source = _make_clip(folder)
        scores, rates, costs = {}, {}, {}
        for preset in (BASELINE, DEFAULT, "medium"):
            costs[preset] = cpu_of(command(newest_ffmpeg(), folder / preset, _only(preset), sound=False), source)
            encoded = _joined(folder / preset)
            rates[preset] = encoded.stat().st_size * 8 / SECONDS
            scores[preset] = _vmaf(encoded, source)
            print(
                f"    {preset}: VMAF {scores[preset]:.1f}, {rates[preset] / 1e6:.2f} Mbit/s, {costs[preset]:.1f} CPU-s"
            )
    return [_figure(preset, scores, rates) for preset in scores if preset != BASELINE]


def _figure(preset: str, scores: dict[str, float], rates: dict[str, float]) -> Figure:
    return Figure(
        name=f"what {preset} lacks to VMAF 100", value=100 - scores[preset], unit="", target=1.0,
        baseline=100 - scores[BASELINE],
        baseline_name=f"{BASELINE}, with {rates[BASELINE] / rates[preset]:.2f} times the bit rate",
    )  # fmt: skip


def _only(preset: str) -> LadderSettings:
    rung = {"name": "any", "height": SIZE[1], "video_bitrate": BITRATE, "preset": preset, "tune": "zerolatency"}
    return LadderSettings.model_validate({"renditions": (rung,)})


def _make_clip(folder: Path) -> Path:
    """Return SECONDS of moving texture, compressed so little that no preset can be better than it."""
    path = folder / "clip.flv"
    half, coarse = f"{SIZE[0] // 2}x{SIZE[1] // 2}", f"{SIZE[0] // 8}x{SIZE[1] // 8}"
    enlarged = f"scale={half}:flags=bicubic,format=yuv420p"
    parts = [
        f"mandelbrot=size={half}:rate={FPS}:end_scale=0.02:end_pts={FPS * SECONDS},format=yuv420p[a]",
        f"life=size={coarse}:rate={FPS}:ratio=0.3:seed=7:mold=10:death_color=#205080:life_color=#f0d060,{enlarged}[b]",
        f"cellauto=size={coarse}:rate={FPS}:rule=110:seed=7:scroll=1,{enlarged}[c]",
        f"gradients=size={half}:rate={FPS}:seed=7:speed=0.02,format=yuv420p[d]",
        "[a][b]hstack[top];[c][d]hstack[bottom];[top][bottom]vstack,noise=all_seed=7:alls=3:allf=t",
    ]
    argv = [
        newest_ffmpeg(), "-nostdin", "-loglevel", "error", "-y", "-filter_complex", ";".join(parts),
        "-t", str(SECONDS), "-c:v", "libx264", "-preset", "ultrafast", "-crf", "6", "-pix_fmt", "yuv420p", "-g", "60",
        "-f", "flv", str(path),
    ]  # fmt: skip
    subprocess.run(argv, check=True)
    return path


def _joined(folder: Path) -> Path:
    """Return the segments as one file."""
    path = folder / "all.ts"
    segments = sorted(folder.glob("segment_*.ts"), key=lambda one: int(one.stem.rpartition("_")[2]))
    path.write_bytes(b"".join(segment.read_bytes() for segment in segments))
    return path


def _vmaf(encoded: Path, source: Path) -> float:
    """Return the mean VMAF score; pictures are compared by their order."""
    graph = "[0:v]settb=AVTB,setpts=N[encoded];[1:v]settb=AVTB,setpts=N[source];[encoded][source]libvmaf=n_threads=2"
    argv = [newest_ffmpeg(), "-nostdin", "-i", str(encoded), "-i", str(source), "-lavfi", graph, "-f", "null", "-"]
    said = subprocess.run(argv, check=True, capture_output=True, text=True).stderr
    score = re.search(r"VMAF score: ([\d.]+)", said)
    if score is None:
        raise RuntimeError(f"no VMAF score in what FFmpeg said: {said[-500:]}")
    return float(score[1])


if __name__ == "__main__":
    print_figures(run())
