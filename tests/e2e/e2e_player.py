"""The player's side: reads playlists, fetches segments from any host, and looks into them with PyAV."""

import io
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import httpx

Fetch = Callable[[str], bytes]
"""Returns the file of this name in the stream's folder, or raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One segment of a media playlist; `period` counts the discontinuities before it. Duration in seconds."""

    uri: str
    sequence: int
    period: int
    duration: float
    gap: bool
    init: str = ""
    """The initialization section (4.3.2.5) that it needs, "" for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaPlaylist:
    """What RFC 8216 4.3.3 says of a media playlist, and its segments."""

    sequence: int
    discontinuity_sequence: int
    target_duration: int
    kind: str | None
    ended: bool
    entries: tuple[Entry, ...]

    @property
    def discontinuities(self) -> int:
        """How many discontinuities there are between its first and its last segment."""
        return len({entry.period for entry in self.entries}) - 1

    @property
    def uris(self) -> list[str]:
        return [entry.uri for entry in self.entries]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One line of a multivariant playlist."""

    uri: str
    bandwidth: int
    size: tuple[int, int]

    @property
    def rendition(self) -> str:
        return self.uri.removesuffix(".m3u8").rpartition("_")[2]


def parse_multivariant(text: str) -> list[Variant]:
    """Return the variants in the order listed; AssertionError when it is none, or names anything but its neighbours."""
    lines = text.splitlines()
    assert lines[0] == "#EXTM3U", text
    variants = []
    for tag, uri in pairwise(lines):
        if tag.startswith("#EXT-X-STREAM-INF:"):
            assert is_relative(uri), uri
            size = re.search(r"RESOLUTION=(\d+)x(\d+)", tag)
            bandwidth = re.search(r"[:,]BANDWIDTH=(\d+)", tag)
            assert size is not None, tag
            assert bandwidth is not None, tag
            variants.append(Variant(uri=uri, bandwidth=int(bandwidth[1]), size=(int(size[1]), int(size[2]))))
    assert variants, text
    return variants


def parse_media(text: str) -> MediaPlaylist:
    """Return the media playlist; AssertionError when it is none, or names anything but its neighbours."""
    assert text.startswith("#EXTM3U\n"), text
    sequence, period = int(_tag(text, "MEDIA-SEQUENCE") or 0), int(_tag(text, "DISCONTINUITY-SEQUENCE") or 0)
    entries: list[Entry] = []
    duration, gap, init = 0.0, False, ""
    for line in text.splitlines():
        if line == "#EXT-X-DISCONTINUITY":
            period += 1
        elif line == "#EXT-X-GAP":
            gap = True
        elif line.startswith("#EXT-X-MAP:"):
            init = line.removeprefix('#EXT-X-MAP:URI="').removesuffix('"')
        elif line.startswith("#EXTINF:"):
            duration = float(line.removeprefix("#EXTINF:").partition(",")[0])
        elif line and not line.startswith("#"):
            assert is_relative(line), line
            number = sequence + len(entries)
            entries.append(Entry(uri=line, sequence=number, period=period, duration=duration, gap=gap, init=init))
            gap = False
    return MediaPlaylist(
        sequence=sequence,
        discontinuity_sequence=int(_tag(text, "DISCONTINUITY-SEQUENCE") or 0),
        target_duration=int(_tag(text, "TARGETDURATION") or 0),
        kind=_tag(text, "PLAYLIST-TYPE"),
        ended="#EXT-X-ENDLIST" in text,
        entries=tuple(entries),
    )


def is_relative(uri: str) -> bool:
    """Return whether the URI is a plain file name: the folder can be copied anywhere."""
    return re.fullmatch(r"[A-Za-z0-9_-]+\.(m3u8|ts|m4s)", uri) is not None


def _tag(text: str, name: str) -> str | None:
    found = re.search(rf"^#EXT-X-{name}:(.*)$", text, re.MULTILINE)
    return found[1] if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """A segment as a decoder sees it; times in seconds on the stream's own clock, in the order of presentation."""

    size: tuple[int, int]
    starts_with_key_frame: bool
    pictures: int
    video: tuple[Fraction, ...]
    audio: tuple[Fraction, ...]
    audio_rate: int


def decode(segment: bytes) -> Decoded:
    """Decode all pictures and sounds of an MPEG-TS segment by itself; av.error.FFmpegError when it cannot be."""
    with av.open(io.BytesIO(segment), format="mpegts") as container:
        picture, sound = container.streams.video[0], container.streams.audio[0]
        times: dict[int, list[Fraction]] = {picture.index: [], sound.index: []}
        first: Any = None
        pictures = 0
        for packet in container.demux(picture, sound):
            if packet.pts is not None:
                times[packet.stream.index].append(packet.pts * packet.time_base)
                first = first or (packet if packet.stream is picture else None)
            frames = packet.decode()
            pictures += len(frames) if packet.stream is picture else 0
        return Decoded(
            size=(picture.width, picture.height),
            starts_with_key_frame=first is not None and first.is_keyframe,
            pictures=pictures,
            video=tuple(sorted(times[picture.index])),
            audio=tuple(times[sound.index]),
            audio_rate=sound.rate,
        )


def check_rendition(playlist: MediaPlaylist, segments: Sequence[Decoded], *, size: tuple[int, int], fps: int) -> None:
    """AssertionError unless every segment has the size, starts with a key frame, and goes on where the last ended."""
    for entry, segment in zip(playlist.entries, segments, strict=True):
        assert segment.size == size, entry
        assert segment.starts_with_key_frame, entry
        assert segment.pictures == len(segment.video), f"{entry}: some pictures could not be decoded"
        assert abs(len(segment.video) / fps - entry.duration) < 1.5 / fps, f"{entry} has {len(segment.video)} pictures"
        assert round(entry.duration) <= playlist.target_duration, entry
    for period in sorted({entry.period for entry in playlist.entries}):
        together = [s for entry, s in zip(playlist.entries, segments, strict=True) if entry.period == period]
        _check_steps([at for segment in together for at in segment.video], Fraction(1, fps), "picture")
        _check_steps(
            [at for segment in together for at in segment.audio], Fraction(1024, together[0].audio_rate), "sound"
        )


def _check_steps(times: list[Fraction], step: Fraction, what: str) -> None:
    for before, after in pairwise(times):
        distance = after - before
        assert step / 2 < distance < step * 3 / 2, (
            f"{what} at {float(before):.3f} s is followed by {float(after):.3f} s"
        )


def check_alignment(renditions: dict[str, dict[int, Decoded]], *, fps: int) -> None:
    """AssertionError unless equal numbers begin with the same picture in every rendition."""
    reference = next(iter(renditions.values()))
    for name, segments in renditions.items():
        for number in segments.keys() & reference.keys():
            apart = abs(segments[number].video[0] - reference[number].video[0])
            assert apart < Fraction(1, fps), f"{name} number {number} is {float(apart):.3f} s off"


class LivePlayer:
    """Fetches over HTTP what a live player would, and more: every rendition's playlist, and each segment once."""

    def __init__(self, client: httpx.Client, key: str) -> None:
        self.client = client
        self.key = key
        self.variants: list[Variant] = []
        self.playlists: dict[str, MediaPlaylist] = {}
        self.entries: dict[str, dict[int, Entry]] = {}
        self.segments: dict[str, dict[int, bytes]] = {}

    def fetch(self, name: str) -> bytes:
        """Return a file of the stream; AssertionError unless the answer is 200."""
        answer = self.client.get(f"/hls/{self.key}/{name}")
        assert answer.status_code == 200, f"{name}: {answer.status_code} {answer.text[:300]}"
        return answer.content

    def is_on_air(self) -> bool:
        """Return whether there is something to play."""
        return self.client.get(f"/hls/{self.key}/playlist.m3u8").status_code == 200

    def refresh(self) -> None:
        """Fetch every playlist, and the segments that are new in them."""
        self.variants = parse_multivariant(self.fetch("playlist.m3u8").decode())
        for variant in self.variants:
            playlist = parse_media(self.fetch(variant.uri).decode())
            name = variant.rendition
            self.playlists[name] = playlist
            known = self.segments.setdefault(name, {})
            for entry in playlist.entries:
                if entry.sequence not in known and not entry.gap:
                    known[entry.sequence] = self.fetch(entry.uri)
                    self.entries.setdefault(name, {})[entry.sequence] = entry

    def has(self, count: int) -> bool:
        """Refresh, and return whether `count` segments of every rendition were fetched."""
        self.refresh()
        return all(len(self.segments[variant.rendition]) >= count for variant in self.variants)

    def has_ended(self) -> bool:
        """Refresh, and return whether every playlist has ended."""
        self.refresh()
        return all(self.playlists[variant.rendition].ended for variant in self.variants)

    def whole(self, name: str) -> MediaPlaylist:
        """Return everything that was ever listed of a rendition as one playlist."""
        newest, entries = self.playlists[name], self.entries[name]
        return MediaPlaylist(
            sequence=min(entries),
            discontinuity_sequence=0,
            target_duration=newest.target_duration,
            kind=None,
            ended=newest.ended,
            entries=tuple(entries[number] for number in sorted(entries)),
        )


@contextmanager
def static_host(folder: Path) -> Iterator[httpx.Client]:
    """Serve the folder as the dumbest of hosts does, on a free loopback port; yield a client for it."""

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, directory=str(folder), **options)

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the base class's name
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{server.server_address[1]}", timeout=10, trust_env=False
        ) as client:
            yield client
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
