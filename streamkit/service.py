"""Composition root: configuration -> store, database, RTMP -> actors -> Sanic, and everything stopped in reverse.

With `__main__` the only module of `streamkit/` that imports `actors/`.
"""

import asyncio
import concurrent.futures
import logging
import shutil
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

import pykka
from sanic import Sanic

from actors.base import Ref, tell
from actors.database import DatabaseActor
from actors.folder_watch import FolderWatch
from actors.guard import Guard, Post
from actors.retention import Retention
from actors.services import Services
from actors.shedding import LoadGate
from actors.supervisor import Supervisor
from actors.timers import Timers
from actors.upload_pool import UploadPool
from actors.vigil import Vigil, block_dump_signal
from streamkit.calibration import PresetBook
from streamkit.calibrator import Calibrator
from streamkit.database.backlog import Backlog
from streamkit.database.connection import database_url
from streamkit.database.migrate import current_revision
from streamkit.demo_publisher import publish_demo
from streamkit.errors import ActorUnavailableError, ConfigError, EncoderNotFoundError
from streamkit.ffmpeg.binary import FfmpegInfo, find_ffmpeg
from streamkit.ffmpeg.inputs import Slate
from streamkit.ffmpeg.offer import check_ladders
from streamkit.ffmpeg.sandbox import missing
from streamkit.ffmpeg.slates import check_slates
from streamkit.logs import configure_logging
from streamkit.messages import (
    DrainService,
    FlushDatabase,
    PublishAnswer,
    PublishStream,
    StopOverdue,
    StopReport,
    StopService,
    UnpublishStream,
)
from streamkit.preparation import check_port, host_in_urls, prepare_folders
from streamkit.rtmp.loop import RtmpLoop
from streamkit.settings import STATE_FOLDER, Settings
from streamkit.snapshots import SnapshotBoard
from streamkit.storage import open_store
from streamkit.storage.disk_space import DiskSpace
from streamkit.storage.spool import Spool
from streamkit.types import Seconds, SourceKind, StreamKey
from streamkit.web.app import create_app
from streamkit.web.bridge import ask
from streamkit.web.deps import WebDeps
from streamkit.web.gate import publish_gate
from streamkit.web.protocol import PunctualProtocol

logger = logging.getLogger(__name__)

DEMO_KEY = StreamKey("demo")
ACCEPT_TIMEOUT = Seconds(2.0)
FLUSH_DEADLINE, HURRIED_FLUSH = Seconds(5.0), Seconds(0.5)
HURRIED = 5
"""The exit code after a second signal."""
ACTOR_STOP_TIMEOUT = 5.0
SWITCH_INTERVAL = 0.0005  # seconds a busy thread keeps the others waiting; at Python's 5 ms, answers take up to 100 ms


def serve(settings: Settings, *, embedded: bool, demo: bool, drain: bool = False) -> int:
    """Run the service until SIGINT or SIGTERM, and return the exit code.

    With `drain` it takes no new streams, and ends when those that the last service left have ended.

    Raises a StreamKitError with one sentence when it cannot start.
    """
    block_dump_signal()
    configure_logging(settings.log)
    sys.setswitchinterval(SWITCH_INTERVAL)
    if demo and settings.publish_mode_for(DEMO_KEY) != "open":
        raise ConfigError([f"--demo publishes {DEMO_KEY} without key and token: give it a rule with publish: open"])
    for lack in missing():
        logger.warning("%s", lack)
    ffmpeg = find_ffmpeg(settings.encoder.ffmpeg)
    check_ladders(settings.ladders, ffmpeg, settings.encoder.device)
    slates = check_slates(settings, ffmpeg.path)
    check_port(settings.server.host, settings.server.port, "SERVER_PORT")
    if embedded:
        check_port(settings.server.host, settings.rtmp.port, "RTMP_PORT")
    prepare_folders(settings)
    if settings.database.required_at_start:
        current_revision(database_url(settings, embedded=embedded))
    with ExitStack() as stack:
        service = Service(settings, ffmpeg, slates, embedded=embedded, stack=stack)
        app = service.create_app()
        if embedded:
            service.start_ingest()
        app.after_server_start(service.announce_and_demo(demo=embedded and demo))
        app.after_server_start(service.listen_for_signals(drain=drain))
        app.before_server_stop(service.stop)
        app.run(
            host=settings.server.host,
            port=settings.server.port,
            protocol=PunctualProtocol,
            single_process=True,  # a worker process would be a second Supervisor
            access_log=False,
            motd=False,
        )
    return service.exit_code


class Service:
    """Everything that runs. What is started is registered on `stack`, which stops it in reverse order."""

    def __init__(
        self,
        settings: Settings,
        ffmpeg: FfmpegInfo,
        slates: Mapping[str, Slate],
        *,
        embedded: bool,
        stack: ExitStack,
    ) -> None:
        self._settings = settings
        self._ffmpeg = ffmpeg
        self._embedded = embedded
        self._demo: asyncio.Task[None] | None = None
        self.exit_code = 0
        self._flush_deadline = FLUSH_DEADLINE
        self.board = SnapshotBoard()
        timers = Timers()
        stack.callback(timers.stop)
        store = open_store(settings, embedded=embedded)
        stack.callback(store.close)
        backlog = Backlog()  # outlives the actor that writes it
        self.database = Post(
            partial(_start_database, url=database_url(settings, embedded=embedded), timers=timers, backlog=backlog)
        )
        self._retention = Post(
            lambda guard: Retention.start(
                parent=guard,
                settings=settings,
                store=store,
                database=self.database,
                board=self.board,
                timers=timers,
            )
        )
        self._guard: Ref = Guard.start(posts=(self.database, self._retention), timers=timers)
        stack.callback(self._stop_database)
        self._gate = publish_gate(settings, self.database)
        stack.callback(self._gate.close)
        watch = FolderWatch()
        watch.start()
        stack.callback(watch.stop)
        uploads = UploadPool(settings.limits.upload_workers)
        stack.callback(uploads.close, Seconds(2.0))
        self._rtmp = RtmpLoop(settings.rtmp)
        self._rtmp.start()
        stack.callback(self._rtmp.stop, Seconds(2.0))
        self.services = Services(
            settings=settings,
            ffmpeg=ffmpeg,
            slates=slates,
            board=self.board,
            timers=timers,
            rtmp=self._rtmp,
            watch=watch,
            store=store,
            uploads=uploads,
            spool=Spool(budget=settings.limits.spool_bytes, shortage=DiskSpace(settings.hls.output_dir).shortage),
            database=self.database,
            default_source=SourceKind.INGEST if embedded else SourceKind.PULL,
            load=LoadGate(settings.overload),
            presets=PresetBook(settings, ffmpeg, settings.hls.output_dir / STATE_FOLDER),
        )
        self.supervisor: Ref = Supervisor.start(
            services=self.services, on_death=self._end, on_drained=partial(signal.raise_signal, signal.SIGTERM)
        )
        self._vigil = Vigil(
            deadline=Seconds(settings.server.stuck_after), vital=self.supervisor.actor_urn, on_vital=self._end
        )
        self._vigil.start()
        stack.callback(self._vigil.stop)
        stack.callback(self._stop_actors)
        if settings.encoder.calibrate:
            calibrator = Calibrator(self.services.presets, self.board)
            calibrator.start()
            stack.callback(calibrator.stop)

    def create_app(self) -> Sanic[Any, Any]:
        """Return the front end on this service."""
        deps = WebDeps(
            settings=self._settings,
            board=self.board,
            supervisor=self.supervisor,
            database=self.database,
            store=self.services.store,
            spool=self.services.spool,
            encoder_check=partial(check_encoder, self._ffmpeg),
            stuck=self._vigil.stuck,
            gate=self._gate,
        )
        return create_app(deps)

    def start_ingest(self) -> None:
        """Let publishers connect to StreamKit itself."""
        host, port = self._settings.server.host, self._settings.rtmp.port
        self._rtmp.start_ingest(host, port, self._authorize, self._unpublished, self._gate.admit)

    async def _authorize(self, key: StreamKey, publisher: str, ladder: str | None) -> PublishAnswer:
        message = PublishStream(key=key, publisher=publisher, source=SourceKind.INGEST, ladder=ladder)
        try:
            answer: PublishAnswer = await ask(self.supervisor, message, timeout=ACCEPT_TIMEOUT)
        except ActorUnavailableError as error:
            return PublishAnswer(code="stopping", refused=str(error))
        return answer

    async def _unpublished(self, key: StreamKey, publisher: str) -> None:
        try:
            await ask(self.supervisor, UnpublishStream(key=key, publisher=publisher), timeout=ACCEPT_TIMEOUT)
        except ActorUnavailableError as error:
            logger.warning("Could not note that a publisher left: %s", error, extra={"key": key})

    def announce_and_demo(self, *, demo: bool) -> Callable[[Any], Any]:
        """Return the listener that says where everything is, and publishes the test pattern."""

        async def listener(_app: Any) -> None:
            print(self._banner(demo=demo), flush=True)
            if demo:
                self._demo = asyncio.create_task(self._publish_demo())

        return listener

    def _banner(self, *, demo: bool) -> str:
        server, rtmp = self._settings.server, self._settings.rtmp
        host = host_in_urls(server.host)
        site = f"http://{host}:{server.port}"
        key = DEMO_KEY if demo else "mystream"
        lines = [f"StreamKit is running.  Page: {site}/   API: {site}/docs"]
        if demo:
            lines.append(f"  Test pattern: {site}/hls/{key}/playlist.m3u8 (plays within seconds)")
        if self._embedded:
            lines += [
                "  Publish your own (OBS: Settings > Stream > Custom):",
                f"    Server:     rtmp://{host}:{rtmp.port}/{rtmp.app}",
                f"    Stream key: {'mystream' if demo else key}",
                f"    Plays at:   {site}/hls/mystream/playlist.m3u8",
            ]
        else:
            lines.append(
                f"  Waiting for webhooks at {site}/events/published, pulling from rtmp://{rtmp.server}:{rtmp.port}"
            )
        return "\n".join(lines)

    async def _publish_demo(self) -> None:
        rtmp, host = self._settings.rtmp, host_in_urls(self._settings.server.host)
        await publish_demo(self._ffmpeg.path, f"rtmp://{host}:{rtmp.port}/{rtmp.app}/{DEMO_KEY}", DEMO_KEY)

    def listen_for_signals(self, *, drain: bool) -> Callable[[Any], Any]:
        """Return the listener that lets SIGUSR2 drain the service, or drains it now."""

        async def listener(_app: Any) -> None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, tell, self.supervisor, DrainService())
            if drain:
                tell(self.supervisor, DrainService())

        return listener

    async def stop(self, app: Any) -> None:
        """Refuse new publishes and stop the streams, while players can still fetch the last segments."""
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._hurry, app)
        deadline = Seconds(self._settings.server.shutdown_deadline)
        if self._demo is not None:
            self._demo.cancel()
            await asyncio.wait([self._demo])
        try:
            message = StopService(deadline=deadline)
            report: StopReport = await ask(self.supervisor, message, timeout=Seconds(deadline + 1))
        except ActorUnavailableError as error:
            logger.error("The streams could not be stopped in order: %s", error)
            return
        if report.pending:
            keys = ", ".join(report.pending)
            logger.warning("Uploads are left for the next start: %s", keys)
        logger.info("Stopped; streams with everything stored: %d", report.finished)

    def _hurry(self, app: Any) -> None:
        """End at once: what is not stored is the next start's, as after a crash."""
        if self.exit_code == 0:
            logger.warning("A second signal: stopping at once")
            self.exit_code = HURRIED
        self._flush_deadline = HURRIED_FLUSH
        app.config.GRACEFUL_SHUTDOWN_TIMEOUT = 0.0
        tell(self.supervisor, StopOverdue())

    def _end(self) -> None:
        """Nobody accepts a publish any more: let whoever keeps services running start another."""
        logger.critical("The supervisor does not work any more; the service ends")
        self.exit_code = 1
        signal.raise_signal(signal.SIGTERM)

    def _stop_actors(self) -> None:
        _stop_actor(self.supervisor)
        for ref in pykka.ActorRegistry.get_all():
            if ref.actor_urn not in (self.database.actor_urn, self._guard.actor_urn):
                _stop_actor(ref)

    def _stop_database(self) -> None:
        try:
            flushed: concurrent.futures.Future[int] = self.database.ask(
                FlushDatabase(deadline=self._flush_deadline), block=True, timeout=FLUSH_DEADLINE
            )
            unwritten = flushed.result(self._flush_deadline + 1)
        except (pykka.Timeout, pykka.ActorDeadError, TimeoutError) as error:
            logger.warning("The database actor did not flush: %s", error or type(error).__name__)
        else:
            if unwritten:
                logger.warning("%d rows were not written to the database", unwritten)
        _stop_actor(self.database)
        _stop_actor(self._guard)


def _start_database(parent: Ref, **kwargs: Any) -> Ref:
    return DatabaseActor.start(parent=parent, **kwargs)


def _stop_actor(ref: Ref) -> None:
    """Stop an actor; one that is stuck is left to the end of the process, and keeps nobody else from stopping."""
    try:
        ref.stop(timeout=ACTOR_STOP_TIMEOUT)
    except pykka.Timeout:
        logger.warning("%s did not stop within %g s", ref.actor_class.__name__, ACTOR_STOP_TIMEOUT)


def check_encoder(ffmpeg: FfmpegInfo) -> str:
    """Return which FFmpeg is used; raises EncoderNotFoundError when it is gone. It is not run: this is asked often."""
    if shutil.which(ffmpeg.path) is None:
        raise EncoderNotFoundError(f"{ffmpeg.path} is not an executable file any more")
    return f"{ffmpeg.path} {ffmpeg.version_text}"
