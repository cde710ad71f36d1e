"""Pictures of a stream as the operator asks for them."""

from typing import Annotated

from pydantic import Field

from streamkit.settings_fields import Section

Interval = Annotated[float, Field(ge=1, le=3600, description="a number from 1 to 3600, or null for none")]
PictureHeight = Annotated[int, Field(ge=64, le=2160)]


class PictureSettings(Section):
    """What FFmpeg draws beside a stream's renditions."""

    poster_interval: Interval | None = 10.0
    """Seconds of media between two pictures of poster.jpg; None: no poster."""
    poster_height: PictureHeight = 360
    """Pixels of the poster's short side at most; never larger than the best rendition."""
    storyboard_interval: Interval | None = 10.0
    """Seconds of media between two pictures of the storyboard; None: no storyboard."""
    storyboard_height: PictureHeight = 90
    """Pixels of the short side of its pictures."""
    storyboard_columns: Annotated[int, Field(ge=1, le=20)] = 5
    storyboard_rows: Annotated[int, Field(ge=1, le=20)] = 5
    quality: Annotated[int, Field(ge=2, le=31)] = 5
    """FFmpeg's quantizer for JPEG: 2 is the best, 31 the smallest."""
    decode_copies: bool = False
    """Make pictures also where a ladder only copies: its key frames must then be decoded."""
