"""The configuration of how long a broadcast waits, and for what."""

from typing import Annotated, Literal

from pydantic import Field

from streamkit.settings_fields import Positive, Section


class SessionSettings(Section):
    """How long a stream waits for its publisher."""

    connect_timeout: Positive = 20.0
    """Seconds from an accepted publish to the first media before the stream fails."""
    reconnect_window: Annotated[float, Field(ge=0)] = 15.0
    """Seconds that a live session waits for its publisher to come back; 0 ends it at once."""
    takeover: Literal["refuse", "takeover"] = "refuse"
    """What a second publisher of a live key meets: it is refused, or takes the place of the first."""
    slate: str = ""
    """Path of a picture or clip that players see while a live session waits for its publisher; empty: nothing."""
    on_stop: Literal["end", "keep"] = "end"
    """What an orderly stop does to broadcasts: ends them, or leaves them open for the next start."""
    finish_deadline: Positive = 60.0
    """Seconds that an ended broadcast may take to upload what is left before the row says so."""
