"""The `access` section: who may publish, and whose webhooks count."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr
from pydantic_core import PydanticCustomError

from streamkit.access.addresses import NETWORK_RULE, Network, parse_network
from streamkit.settings_encryption import SHORTEST_SECRET, Secret
from streamkit.settings_fields import Section

PublishMode = Literal["open", "key", "token", "key_or_token", "callback"]
PlaybackMode = Literal["open", "token"]
Outage = Literal["refuse", "known", "accept"]


_BEARER = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)
_BEARER_RULE = (
    f"empty or at least {SHORTEST_SECRET} characters from A-Z a-z 0-9 - . _ ~ + /, and = at the end: "
    "only these fit into an Authorization header"
)


def _fits_a_header(secret: SecretStr) -> SecretStr:
    """Refuse what no program could send as `Authorization: Bearer` (RFC 6750 2.1)."""
    text = secret.get_secret_value()
    if text and (len(text) < SHORTEST_SECRET or not _BEARER.fullmatch(text)):
        raise PydanticCustomError("broken_rule", _BEARER_RULE)
    return secret


def _is_network(text: str) -> str:
    try:
        parse_network(text)
    except ValueError:
        raise PydanticCustomError("broken_rule", NETWORK_RULE) from None
    return text


HostText = Annotated[
    str,
    Field(
        pattern=r"^(\*\.)?[A-Za-z0-9_]([A-Za-z0-9._-]{0,252})$",
        description="a host name, without scheme and port; *.example.org is every host below example.org",
    ),
]
BearerToken = Annotated[SecretStr, Field(description=_BEARER_RULE), AfterValidator(_fits_a_header)]
NetworkText = Annotated[str, Field(description=NETWORK_RULE), AfterValidator(_is_network)]


class AccessSettings(Section):
    """Who may do what; by default everybody may."""

    publish: PublishMode = "open"
    """Who may publish: everybody, who has the stream's publish key or a token for it, or whom `callback_url` lets."""
    outage: Outage = "known"
    """Who may publish while the database (for keys) or `callback_url` does not answer: nobody, who was let in from
    the same address with the same arguments since the start, everybody."""
    callback_url: str = Field(
        default="",
        pattern=r"^$|^https?://([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[A-Za-z0-9._~%!$&'()*+,;=:@/-]*)?$",
        description="empty or an http:// or https:// URL without user, query and fragment",
    )
    """Asked about every publisher where `publish` is callback."""
    callback_timeout: Annotated[float, Field(ge=0.1, le=5)] = 2.0
    """Seconds that one attempt may take."""
    callback_retries: Annotated[int, Field(ge=0, le=5)] = 1
    """Further attempts after one without an answer."""
    callback_secret: Secret = SecretStr("")
    """Signs what is posted to `callback_url`; empty: nothing does."""
    webhook_addresses: tuple[NetworkText, ...] = ()
    """Where webhooks may come from; none: anywhere."""
    webhook_secret: Secret = SecretStr("")
    """What webhooks must know; empty: nothing."""
    webhook_signed: bool = False
    """Whether only a signature shows that they know it."""
    webhook_tolerance: Annotated[float, Field(ge=1, le=86_400)] = 300.0
    """Seconds that a signature may be old, or from the future."""
    playback: PlaybackMode = "open"
    """Who may have playlists and pictures: everybody, or who has a token for the stream."""
    referers: tuple[HostText, ...] = ()
    """Hosts of the web pages that may play; none: any."""
    referer_required: bool = False
    """Whether who does not say which page it is may not play where there are `referers`."""
    admin_token: BearerToken = SecretStr("")
    """What operators must show; empty: nothing."""
    request_rate: Annotated[float, Field(ge=0, le=100_000)] = 0.0
    """Requests per second that one address may send, those of players, RTMP servers and probes apart; 0: any."""
    player_rate: Annotated[float, Field(ge=0, le=100_000)] = 0.0
    """Requests per second for playlists, segments, pictures and keys that one address may send; 0: any."""
    trusted_proxies: tuple[NetworkText, ...] = ()
    """Proxies whose X-Forwarded-For is believed."""

    def webhook_networks(self) -> tuple[Network, ...]:
        """Return `webhook_addresses` as networks."""
        return tuple(map(parse_network, self.webhook_addresses))

    def proxy_networks(self) -> tuple[Network, ...]:
        """Return `trusted_proxies` as networks."""
        return tuple(map(parse_network, self.trusted_proxies))
