"""What every actor has: answers that never hang, one exit hook, a parent that hears of its failure, linked children.

Pykka has no supervision and these traps, which this class closes: an `on_start` that raises calls no hook, so does an
exception between two messages; an ask that races with a stop is never answered; a stop is answered before what the
actor owned is released; a SystemExit in one actor stops all; telling a dead actor raises in the sender.
"""

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from types import TracebackType
from typing import Any, ClassVar, TypeVar

import pykka

from streamkit.errors import ActorUnavailableError
from streamkit.messages import ChildFailed, Message, PublishAnswer
from streamkit.web.bridge import BridgeFuture

logger = logging.getLogger(__name__)

Ref = pykka.ActorRef[Any]
T = TypeVar("T")


def tell(ref: Ref | None, message: Message) -> bool:
    """Tell `ref`, and return whether it was alive to hear it; a dead or missing ref is no error."""
    if ref is None:
        return False
    try:
        ref.tell(message)
    except pykka.ActorDeadError:
        return False
    return True


def answer_publish(joined: Future[PublishAnswer] | None, ladder: str) -> None:
    """Let the publisher go on, encoded with this ladder, unless it was told already."""
    if joined is not None and not joined.done():
        try:
            joined.set_result(PublishAnswer(ladder=ladder))
        except InvalidStateError:  # who waited for it gave up at this very moment
            logger.debug("A publish was answered too late")


def refuse(message: Any) -> None:
    """Tell whoever waits for the Future that a message carries that no answer will come; most carry none."""
    answer = getattr(message, "answer", None)
    if isinstance(answer, Future):
        with contextlib.suppress(InvalidStateError):  # it was answered
            answer.set_exception(ActorUnavailableError("what was asked for stopped before it answered"))


class Inbox:
    """A queue that, once closed, answers every ask that still arrives with ActorDeadError.

    A message that carries a Future for its answer is refused as well.
    """

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._closed = False

    def put(self, envelope: Any, /) -> None:
        """Add an envelope; when the actor ended meanwhile, refuse it instead of keeping it for ever."""
        self._queue.put(envelope)
        if self._closed:
            self._refuse_all()

    def get(self) -> Any:
        """Wait for the next envelope."""
        return self._queue.get()

    def empty(self) -> bool:
        """Return whether nothing waits."""
        return self._queue.empty()

    def close(self) -> None:
        """Refuse everything that waits and everything that comes."""
        self._closed = True
        self._refuse_all()

    def _refuse_all(self) -> None:
        while True:
            try:
                envelope = self._queue.get_nowait()
            except queue.Empty:
                return
            refuse(envelope.message)
            if envelope.reply_to is not None:
                error = pykka.ActorDeadError("the actor stopped before it handled the message")
                envelope.reply_to.set_exception((pykka.ActorDeadError, error, None))


_running: dict[str, "BaseActor"] = {}  # by urn: every actor whose thread runs


def running() -> list["BaseActor"]:
    """Return every actor whose thread runs, those included that are just ending."""
    return list(_running.values())


def getting_on(step: Callable[[T], None]) -> Callable[[T], None]:
    """Return `step`, of which one message takes a great many: the actor of this thread does not hang in it."""
    actor = next((one for one in running() if one.thread == threading.get_ident()), None)

    def take(item: T) -> None:
        if actor is not None and actor.doing is not None:
            actor.doing = actor.doing[0], time.monotonic()
        step(item)

    return take


class BaseActor(pykka.ThreadingActor):
    """Base of StreamKit's actors. `parent` hears ChildFailed when this one dies of an error; its end stops this one."""

    use_daemon_thread: ClassVar[bool] = True  # a stuck actor must not keep a stopped service alive

    patience: ClassVar[int] = 1
    """How many times `server.stuck_after` one message may take."""

    def __init__(self, *, parent: Ref | None = None, name: str = "") -> None:
        super().__init__()
        self.parent = parent
        self.name = name or type(self).__name__
        self.thread = 0
        """The identity of the thread it runs in; 0 before it starts."""
        self.doing: tuple[str, float] | None = None
        """What it handles now and since when (monotonic seconds); None while it waits for a message."""
        self._error: BaseException | None = None
        self._has_left = False

    @property
    def me(self) -> Ref:
        """This actor's own ref, for timers and callbacks."""
        return self.actor_ref

    def on_exit(self, error: BaseException | None) -> None:
        """Release what the actor owns. Called once, in its thread, however it ended; `error` is None after a stop."""

    @staticmethod
    def _create_actor_inbox() -> Any:
        return Inbox()

    @staticmethod
    def _create_future() -> BridgeFuture:
        return BridgeFuture()

    def _handle_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._error = exception_value
        super()._handle_failure(exception_type, exception_value, traceback)

    def _handle_receive(self, message: Any) -> Any:
        self.doing = (type(message).__name__.lstrip("_"), time.monotonic())
        try:
            return super()._handle_receive(message)
        except BaseException as error:
            refuse(message)
            if isinstance(error, Exception):
                raise
            raise RuntimeError(f"{type(error).__name__} in an actor: {error}") from error
        finally:
            self.doing = None

    def _actor_loop(self) -> None:
        threading.current_thread().name = self.name
        self.thread, self.doing = threading.get_ident(), ("on_start", time.monotonic())
        _running[self.actor_urn] = self
        try:
            if self.parent is not None and not self.parent.is_alive():  # too late for its _stop_children
                self.actor_ref.stop(block=False)
            super()._actor_loop()
        except BaseException as error:  # noqa: BLE001 - thrown into the thread while it waited for a message
            self._handle_failure(type(error), error, error.__traceback__)
        finally:
            self._leave()

    def _actor_loop_setup(self) -> None:
        super()._actor_loop_setup()
        self.doing = None

    def _actor_loop_teardown(self) -> None:
        """Leave what waits in the inbox to `Inbox.close`, which refuses what messages carry, too."""

    def _stop(self) -> None:
        self._leave()  # before the stop is answered: who waits for it may count on everything being released

    def _leave(self) -> None:
        if self._has_left:
            return
        self._has_left = True
        self.actor_stopped.set()
        self.doing = ("on_exit", time.monotonic())
        try:
            self._stop_children()
            self.on_exit(self._error)
        except Exception as error:
            logger.exception("%s could not clean up after itself", self.name)
            self._error = self._error or error
        finally:
            pykka.ActorRegistry.unregister(self.actor_ref)
            self.actor_inbox.close()  # type: ignore[attr-defined]  # our own Inbox
            _running.pop(self.actor_urn, None)
        if self._error is not None:
            sentence = f"{type(self._error).__name__}: {self._error}"
            tell(self.parent, ChildFailed(urn=self.actor_urn, name=self.name, error=sentence))

    def _stop_children(self) -> None:
        for actor in running():
            if actor.parent is self.actor_ref:
                actor.actor_ref.stop(block=False)
