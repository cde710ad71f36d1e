"""How busy the machine is, read from Linux's /proc and the file system; what cannot be read is None."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineLoad:
    """`cpu` is the busy share of all processors (0 to 1) since the last reading, sizes in bytes."""

    cpu: float | None = None
    processors: int | None = None
    memory_used: int | None = None
    memory_total: int | None = None
    disk_free: int | None = None
    disk_total: int | None = None


class Machine:
    """Reads when it is asked, and costs nothing else. For one caller at a time; blocks while the disk does."""

    def __init__(self, folder: Path, *, proc: Path = _PROC) -> None:
        self._folder = folder
        self._proc = proc
        self._ticks: tuple[int, int] | None = None

    def read(self) -> MachineLoad:
        """Return the load now. The first reading knows of no processor time."""
        used, total = self._memory()
        free, size = self._disk()
        return MachineLoad(
            cpu=self._cpu(),
            processors=os.cpu_count(),
            memory_used=used,
            memory_total=total,
            disk_free=free,
            disk_total=size,
        )

    def _cpu(self) -> float | None:
        try:
            fields = [int(text) for text in (self._proc / "stat").read_text().split("\n", 1)[0].split()[1:9]]
            ticks = sum(fields), fields[3] + fields[4]  # idle, and waiting for a disk
        except (OSError, ValueError, IndexError):
            return None
        before, self._ticks = self._ticks, ticks
        if before is None or ticks[0] <= before[0]:
            return None
        idle = (ticks[1] - before[1]) / (ticks[0] - before[0])
        return min(1.0, max(0.0, 1.0 - idle))

    def _memory(self) -> tuple[int | None, int | None]:
        try:
            lines = dict(line.split(":", 1) for line in (self._proc / "meminfo").read_text().splitlines())
            total, available = (int(lines[name].split()[0]) << 10 for name in ("MemTotal", "MemAvailable"))
        except (OSError, ValueError, KeyError):
            return None, None
        return total - available, total

    def _disk(self) -> tuple[int | None, int | None]:
        place = next(parent for parent in (self._folder, *self._folder.absolute().parents) if parent.exists())
        try:
            usage = shutil.disk_usage(place)
        except OSError:
            return None, None
        return usage.free, usage.total
