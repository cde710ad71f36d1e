"""Who may play: the seam for an operator's own checks, and the check that StreamKit brings along, of tokens."""

import re
import time
from typing import Protocol

from sanic import Request

from streamkit.access.tokens import TokenError, check_token
from streamkit.settings import Settings
from streamkit.types import StreamKey, UnixTime
from streamkit.web.params import query_text
from streamkit.web.problems import ApiError

TOKEN = "token"  # noqa: S105 - the query parameter's name
_BEARER = re.compile(r"Bearer +([!-~]{1,512}) *", re.ASCII | re.IGNORECASE)  # RFC 6750 2.1


class PlayerAccess(Protocol):
    """Decides about one request; WebDeps takes any."""

    async def check(self, request: Request, stream: StreamKey) -> None:
        """Return when the player may have what opens `stream`. Raises ApiError, 401 or 403 with a reason in words."""


class TokenAccess:
    """Lets in who has a token for the stream: `?token=`, or the header `Authorization: Bearer`."""

    def __init__(self, settings: Settings) -> None:
        self._secret = settings.encryption.signing_secret()

    async def check(self, request: Request, stream: StreamKey) -> None:
        """Return when the token opens `stream` now. Raises ApiError."""
        token = request_token(request)
        if token is None:
            where = "?token=, or Authorization: Bearer"
            raise _unauthorized("token_missing", f"A token for the stream {stream} is needed: {where}.")
        try:
            check_token(self._secret, stream, token, UnixTime(time.time()))
        except TokenError as error:
            if error.code == "token_refused":  # another token might open it (RFC 9110 15.5.4)
                raise ApiError(403, error.code, str(error)) from None
            raise _unauthorized(error.code, str(error)) from None


def request_token(request: Request) -> str | None:
    """Return the token that came with a request, whatever it looks like; the header's when there are two."""
    return bearer_token(request) or query_text(request, TOKEN)


def bearer_token(request: Request) -> str | None:
    """Return the token of the header `Authorization: Bearer`, None without one."""
    header = request.headers.get("authorization")
    match = _BEARER.fullmatch(header) if isinstance(header, str) else None
    return match[1] if match else None


def _unauthorized(code: str, message: str) -> ApiError:
    return ApiError(401, code, message, headers={"WWW-Authenticate": 'Bearer realm="streamkit"'})
