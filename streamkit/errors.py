"""Every error that StreamKit raises on purpose.

StreamKitError
├── ConfigError               the configuration is wrong: every problem, each with file, line, key and rule
├── InvalidStreamKeyError     a stream key breaks the alphabet or length rule
├── LadderError               no rendition of the ladder can be made from this source
├── SourceError               what the publisher sends cannot be encoded, or the RTMP server cannot be played
├── MediaError                an encoded file is not what its name says, or not whole
├── EncoderNotFoundError      no usable FFmpeg on this machine
├── StoreError                an object store operation failed
│   ├── ObjectNotFoundError   there is no such object (404)
│   ├── StoreDeniedError      credentials or permissions (401, 403): a human must act
│   └── StoreUnavailableError refused, reset, timed out, full, 5xx, 429: try again
├── ClientError               a running service cannot be asked, or refuses
├── RtmpStatusError           the RTMP server's status page cannot be had, or is no such page
├── DatabaseUnavailableError  the database cannot be reached now
├── AuthorizationUnavailableError  nobody can say now whether a publisher may go on
├── ActorUnavailableError     an actor is stopped or did not answer in time
└── ServiceError              the service cannot start or go on: a taken port, a missing folder
"""


class StreamKitError(Exception):
    """Base of every deliberate error; `str(error)` is one sentence for a person."""


class ConfigError(StreamKitError):
    """The configuration is wrong. `problems` holds one line per problem."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class InvalidStreamKeyError(StreamKitError):
    """A stream key breaks the rule."""

    def __init__(self, found: object, rule: str) -> None:
        shown = ascii(found) if isinstance(found, str) else "that is no text"
        shown = shown if len(shown) <= 64 else shown[:61] + "..."
        super().__init__(f"stream_key {shown} is not valid: it must be {rule}")


class LadderError(StreamKitError):
    """No rendition of the ladder can be made from this source."""


class SourceError(StreamKitError):
    """What the publisher sends cannot be encoded, or the RTMP server cannot be played."""


class MediaError(StreamKitError):
    """An encoded file, or a header in it, cannot be read."""


class EncoderNotFoundError(StreamKitError):
    """No usable FFmpeg on this machine."""


class StoreError(StreamKitError):
    """An object store operation failed."""


class ObjectNotFoundError(StoreError):
    """There is no such object."""


class StoreDeniedError(StoreError):
    """Credentials or permissions are wrong; retrying does not help until a human acts."""


class StoreUnavailableError(StoreError):
    """The store cannot be reached, is overloaded or full; retry later.

    `retry_after`: the seconds that it asked for itself (RFC 9110 10.2.3), None when it did not.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ClientError(StreamKitError):
    """A running service cannot be asked over its HTTP API, or refuses."""


class RtmpStatusError(StreamKitError):
    """The RTMP server did not say who publishes."""


class DatabaseUnavailableError(StreamKitError):
    """The database cannot be reached now."""


class AuthorizationUnavailableError(StreamKitError):
    """Nobody can say now whether a publisher may go on.

    `too_many`: because too many ask, which whoever asks can bring about, and not because of an outage.
    """

    def __init__(self, message: str, *, too_many: bool = False) -> None:
        super().__init__(message)
        self.too_many = too_many


class ActorUnavailableError(StreamKitError):
    """An actor is stopped or did not answer in time."""


class ServiceError(StreamKitError):
    """The service cannot start or go on."""
