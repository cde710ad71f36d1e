"""What an Uploader speaks with in tests: the StreamActor's ref and the object store."""

import threading
from collections.abc import Callable
from pathlib import Path

from streamkit.messages import Message, ObjectStored, UploadFailed


class Recorder:
    """Stands for the StreamActor's ref: keeps what it is told, and lets a test wait for it."""

    def __init__(self) -> None:
        self.told: list[Message] = []
        self._changed = threading.Condition()

    def tell(self, message: Message) -> None:
        with self._changed:
            self.told.append(message)
            self._changed.notify_all()

    def is_alive(self) -> bool:
        return True

    def stored(self) -> list[tuple[str, int]]:
        return [(message.name, message.version) for message in self.told if isinstance(message, ObjectStored)]

    def failures(self) -> list[UploadFailed]:
        return [message for message in self.told if isinstance(message, UploadFailed)]

    def wait_for(self, condition: Callable[[], bool], timeout: float = 120.0) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, timeout), f"only this was told: {self.told}"


class ScriptedStore:
    """Records every PUT; `fail` gives the error to raise for an object, or None."""

    def __init__(self) -> None:
        self.puts: list[tuple[str, Path | bytes, str, str]] = []
        self.fail: Callable[[str], Exception | None] = lambda name: None

    def put_file(self, name: str, path: Path, *, content_type: str, cache_control: str) -> str:
        return self._put(name, path, content_type, cache_control)

    def put_bytes(self, name: str, data: bytes, *, content_type: str, cache_control: str) -> str:
        return self._put(name, data, content_type, cache_control)

    def _put(self, name: str, content: Path | bytes, content_type: str, cache_control: str) -> str:
        self.puts.append((name, content, content_type, cache_control))
        error = self.fail(name.removeprefix("hls/show/"))
        if error is not None:
            raise error
        return "etag"

    def names(self) -> list[str]:
        return [name.removeprefix("hls/show/") for name, *_ in self.puts]
