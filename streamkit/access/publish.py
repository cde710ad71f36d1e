"""Decides whether a publisher may go on, before the Supervisor hears of it."""

import hmac
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import TYPE_CHECKING

from streamkit.access.keys import key_id, matches
from streamkit.access.tokens import Purpose, TokenError, check_token
from streamkit.database.rows import PublishKeyRow
from streamkit.errors import ActorUnavailableError, AuthorizationUnavailableError, DatabaseUnavailableError
from streamkit.messages import PublishAnswer
from streamkit.publish_url import PublishRequest
from streamkit.settings import Settings
from streamkit.types import PublishKeyId, UnixTime

if TYPE_CHECKING:
    from streamkit.access.callback import AuthCallback

logger = logging.getLogger(__name__)

MOST_KNOWN = 4096
FOREVER = UnixTime(float("inf"))
FindKey = Callable[[PublishKeyId], Awaitable[PublishKeyRow | None]]
"""Asks the database. Raises DatabaseUnavailableError or ActorUnavailableError."""


class _RefusedError(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class PublishGate:
    """For any event loop: the front end's and that of RTMP connections. Nothing here blocks one."""

    def __init__(self, settings: Settings, find_key: FindKey) -> None:
        self._settings = settings
        self._find_key = find_key
        self._token_secret = settings.encryption.signing_secret()
        self._callback = _open_callback(settings)
        self._known = KnownPublishers()

    def close(self) -> None:
        """Ask nobody any more."""
        if self._callback is not None:
            self._callback.close()

    @property
    def admit(self) -> "Callable[[PublishRequest], Awaitable[PublishAnswer | None]] | None":
        """`refusal`, None when everybody may publish every stream."""
        return self.refusal if self._settings.asks_publishers else None

    async def refusal(self, request: PublishRequest) -> PublishAnswer | None:
        """Return why the publisher may not go on, None when it may."""
        mode = self._settings.publish_mode_for(request.key)
        if mode == "open":
            return None
        try:
            if mode == "callback":
                await self._ask_callback(request)
            elif request.arguments.key is not None and mode in ("key", "key_or_token"):
                await self._check_key(request, request.arguments.key)
            else:
                self._check_token(request, mode)
        except _RefusedError as refused:
            logger.warning("Refused a publisher: %s", refused, extra={"key": request.key})
            return PublishAnswer(code=refused.code, refused=str(refused))
        except (DatabaseUnavailableError, ActorUnavailableError, AuthorizationUnavailableError) as error:
            return self._in_an_outage(request, error)
        return None

    async def _ask_callback(self, request: PublishRequest) -> None:
        if self._callback is None or not await self._callback.may_publish(request):
            self._known.forget(request)
            raise _RefusedError("publish_refused", f"{request.key} may not be published: access.callback_url says so")
        self._known.add(request, FOREVER)

    async def _check_key(self, request: PublishRequest, key: str) -> None:
        found_id = key_id(key)
        row = None if found_id is None else await self._find_key(found_id)
        if row is None or not matches(key, row.digest) or not hmac.compare_digest(row.stream_key, request.key):
            self._known.forget(request)
            raise _RefusedError("key_refused", f"the publish key is not one of the stream {request.key}")
        if row.revoked_at is not None:
            self._known.forget(request)
            raise _RefusedError("key_revoked", f"the publish key {row.id} was revoked")
        expires = FOREVER if row.expires_at is None else row.expires_at
        if expires <= time.time():
            raise _RefusedError("key_expired", f"the publish key {row.id} has expired")
        self._known.add(request, expires)

    def _check_token(self, request: PublishRequest, mode: str) -> None:
        token = request.arguments.token
        if mode == "key":
            raise _RefusedError("key_missing", f"{request.key} needs a publish key: .../{request.key}?key=...")
        if token is None:
            asked = "token=... or ?key=..." if mode == "key_or_token" else "token=..."
            raise _RefusedError("token_missing", f"{request.key} needs a publish token: .../{request.key}?{asked}")
        try:
            check_token(self._token_secret, request.key, token, UnixTime(time.time()), Purpose.PUBLISH)
        except TokenError as error:
            raise _RefusedError(error.code, str(error)) from None

    def _in_an_outage(self, request: PublishRequest, error: Exception) -> PublishAnswer | None:
        policy = self._settings.access.outage
        if isinstance(error, AuthorizationUnavailableError) and error.too_many:
            policy = "refuse"  # else whoever asks often enough makes the outage that lets it in
        is_let_in = policy == "accept" or (policy == "known" and self._known.has(request))
        verdict = "let in" if is_let_in else "refused"
        logger.warning(
            "A publisher is %s unasked (access.outage: %s): %s", verdict, policy, error, extra={"key": request.key}
        )
        if is_let_in:
            return None
        return PublishAnswer(code="authorization_unavailable", refused="nobody can say now who may publish")


def _open_callback(settings: Settings) -> "AuthCallback | None":
    if not settings.access.callback_url:
        return None
    from streamkit.access.callback import AuthCallback  # noqa: PLC0415 - urllib3 takes memory that most need not spend

    return AuthCallback(settings.access)


class KnownPublishers:
    """Who was let in, by a digest of stream, address and arguments; the last MOST_KNOWN of them. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: OrderedDict[bytes, UnixTime] = OrderedDict()

    def add(self, request: PublishRequest, until: UnixTime) -> None:
        """Remember the publisher until this moment."""
        with self._lock:
            self._until[_digest(request)] = until
            self._until.move_to_end(_digest(request))
            while len(self._until) > MOST_KNOWN:
                self._until.popitem(last=False)

    def forget(self, request: PublishRequest) -> None:
        """Remember the publisher no longer."""
        with self._lock:
            self._until.pop(_digest(request), None)

    def has(self, request: PublishRequest) -> bool:
        """Return whether the publisher was let in before, and would not have expired meanwhile."""
        with self._lock:
            return self._until.get(_digest(request), UnixTime(0.0)) > time.time()


def _digest(request: PublishRequest) -> bytes:
    said = "\0".join(
        [
            request.key,
            request.address or "",
            *(f"{name}={value}" for name, value in sorted(request.arguments.values.items())),
        ]
    )
    return sha256(said.encode("utf-8", errors="replace")).digest()
