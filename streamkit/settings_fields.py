"""What the settings are made of: the base of every section, and the types with units and ranges that keys share."""

import re
from fractions import Fraction
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema
from pydantic_core import InitErrorDetails, PydanticCustomError

from streamkit.types import SegmentFormat

_BIT_RATE = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)([kKM])", re.ASCII)
DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)([smhd])", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_LIKE_SESSION_ID = re.compile(r"s[0-9a-hjkmnp-tv-z]{7}", re.ASCII | re.IGNORECASE)


def _bits(value: object) -> object:
    """Return '800k' as 800_000 and '2.5M' as 2_500_000; anything else is left for the type check to refuse."""
    match = _BIT_RATE.fullmatch(value) if isinstance(value, str) else None
    if not match:
        return value
    bits = Fraction(match[1]) * (1_000_000 if match[2] == "M" else 1_000)
    return int(bits) if bits.denominator == 1 else value


def seconds_of(value: object) -> object:
    """Return '90s', '15m', '4h' and '30d' in seconds; anything else is left for the type check to refuse."""
    match = DURATION.fullmatch(value) if isinstance(value, str) else None
    return float(match[1]) * _UNITS[match[2]] if match else value


def or_written(kind: str, low: int, high: int, pattern: "re.Pattern[str]") -> WithJsonSchema:
    """Return what editors are told of a number that may also be written with a unit, as `pattern` says."""
    number = {"type": kind, "minimum": low, "maximum": high}
    text = {"type": "string", "pattern": f"^{pattern.pattern.replace(chr(92) + 'd', '[0-9]')}$"}
    return WithJsonSchema({"anyOf": [number, text]})


def wrong(model: str, loc: tuple[str | int, ...], found: object, rule: str) -> ValidationError:
    """Return an error at `loc` below `model`, so that it is reported at that key and not at the whole section."""
    error = PydanticCustomError("broken_rule", "{rule}", {"rule": rule})
    return ValidationError.from_exception_data(model, [InitErrorDetails(type=error, loc=loc, input=found)])


def _free_name(name: str) -> str:
    """Refuse rendition names whose playlist `{name}.m3u8` could be another playlist of the same stream."""
    if name.lower() == "playlist":
        raise PydanticCustomError("broken_rule", "another name: playlist.m3u8 is the multivariant playlist")
    if name.lower() == "dvr":
        raise PydanticCustomError("broken_rule", "another name: dvr.m3u8 is the DVR playlist")
    if _LIKE_SESSION_ID.fullmatch(name):
        raise PydanticCustomError("broken_rule", "another name: 's' and 7 base-32 digits is how a session id looks")
    return name


def _not_empty(path: object) -> object:
    """Refuse '', which would be the working directory."""
    if path == "":
        raise PydanticCustomError("broken_rule", "a path that is not empty")
    return path


def _container(value: object) -> object:
    """Return the format of this name; anything else is left for the type check to refuse."""
    return next((one for one in SegmentFormat if one == value), value)


def without_percent(path: Path) -> Path:
    if "%" in str(path):
        raise PydanticCustomError("broken_rule", "a path without %, because FFmpeg expands it in segment names")
    return path


# A description is the rule in words: settings_loader puts it behind "it must be".
BitRate = Annotated[
    int,
    BeforeValidator(_bits),
    Field(
        ge=8_000,
        le=200_000_000,
        description="a bit rate from 8000 to 200000000 (800k and 2.5M are understood)",
    ),
    or_written("integer", 8_000, 200_000_000, _BIT_RATE),
]
Container = Annotated[SegmentFormat, BeforeValidator(_container), Field(description="mpegts or fmp4")]
Positive = Annotated[float, Field(gt=0)]
DvrDuration = Annotated[
    float,
    BeforeValidator(seconds_of),
    Field(ge=60, le=1_209_600, description="seconds from 60 to 1209600 (30m, 4h and 14d are understood)"),
    or_written("number", 60, 1_209_600, DURATION),
]
Port = Annotated[int, Field(ge=1, le=65535)]
Text = Annotated[str, Field(min_length=1)]
Host = Annotated[
    str,
    Field(
        pattern=r"^([A-Za-z0-9_][A-Za-z0-9._-]{0,253}|[0-9A-Fa-f.]*:[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*)$",
        description="a host name or an IP address, without scheme and port",
    ),
]
Folder = Annotated[Path, BeforeValidator(_not_empty)]
RenditionLabel = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,31}$",
        description="1 to 32 characters from A-Z a-z 0-9 -, beginning with a letter or digit",
    ),
    AfterValidator(_free_name),
]


class Section(BaseModel):
    """A part of the configuration: frozen, strict, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
