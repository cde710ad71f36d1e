"""The cookie that a browser shows instead of the admin token, once it has logged in with that."""

import hashlib
import hmac
import re
import secrets
from functools import cached_property

from sanic import Request

from streamkit.types import Seconds, UnixTime

COOKIE = "streamkit_session"
LIFETIME = Seconds(12 * 3600.0)
_COOKIE = re.compile(r"([1-9][0-9]{0,11})\.([0-9a-f]{16})\.([0-9a-f]{64})", re.ASCII)


class BrowserSessions:
    """Signs cookies with a key made from the admin token: they outlive a restart, and end with that token."""

    def __init__(self, admin_token: bytes) -> None:
        self._admin_token = admin_token

    @cached_property
    def _key(self) -> bytes:
        # Slow on purpose, and once: who steals a cookie must not learn a short token from it by guessing.
        return hashlib.scrypt(self._admin_token, salt=b"streamkit browser session", n=1 << 14, r=8, p=1, dklen=32)

    def issue(self, now: UnixTime) -> str:
        """Return a new cookie's value, good for LIFETIME."""
        content = f"{int(now + LIFETIME)}.{secrets.token_hex(8)}"
        return f"{content}.{self._signature(content)}"

    def holds(self, value: str, now: UnixTime) -> bool:
        """Return whether this service issued `value`, and it has not expired."""
        match = _COOKIE.fullmatch(value)
        if match is None or not now < int(match[1]) <= now + LIFETIME:
            return False
        return hmac.compare_digest(self._signature(f"{match[1]}.{match[2]}"), match[3])

    def _signature(self, content: str) -> str:
        return hmac.digest(self._key, content.encode(), "sha256").hex()


def session_cookie(request: Request) -> str:
    """Return the value of the request's cookie, '' without one."""
    value = request.cookies.get(COOKIE)
    return value if isinstance(value, str) else ""


def set_cookie(value: str, *, seconds: Seconds, is_secure: bool) -> str:
    """Return the Set-Cookie header: no script reads the cookie, and no other site's page makes a browser send it."""
    secure = "; Secure" if is_secure else ""
    return f"{COOKIE}={value}; Path=/; Max-Age={int(seconds)}; HttpOnly; SameSite=Strict{secure}"
