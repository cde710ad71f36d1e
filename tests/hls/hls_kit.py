"""A stream without actors: records every event as the StreamActor does, and reads playlists back."""

from dataclasses import dataclass, field
from fractions import Fraction

from streamkit.hls.dvr import DvrWindow
from streamkit.hls.events import Event
from streamkit.hls.ledger import Ledger
from streamkit.hls.names import segment_name
from streamkit.hls.render import render_view
from streamkit.hls.segments import View
from streamkit.types import (
    BitsPerSecond,
    MediaSequence,
    Rendition,
    RenditionName,
    Seconds,
    SegmentFormat,
    SessionId,
    StreamKey,
    UnixTime,
)

START = 1_800_000_000.0


def rung(name: str, height: int = 720, *, video_codec: str = "libx264", **changes: object) -> Rendition:
    """A rendition as the default ladder makes it."""
    values: dict[str, object] = {
        "name": RenditionName(name),
        "video_codec": video_codec,
        "width": height * 16 // 9,
        "height": height,
        "fps": Fraction(30),
        "video_bitrate": BitsPerSecond(2_000_000),
        "maxrate": BitsPerSecond(2_140_000),
        "bufsize": 3_000_000,
        "preset": "veryfast",
        "tune": "zerolatency",
        "profile": "high",
        "audio_codec": "aac",
        "audio_bitrate": BitsPerSecond(128_000),
        "audio_channels": 2,
    }
    return Rendition(**(values | changes))  # type: ignore[arg-type]


def new_ledger(
    *,
    window: float = 12.0,
    segment_duration: float = 2.0,
    release_deadline: float = 4.0,
    dvr: DvrWindow | None = None,
    key_url_base: str = "",
) -> Ledger:
    return Ledger(
        StreamKey("key"),
        window=Seconds(window),
        segment_duration=Seconds(segment_duration),
        release_deadline=Seconds(release_deadline),
        dvr=dvr,
        key_url_base=key_url_base,
    )


@dataclass
class Stream:
    """A ledger, the events it was told, and a clock."""

    ledger: Ledger = field(default_factory=new_ledger)
    events: list[Event] = field(default_factory=list)
    now: float = START
    segment_format: SegmentFormat = SegmentFormat.MPEGTS
    key_rotation: int = 0

    @property
    def time(self) -> UnixTime:
        return UnixTime(self.now)

    def record(self, event: Event | None) -> bool:
        if event is None:
            return False
        self.events.append(event)
        self.ledger.apply(event)
        return True

    def open(self, *names: str) -> int:
        self.record(self.ledger.open_session(self.time))
        return self.run(*names) if names else 0

    def run(self, *names: str, **changes: object) -> int:
        ladder = tuple(rung(name, **changes) for name in names)  # type: ignore[arg-type]
        begun = self.ledger.begin_run(ladder, self.segment_format, self.key_rotation)
        self.record(begun)
        return begun.first

    def name(self, rendition: str, sequence: int, session: SessionId | None = None) -> str:
        of = session or self.ledger.session
        assert of is not None
        return segment_name(of, RenditionName(rendition), MediaSequence(sequence), self.segment_format)

    def close(self, rendition: str, sequence: int, *, duration: float = 2.0, size: int = 500_000) -> bool:
        return self.record(
            self.ledger.close(
                self.name(rendition, sequence), size=size, duration=Seconds(duration), closed_at=self.time
            )
        )

    def upload(self, rendition: str, sequence: int) -> bool:
        return self.record(self.ledger.acknowledge(self.name(rendition, sequence), self.time))

    def make(self, sequences: range, *renditions: str, upload: bool = True, duration: float = 2.0) -> None:
        """Close the numbers in every rendition as time goes by, and upload them."""
        for sequence in sequences:
            self.now += duration
            for rendition in renditions:
                self.close(rendition, sequence, duration=duration)
                if upload:
                    self.upload(rendition, sequence)

    def wait(self, seconds: float) -> int:
        """Let time pass, then force what is overdue; return how many numbers were."""
        self.now += seconds
        forced = 0
        while self.record(self.ledger.overdue(self.time)):
            forced += 1
        return forced

    def files(self, view: View) -> dict[str, "Parsed"]:
        return {name: Parsed(body.decode()) for name, body in render_view(self.ledger, view).items()}

    def media(self, view: View, rendition: str) -> "Parsed":
        return self.files(view)[f"{rendition}.m3u8"]

    def replayed(self) -> Ledger:
        ledger = new_ledger()
        for event in self.events:
            ledger.apply(event)
        return ledger


class Parsed:
    """A playlist read as a player reads it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines = text.split("\n")
        assert self.lines[0] == "#EXTM3U"
        assert self.lines[-1] == "", "the last line ends with a line feed"
        self.uris = [line for line in self.lines if line and not line.startswith("#")]
        self.ended = "#EXT-X-ENDLIST" in self.lines
        self.is_multivariant = any(line.startswith("#EXT-X-STREAM-INF") for line in self.lines)

    def tag(self, name: str) -> str:
        found = [line.removeprefix(f"#{name}:") for line in self.lines if line.startswith(f"#{name}:")]
        assert found, f"{name} is missing"
        return found[0]

    @property
    def media_sequence(self) -> int:
        return int(self.tag("EXT-X-MEDIA-SEQUENCE"))

    @property
    def discontinuity_sequence(self) -> int:
        return int(self.tag("EXT-X-DISCONTINUITY-SEQUENCE"))

    @property
    def target(self) -> int:
        return int(self.tag("EXT-X-TARGETDURATION"))

    @property
    def durations(self) -> list[float]:
        return [float(line.removeprefix("#EXTINF:").rstrip(",")) for line in self.lines if line.startswith("#EXTINF")]

    @property
    def entries(self) -> list[tuple[int, str, frozenset[str]]]:
        """(absolute discontinuity number, uri, tags) of every segment."""
        number, tags, entries = self.discontinuity_sequence, set(), []
        for line in self.lines:
            if line in ("#EXT-X-DISCONTINUITY", "#EXT-X-GAP"):
                tags.add(line)
                number += line == "#EXT-X-DISCONTINUITY"
            elif line and not line.startswith("#"):
                entries.append((number, line, frozenset(tags)))
                tags.clear()
        return entries

    @property
    def gaps(self) -> list[str]:
        return [uri for _, uri, tags in self.entries if "#EXT-X-GAP" in tags]
