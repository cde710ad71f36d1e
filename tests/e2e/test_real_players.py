"""Real players watch broadcasts for a minute, while their publisher dies and comes back."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import real_players
from profile_service import Service, embedded
from real_players import Player, Watched
from servers import tools
from servers.publishing import Publisher
from servers.waiting import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

KEYS = ("mpegts", "fmp4")
MINUTE = 60.0
KILLED_AT, AWAY = 25.0, 10.0  # seconds into it, and for how long: longer than what players have in hand
EVERY = 0.25
TARGET = 2.0  # seconds that a segment has at most
TOLERANCE = 2 * TARGET
"""A player learns of the first new segment when it loads the playlist again, at most a target duration later (RFC 8216
6.3.4), and may want a second one before it goes on."""

YOUNG = "Chromium with mpegts"
FAULT_OF_ITS_OWN = "3: PipelineStatus::CHUNK_DEMUXER_ERROR_APPEND_FAILED: Parsed buffers not in DTS sequence"
"""Chromium 156's own player gives up so in MPEG-TS when the newest segment is short, as the last one before a reconnect
may be: it fetches that segment again at the next reload of a playlist with dates, and its parser refuses to be given
the same frames twice. It does so with playlists and segments of FFmpeg's own muxer too (12 of 12 times with a last
segment of 0.78 s and dates, never without dates or with one of 1.1 s). It may fail in this way alone, in fMP4 never."""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    started = embedded(tmp_path, tools.require("FFmpeg"), CONFIGURATION)
    yield started
    started.close()


CONFIGURATION = """
server: {host: 127.0.0.1}
embedded: {data_dir: %(folder)s/data}
encoder: {ffmpeg: "%(ffmpeg)s", start_timeout: 60.0}
sessions: {connect_timeout: 60.0}
ladders:
  default:
    renditions: &small
      - {name: 180p, height: 180, video_bitrate: 300k, preset: ultrafast}
      - {name: 90p, height: 90, video_bitrate: 150k, preset: ultrafast}
  cmaf: {segment_format: fmp4, renditions: *small}
streams:
  - {match: fmp4, ladder: cmaf}
"""


def closed_segments(service: Service, key: str) -> int:
    """Return how many segments of a stream that is live were closed, 0 of any other."""
    streams = service.client.get("/stats").json()["streams"]
    return next((one["segments_closed"] for one in streams if (one["stream_key"], one["state"]) == (key, "live")), 0)


def players(stack: ExitStack, chromium: str, folder: Path, site: str, key: str) -> dict[str, Player]:
    """Return the players, each of which has begun to watch the stream."""
    folder.mkdir()
    url = f"{site}/hls/{key}/playlist.m3u8"
    return {
        "Chromium": real_players.chromium(stack, chromium, folder / "native", site, url, None),
        "hls.js": real_players.chromium(stack, chromium, folder / "hls.js", site, url, tools.require("hls.js")),
        "FFmpeg": real_players.ffmpeg(stack, tools.require("FFmpeg"), folder / "ffmpeg.log", url),
        "GStreamer": real_players.gstreamer(stack, tools.require("GStreamer"), folder / "gstreamer.log", url),
    }


@dataclass(frozen=True, slots=True)
class Minute:
    """What the players were not pleased with, how far each fell behind and stopped, and what was to be expected."""

    problems: dict[str, list[str]]
    behind: dict[str, tuple[float, float]]
    patience: float


def test_players_go_on_over_a_reconnect(
    service: Service,
    push: Callable[..., Publisher],
    make_source: Callable[..., Path],
    chromium_path: str,
    tmp_path: Path,
) -> None:
    source = make_source(width=320, height=180)

    def publish() -> list[Publisher]:
        return [push(f"rtmp://127.0.0.1:{service.rtmp_port}/live/{key}", source) for key in KEYS]

    minute = a_minute(service, publish, chromium_path, tmp_path)
    if minute.problems.get(YOUNG) == [FAULT_OF_ITS_OWN]:
        del minute.problems[YOUNG], minute.behind[YOUNG]
    assert not minute.problems
    assert all(max(times) < minute.patience for times in minute.behind.values()), minute


def a_minute(service: Service, publish: Callable[[], list[Publisher]], chromium: str, folder: Path) -> Minute:
    """Let every player watch every stream for a minute, in the middle of which the publishers die and come back."""
    site = str(service.client.base_url).rstrip("/")

    def closed(count: int) -> bool:
        return all(closed_segments(service, key) >= count for key in KEYS)

    publishers = publish()
    wait_until(lambda: closed(8), what="four segments of both renditions", every=0.2)
    with ExitStack() as stack:
        watched = {
            f"{name} with {key}": Watched(player)
            for key in KEYS
            for name, player in players(stack, chromium, folder / key, site, key).items()
        }
        for name, one in watched.items():
            wait_until(lambda one=one: one.has_begun, what=f"picture and sound in {name}", every=EVERY)
        for one in watched.values():
            one.samples.clear()
        began = time.monotonic()
        watch(watched, began + KILLED_AT)
        for publisher in publishers:
            publisher.kill()
        died = time.monotonic()
        watch(watched, died + AWAY)
        publish()
        back = watch(watched, began + MINUTE, lambda: closed(1))
        problems = {name: found for name, one in watched.items() if (found := one.player.problems())}
    return Minute(
        problems=problems,
        behind={name: (round(one.lasted - one.played, 1), round(one.longest_stop, 1)) for name, one in watched.items()},
        patience=back - died + TOLERANCE,
    )


def watch(watched: dict[str, Watched], until: float, sign: Callable[[], bool] = lambda: True) -> float:
    """Sample the players until then, and return when `sign` was there first."""
    seen = 0.0
    while time.monotonic() < until:
        for one in watched.values():
            one.sample()
        if not seen and sign():
            seen = time.monotonic()
        time.sleep(EVERY)
    return seen
