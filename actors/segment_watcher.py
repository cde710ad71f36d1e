"""SegmentWatcher: turns what FFmpeg writes into SegmentClosed, in order per rendition, exactly once.

Receives  WatchRun, ScanFolder (StreamActor); FilesClosed (watchdog thread); Wake (timer)
Tells     SegmentClosed, FolderScanned (StreamActor)
Owns      a watch on the stream's folder
Its death costs nothing: the StreamActor starts another, which reads the same playlists again.
"""

import logging
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from actors.base import BaseActor, Ref, tell
from actors.folder_watch import FolderWatch
from actors.timers import Timers
from streamkit.ffmpeg.private_playlist import ListedSegment, parse_private_playlist
from streamkit.hls.names import SegmentName, parse_segment_name, private_playlist_name, segment_name
from streamkit.messages import FilesClosed, FolderScanned, ScanFolder, SegmentClosed, Wake, WatchRun
from streamkit.types import MediaSequence, RenditionName, Seconds, UnixTime

logger = logging.getLogger(__name__)

SCAN_INTERVAL = Seconds(2.0)  # a safety net under the events: a queue overflow loses some
TS_PACKET = 188  # bytes; a whole MPEG-TS segment is a multiple of it
POLL_INTERVAL = Seconds(0.25)  # where the folder cannot be watched
BEING_WRITTEN = ".tmp"  # FFmpeg's suffix of a playlist that it then renames


@dataclass(slots=True)
class _Run:
    """One encoder run.

    `playlists` maps the name of each of FFmpeg's playlists to its rendition, `read` to the text that was read last;
    `next` is the number that each rendition's next SegmentClosed has.
    """

    request: WatchRun
    playlists: dict[str, RenditionName] = field(default_factory=dict)
    read: dict[str, str] = field(default_factory=dict)
    next: dict[RenditionName, MediaSequence] = field(default_factory=dict)


class SegmentWatcher(BaseActor):
    """Watches one folder; several runs may be open while an old encoder still finishes."""

    def __init__(
        self,
        *,
        parent: Ref,
        folder: Path,
        watch: FolderWatch,
        timers: Timers,
        segment_duration: Seconds,
        name: str = "",
    ) -> None:
        super().__init__(parent=parent, name=name)
        self._folder = folder
        self._watch = watch
        self._timers = timers
        self._segment_duration = segment_duration
        self._runs: dict[int, _Run] = {}
        self._interval = SCAN_INTERVAL

    def on_start(self) -> None:
        self._watch_folder()
        self._timers.after(self._interval, self.me, Wake())

    def on_receive(self, message: Any) -> Any:
        match message:
            case WatchRun():
                return self._watch_run(message)
            case FilesClosed():
                return self._scan_closed(Path(message.path).name.removesuffix(BEING_WRITTEN))
            case ScanFolder():
                return self._finish(message.run)
            case Wake():
                return self._wake()
            case _:
                return super().on_receive(message)

    def on_exit(self, error: BaseException | None) -> None:
        self._watch.unwatch(self._folder, self.me)

    def _watch_folder(self) -> None:
        is_watched = self._watch.watch(self._folder, self.me, suffix=".m3u8" + BEING_WRITTEN)
        self._interval = SCAN_INTERVAL if is_watched else POLL_INTERVAL

    def _watch_run(self, message: WatchRun) -> None:
        run = _Run(message)
        for rendition in message.renditions:
            run.playlists[private_playlist_name(message.session, rendition)] = rendition
            run.next[rendition] = message.first_sequence
        self._runs[message.run] = run
        if not self._watch.is_watching(self._folder):  # it was removed, and made anew for this run
            self._watch_folder()
        self._scan(run)

    def _finish(self, number: int) -> None:
        run = self._runs.pop(number, None)
        if run is not None:
            self._scan(run)
        tell(self.parent, FolderScanned(run=number))

    def _wake(self) -> None:
        self._scan_all()
        self._timers.after(self._interval, self.me, Wake())

    def _scan_all(self) -> None:
        for run in self._runs.values():
            self._scan(run)

    def _scan_closed(self, name: str) -> None:
        for run in self._runs.values():
            if name in run.playlists:
                self._scan_playlist(run, name)

    def _scan(self, run: _Run) -> None:
        for name in run.playlists:
            self._scan_playlist(run, name)

    def _scan_playlist(self, run: _Run, name: str) -> None:
        text, rendition = _read_playlist(self._folder / name), run.playlists[name]
        if text == run.read.get(name):
            return
        run.read[name] = text
        new: list[tuple[SegmentName, ListedSegment]] = []
        for listed in reversed(parse_private_playlist(text)):
            parsed = parse_segment_name(listed.name)
            if parsed is None or parsed.rendition != rendition:
                continue
            if parsed.sequence < run.next[rendition]:
                break
            new.append((parsed, listed))
        for parsed, listed in reversed(new):
            self._report(run, parsed, listed)

    def _report(self, run: _Run, parsed: SegmentName, listed: ListedSegment) -> None:
        rendition = parsed.rendition
        for sequence in range(run.next[rendition], parsed.sequence):
            # It left FFmpeg's playlist before we read it: the file is whole, only its exact duration is lost.
            skipped = segment_name(run.request.session, rendition, MediaSequence(sequence))
            logger.warning("The duration of %s is not known, assuming the target duration", skipped)
            self._tell_closed(run, rendition, MediaSequence(sequence), skipped, self._segment_duration)
        self._tell_closed(run, rendition, parsed.sequence, listed.name, listed.duration)

    def _tell_closed(
        self, run: _Run, rendition: RenditionName, sequence: MediaSequence, name: str, duration: Seconds
    ) -> None:
        run.next[rendition] = MediaSequence(sequence + 1)
        path = self._folder / name
        try:
            stat = path.stat()
        except FileNotFoundError:
            logger.error("%s is in FFmpeg's playlist but not on disk", name)
            size, closed_at = 0, UnixTime(time.time())
        else:
            size, closed_at = stat.st_size, UnixTime(stat.st_mtime)
            if size % TS_PACKET or not size:
                # FFmpeg says nothing of a full disk, and lists what it could not write.
                logger.error("%s is not whole (%d bytes) and is left out: is the disk full?", name, size)
                size = 0
        message = SegmentClosed(
            run=run.request.run,
            rendition=rendition,
            sequence=sequence,
            path=path,
            size=size,
            duration=duration,
            closed_at=closed_at,
        )
        tell(self.parent, message)


def _read_playlist(path: Path) -> str:
    """Return the newest playlist: the one about to be renamed if it is there, else the renamed one, else ''."""
    for candidate in (path.with_name(path.name + ".tmp"), path):
        try:
            text = candidate.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            continue
        if text.startswith("#EXTM3U"):
            return text
    return ""
