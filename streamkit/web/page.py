"""The pages for people: `/` (the dashboard), `/watch` (the player), `/docs` (the API); all that they load is here."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sanic import HTTPResponse, Request
from swagger_ui_bundle import swagger_ui_path

from streamkit.settings import Settings
from streamkit.web.assets import STATIC, Asset, page_asset
from streamkit.web.deps import WebDeps
from streamkit.web.endpoints import Answer, Audience, Endpoint
from streamkit.web.errors import not_found
from streamkit.web.params import path_key

_OWN_FILES = (
    "base.css",
    "dashboard.css",
    "dashboard.js",
    "docs.css",
    "docs.js",
    "feed.js",
    "icon.svg",
    "machine.js",
    "page.js",
    "player.js",
    "style.css",
    "tiles.js",
    "words.js",
)
_SWAGGER_FILES = ("swagger-ui.css", "swagger-ui-bundle.js")
_HLS_JS = "vendor/hls.min.js"  # fetched by `make setup`; without it browsers that play HLS themselves still do
DASHBOARD_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)


class Pages:
    """Holds the files in memory: there are few, and a page must load while the disk is busy with segments."""

    def __init__(self, deps: WebDeps) -> None:
        player_csp, docs_csp = content_security_policies(deps.settings)
        self._dashboard = page_asset("dashboard.html", DASHBOARD_POLICY)
        self._watch = page_asset("watch.html", player_csp)
        self._docs = page_asset("docs.html", docs_csp)
        self._own = {name: page_asset(name) for name in _OWN_FILES}
        if (STATIC / _HLS_JS).is_file():
            self._own[_HLS_JS] = page_asset(_HLS_JS)
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
            page("/", self.index, "Dashboard", Audience.EVERYBODY),  # empty without /stats/events, which is not
            page("/watch", self.watch, "Live streams with a player", Audience.EVERYBODY),
            page("/watch/{stream_key}", self.watch, "One stream's player", Audience.EVERYBODY),
            page("/static/{name}", self.static, "A file of the page", Audience.EVERYBODY),
            page("/static/vendor/{name}", self.vendor, "hls.js", Audience.EVERYBODY),
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
        """Answer with the dashboard; what was once the address of a stream's player leads there."""
        if "stream" in request.args:
            headers = {"location": f"/watch?{request.query_string}", "cache-control": "no-store"}
            return HTTPResponse(status=302, headers=headers)
        return self._dashboard.response(request)

    async def watch(self, request: Request, stream_key: str = "") -> HTTPResponse:
        """Answer with the player's page, which finds out for itself whether there is such a stream."""
        if stream_key:
            path_key(stream_key)
        return self._watch.response(request)

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


def _find(assets: dict[str, Asset], name: str) -> Asset:
    if name not in assets:
        raise not_found()
    return assets[name]
