"""`make run`: StreamKit with everything embedded, and a browser in front of it."""

import os
import re
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from e2e_browser import Browser, browsing, luminances
from e2e_player import LivePlayer, check_alignment, check_rendition, decode
from e2e_production import ROOT, STREAMKIT
from servers import tools
from servers.process import ManagedProcess, descendants, live_processes
from servers.waiting import free_port, wait_until

from streamkit.playlist_check import StreamCheck, report

pytestmark = pytest.mark.e2e

CONFIGURATION = """
server: {{host: 127.0.0.1}}
hls: {{segment_duration: 1.0}}
embedded: {{data_dir: {folder}/data}}
encoder: {{ffmpeg: "{ffmpeg}", start_timeout: 60.0}}
sessions: {{connect_timeout: 60.0, reconnect_window: 2.0}}
ladders:
  default:
    renditions:
      - {{name: 360p, height: 360, video_bitrate: 500k, preset: ultrafast}}
      - {{name: 240p, height: 240, video_bitrate: 250k, preset: ultrafast}}
"""
SIZES = {"360p": (640, 360), "240p": (426, 240)}
FPS = 30


@dataclass(frozen=True, slots=True)
class Embedded:
    """`make run` under way, on free ports and with its data in `folder`."""

    process: ManagedProcess
    client: httpx.Client
    folder: Path

    @property
    def site(self) -> str:
        return str(self.client.base_url).rstrip("/")


def configure(folder: Path, ffmpeg: str = "") -> dict[str, str]:
    """Return an environment like that of a fresh shell: only ports, folders and the configuration are said."""
    (folder / "home").mkdir()
    configuration = folder / "streamkit.yaml"
    configuration.write_text(CONFIGURATION.format(folder=folder, ffmpeg=ffmpeg))
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder / "home"),
        "SERVER_PORT": str(free_port()),
        "RTMP_PORT": str(free_port()),
        "HLS_OUTPUT_DIR": str(folder / "hls"),
        "STREAMKIT_CONFIG": str(configuration),
    }


def make_run(folder: Path, *variables: str, ffmpeg: str = "") -> Embedded:
    """Return `make run` once it serves. `make setup` has been done already: these tests run in what it made."""
    environment = configure(folder, ffmpeg)
    argv = ["make", "run", "--assume-old=setup", *variables]
    process = ManagedProcess(argv, folder / "make.log", env=environment, cwd=ROOT)
    client = httpx.Client(base_url=f"http://127.0.0.1:{environment['SERVER_PORT']}", timeout=60, trust_env=False)
    try:
        process.wait_ready(lambda: "StreamKit is running" in process.log())
    except AssertionError:
        process.close()
        client.close()
        raise
    return Embedded(process, client, folder)


def end(embedded: Embedded) -> None:
    embedded.client.close()
    embedded.process.close()


@pytest.fixture(scope="module", params=["path", "imageio"])
def demo(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    """`make run`, with each of the two FFmpegs that StreamKit may find."""
    ffmpeg = tools.bundled_ffmpeg() if request.param == "imageio" else tools.require("FFmpeg")
    if ffmpeg is None:
        pytest.skip("imageio-ffmpeg carries no FFmpeg for this machine")
    embedded = make_run(tmp_path_factory.mktemp("demo"), ffmpeg=str(ffmpeg))
    yield embedded
    end(embedded)


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Embedded]:
    """`make run PUBLISH=0`."""
    embedded = make_run(tmp_path, "PUBLISH=0")
    yield embedded
    end(embedded)


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port that somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


def play(embedded: Embedded, key: str, *, count: int) -> None:
    """AssertionError unless `count` segments of every rendition play over HTTP."""
    player = LivePlayer(embedded.client, key)
    wait_until(player.is_on_air, what=f"a playlist of {key}; make run said:\n{embedded.process.log()}", every=0.2)
    wait_until(lambda: player.has(count), what=f"{count} segments of {key}", every=0.3)
    assert {variant.rendition: variant.size for variant in player.variants} == SIZES
    renditions = {
        name: {number: decode(data) for number, data in sorted(segments.items())}
        for name, segments in player.segments.items()
    }
    for name, segments in renditions.items():
        check_rendition(player.whole(name), list(segments.values()), size=SIZES[name], fps=FPS)
    check_alignment(renditions, fps=FPS)


def test_make_run_prints_where_the_test_pattern_plays_and_it_does(demo: Embedded) -> None:
    said = demo.process.log()
    assert f"Page: {demo.site}/ " in said
    assert f"{demo.site}/hls/demo/playlist.m3u8" in said
    play(demo, "demo", count=4)


def test_everything_embedded_is_ready_and_kept_in_the_data_folder(demo: Embedded) -> None:
    ready = demo.client.get("/ready").json()
    assert {name: check["state"] for name, check in ready["checks"].items()}.keys() >= {"database", "ffmpeg", "disk"}
    assert ready["status"] == "ok", ready
    assert (demo.folder / "data" / "streamkit.db").exists()
    wait_until(
        lambda: list((demo.folder / "data" / "objects").rglob("playlist.m3u8")), 60, "the local bucket", every=0.2
    )
    assert not list((demo.folder / "home").iterdir())


def test_what_it_serves_keeps_every_rule(demo: Embedded) -> None:
    play(demo, "demo", count=4)
    text, is_right = report(StreamCheck(f"{demo.site}/hls/demo/playlist.m3u8").findings())
    assert is_right, text
    assert "a live playlist gets a segment every 1.5 target durations" in text


@pytest.mark.browser
def test_the_page_plays_the_test_pattern_in_a_browser(demo: Embedded, chromium_path: str, tmp_path: Path) -> None:
    play(demo, "demo", count=2)
    with browsing(chromium_path, tmp_path) as browser:
        browser.open(f"{demo.site}/watch")
        assert position_after(browser, 0.0) > 0.0
        before = browser.picture_of("video")
        position_after(browser, browser.evaluate("document.querySelector('video').currentTime") + 1.5)
        after = browser.picture_of("video")
        assert browser.evaluate("document.querySelector('#title').textContent") == "demo"
        assert browser.evaluate("document.querySelector('video').videoHeight") in {
            height for _, height in SIZES.values()
        }
    (tmp_path / "page.png").write_bytes(after)
    assert_shows_colour_bars(after)
    assert luminances(before) != luminances(after), "the clock stands still"


def position_after(browser: Browser, seconds: float) -> float:
    """Return the player's position once it is beyond `seconds`."""
    player = "document.querySelector('video')"
    position = f"(v => v && !v.paused && v.readyState > 2 ? v.currentTime : 0)({player})"
    try:
        return wait_until(lambda: (at := browser.evaluate(position)) > seconds and at, what=f"{seconds} s", every=0.2)
    except AssertionError as error:
        page = browser.evaluate("document.body.innerText")
        raise AssertionError(f"the player's position: {error}; the page said:\n{page}") from None


def assert_shows_colour_bars(png: bytes) -> None:
    """AssertionError unless the picture has many large areas of different brightness: neither blank nor a message."""
    grey = luminances(png)
    areas = [shade for shade in range(256) if grey.count(shade) > len(grey) / 200]
    assert len(areas) >= 6, areas


def test_ctrl_c_ends_the_broadcast_and_all_that_make_run_started(demo: Embedded) -> None:
    family = descendants({demo.process.pid})
    assert len(family) >= 3, "the service, its encoder and the test pattern's publisher"
    # A terminal signals the whole foreground process group.
    os.killpg(demo.process.pid, signal.SIGINT)
    demo.process.wait(60)
    wait_until(lambda: not family & live_processes().keys(), what="the end of all that make run had started")
    said = demo.process.log()
    assert "Stopped; streams with everything stored: 1" in said
    assert "Traceback" not in said
    stored = demo.folder / "data" / "objects"
    assert all("#EXT-X-ENDLIST" in path.read_text() for path in stored.rglob("240p.m3u8"))


def test_without_a_test_pattern_it_waits_for_the_publisher_it_describes(
    waiting: Embedded, make_source: Callable[..., Path], publisher: Callable[..., ManagedProcess]
) -> None:
    said = waiting.process.log()
    server, key = re.search(r"Server: +(rtmp://\S+)", said), re.search(r"Stream key: +(\S+)", said)
    assert server is not None, said
    assert key is not None, said
    assert f"{waiting.site}/hls/{key[1]}/playlist.m3u8" in said
    assert waiting.client.get("/stats").json()["streams"] == []
    pushing = publisher(f"{server[1]}/{key[1]}", make_source(seconds=40))
    play(waiting, key[1], count=4)
    pushing.stop()
    player = LivePlayer(waiting.client, key[1])
    wait_until(player.has_ended, what="the end of the broadcast", every=0.3)


def test_a_publisher_with_an_invalid_key_is_turned_away(
    waiting: Embedded, make_source: Callable[..., Path], publisher: Callable[..., ManagedProcess]
) -> None:
    server = re.search(r"Server: +(rtmp://\S+)", waiting.process.log())
    assert server is not None
    assert publisher(f"{server[1]}/-invalid", make_source(seconds=40)).wait(30) != 0
    assert waiting.client.get("/stats").json()["total_streams"] == 0


@pytest.mark.parametrize("variable", ["SERVER_PORT", "RTMP_PORT"])
def test_a_taken_port_is_one_sentence(
    variable: str, tmp_path: Path, run_process: Callable[..., ManagedProcess], taken_port: int
) -> None:
    environment = {**configure(tmp_path), variable: str(taken_port)}
    process = run_process([STREAMKIT, "serve", "--embedded"], env=environment, cwd=tmp_path)
    assert process.wait(60) == 3
    (sentence,) = process.log().splitlines()
    assert sentence.startswith("streamkit: ")
    assert str(taken_port) in sentence
    assert variable in sentence
