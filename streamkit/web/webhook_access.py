"""Whose webhooks count: those from some addresses, and those that know a secret."""

import hmac
import logging
import time

from sanic import Request

from streamkit.access.addresses import is_in
from streamkit.access.signatures import SIGNATURE_HEADER, is_signed
from streamkit.settings import Settings
from streamkit.types import Seconds, UnixTime
from streamkit.web.client import request_address
from streamkit.web.credentials import bearer_token
from streamkit.web.params import query_text
from streamkit.web.problems import ApiError

logger = logging.getLogger(__name__)

SECRET_HEADER = "X-StreamKit-Secret"  # noqa: S105 - a header's name
SECRET_PARAMETER = "secret"  # noqa: S105 - a parameter's name


class WebhookAccess:
    """Both checks count where both are configured."""

    def __init__(self, settings: Settings) -> None:
        access = settings.access
        self._networks, self._proxies = access.webhook_networks(), access.proxy_networks()
        self._secret = access.webhook_secret.get_secret_value().encode()
        self._signed_only = access.webhook_signed
        self._tolerance = Seconds(access.webhook_tolerance)

    def check(self, request: Request) -> None:
        """Return when the webhook counts. Raises ApiError (403)."""
        address = request_address(request, self._proxies)
        if self._networks and not is_in(address, self._networks):
            logger.warning("Refused a webhook from %s: access.webhook_addresses does not name it", ascii(address))
            raise ApiError(403, "webhook_address", "Webhooks are not accepted from this address.")
        if self._secret and not self._knows_the_secret(request):
            logger.warning("Refused a webhook from %s: it does not show access.webhook_secret", ascii(address))
            how = "" if self._signed_only else f", ?{SECRET_PARAMETER}= or {SECRET_HEADER}"
            raise ApiError(403, "webhook_secret", f"The webhook does not show the secret: {SIGNATURE_HEADER}{how}.")

    def _knows_the_secret(self, request: Request) -> bool:
        signature = request.headers.get(SIGNATURE_HEADER)
        if isinstance(signature, str):
            if request.method != "POST":  # what is said is in the query, and only bodies are signed
                return False
            now = UnixTime(time.time())
            return is_signed(self._secret, request.body, signature, now, tolerance=self._tolerance)
        if self._signed_only:
            return False
        shown = [request.headers.get(SECRET_HEADER), bearer_token(request), query_text(request, SECRET_PARAMETER)]
        return any(_same(text, self._secret) for text in shown if isinstance(text, str))


def _same(text: str, secret: bytes) -> bool:
    return hmac.compare_digest(text.encode("utf-8", errors="replace"), secret)
