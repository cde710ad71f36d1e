"""The configuration as frozen values: every key, its unit, its range and its default.

Reading it (YAML with line numbers, environment over YAML, every problem at once) is `settings_loader.py`.
"""

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, Field, SecretStr, model_validator

from streamkit.encryption.keys import StreamKeys
from streamkit.errors import LadderError
from streamkit.ffmpeg.sandbox import MEMORY_LIMIT
from streamkit.settings_access import AccessSettings, PlaybackMode, PublishMode
from streamkit.settings_checks import check_together
from streamkit.settings_encryption import EncryptionMethod, EncryptionSettings
from streamkit.settings_fields import (
    Container,
    DvrDuration,
    Folder,
    Host,
    Port,
    Positive,
    Section,
    Text,
    without_percent,
)
from streamkit.settings_ladder import LadderSettings, default_ladders, with_default_ladders
from streamkit.settings_overload import OverloadSettings
from streamkit.settings_pictures import PictureSettings
from streamkit.settings_retention import Age, Bytes, RetentionSettings
from streamkit.settings_rtmp import RtmpSettings
from streamkit.settings_sessions import SessionSettings
from streamkit.types import DvrKind, Keep, Seconds, SegmentFormat, StreamKey

STATE_FOLDER = ".streamkit"  # below hls.output_dir; no stream key begins with a dot


class ServerSettings(Section):
    """The HTTP front end."""

    host: Host = "0.0.0.0"  # noqa: S104 - a server that players and the RTMP server reach
    port: Port = 8080
    cors_origins: tuple[Text, ...] = ("*",)
    shutdown_deadline: Positive = 15.0
    stuck_after: Annotated[float, Field(ge=5, le=3600)] = 30.0
    """Seconds that one step of a stream's work may take before it counts as hanging; twice that interrupts it."""


class DatabaseSettings(Section):
    """PostgreSQL; `serve --embedded` uses SQLite in `embedded.data_dir` instead."""

    host: Host = "localhost"
    port: Port = 5432
    user: Text = "postgres"
    password: SecretStr = SecretStr("password")
    name: Text = "streamkit"
    required_at_start: bool = False
    """Whether `serve` gives up when the database cannot be used at its start."""


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

    output_dir: Annotated[Folder, AfterValidator(without_percent)] = Path("/tmp/hls")  # noqa: S108 - the documented default
    segment_format: Container = SegmentFormat.MPEGTS
    """Container of the segments; a ladder may have another one."""
    segment_duration: Annotated[float, Field(ge=1, le=10)] = 2.0
    fast_start: bool = True
    """Make the first two segments of an encoder run half as long, so that players start sooner."""
    window: Annotated[float, Field(ge=6, le=86400)] = 30.0
    """Seconds of media that the live playlists list."""
    dvr: Literal["none", "sliding", "event"] = "none"
    """Whether there are DVR playlists beside the live ones: none, the newest `dvr_window`, or the whole broadcast."""
    dvr_window: DvrDuration = 14_400.0
    """Seconds of media that sliding DVR playlists list."""
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
    presigned_for: Annotated[float, Field(ge=60, le=604_800)] = 3600.0
    """Seconds that a presigned URL is good for."""


class EncoderSettings(Section):
    """FFmpeg."""

    ffmpeg: str = ""
    """Path of FFmpeg; empty means the one on PATH, else the one that imageio-ffmpeg carries."""
    device: Text = "/dev/dri/renderD128"
    """Render node for encoders that end in _vaapi or _qsv."""
    auto_share: Annotated[float, Field(ge=0.05, le=1)] = 0.7
    """Share of the machine's processors that one stream with `preset: auto` may keep busy."""
    calibrate: bool = True
    """Measure the presets for `auto` while no stream runs."""
    niceness: Annotated[int, Field(ge=0, le=19)] = 10
    """Added to StreamKit's own: encoders fill the processors, and must not delay the uploads of what they made."""
    memory_limit: Bytes = MEMORY_LIMIT
    """Bytes of memory that one FFmpeg may write to; past it its run fails, and nothing else does. 0: any."""
    stall_timeout: Positive = 10.0
    """Seconds without progress after which a live encoder is ended and its stream counts as gone."""
    start_timeout: Positive = 15.0
    """Seconds an encoder may take to its first progress."""
    stop_timeout: Positive = 5.0
    """Seconds an encoder may take to finish its last segment after its input ended."""
    max_failures: Annotated[int, Field(ge=1)] = 5
    """Encoder failures in a row, without a healthy minute between them, before the stream fails."""


class LimitSettings(Section):
    """Past these a new publish is refused; running streams are not sacrificed to it."""

    max_streams: Annotated[int, Field(ge=1, le=10000)] = 64
    upload_workers: Annotated[int, Field(ge=1, le=256)] = 8
    uploads_per_stream: Annotated[int, Field(ge=1, le=64)] = 2
    spool_bytes: Bytes = 0
    """Bytes of segments that may wait on disk for the object store, over all streams; 0: what the disk has."""
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


class StreamRule(Section):
    """What is different for the stream keys that `match` names (exactly, or with * ? [])."""

    match: Text
    ladder: str | None = None
    selectable_ladders: tuple[Text, ...] | None = None
    reconnect_window: Annotated[float, Field(ge=0)] | None = None
    takeover: Literal["refuse", "takeover"] | None = None
    slate: str | None = None
    window: Annotated[float, Field(ge=6, le=86400)] | None = None
    dvr: Literal["none", "sliding", "event"] | None = None
    dvr_window: DvrDuration | None = None
    archive: bool | None = None
    max_age: Age | None = None
    max_bytes: Bytes | None = None
    encryption: EncryptionMethod | None = None
    publish: PublishMode | None = None
    playback: PlaybackMode | None = None
    pictures: bool | None = None
    """False: none. True: also where the ladder only copies, or the segments are encrypted."""


class Settings(Section):
    """The whole configuration."""

    server: ServerSettings = ServerSettings()
    rtmp: RtmpSettings = RtmpSettings()
    access: AccessSettings = AccessSettings()
    database: DatabaseSettings = DatabaseSettings()
    storage: StorageSettings = StorageSettings()
    hls: HlsSettings = HlsSettings()
    encryption: EncryptionSettings = EncryptionSettings()
    retention: RetentionSettings = RetentionSettings()
    encoder: EncoderSettings = EncoderSettings()
    pictures: PictureSettings = PictureSettings()
    sessions: SessionSettings = SessionSettings()
    limits: LimitSettings = LimitSettings()
    overload: OverloadSettings = OverloadSettings()
    log: LogSettings = LogSettings()
    embedded: EmbeddedSettings = EmbeddedSettings()
    default_ladder: str = "default"
    ladders: Annotated[dict[Text, LadderSettings], AfterValidator(with_default_ladders)] = Field(
        default_factory=default_ladders
    )
    """Ladders by name. The built-in ones are there always; a ladder of the same name takes the place of one."""
    selectable_ladders: tuple[Text, ...] = ()
    """Ladders that publishers may choose with ?ladder=NAME; none, because a ladder costs CPU."""
    streams: tuple[StreamRule, ...] = ()

    @model_validator(mode="after")
    def _parts_fit_together(self) -> "Settings":
        check_together(self)
        return self

    def rule_for(self, key: StreamKey) -> StreamRule:
        """Return the first rule whose pattern matches `key`, or an empty one."""
        return next((rule for rule in self.streams if fnmatchcase(key, rule.match)), StreamRule(match=key))

    def ladder_name_for(self, key: StreamKey, asked: str | None = None) -> str:
        """Return the name of the ladder that `key` is encoded with when its publisher asked for `asked`.

        Raises LadderError when the publisher may not choose that one, or there is none of that name.
        """
        rule = self.rule_for(key)
        if asked is None:
            return rule.ladder or self.default_ladder
        may = self.selectable_ladders if rule.selectable_ladders is None else rule.selectable_ladders
        if asked in may:
            return asked
        choice = f"it may choose {', '.join(may)}" if may else "it may choose none (selectable_ladders)"
        raise LadderError(f"{key} may not be published with ladder {asked[:64]!a}: {choice}")

    def segment_format_of(self, ladder: LadderSettings) -> SegmentFormat:
        """Return the container of what `ladder` encodes."""
        return ladder.segment_format or self.hls.segment_format

    def reconnect_window_for(self, key: StreamKey) -> Seconds:
        """Return how many seconds a live session of `key` waits for its publisher."""
        window = self.rule_for(key).reconnect_window
        return Seconds(self.sessions.reconnect_window if window is None else window)

    def slate_for(self, key: StreamKey) -> str:
        """Return the path of what players of `key` see while its publisher is gone; empty for nothing."""
        slate = self.rule_for(key).slate
        return self.sessions.slate if slate is None else slate

    def slates(self) -> list[tuple[str, str]]:
        """Return (where it is configured, path) of every slate."""
        named = [("sessions.slate", self.sessions.slate)]
        named += [(f"streams.{number}.slate", rule.slate or "") for number, rule in enumerate(self.streams)]
        return [(where, path) for where, path in named if path]

    def takes_over(self, key: StreamKey) -> bool:
        """Return whether a second publisher of `key` takes the place of the first."""
        return (self.rule_for(key).takeover or self.sessions.takeover) == "takeover"

    def needs_token_to_play(self, key: StreamKey) -> bool:
        """Return whether playlists and pictures of `key` are for those who have a token."""
        return (self.rule_for(key).playback or self.access.playback) == "token"

    @property
    def asks_publishers(self) -> bool:
        """Whether any stream may not be published by everybody."""
        return any(
            mode not in (None, "open") for mode in (self.access.publish, *(rule.publish for rule in self.streams))
        )

    def publish_mode_for(self, key: StreamKey) -> PublishMode:
        """Return what a publisher of `key` must show."""
        return self.rule_for(key).publish or self.access.publish

    def window_for(self, key: StreamKey) -> Seconds:
        """Return how many seconds of media the live playlists of `key` list."""
        return Seconds(self.rule_for(key).window or self.hls.window)

    def dvr_for(self, key: StreamKey) -> tuple[DvrKind, Seconds]:
        """Return which DVR playlists `key` has, and how many seconds of media sliding ones list."""
        rule = self.rule_for(key)
        return DvrKind(rule.dvr or self.hls.dvr), Seconds(rule.dvr_window or self.hls.dvr_window)

    def keys_of(self, key: StreamKey) -> StreamKeys | None:
        """Return the encryption keys of `key`, None when there is no secret to make them from."""
        secret = self.encryption.key_secret()
        return StreamKeys(key, secret) if secret else None

    def key_rotation_for(self, key: StreamKey) -> int:
        """Return for how many segments of `key` one encryption key is; 0 when they are not encrypted."""
        method = self.rule_for(key).encryption or self.encryption.method
        return self.encryption.key_rotation if method == "aes-128" else 0

    def pictures_for(self, key: StreamKey) -> PictureSettings | None:
        """Return which pictures are made of `key`, None for none: who may not see a stream may see its pictures."""
        wanted = self.rule_for(key).pictures
        if wanted is None:
            return None if self.key_rotation_for(key) else self.pictures
        return self.pictures.model_copy(update={"decode_copies": True}) if wanted else None

    @property
    def deletes_archives(self) -> bool:
        """Whether anything says that a broadcast is not kept for ever."""
        places: tuple[RetentionSettings | StreamRule | LadderSettings, ...] = (
            self.retention,
            *self.streams,
            *self.ladders.values(),
        )
        return any(one.archive is False or one.max_age or one.max_bytes for one in places)

    def keep_for(self, key: StreamKey) -> Keep:
        """Return for how long the broadcasts of `key` are kept: as its rule says, else its ladder, else in general."""
        rule, ladder, general = self.rule_for(key), self.ladders[self.ladder_name_for(key)], self.retention
        archive = _first(rule.archive, ladder.archive, general.archive)
        max_age = _first(rule.max_age, ladder.max_age, general.max_age)
        max_bytes = _first(rule.max_bytes, ladder.max_bytes, general.max_bytes)
        return Keep(archive=archive, max_age=Seconds(max_age), max_bytes=max_bytes)


T = TypeVar("T")


def _first(rule: T | None, ladder: T | None, general: T) -> T:
    found = rule if rule is not None else ladder
    return general if found is None else found
