"""What the front end is given: nothing in `web/` creates an actor, a store or a connection of its own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pykka

from streamkit.access.publish import PublishGate
from streamkit.settings import Settings
from streamkit.snapshots import SnapshotBoard
from streamkit.storage.base import ObjectStore
from streamkit.storage.spool import Spool
from streamkit.web.access import PlayerAccess


@dataclass(frozen=True, slots=True, kw_only=True)
class WebDeps:
    """Collaborators of the HTTP front end.

    `supervisor` and `database` are asked through the bridge; `board` is read directly. `encoder_check` returns a
    sentence about the FFmpeg in use or raises a StreamKitError; it runs in a thread. `gate` decides who may publish;
    who made it closes it. `access` decides which players get keys, and playlists that are not for everybody; None:
    those that have a token. `stuck` returns a sentence for each actor that hangs.
    """

    settings: Settings
    board: SnapshotBoard
    supervisor: pykka.ActorRef[Any]
    database: pykka.ActorRef[Any]
    store: ObjectStore
    encoder_check: Callable[[], str]
    gate: PublishGate
    stuck: Callable[[], Sequence[str]] = tuple
    spool: Spool = field(default_factory=Spool)
    access: PlayerAccess | None = None
