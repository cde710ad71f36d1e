"""Players and dashboards on other origins: who may read what (the Fetch standard's CORS protocol)."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from sanic import HTTPResponse, Request
from sanic.response import BaseHTTPResponse

EXPOSED = "Accept-Ranges, Content-Length, Content-Range, ETag, Retry-After"
MAX_AGE = "86400"  # seconds that a browser remembers a preflight


def preflight(allowed_methods: str) -> Callable[..., Coroutine[Any, Any, HTTPResponse]]:
    """Return the OPTIONS handler of a route; `Origins.mark` adds what the origin needs."""

    async def options(_request: Request, **_parameters: str) -> HTTPResponse:
        return HTTPResponse(status=204, headers={"allow": allowed_methods, "cache-control": "no-store"})

    return options


class Origins:
    """The origins of `server.cors_origins`; '*' is every one."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._any = "*" in origins
        self._origins = frozenset(origins)

    async def mark(self, request: Request, response: BaseHTTPResponse) -> None:
        """Response middleware: add the headers that every response has, and those that the origin may see."""
        headers = response.headers
        headers["x-content-type-options"] = "nosniff"
        # A bad request has no route; its error tells nothing and may be read by anybody.
        if request.route is not None and not getattr(request.route.ctx, "cross_origin", False):
            return
        if not self._any:
            headers["vary"] = f"{headers['vary']}, Origin" if "vary" in headers else "Origin"
            origin = request.headers.get("origin")
            if origin not in self._origins:
                return
            headers["access-control-allow-origin"] = origin
        else:
            headers["access-control-allow-origin"] = "*"
        headers["access-control-expose-headers"] = EXPOSED
        if request.method == "OPTIONS":
            headers["access-control-allow-methods"] = headers.get("allow", "GET")
            headers["access-control-allow-headers"] = "Range, If-None-Match, If-Range, Content-Type, Authorization"
            headers["access-control-max-age"] = MAX_AGE
