"""`/login` and `/logout`: a browser shows the admin token once, and gets a cookie for it."""

import math
import re
import time
from typing import Any
from urllib.parse import parse_qs

from sanic import HTTPResponse, Request

from streamkit.access.rates import RateLimit
from streamkit.types import Seconds, UnixTime
from streamkit.web.admin_access import AdminAccess
from streamkit.web.assets import page_asset
from streamkit.web.browser_sessions import LIFETIME, set_cookie
from streamkit.web.client import request_address
from streamkit.web.deps import WebDeps
from streamkit.web.endpoints import Audience, Endpoint
from streamkit.web.params import query_text
from streamkit.web.problems import ApiError
from streamkit.web.same_site import refuse_other_sites

ATTEMPTS_PER_SECOND = 0.5
"""From one address; five at once."""
_OWN_PATH = re.compile(r"/(?![/\\])[A-Za-z0-9._~%/-]{0,256}", re.ASCII)
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_NOTE = b"<!--note-->"


class LoginPages:
    """The form works without scripts, and shows nothing that came with the request."""

    def __init__(self, deps: WebDeps) -> None:
        self._admin = AdminAccess(deps.settings)
        self._proxies = deps.settings.access.proxy_networks()
        self._limit = RateLimit(ATTEMPTS_PER_SECOND)
        self._page = page_asset("login.html", _POLICY)

    def endpoints(self) -> list[Endpoint]:
        """Return both, for everybody: who is not logged in has to get here."""

        def page(path: str, handler: Any, methods: tuple[str, ...], summary: str) -> Endpoint:
            return Endpoint(
                path=path,
                handler=handler,
                methods=methods,
                summary=summary,
                answers={},
                documented=False,
                cross_origin=False,
                audience=Audience.EVERYBODY,
            )

        return [
            page("/login", self.login, ("GET", "POST"), "Log in with the admin token"),
            page("/logout", self.logout, ("POST",), "Log out"),
        ]

    async def login(self, request: Request) -> HTTPResponse:
        """Answer with the form, with the cookie for the right token, or with the form again."""
        where = next_path(query_text(request, "next"))
        if not self._admin.is_needed or (request.method != "POST" and self._admin.knows(request)):
            return _go(where)
        if request.method != "POST":
            return self._page.response(request)
        refuse_other_sites(request)
        wait = self._limit.wait(request_address(request, self._proxies), time.monotonic())
        if wait:
            headers = {"Retry-After": str(math.ceil(wait))}
            raise ApiError(429, "too_many_requests", "Too many attempts; wait a few seconds.", headers=headers)
        if not self._admin.is_token(_form_field(request.body, "token")):
            return self._wrong()
        cookie = self._admin.sessions.issue(UnixTime(time.time()))
        return _go(where, set_cookie(cookie, seconds=LIFETIME, is_secure=self._is_secure(request)))

    async def logout(self, request: Request) -> HTTPResponse:
        """Let the browser forget the cookie."""
        refuse_other_sites(request)
        return _go("/login", set_cookie("", seconds=Seconds(0.0), is_secure=self._is_secure(request)))

    def _wrong(self) -> HTTPResponse:
        note = b'<p class="trouble" role="alert">That is not the admin token.</p>'
        headers = {"cache-control": "no-store", "content-security-policy": _POLICY}
        return HTTPResponse(self._page.body.replace(_NOTE, note), 401, headers, "text/html; charset=utf-8")

    def _is_secure(self, request: Request) -> bool:
        """Return whether the browser came by https, to this service or to a proxy that is trusted."""
        if request.scheme == "https":
            return True
        is_proxied = bool(self._proxies) and request_address(request, self._proxies) != request.ip
        return is_proxied and request.headers.get("x-forwarded-proto", "").lower() == "https"


def next_path(asked: str | None) -> str:
    """Return `asked` when it is a path of this service, else '/': a login leads to no other site."""
    return asked if asked is not None and _OWN_PATH.fullmatch(asked) else "/"


def _form_field(body: bytes, name: str) -> str:
    try:
        fields = parse_qs(body.decode("utf-8", errors="replace"), max_num_fields=8)
    except ValueError:
        return ""
    return fields.get(name, [""])[0]


def _go(where: str, cookie: str = "") -> HTTPResponse:
    headers = {"location": where, "cache-control": "no-store"}
    return HTTPResponse(status=303, headers=headers | ({"set-cookie": cookie} if cookie else {}))
