"""Ladders as the operator writes them: named lists of renditions, best first."""

from fractions import Fraction
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from streamkit.ffmpeg.encoders import AUTO, COPY, ENCODERS, FRIENDLY_NAMES, NO_DELAY, VideoEncoder, encoder_name
from streamkit.settings_fields import BitRate, Container, RenditionLabel, Section, wrong
from streamkit.settings_retention import Age, Bytes

_NO_SEPARATE_AUDIO = "false with a 'copy' rendition: sound cannot be cut where the publisher's key frames are"
_NO_PASSTHROUGH = "false with separate_audio, or where no rendition is encoded: there is nothing to choose between"
MAXRATE_RATIO, BUFSIZE_RATIO = 1.07, 1.5
"""What a rendition that names neither has, over its bit rate."""
FPS_TOLERANCE = Fraction(101, 100)
"""A measured rate of 60.02 is meant as 60: it is not halved to fit below 60."""
VIDEO_CODECS = (*ENCODERS, *FRIENDLY_NAMES, COPY)


def _word(value: object) -> object:
    """Return a preset or level that YAML took for a number as the word that FFmpeg knows: 10, 4.1."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _known_codec(name: str) -> str:
    if name not in VIDEO_CODECS:
        raise PydanticCustomError("broken_rule", "{rule}", {"rule": f"one of {', '.join(VIDEO_CODECS)}"})
    return name


Word = Annotated[str, BeforeValidator(_word), WithJsonSchema({"type": ["string", "number"]})]


class RenditionSettings(Section):
    """One rung of a ladder as the operator writes it."""

    name: RenditionLabel
    height: Annotated[int, Field(ge=64, le=8640)] | None = None
    """Short side of the picture in pixels; width follows the source's aspect. Not for copy or audio_only."""
    video_codec: Annotated[
        str,
        AfterValidator(_known_codec),
        Field(description=f"one of {', '.join(VIDEO_CODECS)}", json_schema_extra={"enum": list(VIDEO_CODECS)}),
    ] = "libx264"
    """An encoder of FFmpeg, or h264, hevc or av1 for the usual one, or copy."""
    video_bitrate: BitRate | None = None
    maxrate: BitRate | None = None
    """Default: 1.07 x video_bitrate. Not for libsvtav1."""
    bufsize: BitRate | None = None
    """Bits; default: 1.5 x video_bitrate."""
    max_fps: Annotated[float, Field(ge=1, le=240)] = 60.0
    preset: Word = AUTO
    """One of the encoder's own, or auto."""
    tune: str = NO_DELAY
    """One of the encoder's own, or zerolatency, or none."""
    profile: str | None = None
    """Default: the encoder's best for 8 bit 4:2:0."""
    level: Word | None = None
    """Default: what the encoder finds that the picture needs."""
    audio_codec: Literal["aac", "copy"] = "aac"
    audio_bitrate: BitRate = 128_000
    audio_channels: Annotated[int, Field(ge=1, le=6)] = 2
    audio_only: bool = False

    @model_validator(mode="after")
    def _complete(self) -> "RenditionSettings":
        if not self.is_encoded:
            return self
        if self.height is None or self.video_bitrate is None:
            raise ValueError("an encoded rendition needs 'height' and 'video_bitrate'")
        if self.maxrate is not None and not self.encoder.has_peak_rate:
            rule = f"left out: {encoder_name(self.video_codec)} has none"
            raise wrong("RenditionSettings", ("maxrate",), self.maxrate, rule)
        if self.maxrate is not None and self.maxrate < self.video_bitrate:
            rule = f"{self.video_bitrate} (video_bitrate) or more"
            raise wrong("RenditionSettings", ("maxrate",), self.maxrate, rule)
        self._check_word("preset", self.preset, (AUTO, *self.encoder.presets))
        self._check_word("tune", self.tune, self.encoder.tunes)
        self._check_word("profile", self.profile, self.encoder.profiles)
        self._check_word("level", self.level, self.encoder.levels)
        return self

    @property
    def is_encoded(self) -> bool:
        """Whether it has a picture that is encoded here."""
        return not self.audio_only and self.video_codec != COPY

    @property
    def encoder(self) -> VideoEncoder:
        """What the rendition's encoder understands. Not for copy."""
        return ENCODERS[encoder_name(self.video_codec)]

    def _check_word(self, key: str, value: str | None, allowed: tuple[str, ...]) -> None:
        if value is None or value in allowed:
            return
        words = ", ".join(word or "''" for word in allowed)
        name = encoder_name(self.video_codec)
        rule = f"one of {words}, which {name} knows" if allowed else f"left out: {name} chooses its {key} itself"
        raise wrong("RenditionSettings", (key,), value, rule)


class LadderSettings(Section):
    """A named list of renditions, best first."""

    segment_format: Container | None = None
    """Default: hls.segment_format."""
    separate_audio: bool = False
    """Sound in renditions of its own (EXT-X-MEDIA) instead of in every video rendition."""
    passthrough: bool = False
    """A source that is within a rung's limits already is copied, as the only rendition, instead of encoded."""
    archive: bool | None = None
    max_age: Age | None = None
    max_bytes: Bytes | None = None
    """Default of the three: the same keys of `retention`."""
    renditions: Annotated[tuple[RenditionSettings, ...], Field(min_length=1, max_length=16)]

    @model_validator(mode="after")
    def _consistent(self) -> "LadderSettings":
        names = [rendition.name for rendition in self.renditions]
        for number, name in enumerate(names):
            if name in names[:number]:
                rule = "another name: a rendition above has this one"
                raise wrong("LadderSettings", ("renditions", number, "name"), name, rule)
        copies = [r for r in self.renditions if not r.is_encoded and not r.audio_only]
        if copies and len(self.renditions) > 1:
            raise ValueError(
                "a 'copy' rendition must be the only one of its ladder: its key frames are the publisher's "
                "and would not line up with encoded renditions"
            )
        if copies and self.separate_audio:
            raise wrong("LadderSettings", ("separate_audio",), self.separate_audio, _NO_SEPARATE_AUDIO)
        if self.passthrough and (self.separate_audio or not any(one.is_encoded for one in self.renditions)):
            raise wrong("LadderSettings", ("passthrough",), self.passthrough, _NO_PASSTHROUGH)
        return self


def default_ladders() -> dict[str, LadderSettings]:
    rung = RenditionSettings
    return {
        "default": LadderSettings(
            renditions=(
                rung(name="1080p", height=1080, video_bitrate=5_000_000, audio_bitrate=160_000),
                rung(name="720p", height=720, video_bitrate=2_800_000),
                rung(name="480p", height=480, video_bitrate=1_400_000, max_fps=30.0),
            )
        ),
        "copy": LadderSettings(renditions=(rung(name="source", video_codec="copy", audio_codec="copy"),)),
    }


def with_default_ladders(given: dict[str, LadderSettings]) -> dict[str, LadderSettings]:
    return {**default_ladders(), **given}
