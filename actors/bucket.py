"""Bucket: what one stream has given to its Uploader, and what the store has acknowledged.

Used by the Broadcast alone, in the StreamActor's thread. A playlist is put only after everything it names is there.
"""

from collections.abc import Collection, Iterable
from pathlib import Path

from actors.base import Ref, tell
from actors.services import Services
from actors.uploader import UploaderActor
from streamkit.hls.segments import Segment
from streamkit.messages import (
    GiveUpSegments,
    Message,
    ObjectStored,
    SegmentsGivenUp,
    UploadPlaylist,
    UploadSegment,
)
from streamkit.types import SessionId, StreamKey


class Bucket:
    """Starts the stream's Uploader with its first object, and replaces it when it dies."""

    def __init__(self, key: StreamKey, services: Services, owner: Ref) -> None:
        self._key = key
        self._services = services
        self._owner = owner
        self._folder: Path = services.stream_folder(key)
        self._uploader: Ref | None = None
        self._version = 0
        self._bodies: dict[str, bytes] = {}  # newest body of each playlist that was given to the Uploader
        self._unstored: dict[str, int] = {}  # playlist -> the version whose acknowledgement is missing
        self._stored: set[str] = set()  # playlists that the store has in some version
        self._inits: set[str] = set()  # initialization sections that the store has
        self._waiting: dict[str, list[Segment]] = {}  # segments until the store has their initialization section

    @property
    def unstored(self) -> int:
        """How many playlists the store has not acknowledged in their newest version."""
        return len(self._unstored)

    def has(self, files: Iterable[str]) -> bool:
        """Return whether the store has the newest version of all these playlists."""
        return all(name in self._stored and name not in self._unstored for name in files)

    def upload(self, segment: Segment, *, is_live: bool = True) -> None:
        """Store a segment; first what it needs, so that the ledger may list whatever the store acknowledged.

        What is of a broadcast that is over, and so not `is_live`, yields to those on air.
        """
        if segment.init is None or segment.init in self._inits:
            self._send(segment.name, segment.session, is_live=is_live)
            return
        if segment.init not in self._waiting:
            self._send(segment.init, segment.session, is_live=is_live)
        self._waiting.setdefault(segment.init, []).append(segment)

    def put(self, files: dict[str, bytes], *, entry: str) -> None:
        """Store the playlists whose bytes changed; `entry`, which names the others, once all those are there."""
        others = [name for name in files if name != entry]
        for name in others:
            self._put(name, files[name])
        if entry in files and self._stored.issuperset(others):
            self._put(entry, files[entry])

    def stored(self, message: ObjectStored) -> bool:
        """Note a playlist's or initialization section's acknowledgement; False when the object is a segment."""
        if message.name in self._waiting:
            self._inits.add(message.name)
            for segment in self._waiting.pop(message.name):
                self._send(segment.name, segment.session)
            return True
        if message.name not in self._bodies:
            return False
        self._stored.add(message.name)
        if self._unstored.get(message.name) == message.version:
            del self._unstored[message.name]
        return True

    def gone(self, name: str) -> tuple[str, ...]:
        """Return the segments that are lost with this local file: itself, or those that wait for it."""
        waiting = self._waiting.pop(name, None)
        return (name,) if waiting is None else tuple(segment.name for segment in waiting)

    def give_up(self, names: Collection[str]) -> None:
        """Upload these segments no more; SegmentsGivenUp tells of those for which it was not too late."""
        held = {segment.name for waiting in self._waiting.values() for segment in waiting}.intersection(names)
        for init, waiting in self._waiting.items():
            self._waiting[init] = [segment for segment in waiting if segment.name not in held]
        if held:
            tell(self._owner, SegmentsGivenUp(names=tuple(held)))
        if self._uploader is not None:
            tell(self._uploader, GiveUpSegments(names=tuple(name for name in names if name not in held)))

    def forget(self, files: Iterable[str]) -> None:
        """Keep nothing of these playlists, which the store has; one that changes all the same is put again."""
        for name in files:
            self._bodies.pop(name, None)
            self._stored.discard(name)

    def child_failed(self, urn: str, pending: Iterable[Segment]) -> None:
        """Replace a dead Uploader and give the new one everything that the store has not acknowledged."""
        if self._uploader is None or self._uploader.actor_urn != urn:
            return
        self._uploader = None
        self._waiting.clear()
        for segment in pending:
            self.upload(segment)
        for name in self._unstored:
            self._tell(UploadPlaylist(name=name, body=self._bodies[name], version=self._unstored[name]))

    def close(self) -> None:
        """Stop the Uploader; what is not stored is uploaded after the next start."""
        if self._uploader is not None:
            self._uploader.stop(block=False)

    def _send(self, name: str, session: SessionId, *, is_live: bool = True) -> None:
        self._tell(UploadSegment(name=name, path=self._folder / name, session=session, is_live=is_live))

    def _put(self, name: str, body: bytes) -> None:
        if self._bodies.get(name) == body:
            return
        self._version += 1
        self._bodies[name] = body
        self._unstored[name] = self._version
        self._tell(UploadPlaylist(name=name, body=body, version=self._version))

    def _tell(self, message: Message) -> None:
        if self._uploader is None:
            self._uploader = UploaderActor.start(
                parent=self._owner,
                key=self._key,
                store=self._services.store,
                pool=self._services.uploads,
                timers=self._services.timers,
                in_flight=self._services.settings.limits.uploads_per_stream,
                health=self._services.spool.health,
            )
        tell(self._uploader, message)
