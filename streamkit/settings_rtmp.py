"""The configuration of the RTMP server that publishers use."""

from typing import Annotated, Literal

from pydantic import Field

from streamkit.settings_fields import Host, Port, Section


class RtmpSettings(Section):
    """The RTMP server that publishers use: pulled from in production, embedded with --embedded."""

    server: Host = "rtmp"
    port: Port = 1935
    app: str = Field(
        default="live", pattern=r"^[A-Za-z0-9_-]{1,64}$", description="1 to 64 characters from A-Z a-z 0-9 _ -"
    )
    status_url: str = Field(
        default="",
        pattern=r"^(https?://[^\s/?#@]{1,255}(/[^\s#@]{0,1000})?)?$",
        description="empty or an http:// or https:// URL without a user or a password",
    )
    """The server's status page, which says who publishes; empty: webhooks alone do."""
    status_server: Literal["nginx-rtmp", "srs", "mediamtx"] = "nginx-rtmp"
    """Whose status page that is."""
    status_interval: Annotated[float, Field(ge=1, le=300)] = 5.0
    """Seconds between two looks at the status page."""
