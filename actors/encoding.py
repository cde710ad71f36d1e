"""Encoding: FFmpeg, its SegmentWatcher and its feed, and when they have stalled.

Used by the StreamActor alone, in its thread. The feed's and FFmpeg's threads only tell the StreamActor.
"""

import logging
import random
import socket
import time
from dataclasses import dataclass

from actors.base import Ref, tell
from actors.feeding import Feeding
from actors.planning import Planning
from actors.reports import Reports
from actors.segment_watcher import SegmentWatcher
from actors.services import Services
from actors.shedding import Shedding
from streamkit.backoff import Backoff
from streamkit.errors import EncoderNotFoundError, SourceError
from streamkit.ffmpeg.command import EncoderSpec, build_argv
from streamkit.ffmpeg.pictures import PictureSpec, plan_pictures
from streamkit.ffmpeg.process import EncoderProcess
from streamkit.ffmpeg.progress import Progress
from streamkit.ffmpeg.state import classify_exit
from streamkit.hls.events import RunBegun
from streamkit.messages import (
    EncoderExited,
    EncoderProgressed,
    ScanFolder,
    SourceChanged,
    SourceClosed,
    WatchRun,
)
from streamkit.types import MediaSequence, RunPlan, Seconds, SessionId, SourceInfo, SourceKind, StreamKey

logger = logging.getLogger(__name__)

HEALTHY_AFTER = Seconds(60.0)  # an encoder that ran this long clears the count of failures
CREEP = Seconds(0.1)  # of media: copied frames of equal timestamps are moved apart by a tick each, which is no progress


@dataclass(slots=True, kw_only=True)
class _Run:
    """One life of FFmpeg, until its folder was scanned. `feed` is the connection it is fed by; times are monotonic.

    `process` is None for what a killed service left behind, and once FFmpeg has exited.
    """

    request: WatchRun
    feed: int
    process: EncoderProcess | None
    started_at: float
    moved_at: float
    out_time: float = 0.0
    ending_since: float | None = None
    segments: int = 0
    is_slate: bool = False
    failure: str | None = None


class Encoding:
    """At most one feed and one encoder run at a time; a new run waits until the last one's folder was scanned."""

    def __init__(self, key: StreamKey, services: Services, owner: Ref) -> None:
        self._key = key
        self._services = services
        self._owner = owner
        self._reports = Reports(owner)
        self._extra = {"key": key}
        self.feed = Feeding(key, services, self._reports)
        self._run: _Run | None = None
        self._run_number = 0
        self._watcher: Ref | None = None
        self._failures = 0
        self._backoff = Backoff(first=Seconds(0.25), limit=Seconds(10.0), random=random.random)
        self._restart_at = 0.0
        self._slate_failed = False  # since the publisher was last there
        self.progress = Progress()
        self.restarts = 0
        self.shedding = Shedding(key, services.settings.overload, services.load)
        self.planning = Planning(key, services, self.shedding)

    # ---- the feed

    def open_feed(self, kind: SourceKind) -> None:
        """Begin to connect; SourceDetected or SourceClosed with the new number follows."""
        self.close_feed()
        self.feed.open(kind)

    def source_changed(self, message: SourceChanged) -> bool:
        """The feed ended the encoder's input; False when it is not the current one."""
        if not self.feed.changed(message):
            return False
        self._input_ended()
        return True

    def source_closed(self, message: SourceClosed) -> bool:
        """Forget the connection; False when it is not the current one."""
        if not self.feed.is_current(message.run):
            return False
        self.close_feed()
        return True

    def close_feed(self) -> None:
        """End the connection: FFmpeg reads the end of its input and finishes its last segment."""
        if self.feed.is_open:
            self._input_ended()
        self.feed.close()
        self.shedding.rest()

    def _input_ended(self) -> None:
        """The feed ends what it fed; the slate, which it does not feed, goes on."""
        if self._run is not None and not self._run.is_slate and self._run.ending_since is None:
            self._run.ending_since = time.monotonic()

    # ---- FFmpeg

    @property
    def has_run(self) -> bool:
        """Whether FFmpeg runs, or has ended and its last segments are not collected yet."""
        return self._run is not None

    @property
    def has_failed_too_often(self) -> bool:
        """Whether another restart is pointless."""
        return self._failures >= self._services.settings.encoder.max_failures

    def forgive(self) -> None:
        """A new broadcast begins: what failed before says nothing about it."""
        self._failures, self._restart_at = 0, 0.0

    def is_ready(self, now: float) -> bool:
        """Whether an encoder can be started now."""
        return self.feed.source is not None and self._run is None and now >= self._restart_at

    @property
    def may_show_slate(self) -> bool:
        """Whether the publisher is gone, and the slate has not failed since it was last there."""
        return self._run is None and self.feed.awaits_publisher and not self._slate_failed

    def start(self, plan: RunPlan, begun: RunBegun) -> None:
        """Start FFmpeg on the feed. A process that cannot be made counts as a failed run."""
        stdin = self._start(self._begin_run(begun.session, plan, begun.first), plan, begun.starts_at)
        self._slate_failed = False
        if stdin is not None:
            silence = any(one.audio_codec for one in plan.renditions)
            self.feed.attach(stdin, self.planning.pace(plan, begun), silence=silence)

    def start_slate(self, plan: RunPlan, begun: RunBegun) -> None:
        """Start FFmpeg on the slate, until `end_slate`. Its failure is nobody's: there is no slate then."""
        run = self._begin_run(begun.session, plan, begun.first)
        run.feed, run.is_slate = 0, True
        stdin = self._start(run, plan, begun.starts_at)
        if stdin is not None:
            stdin.close()

    def end_slate(self) -> None:
        """Let FFmpeg finish the slate's last segment; FolderScanned follows. Nothing happens without a slate."""
        if self._run is not None and self._run.is_slate and self._run.ending_since is None:
            self._run.ending_since = time.monotonic()
            if self._run.process is not None:
                self._run.process.terminate()

    @property
    def shows_slate(self) -> bool:
        """Whether players see the slate."""
        return self._run is not None and self._run.is_slate

    def _start(self, run: _Run, plan: RunPlan, starts_at: int) -> socket.socket | None:
        try:
            return self._spawn(run, plan, starts_at)
        except (OSError, EncoderNotFoundError) as error:
            run.failure = str(error)
            tell(self._watcher, ScanFolder(run=run.request.run))
            return None

    def collect(self, session: SessionId, plan: RunPlan, first_sequence: MediaSequence) -> None:
        """Report the segments that the encoder of a killed service left behind; FolderScanned follows."""
        run = self._begin_run(session, plan, first_sequence)
        run.feed = 0
        tell(self._watcher, ScanFolder(run=run.request.run))

    def progressed(self, message: EncoderProgressed) -> None:
        """Take in a progress report of the current run."""
        run = self._run
        if run is None or run.request.run != message.run:
            return
        if message.progress.out_time > run.out_time + CREEP:
            run.out_time, run.moved_at = message.progress.out_time, time.monotonic()
        self.progress = message.progress
        if not run.is_slate:
            self.shedding.note(time.monotonic(), message.progress.out_time, is_behind=self.feed.is_behind)

    def segment_closed(self, number: int) -> bool:
        """Count a segment of the current run; return whether the publisher feeds that run now."""
        run = self._run
        if run is None or run.request.run != number:
            return False
        run.segments += 1
        return run.ending_since is None and self.feed.is_current(run.feed)

    def exited(self, message: EncoderExited) -> None:
        """FFmpeg is gone: collect its last segments. It failed if its input had not ended."""
        run = self._run
        if run is None or run.request.run != message.run:
            return
        run.process = None
        if run.ending_since is None:
            run.failure = run.failure or classify_exit(message.returncode, message.log).explain
            log = " | ".join(message.log[-3:])
            logger.error("FFmpeg failed: %s Its last lines: %s", run.failure, log, extra=self._extra)
        tell(self._watcher, ScanFolder(run=message.run))

    def run_ended(self, number: int) -> str | None:
        """Close the run whose folder was scanned; return why it failed, or None."""
        run = self._run
        if run is None or run.request.run != number:
            return None
        self._run, self.progress = None, Progress()
        if run.is_slate:
            self._slate_failed = run.failure is not None
            return None
        if run.segments > 0 and time.monotonic() - run.started_at >= HEALTHY_AFTER:
            self._failures = 0
        if run.failure is None:
            return None
        self._failures += 1
        self.restarts += 1
        self._restart_at = time.monotonic() + self._backoff.delay(self._failures)
        return run.failure

    # ---- time

    def check(self, now: float) -> str | None:
        """End what has stalled; return why the source counts as lost, or None."""
        run, settings = self._run, self._services.settings.encoder
        self.feed.note(now)
        if run is None or run.process is None:
            return None
        if run.ending_since is not None:
            if now - run.ending_since > settings.stop_timeout:
                logger.warning("FFmpeg did not end within %g s, killing it", settings.stop_timeout, extra=self._extra)
                run.process.kill()
            return None
        limit = settings.stall_timeout if run.out_time > 0 else settings.start_timeout
        if now - run.moved_at <= limit:
            if not run.is_slate and self.shedding.has_decided(now):
                self.feed.renew()
            return None
        if not run.is_slate and now - self.feed.moved_at > limit / 2:
            self.close_feed()
            return f"the publisher sent nothing for {limit:g} s"
        run.failure = self.feed.explain_stall(limit)
        run.process.kill()
        return None

    def child_failed(self, urn: str) -> None:
        """Replace a dead SegmentWatcher; the new one reports the current run from its start, repeats are harmless."""
        if self._watcher is None or self._watcher.actor_urn != urn:
            return
        self._watcher = None
        if self._run is not None:
            tell(self._ensure_watcher(), self._run.request)
            if self._run.process is None:
                tell(self._watcher, ScanFolder(run=self._run.request.run))

    def close(self) -> None:
        """End everything at once: the feed, FFmpeg, the watcher."""
        self.close_feed()
        if self._run is not None and self._run.process is not None:
            self._run.process.kill()
        if self._watcher is not None:
            self._watcher.stop(block=False)

    # ---- helpers

    def _begin_run(self, session: SessionId, plan: RunPlan, first_sequence: MediaSequence) -> _Run:
        self._run_number += 1
        request = WatchRun(
            run=self._run_number,
            session=session,
            renditions=tuple(rendition.name for rendition in plan.renditions),
            first_sequence=first_sequence,
            key_rotation=plan.key_rotation,
            copied=tuple(rendition.name for rendition in plan.renditions if rendition.video_codec == "copy"),
        )
        now = time.monotonic()
        self._services.stream_folder(self._key).mkdir(parents=True, exist_ok=True)  # somebody may have removed it
        self._run = _Run(request=request, feed=self.feed.number, process=None, started_at=now, moved_at=now)
        tell(self._ensure_watcher(), request)
        return self._run

    def _spawn(self, run: _Run, plan: RunPlan, starts_at: int) -> socket.socket:
        """Start the run's FFmpeg and return the end of its input that is ours."""
        source = SourceInfo(video=None, audio=None) if run.is_slate else self.feed.source
        if source is None:
            raise SourceError("the source is not known yet")
        hls = self._services.settings.hls
        spec = EncoderSpec(
            ffmpeg=self._services.ffmpeg.path,
            source=source,
            slate=self.planning.slate_file if run.is_slate else None,
            renditions=plan.renditions,
            segment_format=plan.segment_format,
            folder=self._services.stream_folder(self._key),
            session=run.request.session,
            first_sequence=run.request.first_sequence,
            starts_at=starts_at,
            segment_duration=Seconds(hls.segment_duration),
            fast_start=hls.fast_start,
            device=self._services.settings.encoder.device,
            pictures=self._pictures(run, plan, source),
        )
        pid_file = self._services.pid_path(self._key)
        argv = build_argv(spec)
        ours, theirs = socket.socketpair()
        try:
            run.process = EncoderProcess.start(
                argv,
                run=run.request.run,
                stdin=theirs,
                listener=self._reports,
                pid_file=pid_file,
                niceness=self._services.settings.encoder.niceness,
                memory=self._services.settings.encoder.memory_limit,
            )
        except BaseException:
            ours.close()
            raise
        return ours

    def _pictures(self, run: _Run, plan: RunPlan, source: SourceInfo) -> PictureSpec | None:
        """Return which pictures to make, and make room for them."""
        pictures = plan_pictures(
            self._services.settings.pictures_for(self._key),
            source,
            plan.renditions,
            folder=self._services.stream_folder(self._key),
            session=run.request.session,
            first_sequence=run.request.first_sequence,
        )
        if pictures is not None:
            pictures.folder.mkdir(exist_ok=True)
        return pictures

    def _ensure_watcher(self) -> Ref:
        if self._watcher is None:
            folder = self._services.stream_folder(self._key)
            self._watcher = SegmentWatcher.start(
                parent=self._owner,
                folder=folder,
                watch=self._services.watch,
                timers=self._services.timers,
                segment_duration=Seconds(self._services.settings.hls.segment_duration),
                keys=self._services.settings.keys_of(self._key),
                name=f"watcher {self._key}",
            )
        return self._watcher
