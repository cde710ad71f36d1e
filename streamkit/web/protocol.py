"""HTTP connections whose requests must be whole in time: Sanic's own deadline begins anew with every byte."""

from time import monotonic

from sanic.exceptions import RequestTimeout
from sanic.http.constants import Stage
from sanic.server.protocols.http_protocol import HttpProtocol


class PunctualProtocol(HttpProtocol):
    """Gives a request REQUEST_TIMEOUT seconds from its first byte to its last, header and body together; then 408.

    Who sends a byte now and then would otherwise hold a connection for ever, and a few thousand of them all there are.
    """

    def data_received(self, data: bytes) -> None:
        """Take bytes; the clock of a request that has begun goes on."""
        began = self._time if self._is_receiving else None
        super().data_received(data)
        if began is not None:
            self._time = began

    def check_timeouts(self) -> None:
        """Called every few seconds by Sanic, which itself gives a body as long as an answer."""
        is_late = monotonic() - self._time > self.request_timeout
        if self._task is not None and is_late and self._awaits_body:
            self._http.exception = RequestTimeout("The request was not whole in time.")
            self._task.cancel()
            return
        super().check_timeouts()  # type: ignore[no-untyped-call]

    @property
    def _is_receiving(self) -> bool:
        http = getattr(self, "_http", None)  # made by the connection's task, which the first bytes may precede
        return http is not None and (http.stage is Stage.REQUEST or self._awaits_body)

    @property
    def _awaits_body(self) -> bool:
        return bool(getattr(self._http, "request_body", None))  # not there before the first request
