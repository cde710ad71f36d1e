"""Settings of what is kept, and for how long."""

import re
from typing import Annotated

from pydantic import BeforeValidator, Field

from streamkit.settings_fields import DURATION, Section, or_written, seconds_of

_BYTES = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)([kMGT])", re.ASCII)
_POWERS = {"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def _bytes_of(value: object) -> object:
    """Return '500M', '2G' and '1.5T' in bytes; anything else is left for the type check to refuse."""
    match = _BYTES.fullmatch(value) if isinstance(value, str) else None
    return round(float(match[1]) * _POWERS[match[2]]) if match else value


Age = Annotated[
    float,
    BeforeValidator(seconds_of),
    Field(ge=0, le=3_155_760_000, description="seconds, 0 or more (90s, 15m, 12h and 30d are understood)"),
    or_written("number", 0, 3_155_760_000, DURATION),
]
Bytes = Annotated[
    int,
    BeforeValidator(_bytes_of),
    Field(ge=0, le=10**18, description="bytes, 0 or more (500M, 200G and 2T are understood)"),
    or_written("integer", 0, 10**18, _BYTES),
]


class RetentionSettings(Section):
    """What is deleted from the object store, and when. The defaults delete nothing."""

    archive: bool = True
    """Keep broadcasts as recordings; False keeps only what the live and DVR playlists list, and clips."""
    max_age: Age = 0.0
    """Seconds after its end that a broadcast is kept; 0 for ever."""
    max_bytes: Bytes = 0
    """Bytes that the ended broadcasts of one stream may take, the oldest go first; 0 any."""
    grace: Annotated[float, Field(ge=0)] = 3600.0
    """Seconds that segments stay after the last playlist of them is gone, beyond that playlist's own duration."""
    interval: Annotated[float, Field(ge=1, le=86400)] = 60.0
    """Seconds between two looks at what may go."""
