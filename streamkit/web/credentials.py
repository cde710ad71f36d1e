"""What a request shows: the token in its URL or in its header Authorization."""

import binascii
import re
from base64 import b64decode

from sanic import Request

from streamkit.web.params import query_text

TOKEN = "token"  # noqa: S105 - the query parameter's name
_BEARER = re.compile(r"Bearer +([!-~]{1,512}) *", re.ASCII | re.IGNORECASE)  # RFC 6750 2.1
_LONGEST = 1024  # characters of a header with a password


def request_token(request: Request) -> str | None:
    """Return the token that came with a request, whatever it looks like; the header's when there are two."""
    return bearer_token(request) or query_text(request, TOKEN)


def bearer_token(request: Request) -> str | None:
    """Return the token of the header `Authorization: Bearer`, None without one."""
    match = _BEARER.fullmatch(_authorization(request))
    return match[1] if match else None


def password(request: Request) -> str | None:
    """Return the password of the header `Authorization: Basic` (RFC 7617), None without one."""
    scheme, _, credentials = _authorization(request).partition(" ")
    if scheme.lower() != "basic" or len(credentials) > _LONGEST:
        return None
    try:
        return b64decode(credentials, validate=True).decode().partition(":")[2]
    except (binascii.Error, ValueError):
        return None


def _authorization(request: Request) -> str:
    header = request.headers.get("authorization")
    return header if isinstance(header, str) else ""
