"""What every request passes before its handler: how often its address asks, and whom its endpoint is for."""

import math
import time
from urllib.parse import quote

from sanic import HTTPResponse, Request

from streamkit.access.rates import RateLimit
from streamkit.settings import Settings
from streamkit.web.admin_access import AdminAccess
from streamkit.web.client import request_address
from streamkit.web.endpoints import Audience
from streamkit.web.problems import ApiError
from streamkit.web.referers import Referers

_NOT_COUNTED = (Audience.RTMP_SERVERS, Audience.PROBES)
"""One address tells of every publisher; and behind a proxy anybody's requests would make a probe fail, so that the node
would be taken away. What probes ask costs next to nothing: /ready looks every two seconds at most."""


class Guards:
    """Request middleware. Handlers check for themselves what depends on the stream or the body."""

    def __init__(self, settings: Settings) -> None:
        access = settings.access
        self._proxies = access.proxy_networks()
        self._admin = AdminAccess(settings)
        self._referers = Referers(settings)
        self._players = RateLimit(access.player_rate) if access.player_rate else None
        self._others = RateLimit(access.request_rate) if access.request_rate else None

    @property
    def ask_anything(self) -> bool:
        """Whether any request can be refused here."""
        asks = self._admin.is_needed or self._referers.is_needed
        return asks or self._players is not None or self._others is not None

    async def check(self, request: Request) -> HTTPResponse | None:
        """Return None when the request may go on, else the way to the login. Raises ApiError: 429, 401 or 403."""
        # A request without a route, to nowhere, is counted all the same.
        audience = getattr(request.route.ctx, "audience", None) if request.route is not None else None
        if audience not in _NOT_COUNTED:
            self._count(request, self._players if audience is Audience.PLAYERS else self._others)
        if request.method == "OPTIONS":  # which carries no credentials
            return None
        if audience is Audience.OPERATORS:
            return self._operator(request)
        if audience is Audience.PLAYERS:
            self._referers.check(request)
        return None

    def _operator(self, request: Request) -> HTTPResponse | None:
        """Send who goes to a page by browser to the login; programs get 401."""
        is_page = request.method == "GET" and "text/html" in request.headers.get("accept", "")
        if is_page and self._admin.is_needed and not self._admin.knows(request):
            headers = {"location": f"/login?next={quote(request.path)}", "cache-control": "no-store"}
            return HTTPResponse(status=303, headers=headers)
        self._admin.check(request)
        return None

    def _count(self, request: Request, limit: RateLimit | None) -> None:
        if limit is None:
            return
        wait = limit.wait(request_address(request, self._proxies), time.monotonic())
        if wait:
            headers = {"Retry-After": str(math.ceil(wait))}
            raise ApiError(429, "too_many_requests", "This address asks too often.", headers=headers)
