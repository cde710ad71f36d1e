"""Settings of what happens when the machine cannot encode as fast as the publishers send."""

from typing import Annotated

from pydantic import Field

from streamkit.settings_fields import Section


class OverloadSettings(Section):
    """A stream whose encoder is slower than real time gives up its costliest rendition, and gets it back later."""

    slower_than: Annotated[float, Field(ge=0.5, le=1)] = 0.95
    """Media seconds encoded per second, below which an encoder that has input waiting is too slow."""
    shed_after: Annotated[float, Field(ge=0, le=3600)] = 30.0
    """Seconds that it is too slow before a rendition is given up; 0: never."""
    restore_after: Annotated[float, Field(ge=10, le=86400)] = 120.0
    """Seconds without a backlog before one is brought back; doubled each time that it did not last."""
    refuse: bool = True
    """Refuse new streams while a running one has given up a rendition."""
    max_cpu: Annotated[float, Field(ge=0.1, le=1)] = 1.0
    """Share of the machine's processors that is busy, above which new streams are refused; 1: never."""
