"""The error of this package."""

from streamkit.errors import SourceError


class RtmpProtocolError(SourceError):
    """The peer sends what RTMP, AMF0 or FLV does not allow; the connection cannot go on."""
