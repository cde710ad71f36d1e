"""Publishers that change their minds in mid-stream, over real RTMP into the embedded service, watched all the time."""

import io
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import av
import httpx
import pytest
from e2e_player import MediaPlaylist, decode, parse_media
from e2e_production import ROOT, STREAMKIT
from e2e_watcher import HttpWatcher, Report
from servers import tools
from servers.flv_publishing import Tag, jumping, publish_tags, read_tags
from servers.process import ManagedProcess
from servers.waiting import accepts_connections, free_port, wait_until

from streamkit.rtmp import chunks

pytestmark = pytest.mark.e2e

CONFIGURATION = """
server: {{host: 127.0.0.1}}
hls: {{segment_duration: 1.0, window: 60.0}}
embedded: {{data_dir: {folder}/data}}
encoder: {{start_timeout: 60.0, stop_timeout: 30.0}}
sessions: {{reconnect_window: 6.0, takeover: takeover}}
streams:
  - {{match: slated, slate: "{folder}/slate.png", reconnect_window: 8.0}}
  - {{match: copied, slate: "{folder}/slate.mp4", reconnect_window: 8.0, ladder: copy}}
ladders:
  default:
    renditions:
      - {{name: 180p, height: 180, video_bitrate: 300k, preset: ultrafast}}
      - {{name: 90p, height: 90, video_bitrate: 150k, preset: ultrafast}}
"""
HALF = 4000  # milliseconds of each half of a publish


@dataclass(frozen=True, slots=True)
class Site:
    """The service, and what the watcher of its HTTP side noted."""

    client: httpx.Client
    rtmp_port: int
    report: Report

    def publish(self, key: str, tags: list[Tag]) -> threading.Thread:
        """Publish in a thread; a publisher that is disconnected ends quietly."""

        def run() -> None:
            with suppress(OSError):
                publish_tags(self.rtmp_port, key, tags)

        thread = threading.Thread(target=run, name=f"publisher of {key}")
        thread.start()
        return thread

    def shows_slate(self, key: str) -> bool:
        streams = {stream["stream_key"]: stream for stream in self.client.get("/stats").json()["streams"]}
        return key in streams and (streams[key]["slate"], streams[key]["state"]) == (True, "reconnecting")

    def ended(self, key: str, rendition: str) -> MediaPlaylist:
        """Return the media playlist of a broadcast that is over."""

        def look() -> MediaPlaylist | None:
            answer = self.client.get(f"/hls/{key}/{rendition}.m3u8")
            found = parse_media(answer.text) if answer.status_code == 200 else None
            return found if found is not None and found.ended else None

        return wait_until(look, what=f"the end of {key}", every=0.2)

    def segments(self, key: str, playlist: MediaPlaylist) -> list[bytes]:
        return [self.client.get(f"/hls/{key}/{entry.uri}").raise_for_status().content for entry in playlist.entries]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("continuity")
    make_slates(folder)
    (folder / "streamkit.yaml").write_text(CONFIGURATION.format(folder=folder))
    ports = {"SERVER_PORT": free_port(), "RTMP_PORT": free_port()}
    environment = {
        **{name: str(port) for name, port in ports.items()},
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        "HLS_OUTPUT_DIR": str(folder / "hls"),
        "STREAMKIT_CONFIG": str(folder / "streamkit.yaml"),
    }
    service = ManagedProcess([STREAMKIT, "serve", "--embedded"], folder / "service.log", env=environment, cwd=folder)
    client = httpx.Client(base_url=f"http://127.0.0.1:{ports['SERVER_PORT']}", timeout=60, trust_env=False)
    report, done = Report(), threading.Event()
    watcher = HttpWatcher(client, report)

    def watch() -> None:
        while not done.wait(0.3):
            # The watcher knows multivariant entry points alone.
            watcher.look({path.name for path in (folder / "hls").glob("[a-z]*")} - {"copied"})

    thread = threading.Thread(target=watch, name="watcher")
    try:
        service.wait_ready(
            lambda: accepts_connections(ports["RTMP_PORT"]) and accepts_connections(ports["SERVER_PORT"])
        )
        thread.start()
        yield Site(client, ports["RTMP_PORT"], report)
    finally:
        done.set()
        if thread.is_alive():
            thread.join()
        client.close()
        service.close()


def make_slates(folder: Path) -> None:
    """Make a red picture, and a red clip with a tone."""
    red = ["-f", "lavfi", "-i", "color=red:size=300x300:rate=25"]
    tone = ["-f", "lavfi", "-i", "sine=frequency=880"]
    for outputs in ([*red, "-frames:v", "1", "slate.png"], [*red, *tone, "-t", "1", "slate.mp4"]):
        subprocess.run([tools.require("FFmpeg"), "-v", "error", *outputs], cwd=folder, check=True, timeout=30)


def shifted(tags: list[Tag], by: int) -> list[Tag]:
    return [replace(tag, send_at=tag.send_at + by, timestamp=tag.timestamp + by) for tag in tags]


def until(tags: list[Tag], end: int) -> list[Tag]:
    return [tag for tag in tags if tag.send_at < end]


def merged(*parts: list[Tag]) -> list[Tag]:
    return sorted((tag for part in parts for tag in part), key=lambda tag: tag.send_at)


def only(tags: list[Tag], *kinds: int) -> list[Tag]:
    return [tag for tag in tags if tag.kind in kinds]


@pytest.fixture(scope="module")
def broadcasts(site: Site, make_source: Callable[..., Path]) -> dict[str, MediaPlaylist]:
    """All publishers at once, and what players got of the best rendition."""
    large = read_tags(make_source(width=320, height=180, gop_seconds=1.0, seconds=16.0))
    small = read_tags(make_source(width=160, height=90, gop_seconds=1.0, seconds=8.0))
    sound, picture = only(large, chunks.AUDIO), only(large, chunks.VIDEO)
    published = {
        "changes": until(large, HALF) + shifted(until(small, HALF), HALF),
        "late": merged(until(picture, 2 * HALF), shifted(until(sound, HALF), HALF)),
        "jumps": jumping(after=2500, by=3_600_000)(jumping(after=5500, by=-7_200_000)(until(large, 2 * HALF))),
        "wraps": [replace(tag, timestamp=tag.timestamp + 2**32 - 3000) for tag in until(large, 2 * HALF)],
        "quiet": merged(until(picture, 15_000), until(sound, 3000), [tag for tag in sound if tag.send_at > 13_000]),
    }
    threads = [site.publish(key, tags) for key, tags in published.items()]
    threads.append(site.publish("taken", until(large, 15_000)))
    wait_until(
        lambda: site.client.get("/hls/taken/180p.m3u8").status_code == 200, what="the first publisher", every=0.1
    )
    threads.append(site.publish("taken", until(small, HALF)))
    for part in (large, small):
        for thread in [site.publish(key, until(part, HALF)) for key in ("slated", "copied")]:
            thread.join()
        for key in ("slated", "copied"):
            wait_until(partial(site.shows_slate, key), what=f"the slate of {key}", every=0.1)
        time.sleep(2)  # of slate
    for thread in threads:
        thread.join()
    rest = {"slated": site.ended("slated", "180p"), "copied": site.ended("copied", "playlist")}
    return rest | {key: site.ended(key, "180p") for key in (*published, "taken")}


def has_sound(segment: bytes) -> bool:
    """Return whether sound can be decoded from an MPEG-TS segment."""
    with av.open(io.BytesIO(segment), format="mpegts") as container:
        return bool(container.streams.audio) and any(True for _ in container.decode(audio=0))


def length(playlist: MediaPlaylist) -> float:
    return sum(entry.duration for entry in playlist.entries)


def test_no_playlist_ever_lacked_a_segment_or_went_back(site: Site, broadcasts: dict[str, MediaPlaylist]) -> None:
    assert not site.report.problems, "\n".join(site.report.problems)
    assert site.report.http_segments > 50


@pytest.mark.parametrize("key", ["changes", "late", "jumps", "wraps"])
def test_nothing_that_was_sent_is_lost(key: str, broadcasts: dict[str, MediaPlaylist]) -> None:
    assert length(broadcasts[key]) == pytest.approx(2 * HALF / 1000, abs=0.35)


@pytest.mark.parametrize(
    ("key", "count"), [("changes", 1), ("late", 1), ("jumps", 0), ("wraps", 0), ("quiet", 2), ("taken", 1)]
)
def test_a_change_is_a_discontinuity_of_one_session(key: str, count: int, broadcasts: dict[str, MediaPlaylist]) -> None:
    assert broadcasts[key].discontinuities == count
    assert len({entry.uri.split("_")[1] for entry in broadcasts[key].entries}) == 1
    assert not any(entry.gap for entry in broadcasts[key].entries)


def test_a_smaller_source_goes_on_in_its_own_size(site: Site, broadcasts: dict[str, MediaPlaylist]) -> None:
    sizes = [decode(data).size for data in site.segments("changes", broadcasts["changes"])]
    assert sizes[0] == (320, 180)
    assert sizes[-1] == (160, 90)


def test_sound_that_begins_late_is_heard(site: Site, broadcasts: dict[str, MediaPlaylist]) -> None:
    sounds = [has_sound(data) for data in site.segments("late", broadcasts["late"])]
    assert not sounds[0]
    assert sounds[-1]


def test_sound_that_stops_is_silence(site: Site, broadcasts: dict[str, MediaPlaylist]) -> None:
    sounds = [has_sound(data) for data in site.segments("quiet", broadcasts["quiet"])]
    last_period = [entry.period for entry in broadcasts["quiet"].entries]
    second_run = [heard for heard, period in zip(sounds, last_period, strict=True) if period > last_period[0]]
    assert all(second_run)


def test_the_second_publisher_is_on_air_after_the_first(site: Site, broadcasts: dict[str, MediaPlaylist]) -> None:
    sizes = [decode(data).size for data in site.segments("taken", broadcasts["taken"])]
    assert sizes[0] == (320, 180)
    assert sizes[-1] == (160, 90)


@pytest.mark.parametrize("key", ["slated", "copied"])
def test_the_slate_is_shown_between_two_publishes_of_one_session(
    key: str, site: Site, broadcasts: dict[str, MediaPlaylist]
) -> None:
    playlist = broadcasts[key]
    assert playlist.discontinuities == 3
    periods: dict[int, list[bytes]] = {}
    for entry, data in zip(playlist.entries, site.segments(key, playlist), strict=True):
        periods.setdefault(entry.period, []).append(data)
    before, slate, after, last = periods.values()
    assert all(map(has_sound, before + slate + after + last))
    assert {decode(data).size for data in before + slate} == {(320, 180)}
    assert {decode(data).size for data in after + last} == {(160, 90)}
    assert not any(is_red(data) for data in before + after)
    assert all(is_red(data) for data in slate + last)
    assert sum(entry.duration for entry in playlist.entries if entry.period == list(periods)[1]) < 9.0


def is_red(segment: bytes) -> bool:
    """Return whether the middle of the first picture is red."""
    with av.open(io.BytesIO(segment), format="mpegts") as container:
        picture = next(container.decode(video=0)).reformat(format="rgb24")
    middle = picture.planes[0].line_size * (picture.height // 2) + 3 * (picture.width // 2)
    red, green, blue = bytes(picture.planes[0])[middle : middle + 3]
    return red > 200 and green < 60 and blue < 60
