"""FFmpeg's CPU: one process for the ladder against one per rendition, and against the bare minimum."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.encoding import command, cpu_of, ladder
from benchmarks.stage import LADDER, PRESET, Figure, ffmpeg_path, make_source, print_figures
from streamkit.settings_ladder import LadderSettings

REPEATS = 5  # the least of them counts: a machine can only take more than the work needs, never less


def run() -> list[Figure]:
    """Return CPU seconds for 30 s of the source; what is compared takes turns, so that other load meets all alike."""
    with TemporaryDirectory(prefix="streamkit-bench-") as name:
        folder = Path(name)
        source = make_source(folder)
        whole = ladder(preset=PRESET)
        ways: dict[str, Callable[[], float]] = {
            "ladder": lambda: cpu_of(command(ffmpeg_path(), folder / "ladder", whole, sound=True), source),
            "each": lambda: sum(
                cpu_of(
                    command(ffmpeg_path(), folder / rung.name, LadderSettings(renditions=(rung,)), sound=True), source
                )
                for rung in whole.renditions
            ),
            "bare": lambda: cpu_of(_bare_minimum(), source),
        }
        taken: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(REPEATS):
            for way, measure in ways.items():
                taken[way].append(measure())
    one, each, bare = (min(taken[way]) for way in ("ladder", "each", "bare"))
    return [
        Figure(
            name="FFmpeg's CPU, one process for the ladder of three, 30 s", value=one, unit="s", target=1.0,
            baseline=each, baseline_name="one process per rendition, with the same options",
        ),
        Figure(
            name="the same, against the bare minimum", value=one, unit="s", target=1.1,
            baseline=bare, baseline_name="decode once, scale and encode alike; no segments, no forced key frames",
        ),
    ]  # fmt: skip


def _bare_minimum() -> list[str]:
    """Return the same encodes without anything that makes them a stream: their packets are thrown away."""
    outputs = "".join(f"[s{height}]" for height, _ in LADDER)
    graph = f"[0:v]split={len(LADDER)}{outputs}"
    argv = [ffmpeg_path(), "-nostdin", "-loglevel", "error", "-threads", "4", "-f", "flv", "-i", "pipe:0"]
    argv += ["-filter_complex", graph + "".join(f";[s{h}]scale=-2:{h}:flags=bilinear[v{h}]" for h, _ in LADDER)]
    for height, rate in LADDER:
        argv += [
            "-map", f"[v{height}]", "-map", "0:a", "-c:v", "libx264", "-preset", PRESET, "-tune", "zerolatency",
            "-threads", "4", "-b:v", str(rate), "-maxrate", str(int(rate * 1.07)), "-bufsize", str(int(rate * 1.5)),
            "-c:a", "aac", "-b:a", "128k", "-f", "null", "-",
        ]  # fmt: skip
    return argv


if __name__ == "__main__":
    print_figures(run())
