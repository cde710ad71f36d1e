"""SegmentWatcher: turns what FFmpeg writes into SegmentClosed, in order per rendition, exactly once.

Where a run is encrypted, a segment is before it is told: nobody else sees what FFmpeg wrote.

Receives  WatchRun, ScanFolder (StreamActor); FilesClosed (watchdog thread); Wake (timer)
Tells     SegmentClosed, FolderScanned (StreamActor)
Owns      a watch on the stream's folder
Its death costs nothing: the StreamActor starts another, which reads the same playlists again.
"""

import errno
import logging
import resource
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from actors.base import BaseActor, Ref, tell
from actors.folder_watch import FolderWatch
from actors.probing import Probing
from actors.timers import Timers
from streamkit.encryption.files import encrypt_file, is_encrypted
from streamkit.encryption.keys import StreamKeys
from streamkit.ffmpeg.private_playlist import ListedSegment, parse_private_playlist
from streamkit.hls.names import SegmentName, parse_segment_name, private_playlist_name, segment_name
from streamkit.hls.wholeness import is_whole_init, is_whole_segment
from streamkit.media.info import MediaInfo
from streamkit.messages import FilesClosed, FolderScanned, ScanFolder, SegmentClosed, Wake, WatchRun
from streamkit.types import MediaSequence, RenditionName, Seconds, SegmentFormat, UnixTime

logger = logging.getLogger(__name__)

SCAN_INTERVAL = Seconds(2.0)  # a safety net under the events: a queue overflow loses some
POLL_INTERVAL = Seconds(0.25)  # where the folder cannot be watched
WATCH_AGAIN = 40  # polls after which it is tried again
BEING_WRITTEN = ".tmp"  # FFmpeg's suffix of a playlist that it then renames
NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)  # nothing is wrong with the file: it can be opened later


class _UnfitError(Exception):
    """A segment cannot be given to anybody, for the reason in the message."""


@dataclass(slots=True)
class _Run:
    """One encoder run.

    `playlists` maps the name of each of FFmpeg's playlists to its rendition, `read` to the text that was read last;
    `next` is the number that each rendition's next SegmentClosed has.
    """

    request: WatchRun
    probing: Probing
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
        keys: StreamKeys | None = None,
        name: str = "",
    ) -> None:
        super().__init__(parent=parent, name=name)
        self._folder = folder
        self._watch = watch
        self._timers = timers
        self._segment_duration = segment_duration
        self._keys = keys
        self._runs: dict[int, _Run] = {}
        self._interval = SCAN_INTERVAL
        self._is_short = False  # of file descriptors
        self._polls = 0

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
        self._polls = 0

    def _watch_run(self, message: WatchRun) -> None:
        run = _Run(message, Probing(message.renditions, message.copied))
        for rendition in message.renditions:
            run.playlists[private_playlist_name(message.session, rendition)] = rendition
            run.next[rendition] = message.first_sequence
        self._runs[message.run] = run
        if not self._watch.is_watching(self._folder):  # it was removed, and made anew for this run
            self._watch_folder()
        self._scan(run)

    def _finish(self, number: int) -> None:
        run = self._runs.get(number)
        if run is not None and not self._scan(run):
            self._timers.after(SCAN_INTERVAL, self.me, ScanFolder(run=number))
            return
        self._runs.pop(number, None)
        tell(self.parent, FolderScanned(run=number))

    def _wake(self) -> None:
        self._polls += self._interval == POLL_INTERVAL
        if self._polls >= WATCH_AGAIN:
            self._watch_folder()
        self._scan_all()
        self._timers.after(self._interval, self.me, Wake())

    def _scan_all(self) -> None:
        looked = [self._scan(run) for run in self._runs.values()]
        if all(looked) and self._is_short:
            self._is_short = False
            logger.warning("Files can be opened again, the segments that waited are taken")

    def _scan_closed(self, name: str) -> None:
        for run in self._runs.values():
            if name in run.playlists:
                self._try_playlist(run, name)

    def _scan(self, run: _Run) -> bool:
        """Look at every playlist of the run; return whether that was possible."""
        looked = [self._try_playlist(run, name) for name in run.playlists]
        return all(looked)

    def _try_playlist(self, run: _Run, name: str) -> bool:
        try:
            self._scan_playlist(run, name)
        except OSError as error:
            if error.errno not in NO_DESCRIPTORS:
                raise
            run.read.pop(name, None)  # some of what it lists was not told
            self._say_short(error)
            return False
        return True

    def _say_short(self, error: OSError) -> None:
        """Say it once; other watchers say the same, which the log counts."""
        if not self._is_short:
            self._is_short = True
            limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
            logger.error(
                "%s (the service may have %d): segments wait on disk until files can be opened; raise LimitNOFILE, "
                "or ulimit -n",
                error.strerror,
                limit,
            )

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
        if new and _is_empty(self._folder / new[0][1].name):
            del new[0]  # a run that ended before its first frame, unless another follows: then it is lost
        for parsed, listed in reversed(new):
            self._report(run, parsed, listed)

    def _report(self, run: _Run, parsed: SegmentName, listed: ListedSegment) -> None:
        for sequence in range(run.next[parsed.rendition], parsed.sequence):
            # It left FFmpeg's playlist before we read it: the file is whole, only its exact duration is lost.
            skipped = replace(parsed, sequence=MediaSequence(sequence))
            name = segment_name(skipped.session, skipped.rendition, skipped.sequence, skipped.segment_format)
            logger.warning("The duration of %s is not known, assuming the target duration", name)
            self._tell_closed(run, skipped, ListedSegment(name, self._segment_duration, listed.init))
        self._tell_closed(run, parsed, listed)

    def _tell_closed(self, run: _Run, parsed: SegmentName, listed: ListedSegment) -> None:
        path = self._folder / listed.name
        size, media, closed_at = 0, None, UnixTime(time.time())
        try:
            closed_at = UnixTime(path.stat().st_mtime)
            size, media = self._settle(run, parsed, listed)
        except FileNotFoundError:
            logger.error("%s is in FFmpeg's playlist but not on disk", listed.name)
        except (_UnfitError, OSError) as error:
            if isinstance(error, OSError) and error.errno in NO_DESCRIPTORS:
                raise
            logger.error("%s is left out: %s", listed.name, error)
        run.next[parsed.rendition] = MediaSequence(parsed.sequence + 1)
        message = SegmentClosed(
            run=run.request.run,
            rendition=parsed.rendition,
            sequence=parsed.sequence,
            path=path,
            size=size,
            duration=listed.duration,
            closed_at=closed_at,
            media=media,
        )
        tell(self.parent, message)

    def _settle(self, run: _Run, parsed: SegmentName, listed: ListedSegment) -> tuple[int, MediaInfo | None]:
        """Return the bytes of the segment as it will stay, whole, encrypted where its run is; and what is new in it.

        FFmpeg says nothing of a full disk, and lists what it could not write. A segment may be encrypted already, by
        a watcher or a service that was killed before it could tell. Raises OSError.
        """
        path, key = self._folder / listed.name, self._key(run, parsed.sequence)
        size = path.stat().st_size
        is_plain = is_whole_segment(path, size, parsed.segment_format)
        if size == 0:
            raise _UnfitError("it is empty: is the disk full?")
        if not is_plain and not (key is not None and is_encrypted(path, key, parsed.sequence)):
            raise _UnfitError(f"it is not whole ({size} bytes), is the disk full?")
        init = self._folder / listed.init if listed.init else None
        if parsed.segment_format is SegmentFormat.FMP4 and not (init and is_whole_init(init)):
            raise _UnfitError(f"{listed.init or 'its initialization section'} is not whole, is the disk full?")
        if not is_plain:
            return size, None
        media = run.probing.look(parsed.rendition, path, init)
        return size if key is None else encrypt_file(path, key, parsed.sequence), media

    def _key(self, run: _Run, sequence: MediaSequence) -> bytes | None:
        """Return what the segment is to be encrypted with, None when it is not."""
        if not run.request.key_rotation:
            return None
        if self._keys is None:
            raise _UnfitError("its run is encrypted, but there is no encryption.secret any more")
        return self._keys.run(run.request.session, run.request.key_rotation).of(sequence)


def _is_empty(path: Path) -> bool:
    """Return whether the file is there, with nothing in it."""
    return path.exists() and path.stat().st_size == 0


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
