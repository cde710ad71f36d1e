"""Pure: HMAC over a body and the time, as webhooks carry it in both directions.

    X-StreamKit-Signature: t=1790000000,v1=HEX

HEX is HMAC-SHA256 of "1790000000." and the body under the shared secret. The time keeps a request from
being sent again once it is older than the tolerance.
"""

import hmac
import re

from streamkit.types import Seconds, UnixTime

SIGNATURE_HEADER = "X-StreamKit-Signature"
_SIGNATURE = re.compile(r"t=([1-9][0-9]{0,11}),v1=([0-9a-f]{64})", re.ASCII)


def sign(secret: bytes, body: bytes, at: int) -> str:
    """Return the header's value for `body`, sent at this Unix second."""
    return f"t={at},v1={hmac.digest(secret, b'%d.' % at + body, 'sha256').hex()}"


def is_signed(secret: bytes, body: bytes, header: str, now: UnixTime, *, tolerance: Seconds) -> bool:
    """Return whether who knows `secret` signed `body`, at most `tolerance` seconds from now."""
    match = _SIGNATURE.fullmatch(header)
    if match is None or abs(int(match[1]) - now) > tolerance:
        return False
    return hmac.compare_digest(sign(secret, body, int(match[1])), header)
