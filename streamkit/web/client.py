"""Where a request comes from."""

from collections.abc import Sequence

from sanic import Request

from streamkit.access.addresses import Network, client_address


def request_address(request: Request, trusted_proxies: Sequence[Network]) -> str:
    """Return the address of who sent the request: the connection's, or what trusted proxies say of it."""
    if not trusted_proxies:
        return request.ip
    headers = request.headers.getall("x-forwarded-for", [])
    entries = [entry.strip() for header in headers for entry in header.split(",")]
    return client_address(request.ip, entries, trusted_proxies)
