"""What the actors share: one frozen bundle, made by the composition root."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from actors.base import Ref
from actors.folder_watch import FolderWatch
from actors.shedding import LoadGate
from actors.timers import Timers
from actors.upload_pool import UploadPool
from streamkit.calibration import PresetBook
from streamkit.ffmpeg.binary import FfmpegInfo
from streamkit.ffmpeg.inputs import Slate
from streamkit.rtmp.loop import RtmpLoop
from streamkit.settings import STATE_FOLDER, Settings
from streamkit.snapshots import SnapshotBoard
from streamkit.storage.base import ObjectStore
from streamkit.storage.spool import Spool
from streamkit.types import SourceKind, StreamKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Shared, thread-safe collaborators of every StreamActor."""

    settings: Settings
    ffmpeg: FfmpegInfo
    slates: Mapping[str, Slate]
    """By path as configured; every one was looked at when the service started."""
    board: SnapshotBoard
    timers: Timers
    rtmp: RtmpLoop
    watch: FolderWatch
    store: ObjectStore
    uploads: UploadPool
    database: Ref
    default_source: SourceKind
    presets: PresetBook
    load: LoadGate = field(default_factory=LoadGate)
    spool: Spool = field(default_factory=Spool)

    @property
    def state_folder(self) -> Path:
        """Where journals and the pids of encoders are kept."""
        return self.settings.hls.output_dir / STATE_FOLDER

    def stream_folder(self, key: StreamKey) -> Path:
        """Where FFmpeg writes the segments of `key`."""
        return self.settings.hls.output_dir / key

    def journal_path(self, key: StreamKey) -> Path:
        """The journal of `key`'s ledger."""
        return self.state_folder / f"{key}.journal"

    def pid_path(self, key: StreamKey) -> Path:
        """Where the pid of `key`'s encoder is recorded."""
        return self.state_folder / f"{key}.pid"
