"""Who may play: the seam for an operator's own checks, and the check that StreamKit brings along, of tokens."""

import time
from typing import Protocol

from sanic import Request

from streamkit.access.tokens import TokenError, check_token
from streamkit.settings import Settings
from streamkit.types import StreamKey, UnixTime
from streamkit.web.admin_access import AdminAccess
from streamkit.web.credentials import request_token
from streamkit.web.problems import ApiError


class PlayerAccess(Protocol):
    """Decides about one request; WebDeps takes any."""

    async def check(self, request: Request, stream: StreamKey) -> None:
        """Return when the player may have what opens `stream`. Raises ApiError, 401 or 403 with a reason in words."""


class TokenAccess:
    """Lets in who has a token for the stream: `?token=`, or the header `Authorization: Bearer`; and operators."""

    def __init__(self, settings: Settings) -> None:
        self._secret = settings.encryption.signing_secret()
        self._admin = AdminAccess(settings)

    async def check(self, request: Request, stream: StreamKey) -> None:
        """Return when the token opens `stream` now. Raises ApiError."""
        if self._admin.knows(request):
            return
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


def _unauthorized(code: str, message: str) -> ApiError:
    return ApiError(401, code, message, headers={"WWW-Authenticate": 'Bearer realm="streamkit"'})
