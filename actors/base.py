"""What every actor has: answers that never hang, one exit hook, and a parent that hears of its failure.

Pykka has no supervision and three traps that this class closes: an `on_start` that raises calls no hook, an ask
that races with a stop is never answered, and telling a dead actor raises in the sender.
"""

import logging
import queue
from concurrent.futures import Future, InvalidStateError
from types import TracebackType
from typing import Any, ClassVar

import pykka

from streamkit.messages import ChildFailed, Message, PublishAnswer
from streamkit.web.bridge import BridgeFuture

logger = logging.getLogger(__name__)

Ref = pykka.ActorRef[Any]


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


class Inbox:
    """A queue that, once closed, answers every ask that still arrives with ActorDeadError."""

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
            if envelope.reply_to is not None:
                error = pykka.ActorDeadError("the actor stopped before it handled the message")
                envelope.reply_to.set_exception((pykka.ActorDeadError, error, None))


class BaseActor(pykka.ThreadingActor):
    """Base of StreamKit's actors. `parent` hears ChildFailed when this one dies of an error."""

    use_daemon_thread: ClassVar[bool] = True  # a stuck actor must not keep a stopped service alive

    def __init__(self, *, parent: Ref | None = None, name: str = "") -> None:
        super().__init__()
        self.parent = parent
        self.name = name or type(self).__name__
        self._error: BaseException | None = None

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

    def _actor_loop(self) -> None:
        try:
            super()._actor_loop()
        finally:
            self._leave()

    def _leave(self) -> None:
        self.actor_stopped.set()
        try:
            self.on_exit(self._error)
        except Exception as error:
            logger.exception("%s could not clean up after itself", self.name)
            self._error = self._error or error
        finally:
            pykka.ActorRegistry.unregister(self.actor_ref)
            self.actor_inbox.close()  # type: ignore[attr-defined]  # our own Inbox
        if self._error is not None:
            sentence = f"{type(self._error).__name__}: {self._error}"
            tell(self.parent, ChildFailed(urn=self.actor_urn, name=self.name, error=sentence))
