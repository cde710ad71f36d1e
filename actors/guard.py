"""Guard: keeps the actors alive of which a service has one each, and that nobody else starts again.

Receives  ChildFailed (its children), FillPost (timer)
Owns      the posts
Its death ends them, and is seen in /ready; streams go on without what they did.
"""

import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pykka

from actors.base import BaseActor, Ref
from actors.deaths import MAX_RESTARTS, RESTART_WINDOW, Deaths
from actors.timers import Timers
from streamkit.backoff import Backoff
from streamkit.messages import ChildFailed, Message
from streamkit.types import Seconds

logger = logging.getLogger(__name__)


class Post(pykka.ActorRef[Any]):
    """A ref that outlives the actor it stands for: it always means the one that the Guard started last."""

    def __init__(self, start: Callable[[Ref], Ref]) -> None:
        """`start` starts the actor with the given parent."""
        self._start = start
        self.deaths = Deaths()

    def fill(self, parent: Ref) -> None:
        """Start the actor."""
        self.__dict__.update(vars(self._start(parent)))


@dataclass(frozen=True, slots=True, kw_only=True)
class FillPost(Message):
    """Timer -> Guard: the wait after a death is over. A repeat changes nothing."""

    urn: str


class Guard(BaseActor):
    """One per service. Restarts with backoff; after too many deaths at a slow pace, because streams need it back."""

    def __init__(self, *, posts: Sequence[Post], timers: Timers) -> None:
        super().__init__(name="guard")
        self._timers = timers
        self._posts = posts
        self._backoff = Backoff(first=Seconds(0.1), limit=Seconds(5.0), random=random.random)
        for post in posts:  # here and not in on_start: whoever made the Guard uses them at once
            post.fill(self.me)

    def on_receive(self, message: Any) -> Any:
        match message:
            case ChildFailed():
                return self._child_failed(message)
            case FillPost():
                return self._fill(message.urn)
            case _:
                return super().on_receive(message)

    def _post(self, urn: str) -> Post | None:
        return next((post for post in self._posts if post.actor_urn == urn), None)

    def _child_failed(self, message: ChildFailed) -> None:
        post = self._post(message.urn)
        if post is None:
            return
        deaths = post.deaths.add(time.monotonic())
        if deaths > MAX_RESTARTS:
            delay = RESTART_WINDOW
            logger.error(
                "%s died %d times in %g s, it is tried again in %g s: %s",
                message.name,
                deaths,
                RESTART_WINDOW,
                delay,
                message.error,
            )
        else:
            delay = self._backoff.delay(deaths)
            logger.error("%s died and restarts: %s", message.name, message.error)
        self._timers.after(delay, self.me, FillPost(urn=message.urn))

    def _fill(self, urn: str) -> None:
        post = self._post(urn)
        if post is not None:
            post.fill(self.me)
