"""What became of every segment: closed = uploaded + named as lost, and what was uploaded is what was encoded."""

import hashlib
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from chaos_service import Chaos
from e2e_player import MediaPlaylist

EVERY = 0.1  # seconds between two looks at the disk


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The segments of a finished broadcast, by name."""

    closed: frozenset[str]
    uploaded: frozenset[str]
    lost: frozenset[str]
    playlist: MediaPlaylist


class Ledger(threading.Thread):
    """Keeps every segment file of a stream by a link of its own, and notes which of them the encoder finished."""

    def __init__(self, folder: Path) -> None:
        super().__init__(name=f"accounts of {folder.name}", daemon=True)
        self.closed: set[str] = set()
        """Listed by FFmpeg, and with something in it: a run that ends before its first frame lists an empty file."""
        self._folder = folder
        self._kept = Path(mkdtemp(prefix=f"kept-{folder.name}-", dir=folder.parent.parent))
        self._done = threading.Event()
        self.start()

    def close(self) -> None:
        """Look a last time, and end."""
        self._done.set()
        self.join()

    def names(self) -> set[str]:
        """Return the segments that were seen on the disk, finished or not."""
        return {path.name for path in self._kept.iterdir()}

    def checksum(self, name: str) -> str:
        """Return that of the segment as the encoder left it."""
        return checksum((self._kept / name).read_bytes())

    def run(self) -> None:
        while not self._done.wait(EVERY):
            self._look()
        self._look()

    def _look(self) -> None:
        with suppress(FileNotFoundError):  # the folder goes with its broadcast
            files = list(self._folder.iterdir())
            for path in (path for path in files if path.suffix == ".ts"):
                self._keep(path)
            for path in (path for path in files if path.suffix == ".m3u8"):
                self._read(path)

    def _keep(self, segment: Path) -> None:
        with suppress(FileNotFoundError, FileExistsError):  # deleted since, or kept already
            (self._kept / segment.name).hardlink_to(segment)

    def _read(self, playlist: Path) -> None:
        with suppress(FileNotFoundError):  # it is being replaced, or removed
            names = [line for line in playlist.read_text().splitlines() if line and line[0] != "#"]
            self.closed |= {name for name in names if self._has_bytes(name)}

    def _has_bytes(self, name: str) -> bool:
        kept = self._kept / name
        return kept.exists() and kept.stat().st_size > 0


def account(chaos: Chaos, key: str, session: str, ledger: Ledger) -> Account:
    """Return what became of a finished broadcast of the ladder `copy`; AssertionError unless it adds up.

    Closed = uploaded + named as lost; each uploaded segment is byte for byte what the encoder wrote. (Of those that are
    lost some may be there all the same: an upload that was given up may arrive.)
    """
    ledger.close()
    stored = {name: data for name, data in chaos.stored(key, ".ts").items() if f"_{session}_" in name}
    playlist = chaos.stored_playlist(key, f"{session}.m3u8")
    assert playlist.ended, "the playlist of the whole broadcast has no end"
    lost = frozenset(entry.uri for entry in playlist.entries if entry.gap)
    listed = frozenset(playlist.uris)
    closed = listed | {name for name in ledger.closed if f"_{session}_" in name}  # FFmpeg's last list is soon removed
    assert closed == listed, f"closed, but not in the playlist: {sorted(closed - listed)}; {playlist.entries}"
    assert closed <= ledger.names(), f"in the playlist, but never on the disk: {sorted(closed - ledger.names())}"
    numbers = [entry.sequence for entry in playlist.entries]
    assert numbers == list(range(playlist.sequence, playlist.sequence + len(numbers)))
    assert stored.keys() | lost == closed, f"vanished: {sorted(closed - lost - stored.keys())}"
    different = [name for name, data in stored.items() if checksum(data) != ledger.checksum(name)]
    assert not different, f"uploaded with other bytes: {different}"
    rows = chaos.rows("SELECT name, state FROM segments WHERE stream_key = $1 AND session = $2", key, session)
    expected = {**dict.fromkeys(closed - lost, "uploaded"), **dict.fromkeys(lost, "lost")}
    wrong = {row["name"]: row["state"] for row in rows}.items() ^ expected.items()
    assert not wrong, f"the rows are not what became of the segments: {sorted(wrong)}; {playlist.entries}"
    return Account(closed=closed, uploaded=closed - lost, lost=lost, playlist=playlist)


def checksum(data: bytes) -> str:
    """Return what two equal segments have in common."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()
