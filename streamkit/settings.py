"""The configuration as frozen values: every key, its unit, its range and its default.

Reading it (YAML with line numbers, environment over YAML, every problem at once) is `settings_loader.py`.
"""

import re
from fnmatch import fnmatchcase
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from streamkit.types import Seconds, StreamKey

_BIT_RATE = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)([kKM])", re.ASCII)
_LIKE_SESSION_ID = re.compile(r"s[0-9a-hjkmnp-tv-z]{7}", re.ASCII | re.IGNORECASE)


def _bits(value: object) -> object:
    """Return '800k' as 800_000 and '2.5M' as 2_500_000; anything else is left for the type check to refuse."""
    match = _BIT_RATE.fullmatch(value) if isinstance(value, str) else None
    if not match:
        return value
    bits = Fraction(match[1]) * (1_000_000 if match[2] == "M" else 1_000)
    return int(bits) if bits.denominator == 1 else value


def _wrong(model: str, loc: tuple[str | int, ...], found: object, rule: str) -> ValidationError:
    """Return an error at `loc` below `model`, so that it is reported at that key and not at the whole section."""
    error = PydanticCustomError("broken_rule", "{rule}", {"rule": rule})
    return ValidationError.from_exception_data(model, [InitErrorDetails(type=error, loc=loc, input=found)])


def _free_name(name: str) -> str:
    """Refuse rendition names whose playlist `{name}.m3u8` could be another playlist of the same stream."""
    if name.lower() == "playlist":
        raise PydanticCustomError("broken_rule", "another name: playlist.m3u8 is the multivariant playlist")
    if _LIKE_SESSION_ID.fullmatch(name):
        raise PydanticCustomError("broken_rule", "another name: 's' and 7 base-32 digits is how a session id looks")
    return name


def _not_empty(path: object) -> object:
    """Refuse '', which would be the working directory."""
    if path == "":
        raise PydanticCustomError("broken_rule", "a path that is not empty")
    return path


def _without_percent(path: Path) -> Path:
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
]
Positive = Annotated[float, Field(gt=0)]
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


class ServerSettings(Section):
    """The HTTP front end."""

    host: Host = "0.0.0.0"  # noqa: S104 - a server that players and the RTMP server reach
    port: Port = 8080
    cors_origins: tuple[Text, ...] = ("*",)
    shutdown_deadline: Positive = 15.0


class RtmpSettings(Section):
    """The RTMP server that publishers use: pulled from in production, embedded with --embedded."""

    server: Host = "rtmp"
    port: Port = 1935
    app: str = Field(
        default="live", pattern=r"^[A-Za-z0-9_-]{1,64}$", description="1 to 64 characters from A-Z a-z 0-9 _ -"
    )


class DatabaseSettings(Section):
    """PostgreSQL; `serve --embedded` uses SQLite in `embedded.data_dir` instead."""

    host: Host = "localhost"
    port: Port = 5432
    user: Text = "postgres"
    password: SecretStr = SecretStr("password")
    name: Text = "streamkit"


class StorageSettings(Section):
    """MinIO or any S3; `serve --embedded` uses a folder in `embedded.data_dir` instead."""

    endpoint: str = Field(
        default="localhost:9000",
        pattern=r"^([A-Za-z0-9_][A-Za-z0-9._-]{0,253}|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$",
        description="host or host:port, without http:// (use_ssl chooses the scheme)",
    )
    access_key: Text = "minioadmin"
    secret_key: SecretStr = SecretStr("minioadmin")
    bucket: str = Field(
        default="hls-streams",
        pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
        description="3 to 63 characters from a-z 0-9 . -, beginning and ending with a letter or digit",
    )
    region: Text = "us-east-1"
    use_ssl: bool = False
    connect_timeout: Positive = 1.0
    read_timeout: Positive = 5.0


class HlsSettings(Section):
    """Segments, playlists and how players get what is no longer on local disk."""

    output_dir: Annotated[Folder, AfterValidator(_without_percent)] = Path("/tmp/hls")  # noqa: S108 - the documented default
    segment_duration: Annotated[float, Field(ge=1, le=10)] = 2.0
    fast_start: bool = True
    """Make the first two segments of an encoder run half as long, so that players start sooner."""
    window: Annotated[float, Field(ge=6, le=86400)] = 30.0
    """Seconds of media that the live playlists list."""
    release_deadline: Positive = 4.0
    """Seconds that a segment number waits for slower renditions before it is listed without them."""
    local_grace: Annotated[float, Field(ge=0)] = 60.0
    """Seconds that a local segment is kept after it left the playlists and the store acknowledged it."""
    delivery: Literal["proxy", "presign"] = "proxy"
    """How segments that are no longer local reach players when `cdn_base_url` is empty."""
    cdn_base_url: str = Field(
        default="",
        pattern=r"^$|^https?://([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[A-Za-z0-9._~%!$&'()*+,;=:@/-]*)?$",
        description="empty or an http:// or https:// URL without user, query and fragment",
    )
    """Players are redirected here for segments that the store has; the path below it is the bucket's."""


class EncoderSettings(Section):
    """FFmpeg."""

    ffmpeg: str = ""
    """Path of FFmpeg; empty means the one on PATH, else the one that imageio-ffmpeg carries."""
    niceness: Annotated[int, Field(ge=0, le=19)] = 10
    """Added to StreamKit's own: encoders fill the processors, and must not delay the uploads of what they made."""
    stall_timeout: Positive = 10.0
    """Seconds without progress after which a live encoder is ended and its stream counts as gone."""
    start_timeout: Positive = 15.0
    """Seconds an encoder may take to its first progress."""
    stop_timeout: Positive = 5.0
    """Seconds an encoder may take to finish its last segment after its input ended."""
    max_failures: Annotated[int, Field(ge=1)] = 5
    """Encoder failures in a row, without a healthy minute between them, before the stream fails."""


class SessionSettings(Section):
    """How long a stream waits for its publisher."""

    connect_timeout: Positive = 20.0
    """Seconds from an accepted publish to the first media before the stream fails."""
    reconnect_window: Annotated[float, Field(ge=0)] = 15.0
    """Seconds that a live session waits for its publisher to come back; 0 ends it at once."""
    finish_deadline: Positive = 60.0
    """Seconds that an ended broadcast may take to upload what is left before the row says so."""


class LimitSettings(Section):
    """Past these a new publish is refused; running streams are not sacrificed to it."""

    max_streams: Annotated[int, Field(ge=1, le=10000)] = 64
    upload_workers: Annotated[int, Field(ge=1, le=256)] = 8
    uploads_per_stream: Annotated[int, Field(ge=1, le=64)] = 2
    memory_cache_bytes: Annotated[int, Field(ge=0)] = 33_554_432
    """Bytes of the newest segments that the front end keeps in memory for players."""


class LogSettings(Section):
    """Logs go to standard error."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    format: Literal["text", "json"] = "text"


class EmbeddedSettings(Section):
    """Used by `serve --embedded` only."""

    data_dir: Folder = Path(".streamkit")
    """Holds streamkit.db (SQLite) and objects/ (the local object store)."""


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

    renditions: Annotated[tuple[RenditionSettings, ...], Field(min_length=1, max_length=16)]

    @model_validator(mode="after")
    def _consistent(self) -> "LadderSettings":
        names = [rendition.name for rendition in self.renditions]
        for number, name in enumerate(names):
            if name in names[:number]:
                rule = "another name: a rendition above has this one"
                raise _wrong("LadderSettings", ("renditions", number, "name"), name, rule)
        copies = [r for r in self.renditions if r.video_codec == "copy" and not r.audio_only]
        if copies and len(self.renditions) > 1:
            raise ValueError(
                "a 'copy' rendition must be the only one of its ladder: its key frames are the publisher's "
                "and would not line up with encoded renditions"
            )
        return self


def _default_ladders() -> dict[str, LadderSettings]:
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


def _with_default_ladders(given: dict[str, LadderSettings]) -> dict[str, LadderSettings]:
    return {**_default_ladders(), **given}


class StreamRule(Section):
    """What is different for the stream keys that `match` names (exactly, or with * ? [])."""

    match: Text
    ladder: str | None = None
    reconnect_window: Annotated[float, Field(ge=0)] | None = None


class Settings(Section):
    """The whole configuration."""

    server: ServerSettings = ServerSettings()
    rtmp: RtmpSettings = RtmpSettings()
    database: DatabaseSettings = DatabaseSettings()
    storage: StorageSettings = StorageSettings()
    hls: HlsSettings = HlsSettings()
    encoder: EncoderSettings = EncoderSettings()
    sessions: SessionSettings = SessionSettings()
    limits: LimitSettings = LimitSettings()
    log: LogSettings = LogSettings()
    embedded: EmbeddedSettings = EmbeddedSettings()
    default_ladder: str = "default"
    ladders: Annotated[dict[Text, LadderSettings], AfterValidator(_with_default_ladders)] = Field(
        default_factory=_default_ladders
    )
    """Ladders by name. The built-in ones are there always; a ladder of the same name takes the place of one."""
    streams: tuple[StreamRule, ...] = ()

    @model_validator(mode="after")
    def _ladders_exist(self) -> "Settings":
        named: list[tuple[tuple[str | int, ...], str | None]] = [(("default_ladder",), self.default_ladder)]
        named += [(("streams", number, "ladder"), rule.ladder) for number, rule in enumerate(self.streams)]
        for loc, name in named:
            if name is not None and name not in self.ladders:
                rule = f"the name of a ladder; there are {', '.join(sorted(self.ladders))}"
                raise _wrong("Settings", loc, name, rule)
        return self

    def rule_for(self, key: StreamKey) -> StreamRule:
        """Return the first rule whose pattern matches `key`, or an empty one."""
        return next((rule for rule in self.streams if fnmatchcase(key, rule.match)), StreamRule(match=key))

    def ladder_for(self, key: StreamKey) -> LadderSettings:
        """Return the ladder that `key` is encoded with."""
        return self.ladders[self.rule_for(key).ladder or self.default_ladder]

    def reconnect_window_for(self, key: StreamKey) -> Seconds:
        """Return how many seconds a live session of `key` waits for its publisher."""
        window = self.rule_for(key).reconnect_window
        return Seconds(self.sessions.reconnect_window if window is None else window)
