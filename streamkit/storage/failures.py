"""Turns what the S3 client raises into StreamKit's three store errors, each one sentence for a person.

The sentences are built from the status, S3's error code and the operating system's words only: the client's own
messages may carry the server's answer or a signed URL.
"""

import http.client
import re
import socket
import ssl

from minio.error import InvalidResponseError, S3Error, ServerError

from streamkit.errors import ObjectNotFoundError, StoreDeniedError, StoreError, StoreUnavailableError
from streamkit.storage.transport import DeadlineExceededError

_CODE = re.compile(r"[A-Za-z0-9]{1,64}", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,6}", re.ASCII)
_FULL = ("QuotaExceeded", "StorageFull")  # of Ceph, MinIO and others, with statuses from 400 to 507
_REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (DeadlineExceededError, "the transfer was so slow that it was given up"),
    (ssl.SSLCertVerificationError, "its TLS certificate is not trusted"),
    (ssl.SSLError, "the TLS connection failed"),
    (socket.gaierror, "its host name cannot be resolved"),
    (TimeoutError, "it did not react in time"),
    (http.client.RemoteDisconnected, "it closed the connection without an answer"),
    (http.client.HTTPException, "its answer is not valid HTTP"),
)


def store_error(error: BaseException, where: str) -> StoreError:
    """Return the error to raise for a failed request; `where` names the endpoint and the bucket."""
    status = status_of(error)
    if status is None:
        return StoreUnavailableError(f"{where} cannot be used: {_reason(error)}")
    code = getattr(error, "code", None)
    said = f"HTTP {status} {code}" if isinstance(code, str) and _CODE.fullmatch(code) else f"HTTP {status}"
    if status == 507 or any(word in said for word in _FULL):
        return StoreUnavailableError(f"{where} is full ({said}): free space in it or raise its quota")
    if code == "RequestTimeTooSkewed":
        return StoreDeniedError(f"{where} refused the request ({said}): its clock and this machine's differ, set both")
    if status == 404:
        return ObjectNotFoundError(f"{where} has no such object ({said})")
    if status in (401, 403):
        advice = "check the access key, the secret key and the bucket's policy"
        return StoreDeniedError(f"{where} refused the request ({said}): {advice}")
    return StoreUnavailableError(f"{where} answered {said}", retry_after=_retry_after(error))


def status_of(error: BaseException | None) -> int | None:
    """Return the HTTP status of the client's error, None when there was no answer.

    Servers that do not answer in XML give InvalidResponseError, which keeps the status to itself.
    """
    if isinstance(error, S3Error):
        return int(error.response.status)
    if isinstance(error, ServerError):
        return int(error.status_code)
    if isinstance(error, InvalidResponseError):
        return int(error._code)  # noqa: SLF001 - it has no public name
    return None


def _retry_after(error: BaseException) -> float | None:
    """Return the seconds of a Retry-After header; a date in it is not read, because clocks differ."""
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    said = headers.get("Retry-After", "")
    return float(said) if _SECONDS.fullmatch(said) else None


def _reason(error: BaseException) -> str:
    chain = _chain(error)
    for kind, words in _REASONS:
        if any(isinstance(link, kind) for link in chain):
            return words
    found = next((link.strerror for link in chain if isinstance(link, OSError) and link.strerror), None)
    return found.lower() if found else f"its answer is not understood ({type(error).__name__})"


def _chain(error: BaseException | None) -> list[BaseException]:
    links: list[BaseException] = []
    while error is not None and error not in links:
        links.append(error)
        error = error.__cause__ or error.__context__
    return links
