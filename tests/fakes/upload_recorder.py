"""Stands for the StreamActor's ref towards an Uploader."""

import threading
from collections.abc import Callable

from streamkit.messages import Message, ObjectStored, UploadFailed


class Recorder:
    """Keeps what it is told, and lets a test wait for it."""

    def __init__(self) -> None:
        self.told: list[Message] = []
        self._changed = threading.Condition()

    def tell(self, message: Message) -> None:
        with self._changed:
            self.told.append(message)
            self._changed.notify_all()

    def stored(self) -> list[tuple[str, int]]:
        return [(message.name, message.version) for message in self.told if isinstance(message, ObjectStored)]

    def failures(self) -> list[UploadFailed]:
        return [message for message in self.told if isinstance(message, UploadFailed)]

    def wait_for(self, condition: Callable[[], bool], timeout: float = 10.0) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, timeout), f"only this was told: {self.told}"
