"""The `encryption` section: AES-128 segments, their keys, and who may fetch the keys."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr
from pydantic_core import PydanticCustomError

from streamkit.settings_fields import Section

EncryptionMethod = Literal["none", "aes-128"]
SHORTEST_SECRET = 16  # characters
_SECRET_RULE = f"empty or text of at least {SHORTEST_SECRET} characters"


def _long_enough(secret: SecretStr) -> SecretStr:
    if 0 < len(secret.get_secret_value()) < SHORTEST_SECRET:
        raise PydanticCustomError("broken_rule", _SECRET_RULE)
    return secret


Secret = Annotated[SecretStr, Field(description=_SECRET_RULE), AfterValidator(_long_enough)]


class EncryptionSettings(Section):
    """AES-128 segments (RFC 8216 4.3.2.4)."""

    method: EncryptionMethod = "none"
    key_rotation: Annotated[int, Field(ge=1, le=100_000)] = 60
    """Segments that one key is for; a running encoder keeps to what it began with."""
    secret: Secret = SecretStr("")
    """All keys are made from it: without it nothing that was encrypted plays any more."""
    token_secret: Secret = SecretStr("")
    """Signs players' tokens; empty: `secret` does. Another one ends every token and leaves the keys as they are."""
    key_url_base: str = Field(
        default="",
        pattern=r"^$|^https?://([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?$",
        description="empty or an http:// or https:// URL without user, query and fragment",
    )
    """StreamKit's URL as players see it, before /keys/...; empty: the keys are on the host that has the playlist."""

    def signing_secret(self) -> bytes:
        """Return what signs tokens; empty when nothing does."""
        return (self.token_secret.get_secret_value() or self.secret.get_secret_value()).encode()

    def key_secret(self) -> bytes:
        """Return what keys are made from; empty when there are none."""
        return self.secret.get_secret_value().encode()
