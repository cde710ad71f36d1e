"""The ledger's journal on local disk: one JSON object a line, appended before the ledger is changed."""

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from streamkit.hls.events import (
    CountersRestored,
    Event,
    FilesDeleted,
    MediaProbed,
    SegmentAcknowledged,
    SegmentLost,
    SegmentRecorded,
    from_record,
    to_record,
)
from streamkit.types import StreamKey

_TAIL = 1 << 20  # bytes; every line is far shorter
_MAY_WAIT = (MediaProbed, SegmentRecorded, SegmentLost)  # one wait for the disk serves several
_MAY_WAIT_LONGER = (SegmentAcknowledged, FilesDeleted)  # only until the next playlist is on its way


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no number")


_COMPACT = json.JSONEncoder(separators=(",", ":"))
_JSON = json.JSONDecoder(parse_constant=_refuse)  # NaN and Infinity are no times


class Journal:
    """An open journal. Its methods raise OSError when the disk refuses, and the file is then as it was before."""

    def __init__(self, path: Path) -> None:
        """Open `path` for appending, or create it; a torn last line, of a write cut short by a crash, is cut off."""
        self.path = path
        self._file = _open(path)
        self._is_synced = self._has_all_numbers = True
        _cut_torn_line(self._file)
        _sync_folder(path)

    def append(self, *events: Event) -> None:
        """Write the events, in order and with nothing between them: they survive the end of this process.

        A new or lost segment waits for `sync_numbers`, before anybody is told of it, and an acknowledgement or a
        deletion for `sync`; all else survives a power loss when this returns.
        """
        size = os.fstat(self._file).st_size
        try:
            _write(self._file, events)
        except OSError:
            os.ftruncate(self._file, size)
            raise
        self._is_synced = False
        if not all(isinstance(event, _MAY_WAIT_LONGER) for event in events):
            self._has_all_numbers = False
        if not all(isinstance(event, _MAY_WAIT + _MAY_WAIT_LONGER) for event in events):
            self.sync()

    def sync_numbers(self) -> None:
        """Return when every number that was used survives a power loss, so that none comes twice."""
        if not self._has_all_numbers:
            self.sync()

    def sync(self) -> None:
        """Return when everything appended survives a power loss."""
        if not self._is_synced:
            os.fdatasync(self._file)
            self._is_synced = self._has_all_numbers = True

    def compact(self, events: Iterable[Event]) -> None:
        """Replace the whole journal by these events, at once: a crash leaves either the old one or the new one."""
        fresh = self.path.with_name(self.path.name + ".new")
        fresh.unlink(missing_ok=True)
        file = _open(fresh)
        try:
            _write(file, events)
            os.fdatasync(file)
            fresh.replace(self.path)
        except OSError:
            os.close(file)
            raise
        os.close(self._file)
        self._file = file
        self._is_synced = self._has_all_numbers = True
        _sync_folder(self.path)

    def close(self) -> None:
        """Close the file; a repeat is no error."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def replay(path: Path, apply: Callable[[Event], None]) -> str | None:
    """Apply every event of the journal in order, and return None, or one sentence when the file is damaged.

    No file is an empty journal, and a torn last line is what a crash leaves. Any other line that cannot be read is
    damage: it is left out, for the events after it still keep the numbers from going back, and a copy of the file
    is kept beside it with the suffix '.bad'.
    """
    wrong: list[str] = []
    torn: str | None = None
    number = 0
    if path.exists():
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if torn is not None:
                    wrong.append(torn)
                    torn = None
                try:
                    event = _parse(line)
                except ValueError as error:
                    torn = f"line {number}: {error}"
                else:
                    apply(event)
    if not wrong:
        return None
    _copy(path, path.with_name(path.name + ".bad"))
    return f"{len(wrong)} of {number} lines of {path.name} cannot be read and were left out, first {wrong[0]}"


def keys_to_recover(folder: Path) -> tuple[StreamKey, ...]:
    """Return the keys whose journals in `folder` hold more than the numbers that outlive a finished broadcast."""
    return tuple(StreamKey(path.stem) for path in sorted(folder.glob("*.journal")) if _is_unfinished(path))


def _is_unfinished(path: Path) -> bool:
    try:
        with path.open("rb") as lines:
            return any(not isinstance(_parse(line), CountersRestored) for line in lines)
    except (ValueError, OSError):  # whoever recovers it says what is wrong with it
        return True


def _parse(line: bytes) -> Event:
    if not line.endswith(b"\n"):
        raise ValueError("it has no end")
    return from_record(_JSON.decode(line.decode()))


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def _write(file: int, events: Iterable[Event]) -> None:
    data = b"".join(_COMPACT.encode(to_record(event)).encode() + b"\n" for event in events)
    while data:
        data = data[os.write(file, data) :]


def _cut_torn_line(file: int) -> None:
    size = os.fstat(file).st_size
    tail = os.pread(file, _TAIL, max(0, size - _TAIL))
    whole = tail.rfind(b"\n") + 1
    last = tail[tail.rfind(b"\n", 0, max(0, whole - 1)) + 1 : whole]
    try:
        _parse(last)
    except ValueError:
        whole -= len(last)
    if whole < len(tail):
        os.ftruncate(file, size - len(tail) + whole)


def _sync_folder(path: Path) -> None:
    """Make the file's name itself survive a power loss."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as reader, target.open("wb") as writer:
        while chunk := reader.read(_TAIL):
            writer.write(chunk)
