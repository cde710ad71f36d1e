"""The pages for people: `/` (live streams with a player) and `/docs` (the API), without a request to anywhere else."""

import gzip
import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sanic import HTTPResponse, Request
from swagger_ui_bundle import swagger_ui_path

from streamkit.settings import Settings
from streamkit.web.conditional import accepts_gzip, etag_matches
from streamkit.web.deps import WebDeps
from streamkit.web.endpoints import Answer, Audience, Endpoint
from streamkit.web.errors import not_found

STATIC = Path(__file__).with_name("static")
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
}
_OWN_FILES = ("player.js", "style.css", "docs.js", "docs.css", "icon.svg")
_SWAGGER_FILES = ("swagger-ui.css", "swagger-ui-bundle.js")
_HLS_JS = "vendor/hls.min.js"  # fetched by `make setup`; without it browsers that play HLS themselves still do


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


class Pages:
    """Holds the files in memory: there are few, and a page must load while the disk is busy with segments."""

    def __init__(self, deps: WebDeps) -> None:
        player_csp, docs_csp = content_security_policies(deps.settings)
        self._index = _read("index.html", player_csp)
        self._docs = _read("docs.html", docs_csp)
        self._own = {name: _read(name) for name in _OWN_FILES}
        if (STATIC / _HLS_JS).is_file():
            self._own[_HLS_JS] = _read(_HLS_JS)
        self._swagger = {name: Asset(name, (Path(swagger_ui_path) / name).read_bytes()) for name in _SWAGGER_FILES}
        self._document: Asset = Asset("openapi.json", b"{}")

    def set_document(self, document: dict[str, Any]) -> None:
        """Serve this OpenAPI document."""
        self._document = Asset("openapi.json", json.dumps(document, separators=(",", ":")).encode())

    def endpoints(self) -> list[Endpoint]:
        """Return the pages and what they load; only the document itself is part of the API."""

        def page(path: str, handler: Any, name: str, audience: Audience = Audience.OPERATORS) -> Endpoint:
            return Endpoint(
                path=path,
                handler=handler,
                summary=name,
                answers={},
                documented=False,
                cross_origin=False,
                audience=audience,
            )

        return [
            page("/", self.index, "Live streams", Audience.EVERYBODY),  # empty without /stats, but it plays
            page("/static/{name}", self.static, "A file of the page", Audience.EVERYBODY),
            page("/static/vendor/{name}", self.vendor, "hls.js", Audience.EVERYBODY),
            page("/login", self.login, "The page, for those who know the admin token"),
            page("/docs", self.docs, "This API"),
            page("/docs/assets/{name}", self.docs_asset, "A file of the page"),
            Endpoint(
                path="/docs/openapi.json",
                handler=self.openapi,
                operation="openapi",
                tag="service",
                summary="This document",
                answers={200: Answer(description="The OpenAPI document.", media_type="application/json")},
            ),
        ]

    async def index(self, request: Request) -> HTTPResponse:
        """Answer with the page of live streams."""
        return self._index.response(request)

    async def login(self, _request: Request) -> HTTPResponse:
        """Send the browser, which knows the admin token from here on, to the page of live streams."""
        return HTTPResponse(status=302, headers={"location": "/", "cache-control": "no-store"})

    async def docs(self, request: Request) -> HTTPResponse:
        """Answer with the API's page."""
        return self._docs.response(request)

    async def openapi(self, request: Request) -> HTTPResponse:
        """Answer with the OpenAPI document."""
        return self._document.response(request)

    async def static(self, request: Request, name: str) -> HTTPResponse:
        """Answer with a file of the page."""
        return _find(self._own, name).response(request)

    async def vendor(self, request: Request, name: str) -> HTTPResponse:
        """Answer with a library of the page."""
        return _find(self._own, f"vendor/{name}").response(request)

    async def docs_asset(self, request: Request, name: str) -> HTTPResponse:
        """Answer with a file of Swagger UI."""
        return _find(self._swagger, name).response(request)


def content_security_policies(settings: Settings) -> tuple[str, str]:
    """Return the policies of the player's page and of the docs page.

    hls.js runs its work in a blob: worker and hands media over as blob: URLs; Swagger UI styles elements inline.
    """
    elsewhere = " ".join([*_media_origins(settings), *_origins(settings.encryption.key_url_base)])
    common = "default-src 'none'; script-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    player = (
        f"{common}; style-src 'self'; img-src 'self' data:; worker-src 'self' blob:; "
        f"connect-src 'self' {elsewhere}; media-src 'self' blob: {elsewhere}"
    )
    docs = f"{common}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'"
    return player, docs


def _media_origins(settings: Settings) -> list[str]:
    """Return the origins that segments may be redirected to."""
    if settings.hls.cdn_base_url:
        return _origins(settings.hls.cdn_base_url)
    if settings.hls.delivery == "presign":
        return [f"{'https' if settings.storage.use_ssl else 'http'}://{settings.storage.endpoint}"]
    return []


def _origins(base: str) -> list[str]:
    url = urlsplit(base)
    return [f"{url.scheme}://{url.netloc}"] if base else []


def _read(name: str, csp: str = "") -> Asset:
    return Asset(name, (STATIC / name).read_bytes(), csp)


def _find(assets: dict[str, Asset], name: str) -> Asset:
    if name not in assets:
        raise not_found()
    return assets[name]
