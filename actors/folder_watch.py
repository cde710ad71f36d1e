"""One watchdog observer for every stream: tells SegmentWatchers that a file in their folder was closed.

Close events are hints; the watchers read FFmpeg's playlists for the truth. A folder that cannot be watched (inotify
limits) is no error here: `watch` returns False and the watcher polls faster instead.
"""

import contextlib
import logging
import os
from pathlib import Path
from typing import Any

import pykka
from watchdog.events import FileClosedEvent, FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

from actors.base import tell
from streamkit.messages import FilesClosed

logger = logging.getLogger(__name__)


class _Handler(FileSystemEventHandler):
    """Runs on the one dispatcher thread: does nothing but tell. An exception here would end it for all streams."""

    def __init__(self, ref: pykka.ActorRef[Any], suffix: str) -> None:
        self._ref = ref
        self._suffix = suffix

    def on_closed(self, event: FileSystemEvent) -> None:
        path = os.fsdecode(event.src_path)
        if path.endswith(self._suffix):
            tell(self._ref, FilesClosed(path=path))


class FolderWatch:
    """The shared observer. `start` before the first stream, `stop` after the last."""

    def __init__(self) -> None:
        self._observer: BaseObserver = Observer()
        self._watches: dict[Path, tuple[pykka.ActorRef[Any], ObservedWatch]] = {}
        self._polled: set[Path] = set()  # of which it was said that they cannot be watched

    def start(self) -> None:
        """Start the observer's threads."""
        self._observer.start()

    def stop(self) -> None:
        """End the observer's threads; idempotent."""
        if self._observer.is_alive():
            self._observer.stop()
            self._observer.join()

    def watch(self, folder: Path, ref: pykka.ActorRef[Any], *, suffix: str) -> bool:
        """Tell `ref` FilesClosed for each closed file of `folder` whose name ends with `suffix`.

        Returns whether events will come; the reason why not is logged.
        """
        self._forget(folder)
        try:
            watch = self._observer.schedule(_Handler(ref, suffix), str(folder), event_filter=[FileClosedEvent])
        except OSError as error:
            if folder not in self._polled:
                logger.warning("Cannot watch %s, polling it instead: %s", folder.name, error.strerror or error)
            self._polled.add(folder)
            return False
        if folder in self._polled:
            self._polled.discard(folder)
            logger.warning("Watching %s again, it is not polled any more", folder.name)
        self._watches[folder] = (ref, watch)
        return True

    def is_watching(self, folder: Path) -> bool:
        """Whether events still come: a folder that was removed and made anew must be watched anew."""
        _, watch = self._watches.get(folder, (None, None))
        return any(emitter.watch == watch and emitter.is_alive() for emitter in tuple(self._observer.emitters))

    def unwatch(self, folder: Path, ref: pykka.ActorRef[Any]) -> None:
        """Tell `ref` nothing more. Its successor, which may watch the folder already, keeps its events."""
        self._polled.discard(folder)
        if folder in self._watches and self._watches[folder][0] == ref:
            self._forget(folder)

    def _forget(self, folder: Path) -> None:
        _, watch = self._watches.pop(folder, (None, None))
        if watch is not None:
            # KeyError: the folder was removed and watchdog dropped the watch by itself.
            with contextlib.suppress(KeyError):
                self._observer.unschedule(watch)
