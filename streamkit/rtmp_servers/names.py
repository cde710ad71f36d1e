"""Pure: what the parsers of all status pages share."""

from streamkit.errors import InvalidStreamKeyError
from streamkit.types import StreamKey, parse_stream_key

Publishers = dict[StreamKey, str | None]
"""Who publishes each key; None when the server does not say."""


def stream_key(name: object) -> StreamKey | None:
    """Return the name as a stream key, or None when it cannot be one."""
    try:
        return parse_stream_key(name)
    except InvalidStreamKeyError:
        return None
