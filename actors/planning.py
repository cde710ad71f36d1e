"""Planning: which ladder a stream's key is encoded with, and what each encoder run makes of it.

Used by Encoding and the StreamActor alone, in the actor's thread.
"""

import logging

from actors.services import Services
from actors.shedding import Shedding
from streamkit.continuity import continued, generated
from streamkit.errors import SourceError
from streamkit.ffmpeg.encoders import COPY
from streamkit.ffmpeg.inputs import Slate
from streamkit.hls.events import RunBegun
from streamkit.ladder import plan_renditions
from streamkit.pace import Pace
from streamkit.passthrough import fitting_rung
from streamkit.presets import describe_auto
from streamkit.settings_ladder import LadderSettings
from streamkit.types import Rendition, RunPlan, SourceInfo, StreamKey, VideoSource

logger = logging.getLogger(__name__)


class Planning:
    """Pure but for the configuration that it looks at, and what it remembers of the last source."""

    def __init__(self, key: StreamKey, services: Services, shedding: Shedding) -> None:
        self._key, self._services, self._shedding = key, services, shedding
        self._extra = {"key": key}
        self._copied: VideoSource | None = None  # the last picture: what copied renditions hold
        self.ladder = services.settings.ladder_name_for(key)
        """The name of the ladder that is encoded."""

    def choose_ladder(self, asked: str | None, *, kept: str) -> None:
        """Encode with `kept`, the ladder of a session that goes on; else with the one asked for, or the configured."""
        settings = self._services.settings
        if not kept:
            self._shedding.forget()
        self.ladder = kept if kept in settings.ladders else asked or settings.ladder_name_for(self._key)
        if kept and self.ladder != kept:
            logger.warning("There is no ladder %r any more, %r takes its place", kept, self.ladder, extra=self._extra)
        elif asked not in (None, self.ladder):
            logger.info("The session keeps its ladder %r, %r was asked for", kept, asked, extra=self._extra)

    def publisher(self, source: SourceInfo | None, before: tuple[Rendition, ...]) -> RunPlan:
        """Return what to encode of the publisher's source, in a session whose last run encoded `before`.

        Raises LadderError or SourceError with one sentence.
        """
        if source is None:
            raise SourceError("the source is not known yet")
        self._copied = source.video or self._copied
        settings = self._services.settings
        ladder = settings.ladders[self.ladder]
        capacity = self._services.presets.capacity(ladder)
        renditions = plan_renditions(
            ladder,
            source,
            ffmpeg_version=self._services.ffmpeg.version,
            segment_format=settings.segment_format_of(ladder),
            keep=frozenset(one.name for one in before),
            capacity=capacity,
        )
        if ladder.passthrough:
            self._tell_passthrough(ladder, source, renditions)
        if (presets := describe_auto(ladder, renditions, capacity)) is not None:
            logger.info("Ladder %r: %s", self.ladder, presets, extra=self._extra)
        return self._run_plan(self._shedding.spare(continued(renditions, before, source)))

    def _tell_passthrough(self, ladder: LadderSettings, source: SourceInfo, renditions: tuple[Rendition, ...]) -> None:
        if any(one.video_codec == COPY for one in renditions):
            logger.info("The source fits rendition '%s' and is not encoded", renditions[0].name, extra=self._extra)
            return
        _, why = fitting_rung(ladder, source)
        why = why or "players watch what an earlier source was encoded to"
        logger.info("The source is encoded: %s", why, extra=self._extra)

    def pace(self, plan: RunPlan, begun: RunBegun) -> Pace | None:
        """Return how long copied segments may be; what is encoded has its key frames where they are wanted."""
        if all(one.video_codec != COPY for one in plan.renditions):
            return None
        return Pace(segment_duration=self._services.settings.hls.segment_duration, target=begun.target_duration)

    @property
    def slate_file(self) -> Slate | None:
        """What players see while the publisher is gone."""
        return self._services.slates.get(self._services.settings.slate_for(self._key))

    def slate(self, before: tuple[Rendition, ...]) -> RunPlan | None:
        """Return how to show the slate to players of `before`; None when there is none, or it would not fit."""
        is_unknown = self._copied is None and any(one.video_codec == COPY for one in before)
        if self.slate_file is None or is_unknown or not any(one.video_codec for one in before):
            return None
        encoded = tuple(one for one in before if one.name not in self._shedding.names)
        return self._run_plan(generated(encoded, self._copied))

    def _run_plan(self, renditions: tuple[Rendition, ...]) -> RunPlan:
        settings = self._services.settings
        return RunPlan(
            renditions=renditions,
            segment_format=settings.segment_format_of(settings.ladders[self.ladder]),
            key_rotation=settings.key_rotation_for(self._key),
        )
