"""Settings of what is kept, and for how long."""

from typing import Annotated

from pydantic import Field

from streamkit.settings_fields import Section


class RetentionSettings(Section):
    """What is deleted from the object store, and when."""

    grace: Annotated[float, Field(ge=0)] = 3600.0
    """Seconds that segments stay after the last playlist of them is gone, beyond that playlist's own duration."""
