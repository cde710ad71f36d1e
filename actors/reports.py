"""Reports: turns what the feed's and FFmpeg's threads report into messages for a StreamActor."""

from actors.base import Ref, tell
from streamkit.ffmpeg.progress import Progress
from streamkit.messages import (
    EncoderExited,
    EncoderProgressed,
    SourceChanged,
    SourceClosed,
    SourceDetected,
    SourceJoined,
    SourceReady,
)
from streamkit.types import SourceInfo


class Reports:
    """A FeedListener and an EncoderListener; for any thread."""

    def __init__(self, ref: Ref) -> None:
        self._ref = ref

    def source_joined(self, run: int) -> None:
        """See FeedListener."""
        tell(self._ref, SourceJoined(run=run))

    def source_detected(self, run: int, source: SourceInfo) -> None:
        """See FeedListener."""
        tell(self._ref, SourceDetected(run=run, source=source))

    def source_ready(self, run: int) -> None:
        """See FeedListener."""
        tell(self._ref, SourceReady(run=run))

    def source_changed(self, run: int) -> None:
        """See FeedListener."""
        tell(self._ref, SourceChanged(run=run))

    def source_closed(self, run: int, error: str | None) -> None:
        """See FeedListener."""
        tell(self._ref, SourceClosed(run=run, error=error))

    def encoder_progressed(self, run: int, progress: Progress) -> None:
        """See EncoderListener."""
        tell(self._ref, EncoderProgressed(run=run, progress=progress))

    def encoder_exited(self, run: int, returncode: int, log: tuple[str, ...]) -> None:
        """See EncoderListener."""
        tell(self._ref, EncoderExited(run=run, returncode=returncode, log=log))
