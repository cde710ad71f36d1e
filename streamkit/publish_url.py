"""Pure: what a publisher says in the arguments of its URL, rtmp://HOST/live/KEY?token=..&ladder=NAME."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from streamkit.types import StreamKey

_MAX_ARGUMENTS = 100


@dataclass(frozen=True, slots=True)
class PublishArguments:
    """The arguments by name; of several of one name the first counts. They are secrets: no repr shows them."""

    values: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def ladder(self) -> str | None:
        """The ladder that the publisher asks for, None for none."""
        return self.values.get("ladder") or None

    @property
    def key(self) -> str | None:
        """The publish key, None without one."""
        return self.values.get("key") or None

    @property
    def token(self) -> str | None:
        """The publish token, None without one."""
        return self.values.get("token") or None


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishRequest:
    """Somebody wants to publish `key`. `publisher` and `address` are what the RTMP server says, None when nothing."""

    key: StreamKey
    publisher: str | None = None
    address: str | None = None
    arguments: PublishArguments = PublishArguments()


def parse_arguments(text: str) -> PublishArguments:
    """Return the arguments of 'ladder=mobile&token=..', with or without a '?' before it.

    What cannot be read is as good as nothing: arguments are often meant for somebody else.
    """
    try:
        pairs = parse_qsl(text.removeprefix("?"), max_num_fields=_MAX_ARGUMENTS, errors="replace")
    except ValueError:
        return PublishArguments()
    return PublishArguments(dict(reversed(pairs)))
