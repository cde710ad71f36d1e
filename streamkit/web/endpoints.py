"""One table of endpoints: it registers the routes and writes the OpenAPI document, so that both agree."""

import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from sanic import HTTPResponse, Sanic

from streamkit.web.cors import preflight


class Audience(Enum):
    """Whom an endpoint is for. What is checked depends on it."""

    EVERYBODY = "everybody"
    PLAYERS = "players"
    RTMP_SERVERS = "RTMP servers"
    PROBES = "probes"
    OPERATORS = "operators"


Handler = Callable[..., Coroutine[Any, Any, HTTPResponse | None]]  # None: it has sent its answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A path or query parameter; `schema` is JSON Schema."""

    name: str
    where: str
    description: str
    schema: Mapping[str, Any]
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a status means; `schema` names one of streamkit.web.schemas, None is another media type or no body."""

    description: str
    schema: str | None = None
    media_type: str = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One path. `path` is written as OpenAPI does: /hls/{stream_key}/{name}.

    Without another `audience` it is for operators alone. GET implies HEAD unless `has_head` is False (a GET that acts).
    `cross_origin` lets pages of `server.cors_origins` read it.
    """

    path: str
    handler: Handler
    summary: str
    answers: Mapping[int, Answer]
    methods: Sequence[str] = ("GET",)
    tag: str = "streams"
    description: str = ""
    parameters: Sequence[Parameter] = ()
    request_body: Mapping[str, Any] | None = None
    has_head: bool = True
    cross_origin: bool = True
    documented: bool = True
    audience: Audience = Audience.OPERATORS
    operation: str = field(default="")

    @property
    def served_methods(self) -> list[str]:
        """The methods that the handler is called for."""
        methods = list(self.methods)
        return [*methods, "HEAD"] if "GET" in methods and self.has_head else methods


def register(app: Sanic[Any, Any], endpoints: Sequence[Endpoint]) -> None:
    """Add a route for each endpoint, and OPTIONS beside it."""
    for number, endpoint in enumerate(endpoints):
        methods = endpoint.served_methods
        options = preflight(", ".join([*methods, "OPTIONS"]))
        for name, handler, served in (("endpoint", endpoint.handler, methods), ("options", options, ["OPTIONS"])):
            app.add_route(
                handler,
                re.sub(r"\{(\w+)\}", r"<\1>", endpoint.path),
                methods=served,
                name=f"{name}_{number}",
                error_format="json",  # else Sanic reads every handler's source to guess it, 8 ms each
                ctx_cross_origin=endpoint.cross_origin,
                ctx_audience=endpoint.audience,
            )
