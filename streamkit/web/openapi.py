"""Pure: the table of endpoints -> the OpenAPI document.

Version 3.0.3, because the Swagger UI of PyPI's swagger-ui-bundle (4.15) does not show 3.1.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from streamkit import __version__
from streamkit.web.endpoints import Answer, Audience, Endpoint, Parameter
from streamkit.web.schemas import SCHEMAS

_ADMIN = "adminToken"
TAGS: Mapping[str, str] = {
    "events": "What RTMP servers tell StreamKit.",
    "playback": "What players fetch.",
    "streams": "Streams and their history.",
    "clips": "Time ranges of broadcasts as playlists of their own.",
    "service": "Health and statistics.",
}


def document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """Return the OpenAPI document of those endpoints that are documented; HEAD goes without saying (RFC 9110 9.3.2)."""
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        if endpoint.documented:
            for method in endpoint.methods:
                paths.setdefault(endpoint.path, {})[method.lower()] = _operation(endpoint, method)
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "StreamKit",
            "version": __version__,
            "description": 'Live encoder: RTMP in, adaptive HLS out. Every error is {"error": {"code", "message"}}.',
            "license": {"name": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": paths,
        "components": {"schemas": dict(SCHEMAS), "securitySchemes": {_ADMIN: {"type": "http", "scheme": "bearer"}}},
    }


def _operation(endpoint: Endpoint, method: str) -> dict[str, Any]:
    first = method == endpoint.methods[0]
    operation: dict[str, Any] = {
        "operationId": endpoint.operation if first else f"{endpoint.operation}_{method.lower()}",
        "summary": endpoint.summary,
        "tags": [endpoint.tag],
        "parameters": [_parameter(parameter) for parameter in endpoint.parameters],
        "responses": {str(status): _answer(answer) for status, answer in sorted(_answers(endpoint).items())},
    }
    if endpoint.audience is Audience.OPERATORS:
        operation["security"] = [{}, {_ADMIN: []}]  # nothing, where no token is set
    if endpoint.description:
        operation["description"] = endpoint.description
    if endpoint.request_body and method == "POST":
        operation["requestBody"] = endpoint.request_body
    return operation


def _answers(endpoint: Endpoint) -> dict[int, Answer]:
    """Return the answers of its own, and those that the guards of every endpoint give."""
    answers = {429: Answer(description="The address asks too often; see Retry-After.", schema="Error")}
    if endpoint.audience is Audience.OPERATORS:
        answers[401] = Answer(description="The admin token is missing or wrong.", schema="Error")
    return answers | dict(endpoint.answers)


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.where,
        "required": parameter.required,
        "description": parameter.description,
        "schema": parameter.schema,
    }


def _answer(answer: Answer) -> dict[str, Any]:
    described: dict[str, Any] = {"description": answer.description}
    if not answer.media_type:
        return described
    schema = {"$ref": f"#/components/schemas/{answer.schema}"} if answer.schema else {"type": "string"}
    return {**described, "content": {answer.media_type: {"schema": schema}}}
