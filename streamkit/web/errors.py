"""Every error that reaches a client is `{"error": {"code", "message"}}`, and never a traceback."""

import logging
import secrets
from contextlib import suppress
from http import HTTPStatus

from sanic import HTTPResponse, Request
from sanic.exceptions import NotFound, RequestCancelled, SanicException
from sanic.handlers import ErrorHandler

from streamkit.errors import (
    ActorUnavailableError,
    DatabaseUnavailableError,
    InvalidStreamKeyError,
    ObjectNotFoundError,
    StoreDeniedError,
    StoreError,
)
from streamkit.web.problems import ApiError
from streamkit.web.responses import json_response

logger = logging.getLogger(__name__)

RETRY_AFTER = "2"  # seconds


class JsonErrorHandler(ErrorHandler):
    """Sanic calls this for whatever a handler, the router or the parser of requests raises."""

    def default(self, request: Request, exception: Exception) -> HTTPResponse:
        """Return the JSON answer for any exception."""
        try:
            problem = as_problem(exception)
        except Exception:
            logger.exception("An error could not be described")
            problem = ApiError(500, "internal_error", "Something went wrong.")
        if problem.status == HTTPStatus.METHOD_NOT_ALLOWED:
            problem.headers.setdefault("Allow", ", ".join(_allowed_methods(request)))
        if problem.status >= 500:
            logger.info("Answered %d to %s: %s", problem.status, ascii(request.path), problem)
        return problem_response(problem)


def problem_response(problem: ApiError) -> HTTPResponse:
    """Return the response that `problem` describes."""
    body = {"error": {"code": problem.code, "message": str(problem)}}
    return json_response(body, problem.status, problem.headers)


def as_problem(error: BaseException) -> ApiError:
    """Return what the client may know of `error`; the unexpected is logged under a reference that is told as well."""
    match error:
        case ApiError():
            return error
        case InvalidStreamKeyError():
            return ApiError(422, "invalid_stream_key", str(error))
        case DatabaseUnavailableError():
            return _unavailable("database_unavailable", "The database cannot be reached now.")
        case ActorUnavailableError():
            return _unavailable("unavailable", "The service is starting, stopping or overloaded.")
        case ObjectNotFoundError():
            return not_found()
        case StoreDeniedError():
            logger.error("The object store denies access: %s", error)
            return _unavailable("store_unavailable", "The object store cannot be used now.")
        case StoreError():
            return _unavailable("store_unavailable", "The object store cannot be reached now.")
        case RequestCancelled():
            return ApiError(400, "disconnected", "The client closed the connection.")  # which is why nobody reads it
        case SanicException():
            return _from_sanic(error)
        case _:
            return _unexpected(error)


def not_found(message: str = "There is nothing at this address.") -> ApiError:
    """Return a 404."""
    return ApiError(404, "not_found", message)


def _unavailable(code: str, message: str) -> ApiError:
    return ApiError(503, code, message, headers={"Retry-After": RETRY_AFTER})


def _from_sanic(error: SanicException) -> ApiError:
    if isinstance(error, NotFound):
        return not_found()
    try:
        status = HTTPStatus(error.status_code)
    except ValueError:
        return _unexpected(error)
    headers = {name: str(value) for name, value in error.headers.items()}
    return ApiError(
        status, status.name.lower(), f"{status.phrase}: {status.description or 'refused'}.", headers=headers
    )


def _allowed_methods(request: Request) -> list[str]:
    """Return what the path may be asked with: RFC 9110 15.5.6 wants it said, and Sanic knows it of some routes only."""
    allowed = []
    for method in ("GET", "HEAD", "POST", "DELETE", "OPTIONS"):
        with suppress(SanicException):
            request.app.router.get(request.path, method, None)
            allowed.append(method)
    return allowed


def _unexpected(error: BaseException) -> ApiError:
    reference = secrets.token_hex(6)
    logger.error("Unexpected error, reference %s", reference, exc_info=error)
    return ApiError(500, "internal_error", f"Something went wrong; the log has it under reference {reference}.")
