"""Asks an RTMP server who publishes on it. Blocks, within bounds of time and size."""

import threading
from collections.abc import Callable, Mapping
from types import MappingProxyType

import urllib3

from streamkit.errors import RtmpStatusError
from streamkit.rtmp_servers.json_pages import MOST_STREAMS, parse_mediamtx, parse_srs
from streamkit.rtmp_servers.names import Publishers
from streamkit.rtmp_servers.nginx import parse_nginx
from streamkit.settings_rtmp import RtmpSettings
from streamkit.storage.transport import connection_pool, deadline
from streamkit.types import Seconds

MOST_BYTES = 32 << 20
TOTAL, IDLE = Seconds(4.0), Seconds(2.0)

_PARSERS: Mapping[str, tuple[Callable[[bytes, str], Publishers], str]] = MappingProxyType(
    {
        "nginx-rtmp": (parse_nginx, ""),
        "srs": (parse_srs, f"count={MOST_STREAMS}"),
        "mediamtx": (parse_mediamtx, f"itemsPerPage={MOST_STREAMS}"),
    }
)


class StatusPage:
    """One connection, used again and again; `settings.status_server` says which server's page it is."""

    def __init__(self, settings: RtmpSettings) -> None:
        self._app = settings.app
        self._parse, query = _PARSERS[settings.status_server]
        self._url = settings.status_url
        if query and "?" not in self._url:
            self._url += f"?{query}"
        self._closing = threading.Event()
        self._pool = connection_pool(
            connections=1, connect_timeout=IDLE, read_timeout=IDLE, use_tls=self._url.startswith("https:")
        )

    def fetch(self) -> Publishers:
        """Return who publishes now. Raises RtmpStatusError with one sentence."""
        try:
            with deadline(TOTAL, idle=IDLE, closing=self._closing):
                body = self._get()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise RtmpStatusError(f"the status page does not answer ({_cause(error)})") from error
        return self._parse(body, self._app)

    def _get(self) -> bytes:
        answer = self._pool.request("GET", self._url, preload_content=False)
        try:
            if answer.status != 200:
                raise RtmpStatusError(f"the status page was answered with HTTP {answer.status}")
            body = answer.read(MOST_BYTES + 1)
            if len(body) > MOST_BYTES:
                answer.close()  # the rest is not worth reading
                raise RtmpStatusError(f"the status page has more than {MOST_BYTES >> 20} MiB")
            return body
        finally:
            answer.release_conn()

    def close(self) -> None:
        """End the connection."""
        self._closing.set()
        self._pool.clear()


def _cause(error: BaseException) -> str:
    reason = getattr(error, "reason", None)
    return type(reason if isinstance(reason, BaseException) else error).__name__
