"""Logs on standard error, as text or JSON, with the stream key and session that a record's `extra` names.

A library's DEBUG and INFO lines are left out, whatever levels it gives its loggers. A line that repeats itself is
written once a second with a count, so that an outage does not fill the disk.
"""

import json
import logging
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TextIO

from streamkit.settings import LogSettings

FIELDS = ("key", "session", "rendition")
"""Names in `extra` that are written beside the message."""
REPEAT_SECONDS = 1.0
_OURS = ("streamkit", "actors")
_NOISY = ("sanic.access", "sanic.root", "watchdog", "urllib3", "databases", "asyncio", "aiosqlite")


def configure_logging(settings: LogSettings) -> None:
    """Make the root logger write to standard error only, with our level for our loggers; may be called again.

    Handlers that libraries put on the root logger are removed (some call logging.basicConfig when imported).
    """
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
        if isinstance(handler, CollapsingHandler):
            handler.close()
    handler = CollapsingHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.format == "json" else TextFormatter())
    handler.addFilter(_is_wanted)
    root.addHandler(handler)
    level = logging.getLevelNamesMapping()[settings.level]
    root.setLevel(max(level, logging.WARNING))
    for name in _OURS:
        logging.getLogger(name).setLevel(level)
    for name in _NOISY:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    logging.getLogger("sanic.access").disabled = True  # one line per playlist and segment of every player


def _is_wanted(record: logging.LogRecord) -> bool:
    """True for ours, and for what libraries warn of: some set their loggers to DEBUG when they are imported."""
    return record.levelno >= logging.WARNING or record.name.partition(".")[0] in _OURS


class TextFormatter(logging.Formatter):
    """`2026-11-22T15:04:05.123Z INFO web.events: message key=cam1 session=s1a2b3c4`, traceback below."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line, and the lines of the traceback when there is one."""
        # Control characters in what a client sent may not begin a line of their own or move the terminal's cursor.
        message = "".join(char if char.isprintable() else repr(char)[1:-1] for char in record.getMessage())
        fields = "".join(f" {name}={value}" for name, value in _fields(record).items())
        line = f"{_time(record)} {record.levelname} {_short(record.name)}: {message}{fields}"
        below = [self.formatException(record.exc_info)] if record.exc_info else []
        return "\n".join([line, *below, *([record.stack_info] if record.stack_info else [])])


class JsonFormatter(TextFormatter):
    """One JSON object per line: time, level, logger, message, the fields of `extra`, error (a traceback), stack."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the object; it never contains a line break."""
        entry = {
            "time": _time(record),
            "level": record.levelname,
            "logger": _short(record.name),
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            entry["error"] = self.formatException(record.exc_info)
        if record.stack_info:
            entry["stack"] = record.stack_info
        return json.dumps(entry)


class CollapsingHandler(logging.StreamHandler[TextIO]):
    """Writes the first of identical records at once, and while they go on one line a second that counts them.

    Identical: same logger, level, stream key and text; from WARNING on the same template suffices, because errors
    often differ in a number only. There is no timer: a count is written with the next record, or when closed.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream)
        self._clock = clock
        self._recent: dict[tuple[object, ...], _Repeats] = {}  # the one that was written first comes first

    def emit(self, record: logging.LogRecord) -> None:
        """Write `record`, or count it when an identical one was written within the last second."""
        try:
            now, identity = self._clock(), _identity(record)
            self._write_counts(now)
            if identity in self._recent:
                self._recent[identity].add(record)
                return
            self._recent[identity] = _Repeats(now)
        except Exception:  # noqa: BLE001 - as every logging.Handler: a wrong log call may not end its caller
            self.handleError(record)
            return
        super().emit(record)

    def close(self) -> None:
        """Write the counts that are left."""
        self.acquire()
        try:
            for repeats in self._recent.values():
                self._write_count(repeats)
            self._recent.clear()
        finally:
            self.release()
        super().close()

    def _write_counts(self, now: float) -> None:
        while self._recent:
            identity, repeats = next(iter(self._recent.items()))
            if now - repeats.since < REPEAT_SECONDS:
                return
            del self._recent[identity]
            if repeats.count:
                self._write_count(repeats)
                self._recent[identity] = _Repeats(now)

    def _write_count(self, repeats: "_Repeats") -> None:
        if repeats.last:
            super().emit(_counted(repeats.last, repeats.count))


class _Repeats:
    """How often a record came again since it was written."""

    def __init__(self, since: float) -> None:
        self.since = since
        self.count = 0
        self.last: logging.LogRecord | None = None

    def add(self, record: logging.LogRecord) -> None:
        self.count += 1
        self.last = record


def _identity(record: logging.LogRecord) -> tuple[object, ...]:
    text = str(record.msg) if record.levelno >= logging.WARNING else record.getMessage()
    return record.name, record.levelno, text, getattr(record, "key", None)


def _counted(record: logging.LogRecord, count: int) -> logging.LogRecord:
    """Return `record` with the number of records that it stands for and without the traceback that was shown."""
    shown = dict.fromkeys(("args", "exc_info", "exc_text", "stack_info"))
    changes = {"msg": f"{record.getMessage()} (repeated {count}x)", **shown}
    return logging.makeLogRecord({**record.__dict__, **changes})


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _fields(record: logging.LogRecord) -> dict[str, str]:
    return {name: str(getattr(record, name)) for name in FIELDS if getattr(record, name, None) is not None}


def _short(name: str) -> str:
    """Return a logger's name without our packages'."""
    return name.removeprefix("streamkit.").removeprefix("actors.")
