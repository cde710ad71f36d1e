"""Which web pages may play: those of some hosts. It keeps other people's pages off, not programs, which may lie."""

from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from sanic import Request

from streamkit.settings import Settings
from streamkit.web.problems import ApiError


class Referers:
    """The hosts of `access.referers`, and the one that the request itself was sent to: our own pages."""

    def __init__(self, settings: Settings) -> None:
        self._hosts = tuple(host.lower() for host in settings.access.referers)
        self._is_required = settings.access.referer_required

    @property
    def is_needed(self) -> bool:
        """Whether not every page may play."""
        return bool(self._hosts)

    def check(self, request: Request) -> None:
        """Return when the page that sends the request may play. Raises ApiError (403)."""
        if not self._hosts:
            return
        page = request.headers.get("referer") or request.headers.get("origin")
        if not (self._is_allowed(page, request.host) if page else not self._is_required):
            raise ApiError(403, "referer", "This stream is not for players on that page.")

    def _is_allowed(self, page: str, own: str) -> bool:
        host = _host_of(page)
        return bool(host) and (host == _host_of(f"//{own}") or any(fnmatchcase(host, one) for one in self._hosts))


def _host_of(url: str) -> str:
    """Return the host in lower case, '' when there is none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
