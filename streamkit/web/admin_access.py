"""Who operates the service: those who know `access.admin_token`, or everybody while there is none."""

import hmac
import time

from sanic import Request

from streamkit.settings import Settings
from streamkit.types import UnixTime
from streamkit.web.browser_sessions import BrowserSessions, session_cookie
from streamkit.web.credentials import bearer_token, password
from streamkit.web.problems import ApiError


class AdminAccess:
    """Programs send `Authorization: Bearer TOKEN`, or it as the password; browsers the cookie that `/login` gave."""

    def __init__(self, settings: Settings) -> None:
        self._token = settings.access.admin_token.get_secret_value().encode()
        self.sessions = BrowserSessions(self._token)

    @property
    def is_needed(self) -> bool:
        """Whether not everybody is an operator."""
        return bool(self._token)

    def check(self, request: Request) -> None:
        """Return when the request is an operator's. Raises ApiError (401)."""
        if self._token and not self.knows(request):
            challenge = {"WWW-Authenticate": 'Bearer realm="streamkit"'}
            raise ApiError(401, "admin_token", "This needs the admin token: Authorization: Bearer.", headers=challenge)

    def knows(self, request: Request) -> bool:
        """Return whether there is an admin token and the request carries it, or the cookie of who did."""
        if not self._token:
            return False
        shown = bearer_token(request) or password(request)
        if shown:
            return self.is_token(shown)
        return self.sessions.holds(session_cookie(request), UnixTime(time.time()))

    def is_token(self, shown: str) -> bool:
        """Return whether `shown` is the admin token."""
        return hmac.compare_digest(shown.encode("utf-8", errors="replace"), self._token)
