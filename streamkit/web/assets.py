"""The files of the pages, held in memory: there are few, and a page must load while the disk is busy."""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sanic import HTTPResponse, Request

from streamkit.web.conditional import accepts_gzip, etag_matches

STATIC = Path(__file__).with_name("static")
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
}


@dataclass(frozen=True)
class Asset:
    """A file that is served as it is, revalidated by its ETag."""

    name: str
    body: bytes
    csp: str = ""

    @cached_property
    def etag(self) -> str:
        """A strong validator, in quotes."""
        return f'"{hashlib.blake2b(self.body, digest_size=12).hexdigest()}"'

    @cached_property
    def gzipped(self) -> bytes:
        """The body compressed once."""
        return gzip.compress(self.body, compresslevel=6, mtime=0)

    def response(self, request: Request) -> HTTPResponse:
        """Return 200, or 304 when the browser has it."""
        headers = {"cache-control": "no-cache", "etag": self.etag, "vary": "Accept-Encoding"}
        if self.csp:
            headers |= {"content-security-policy": self.csp, "referrer-policy": "same-origin"}
        if etag_matches(request.headers.get("if-none-match", ""), self.etag):
            return HTTPResponse(status=304, headers=headers)
        body = self.body
        if len(body) > 1024 and accepts_gzip(request.headers.get("accept-encoding")):
            # The tag is weak now: it stands for the file, not for these bytes (RFC 9110 8.8.1).
            body, headers["content-encoding"], headers["etag"] = self.gzipped, "gzip", f"W/{self.etag}"
        return HTTPResponse(body, 200, headers, _TYPES[Path(self.name).suffix])


def page_asset(name: str, csp: str = "") -> Asset:
    """Return a file of the folder `static`, with the policy that it is served with where it is a page."""
    return Asset(name, (STATIC / name).read_bytes(), csp)
