"""What a check says, and how checks are run: all at once, each within its time."""

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Literal

from streamkit.errors import StreamKitError

TIMEOUT = 25.0
"""Seconds that a check may take; the slowest is FFmpeg on a loaded machine, which has 20 itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found, in one sentence, and what to do about it, in another; nothing for `ok`."""

    state: Literal["ok", "warning", "fault"]
    text: str
    fix: str = ""


Check = Callable[[], Finding]


def fault(error: StreamKitError | str, fix: str) -> Finding:
    """Return what keeps the service from its work."""
    return Finding(state="fault", text=str(error).replace("\n", "; "), fix=fix)


def warning(text: str, fix: str) -> Finding:
    """Return what the service can do without for a while."""
    return Finding(state="warning", text=text, fix=fix)


def ok(text: str) -> Finding:
    """Return that nothing needs to be done."""
    return Finding(state="ok", text=text)


def run(checks: Mapping[str, Check], *, timeout: float = TIMEOUT) -> Iterator[tuple[str, Finding]]:
    """Run all checks at once, and yield what each found in their order. A check that takes longer is a fault.

    The thread of such a check is left to the end of the process.
    """
    answers: dict[str, SimpleQueue[Finding]] = {name: SimpleQueue() for name in checks}
    for name, check in checks.items():
        thread = threading.Thread(target=_answer, args=(check, answers[name]), name=f"check {name}", daemon=True)
        thread.start()
    for name, answer in answers.items():
        try:
            yield name, answer.get(timeout=timeout)
        except Empty:
            yield name, fault(f"no answer within {timeout:g} s", "see whether it hangs, or the machine is overloaded")


def _answer(check: Check, answer: "SimpleQueue[Finding]") -> None:
    try:
        answer.put(check())
    except Exception as error:  # noqa: BLE001 - whatever a check meets is a finding; its text might hold a secret
        answer.put(fault(f"the check itself failed ({type(error).__name__})", "report it as a mistake of StreamKit"))
