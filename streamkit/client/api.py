"""The client: one method per question, typed answers, and every error as one sentence."""

import json
import re
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import urllib3

from streamkit.client.models import StreamDetail, StreamPage, read
from streamkit.errors import ClientError

T = TypeVar("T")
_SITE = re.compile(r"https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?", re.ASCII)
_TIMEOUT = urllib3.Timeout(connect=5.0, read=20.0)
_NO_RETRIES = urllib3.Retry(total=False, redirect=0, raise_on_redirect=False, raise_on_status=False)
_OK, _UNAUTHORIZED = 200, 401


class Client:
    """Talks to the service at `url`; `token` is its access.admin_token.

    Raises ClientError when the service cannot be reached, refuses, or is no StreamKit. Redirects are not followed: they
    would carry the token elsewhere.
    """

    def __init__(self, url: str, *, token: str = "") -> None:
        if not _SITE.fullmatch(url):
            raise ClientError("the service's URL must be http:// or https:// with host and port, without a user")
        self._site, self._token = url.rstrip("/"), token
        self._pool = urllib3.PoolManager(timeout=_TIMEOUT, retries=_NO_RETRIES)

    def streams(self, *, active: bool = False, limit: int = 100, offset: int = 0) -> StreamPage:
        """Return a page of the streams, newest publish first; of the active ones alone with `active`."""
        path = "/streams/active" if active else "/streams"
        return self._read(StreamPage, f"{path}?{urlencode({'limit': limit, 'offset': offset})}")

    def stream(self, key: str) -> StreamDetail:
        """Return one stream with its newest sessions."""
        return self._read(StreamDetail, f"/streams/{quote(key, safe='')}")

    def _read(self, model: type[T], path: str) -> T:
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        try:
            return read(model, self._ask(path, headers))
        except (LookupError, TypeError):
            raise ClientError(f"what answers at {self._site} is no StreamKit of this version") from None

    def _ask(self, path: str, headers: dict[str, str]) -> Any:
        try:
            headers = {**headers, "Connection": "close"}
            answer = self._pool.request("GET", f"{self._site}{path}", headers=headers)
        except urllib3.exceptions.HTTPError as error:
            raise ClientError(f"the service at {self._site} cannot be reached ({_reason(error)})") from None
        try:
            content = json.loads(answer.data)
        except ValueError:
            content = None
        if answer.status == _OK:
            return content
        if answer.status == _UNAUTHORIZED:
            raise ClientError(f"the service at {self._site} asks for its admin token: set ADMIN_TOKEN")
        raise ClientError(f"the service at {self._site} refused: {_message(content)} (HTTP {answer.status})")


def _message(content: Any) -> str:
    try:
        return str(content["error"]["message"]).rstrip(".")
    except (LookupError, TypeError):
        return "it gives no reason"


def _reason(error: urllib3.exceptions.HTTPError) -> str:
    cause = getattr(error, "reason", None) or error.__cause__ or error
    return {"NewConnectionError": "connection refused", "NameResolutionError": "its name does not resolve"}.get(
        type(cause if isinstance(cause, BaseException) else error).__name__, "no answer"
    )
