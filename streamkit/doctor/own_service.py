"""The service of this configuration, when it runs: is it there, and does it take webhooks?"""

import json
import time
from functools import cached_property
from urllib.parse import urlencode

import urllib3

from streamkit.access.signatures import SIGNATURE_HEADER, sign
from streamkit.doctor.findings import Finding, fault, ok, warning
from streamkit.preparation import host_in_urls
from streamkit.settings import Settings

_PATIENCE = urllib3.Timeout(connect=2.0, read=5.0)
_NO_RETRIES = urllib3.Retry(total=False, redirect=0, raise_on_redirect=False, raise_on_status=False)
_HARMLESS = {"call": "update_publish", "name": "doctor"}  # nginx-rtmp's reminder, which changes nothing
_ONCE = {"Connection": "close"}
_OK, _FORBIDDEN = 200, 403


class OwnService:
    """Asks once whether the service runs, whoever wants to know."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._site = f"http://{host_in_urls(settings.server.host)}:{settings.server.port}"
        self._pool = urllib3.PoolManager(timeout=_PATIENCE, retries=_NO_RETRIES)

    @cached_property
    def version(self) -> str | None:
        """The version of the service that runs; None when none does, or something else has its port."""
        try:
            answer = json.loads(self._pool.request("GET", f"{self._site}/health", headers=_ONCE).data)
        except (urllib3.exceptions.HTTPError, ValueError):
            return None
        return str(answer["version"]) if isinstance(answer, dict) and answer.keys() >= {"version", "uptime"} else None

    def webhook(self) -> Finding:
        """Say whether the service takes a webhook with the configured secret, from this machine."""
        if self.version is None:
            return warning("the service does not run, so no webhook was tried", "start it with `streamkit serve`")
        body = urlencode(_HARMLESS).encode()
        headers = {**_ONCE, "Content-Type": "application/x-www-form-urlencoded"}
        if secret := self._settings.access.webhook_secret.get_secret_value():
            headers[SIGNATURE_HEADER] = sign(secret.encode(), body, int(time.time()))
        began = time.monotonic()
        try:
            answer = self._pool.request("POST", f"{self._site}/events/published", body=body, headers=headers)
        except urllib3.exceptions.HTTPError as error:
            return fault(f"the service does not answer webhooks ({type(error).__name__})", "its log says why")
        took = f"{(time.monotonic() - began) * 1000:.0f} ms"
        if answer.status == _OK:
            return ok(f"{self._site}/events/published answers in {took}")
        return self._refused(answer.status, answer.data)

    def _refused(self, status: int, body: bytes) -> Finding:
        code = _code(body)
        if code == "webhook_address":
            return warning(
                "webhooks are not accepted from this machine, so the rest was not tried",
                "fine where the RTMP server is elsewhere; else add this machine to access.webhook_addresses",
            )
        if status == _FORBIDDEN:
            return fault(
                f"the service refused the webhook ({code})",
                "it was started with another access.webhook_secret: restart it, and give the RTMP server the same",
            )
        return fault(f"the service answered a webhook with HTTP {status}", "its log says why")


def _code(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"]["code"])
    except (ValueError, LookupError, TypeError):
        return "no reason given"
