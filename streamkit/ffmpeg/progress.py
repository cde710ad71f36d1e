"""Pure: FFmpeg's `-progress` lines -> Progress; its stderr -> the first and last lines worth keeping."""

from collections import deque
from dataclasses import dataclass
from math import isfinite

from streamkit.types import Seconds

LINE_LIMIT = 400
"""Characters kept of a line of the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One report. `out_time` is media seconds written; `speed` media seconds per second; `bitrate` in bit/s."""

    frame: int = 0
    fps: float = 0.0
    out_time: Seconds = Seconds(0.0)
    speed: float = 0.0
    bitrate: int = 0
    dropped: int = 0
    duplicated: int = 0
    done: bool = False


class ProgressParser:
    """Collects `key=value` lines; every report ends with a `progress=` line."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}

    def feed(self, line: str) -> Progress | None:
        """Return the report that `line` completes, else None. What FFmpeg calls 'N/A' is 0; junk is skipped."""
        key, separator, value = line.strip().partition("=")
        if not separator:
            return None
        if key != "progress":
            # A handful of keys exists; the bound is for an output that is not FFmpeg's.
            if len(self._values) < 1000:
                self._values[key] = value.strip()
            return None
        values, self._values = self._values, {}
        return Progress(
            frame=int(_number(values, "frame")),
            fps=_number(values, "fps"),
            out_time=Seconds(_number(values, "out_time_us") / 1e6),
            speed=_number(values, "speed", unit="x"),
            bitrate=round(_number(values, "bitrate", unit="kbits/s") * 1000),
            dropped=int(_number(values, "drop_frames")),
            duplicated=int(_number(values, "dup_frames")),
            done=value.strip() == "end",
        )


def _number(values: dict[str, str], key: str, unit: str = "") -> float:
    try:
        number = float(values.get(key, "0").removesuffix(unit))
    except ValueError:
        return 0.0
    # Before the first frame was written FFmpeg may report times far below zero.
    return number if isfinite(number) and number > 0 else 0.0


class LogRing:
    """Keeps the first `head` lines, which say what FFmpeg tried, and the last `tail`, which say why it died."""

    def __init__(self, head: int = 20, tail: int = 40) -> None:
        self._head_size = head
        self._head: list[str] = []
        self._tail: deque[str] = deque(maxlen=tail)
        self._left_out = 0
        self._last = ""
        self._repeats = 0

    def add(self, line: str) -> None:
        """Keep `line`, shortened to LINE_LIMIT characters; a line that repeats the one before is only counted."""
        line = line.rstrip()
        line = line if len(line) <= LINE_LIMIT else line[: LINE_LIMIT - 3] + "..."
        if not line:
            return
        if line == self._last:
            self._repeats += 1
            return
        self._note_repeats()
        self._last = line
        self._append(line)

    def lines(self) -> tuple[str, ...]:
        """Return what was kept, in order, with a line that counts what was left out between head and tail."""
        self._note_repeats()
        gap = (f"... {self._left_out} lines left out ...",) if self._left_out else ()
        return (*self._head, *gap, *self._tail)

    def _note_repeats(self) -> None:
        if self._repeats:
            self._append(f"(the last line came {self._repeats} more times)")
            self._repeats = 0

    def _append(self, line: str) -> None:
        if len(self._head) < self._head_size:
            self._head.append(line)
            return
        self._left_out += len(self._tail) == self._tail.maxlen
        self._tail.append(line)
