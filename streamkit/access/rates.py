"""Pure: how often an address may ask. A token bucket for each, as the generic cell rate algorithm: one number."""

from collections import OrderedDict
from ipaddress import IPv6Address, ip_network

from streamkit.access.addresses import parse_address
from streamkit.types import Seconds

MOST_ADDRESSES = 65_536
"""Remembered at a time; the one that has not asked for longest is forgotten, and may ask as if it never had."""
BURST = Seconds(10.0)
"""An address that was silent may ask at once as often as in so many seconds."""


class RateLimit:
    """`rate` requests per second and address. For one event loop."""

    def __init__(self, rate: float) -> None:
        self._interval = 1 / rate
        self._tolerance = max(BURST - self._interval, 0.0)
        self._due: OrderedDict[str, float] = OrderedDict()

    def wait(self, address: str, now: float) -> Seconds:
        """Count one request and return 0, or return in how many seconds the next one is allowed."""
        who = _who(address)
        due = max(self._due.get(who, now), now)
        if due - now > self._tolerance:
            return Seconds(due - now - self._tolerance)
        self._due[who] = due + self._interval
        self._due.move_to_end(who)
        if len(self._due) > MOST_ADDRESSES:
            self._due.popitem(last=False)
        return Seconds(0.0)


def _who(address: str) -> str:
    """Return what is counted: of IPv6 the network of 64 bits, which one household or host has for itself."""
    parsed = parse_address(address)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, 64), strict=False))
    return address
