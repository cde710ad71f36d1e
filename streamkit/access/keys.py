"""Pure: publish keys. A key is ID-SECRET; the database keeps the ID and the SHA-256 of the secret, never the secret.

The secret is 256 random bits, so nothing can be tried out against its plain hash, and a slow one would only slow
publishers down.
"""

import hmac
import re
from base64 import urlsafe_b64encode
from hashlib import sha256

from streamkit.types import PublishKeyId

ID_BYTES, SECRET_BYTES = 5, 32
_KEY = re.compile(r"([0-9a-f]{10})-([A-Za-z0-9_-]{43})", re.ASCII)
_ID = re.compile(r"[0-9a-f]{10}", re.ASCII)


def make_key(random: bytes) -> str:
    """Return the publish key that is made of ID_BYTES + SECRET_BYTES random bytes."""
    if len(random) != ID_BYTES + SECRET_BYTES:
        raise ValueError("a publish key is made of 37 random bytes")
    secret = urlsafe_b64encode(random[ID_BYTES:]).rstrip(b"=").decode()
    return f"{random[:ID_BYTES].hex()}-{secret}"


def key_id(key: str) -> PublishKeyId | None:
    """Return the ID of a key, None when `key` has not the form of one."""
    match = _KEY.fullmatch(key)
    return PublishKeyId(match[1]) if match else None


def is_key_id(text: str) -> bool:
    """Return whether `text` has the form of a key's ID."""
    return _ID.fullmatch(text) is not None


def digest(key: str) -> str:
    """Return what the database keeps of the secret."""
    return sha256(key.partition("-")[2].encode()).hexdigest()


def matches(key: str, kept: str) -> bool:
    """Return whether the database keeps `kept` of this key; takes the same time for every wrong one."""
    return hmac.compare_digest(digest(key), kept)
