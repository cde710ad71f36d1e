"""Pure: the keys of a stream's segments. They are made from the secret each time, so nothing else need be kept."""

import hmac
from dataclasses import dataclass, field

from streamkit.types import MediaSequence, SessionId, StreamKey

KEY_SIZE = 16
"""Bytes of an AES-128 key."""
_SALT = b"streamkit segment key 1"


@dataclass(frozen=True, slots=True)
class StreamKeys:
    """The keys of one stream: number n of a session is for the media sequences n * rotation and on."""

    stream: StreamKey
    _secret: bytes = field(repr=False)

    def key(self, session: SessionId, number: int) -> bytes:
        """Return key `number` of the session: HKDF-SHA256 (RFC 5869) of the secret, the same on every node."""
        info = f"{self.stream}/{session}/{number}".encode()  # no part may contain a slash
        extracted = hmac.digest(_SALT, self._secret, "sha256")
        return hmac.digest(extracted, info + b"\x01", "sha256")[:KEY_SIZE]

    def run(self, session: SessionId, rotation: int) -> "RunKeys":
        """Return the keys of an encoder run that changes them every `rotation` segments."""
        return RunKeys(self, session, rotation)


@dataclass(frozen=True, slots=True)
class RunKeys:
    """The keys of one encoder run."""

    keys: StreamKeys
    session: SessionId
    rotation: int

    def of(self, sequence: MediaSequence) -> bytes:
        """Return the key of a segment."""
        return self.keys.key(self.session, key_number(sequence, self.rotation))


def key_number(sequence: int, rotation: int) -> int:
    """Return which key of its session a segment is encrypted with."""
    return sequence // rotation


def keys_path(stream: StreamKey, session: SessionId) -> str:
    """Return the path below the site's root under which the session's keys are, by their numbers."""
    return f"/keys/{stream}/{session}"
