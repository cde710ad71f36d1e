"""Who operates the service: those who know `access.admin_token`, or everybody while there is none."""

import hmac

from sanic import Request

from streamkit.settings import Settings
from streamkit.web.credentials import bearer_token, password
from streamkit.web.problems import ApiError

_REALM = 'realm="streamkit"'


class AdminAccess:
    """Programs send `Authorization: Bearer TOKEN`; browsers ask for a password, which is the token, with any name."""

    def __init__(self, settings: Settings) -> None:
        self._token = settings.access.admin_token.get_secret_value().encode()

    @property
    def is_needed(self) -> bool:
        """Whether not everybody is an operator."""
        return bool(self._token)

    def check(self, request: Request) -> None:
        """Return when the request is an operator's. Raises ApiError (401)."""
        if self._token and not self.knows(request):
            # A browser is told to ask for the password only where it shows a page: not in the middle of one.
            scheme = 'Basic charset="UTF-8", ' if "text/html" in request.headers.get("accept", "") else "Bearer "
            challenge = {"WWW-Authenticate": scheme + _REALM}
            raise ApiError(401, "admin_token", "This needs the admin token: Authorization: Bearer.", headers=challenge)

    def knows(self, request: Request) -> bool:
        """Return whether there is an admin token and the request carries it."""
        shown = bearer_token(request) or password(request)
        return bool(self._token and shown) and hmac.compare_digest(_bytes(shown), self._token)


def _bytes(text: str | None) -> bytes:
    return (text or "").encode("utf-8", errors="replace")
