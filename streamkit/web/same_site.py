"""No other site's page changes anything in the name of the operator whose browser shows it."""

from urllib.parse import urlsplit

from sanic import Request

from streamkit.web.problems import ApiError


def refuse_other_sites(request: Request) -> None:
    """Return unless another site's page sent the request. Raises ApiError (403).

    Browsers say where a request comes from: `Sec-Fetch-Site`, which only https and loopback get, else `Origin`.
    Programs send neither.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        is_other = site not in ("same-origin", "none")
    else:
        is_other = origin is not None and _host(origin) != request.headers.get("host", "").lower()
    if is_other:
        raise ApiError(403, "other_site", "A page of another site may not change anything here.")


def _host(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""
