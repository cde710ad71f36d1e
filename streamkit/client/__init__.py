"""A small client of the HTTP API: `Client("http://host:8080").streams()`. The command line uses it."""

from streamkit.client.api import Client
from streamkit.client.models import (
    LiveStream,
    Rendition,
    Session,
    SessionPage,
    Source,
    Stream,
    StreamDetail,
    StreamPage,
)

__all__ = [
    "Client",
    "LiveStream",
    "Rendition",
    "Session",
    "SessionPage",
    "Source",
    "Stream",
    "StreamDetail",
    "StreamPage",
]
