"""Pure: what FFmpeg's exit means, and the table of a stream's life: (state, event) -> state."""

from enum import StrEnum
from types import MappingProxyType

from streamkit.types import StreamState


class ExitReason(StrEnum):
    """Why FFmpeg ended; `explain` says it to people in one sentence."""

    FINISHED = "finished"
    STOPPED = "stopped"
    KILLED = "killed"
    CRASHED = "crashed"
    NO_MEDIA = "no_media"
    BAD_SOURCE = "bad_source"
    DISK_FULL = "disk_full"
    FOLDER_GONE = "folder_gone"
    OUT_OF_MEMORY = "out_of_memory"
    OUT_OF_FILES = "out_of_files"
    ENCODER_MISSING = "encoder_missing"
    DEVICE_MISSING = "device_missing"
    BAD_COMMAND = "bad_command"
    UNKNOWN = "unknown"

    @property
    def explain(self) -> str:
        """One sentence for a person."""
        return _EXPLANATIONS[self]


_EXPLANATIONS = {
    ExitReason.FINISHED: "FFmpeg wrote everything it was given and ended.",
    ExitReason.STOPPED: "FFmpeg was asked to stop and ended.",
    ExitReason.KILLED: "FFmpeg was killed, by StreamKit because it did not end in time or by the system.",
    ExitReason.CRASHED: "FFmpeg crashed; the log's last lines say where.",
    ExitReason.NO_MEDIA: "The publisher's connection ended before it had sent any picture or sound.",
    ExitReason.BAD_SOURCE: "FFmpeg cannot read what the publisher sends.",
    ExitReason.DISK_FULL: "The disk that holds HLS_OUTPUT_DIR is full.",
    ExitReason.FOLDER_GONE: "FFmpeg cannot write to the stream's folder in HLS_OUTPUT_DIR: it is missing or read-only.",
    ExitReason.OUT_OF_MEMORY: (
        "FFmpeg got no more memory: too many or too large renditions for this machine, or for encoder.memory_limit."
    ),
    ExitReason.OUT_OF_FILES: "FFmpeg may not open more files: too many are open in it or on this machine.",
    ExitReason.ENCODER_MISSING: "FFmpeg, or an encoder that the ladder asks for, is missing on this machine.",
    ExitReason.DEVICE_MISSING: "The device that the ladder's encoder needs, or its driver, is missing on this machine.",
    ExitReason.BAD_COMMAND: "FFmpeg refused an option of the ladder: check the rendition's settings.",
    ExitReason.UNKNOWN: "FFmpeg failed for a reason that only its log tells.",
}

# Searched in this order, in lower case: the first that the log contains is the cause, later ones follow from it.
_SIGNS: tuple[tuple[ExitReason, tuple[str, ...]], ...] = (
    (ExitReason.DISK_FULL, ("no space left on device", "disk quota exceeded")),
    (
        ExitReason.OUT_OF_MEMORY,
        ("cannot allocate memory", "resource temporarily unavailable", "malloc of size", "memory allocation fail"),
    ),
    (ExitReason.OUT_OF_FILES, ("too many open files",)),
    (ExitReason.ENCODER_MISSING, ("unknown encoder", "encoder not found", "failed to execute")),
    (
        ExitReason.DEVICE_MISSING,
        ("cannot load libcuda", "no capable devices found", "device creation failed", "mfx session", "no va display"),
    ),
    (ExitReason.FOLDER_GONE, ("failed to open file", "failed to rename file", "read-only file system")),
    (ExitReason.BAD_COMMAND, ("unrecognized option", "option not found", "error setting option", "unable to parse")),
    (ExitReason.BAD_SOURCE, ("matches no streams", "invalid data found", "not a standard flv", "unsupported codec")),
    (ExitReason.NO_MEDIA, ("could not find codec parameters", "does not contain any stream", "end of file")),
)
_SIGKILL, _SIGTERM, _SIGINT = 9, 15, 2
_STOP_STATUS = 255
"""FFmpeg's exit status after SIGINT or SIGTERM."""


def classify_exit(returncode: int, log: tuple[str, ...]) -> ExitReason:
    """Return why FFmpeg ended. `returncode` below zero is the signal that ended it; `log` is its stderr."""
    if returncode == 0:
        return ExitReason.FINISHED
    if returncode < 0:
        signals = {_SIGKILL: ExitReason.KILLED, _SIGTERM: ExitReason.STOPPED, _SIGINT: ExitReason.STOPPED}
        # Some encoders crash when they get no memory.
        crash = ExitReason.OUT_OF_MEMORY if _cause(log) is ExitReason.OUT_OF_MEMORY else ExitReason.CRASHED
        return signals.get(-returncode, crash)
    return _cause(log) or (ExitReason.STOPPED if returncode == _STOP_STATUS else ExitReason.UNKNOWN)


def _cause(log: tuple[str, ...]) -> ExitReason | None:
    """Return what the log says of why FFmpeg failed."""
    text = "\n".join(log).lower()
    return next((reason for reason, signs in _SIGNS if any(sign in text for sign in signs)), None)


class StreamEvent(StrEnum):
    """What can happen to a stream."""

    PUBLISH = "publish"
    """An accepted publish begins: a new session, or the return of the publisher within the reconnect window."""
    SOURCE_DETECTED = "source_detected"
    """The publisher's headers are in; an encoder can be started."""
    SOURCE_CHANGED = "source_changed"
    """The publisher sends something else, or another publisher took over: another encoder run will begin."""
    FIRST_SEGMENT_LISTED = "first_segment_listed"
    """Players can play: the first segment since the publish, or since an encoder failure, is in the playlists."""
    SOURCE_LOST = "source_lost"
    """The publisher went away or stalled. (A pull that will be tried again has not lost its source.)"""
    ENCODER_FAILED = "encoder_failed"
    """FFmpeg ended while the publisher is there; it will be restarted."""
    WINDOW_PASSED = "window_passed"
    """The reconnect window is over and the publisher did not return."""
    NO_MEDIA = "no_media"
    """Nothing playable came within the connect timeout."""
    GAVE_UP = "gave_up"
    """The stream cannot be encoded, or FFmpeg failed too often."""
    UNPUBLISHED_FINAL = "unpublished_final"
    """The publish ends for good, without a reconnect window: the service stops, or an operator ended it."""
    DRAINED = "drained"
    """The last segment is uploaded (or the deadline passed) and the final playlists are written."""


_S, _E = StreamState, StreamEvent

# A repeat, and an event that belongs to an activity that is still ending, keep the state. What is not here is
# late or impossible: the caller ignores it.
TRANSITIONS = MappingProxyType(
    {
        (_S.ACCEPTED, _E.PUBLISH): _S.CONNECTING,
        (_S.ACCEPTED, _E.NO_MEDIA): _S.FAILED,
        (_S.ACCEPTED, _E.GAVE_UP): _S.FAILED,
        (_S.ACCEPTED, _E.SOURCE_LOST): _S.ENDED,
        (_S.ACCEPTED, _E.UNPUBLISHED_FINAL): _S.ENDED,
        (_S.CONNECTING, _E.PUBLISH): _S.CONNECTING,
        (_S.CONNECTING, _E.SOURCE_DETECTED): _S.CONNECTING,
        (_S.CONNECTING, _E.SOURCE_CHANGED): _S.CONNECTING,
        (_S.CONNECTING, _E.ENCODER_FAILED): _S.CONNECTING,
        (_S.CONNECTING, _E.FIRST_SEGMENT_LISTED): _S.LIVE,
        (_S.CONNECTING, _E.NO_MEDIA): _S.FAILED,
        (_S.CONNECTING, _E.GAVE_UP): _S.FAILED,
        # No reconnect window for a session that never played; but its encoder may still close a short segment.
        (_S.CONNECTING, _E.SOURCE_LOST): _S.FINISHING,
        (_S.CONNECTING, _E.UNPUBLISHED_FINAL): _S.FINISHING,
        (_S.LIVE, _E.PUBLISH): _S.LIVE,
        (_S.LIVE, _E.SOURCE_DETECTED): _S.LIVE,
        (_S.LIVE, _E.FIRST_SEGMENT_LISTED): _S.LIVE,
        (_S.LIVE, _E.SOURCE_LOST): _S.RECONNECTING,
        # Nothing says "live" while nothing is encoded; the first new segment says it again.
        (_S.LIVE, _E.ENCODER_FAILED): _S.RECONNECTING,
        (_S.LIVE, _E.SOURCE_CHANGED): _S.RECONNECTING,
        (_S.LIVE, _E.GAVE_UP): _S.FAILED,
        (_S.LIVE, _E.UNPUBLISHED_FINAL): _S.FINISHING,
        (_S.RECONNECTING, _E.PUBLISH): _S.RECONNECTING,
        (_S.RECONNECTING, _E.SOURCE_DETECTED): _S.RECONNECTING,
        (_S.RECONNECTING, _E.SOURCE_CHANGED): _S.RECONNECTING,
        (_S.RECONNECTING, _E.FIRST_SEGMENT_LISTED): _S.LIVE,
        (_S.RECONNECTING, _E.SOURCE_LOST): _S.RECONNECTING,
        (_S.RECONNECTING, _E.ENCODER_FAILED): _S.RECONNECTING,
        (_S.RECONNECTING, _E.WINDOW_PASSED): _S.FINISHING,
        (_S.RECONNECTING, _E.NO_MEDIA): _S.FINISHING,
        (_S.RECONNECTING, _E.GAVE_UP): _S.FAILED,
        (_S.RECONNECTING, _E.UNPUBLISHED_FINAL): _S.FINISHING,
        (_S.FINISHING, _E.SOURCE_LOST): _S.FINISHING,
        (_S.FINISHING, _E.ENCODER_FAILED): _S.FINISHING,
        (_S.FINISHING, _E.FIRST_SEGMENT_LISTED): _S.FINISHING,
        (_S.FINISHING, _E.UNPUBLISHED_FINAL): _S.FINISHING,
        (_S.FINISHING, _E.DRAINED): _S.ENDED,
        # The key publishes again: a new session opens while the old one's uploads go on beside it.
        (_S.FINISHING, _E.PUBLISH): _S.CONNECTING,
        (_S.ENDED, _E.PUBLISH): _S.CONNECTING,
        (_S.FAILED, _E.PUBLISH): _S.CONNECTING,
        # A session that failed after it was live is drained as well; it stays failed.
        (_S.FAILED, _E.DRAINED): _S.FAILED,
    }
)


def next_state(state: StreamState, event: StreamEvent) -> StreamState | None:
    """Return the state after `event`, or None when the event means nothing in `state` and changes nothing."""
    return TRANSITIONS.get((state, event))
