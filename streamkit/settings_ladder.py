"""Ladders as the operator writes them: named lists of renditions, best first."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from streamkit.settings_fields import BitRate, Container, RenditionLabel, Section, wrong


class RenditionSettings(Section):
    """One rung of a ladder as the operator writes it."""

    name: RenditionLabel
    height: Annotated[int, Field(ge=64, le=8640)] | None = None
    """Short side of the picture in pixels; width follows the source's aspect. Not for copy or audio_only."""
    video_codec: Literal["libx264", "copy"] = "libx264"
    video_bitrate: BitRate | None = None
    maxrate: BitRate | None = None
    """Default: 1.07 x video_bitrate."""
    bufsize: BitRate | None = None
    """Bits; default: 1.5 x video_bitrate."""
    max_fps: Annotated[float, Field(ge=1, le=240)] = 60.0
    preset: Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"] = (
        "veryfast"
    )
    tune: Literal["", "zerolatency", "film", "animation", "grain", "stillimage", "fastdecode"] = "zerolatency"
    profile: Literal["baseline", "main", "high"] = "high"
    audio_codec: Literal["aac", "copy"] = "aac"
    audio_bitrate: BitRate = 128_000
    audio_channels: Annotated[int, Field(ge=1, le=2)] = 2
    audio_only: bool = False

    @model_validator(mode="after")
    def _complete(self) -> "RenditionSettings":
        if self.audio_only or self.video_codec == "copy":
            return self
        if self.height is None or self.video_bitrate is None:
            raise ValueError("an encoded rendition needs 'height' and 'video_bitrate'")
        return self


class LadderSettings(Section):
    """A named list of renditions, best first."""

    segment_format: Container | None = None
    """Default: hls.segment_format."""
    renditions: Annotated[tuple[RenditionSettings, ...], Field(min_length=1, max_length=16)]

    @model_validator(mode="after")
    def _consistent(self) -> "LadderSettings":
        names = [rendition.name for rendition in self.renditions]
        for number, name in enumerate(names):
            if name in names[:number]:
                rule = "another name: a rendition above has this one"
                raise wrong("LadderSettings", ("renditions", number, "name"), name, rule)
        copies = [r for r in self.renditions if r.video_codec == "copy" and not r.audio_only]
        if copies and len(self.renditions) > 1:
            raise ValueError(
                "a 'copy' rendition must be the only one of its ladder: its key frames are the publisher's "
                "and would not line up with encoded renditions"
            )
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
