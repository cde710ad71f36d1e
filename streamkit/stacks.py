"""What the threads of this process are doing, in the log: for an operator who must know where it hangs."""

import logging
import sys
import threading
import traceback
from collections.abc import Iterable


def stacks(threads: Iterable[threading.Thread]) -> str:
    """Return the name and the stack of each thread, innermost call last; one that has ended is left out."""
    frames = sys._current_frames()  # noqa: SLF001 - the documented way to another thread's stack
    parts = []
    for thread in sorted(threads, key=lambda one: one.name):
        frame = frames.get(thread.ident or 0)
        if frame is not None:
            parts.append(f"Thread '{thread.name}':\n{''.join(traceback.format_stack(frame))}")
    return "".join(parts).rstrip()


def log_with_stacks(
    logger: logging.Logger, level: int, sentence: str, threads: Iterable[threading.Thread], **extra: object
) -> None:
    """Log a sentence, and below it what these threads are doing."""
    if logger.isEnabledFor(level):
        record = logger.makeRecord(
            logger.name, level, __file__, 0, sentence, (), None, extra=extra, sinfo=stacks(threads)
        )
        logger.handle(record)
