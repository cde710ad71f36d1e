"""Asks the operator's own URL whether somebody may publish. Only that URL: a redirect is no answer."""

import asyncio
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import urllib3

from streamkit.access.signatures import SIGNATURE_HEADER, sign
from streamkit.errors import AuthorizationUnavailableError
from streamkit.publish_url import PublishRequest
from streamkit.settings_access import AccessSettings
from streamkit.types import Seconds

WORKERS, MOST_WAITING = 4, 64
DEADLINE = Seconds(8.0)
"""Seconds for all attempts together: publishers give up after about ten seconds of silence."""
PAUSE = Seconds(0.2)
_TOO_MANY = 429


class AuthCallback:
    """For any number of event loops. Blocking requests run in a few threads of its own, which start when needed."""

    def __init__(self, settings: AccessSettings) -> None:
        self._url = settings.callback_url
        self._secret = settings.callback_secret.get_secret_value().encode()
        self._attempts = 1 + settings.callback_retries
        timeout = urllib3.Timeout(total=settings.callback_timeout)
        self._http = urllib3.PoolManager(retries=False, timeout=timeout, maxsize=WORKERS)
        self._pool = ThreadPoolExecutor(WORKERS, "auth-callback")
        self._places = threading.BoundedSemaphore(WORKERS + MOST_WAITING)

    def close(self) -> None:
        """Drop what waits, and do not wait for what runs: each attempt has a time limit."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._http.clear()

    async def may_publish(self, request: PublishRequest) -> bool:
        """Return what the URL says: 2xx yes, 4xx no. Raises AuthorizationUnavailableError for everything else."""
        if not self._places.acquire(blocking=False):
            raise AuthorizationUnavailableError("too many publishers wait for access.callback_url", too_many=True)
        body = _body(request)
        try:
            async with asyncio.timeout(DEADLINE):
                return await self._ask(body)
        except TimeoutError:
            raise AuthorizationUnavailableError("access.callback_url did not answer in time") from None
        finally:
            self._places.release()

    async def _ask(self, body: bytes) -> bool:
        loop, problem, status = asyncio.get_running_loop(), "", 0
        for attempt in range(self._attempts):
            if attempt:
                await asyncio.sleep(PAUSE * attempt)
            try:
                status = await loop.run_in_executor(self._pool, self._post, body)
            except urllib3.exceptions.HTTPError as error:
                problem, status = f"could not be asked ({type(error).__name__})", 0
                continue
            if 200 <= status < 300:
                return True
            if 400 <= status < 500 and status not in (408, 429):
                return False
            problem = f"answered {status}, which is neither 2xx nor 4xx"
        raise AuthorizationUnavailableError(f"access.callback_url {problem}", too_many=status == _TOO_MANY)

    def _post(self, body: bytes) -> int:
        headers = {"Content-Type": "application/json", "User-Agent": "StreamKit"}
        if self._secret:
            headers[SIGNATURE_HEADER] = sign(self._secret, body, int(time.time()))
        # The answer's body is never read, so that no size of it matters; its connection is not used again.
        answer = self._http.request(
            "POST", self._url, body=body, headers=headers, redirect=False, preload_content=False
        )
        try:
            return int(answer.status)
        finally:
            answer.close()


def _body(request: PublishRequest) -> bytes:
    asked = {
        "action": "publish",
        "stream_key": request.key,
        "publisher": request.publisher,
        "address": request.address,
        "arguments": dict(request.arguments.values),
    }
    return json.dumps(asked, separators=(",", ":")).encode()
