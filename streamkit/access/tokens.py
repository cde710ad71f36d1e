"""Pure: tokens. A token opens one stream for one purpose until it expires; who has the secret makes them.

A token is EXPIRES.SIGNATURE: Unix seconds, and HMAC-SHA256 of "streamkit token 1/STREAM_KEY/EXPIRES" (to play) or
"streamkit token 1/publish/STREAM_KEY/EXPIRES" under the secret, in URL-safe base64 without '='. It names no stream
itself, so it fits in any URL below the stream's. A player's token publishes nothing, and the other way round.
"""

import hmac
import re
from base64 import urlsafe_b64encode
from enum import Enum

from streamkit.types import StreamKey, UnixTime

_TOKEN = re.compile(r"([1-9][0-9]{0,11})\.([A-Za-z0-9_-]{43})", re.ASCII)


class Purpose(Enum):
    """What a token is for; the value begins what is signed."""

    PLAY = "streamkit token 1"
    PUBLISH = "streamkit token 1/publish"


class TokenError(Exception):
    """A token does not open the stream: `code` for programs, the message for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def make_token(secret: bytes, stream: StreamKey, expires: int, purpose: Purpose = Purpose.PLAY) -> str:
    """Return the token for `stream` that expires at this Unix second."""
    text = f"{purpose.value}/{stream}/{expires}".encode()
    signature = urlsafe_b64encode(hmac.digest(secret, text, "sha256")).rstrip(b"=")
    return f"{expires}.{signature.decode()}"


def is_token(text: str) -> bool:
    """Return whether `text` has the form of a token; such a text is safe in a URL and in a quoted string."""
    return _TOKEN.fullmatch(text) is not None


def check_token(secret: bytes, stream: StreamKey, token: str, now: UnixTime, purpose: Purpose = Purpose.PLAY) -> None:
    """Return when the token opens `stream` now. Raises TokenError: token_invalid, token_refused or token_expired."""
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise TokenError("token_invalid", "The token is not one of StreamKit's: EXPIRES.SIGNATURE is expected.")
    expires = int(match[1])
    if not hmac.compare_digest(make_token(secret, stream, expires, purpose), token):
        use = "is not for" if purpose is Purpose.PLAY else "does not publish"
        raise TokenError("token_refused", f"The token {use} the stream {stream}.")
    if expires <= now:
        raise TokenError("token_expired", "The token has expired.")
