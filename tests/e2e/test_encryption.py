"""Encrypted streams: real players with a token play them, from StreamKit and from the bucket's copy; others cannot."""

import io
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import av
import httpx
import pytest
from e2e_browser import Browser, browsing
from e2e_player import static_host
from e2e_production import STREAMKIT
from servers.process import ManagedProcess
from servers.publishing import Publisher
from servers.waiting import free_port, wait_until

from streamkit.encryption.cipher import decrypt
from streamkit.hls.names import parse_segment_name
from streamkit.hls.parse import parse

pytestmark = pytest.mark.e2e

SECRET = "the secret of these tests"
ROTATION, FPS = 3, 30
KEYS = ("paid", "cmaf")
CONFIGURATION = """
server: {{host: 127.0.0.1}}
hls: {{segment_duration: 1.0, fast_start: false, window: 10.0}}
embedded: {{data_dir: {folder}/data}}
encoder: {{start_timeout: 60.0}}
sessions: {{connect_timeout: 60.0, reconnect_window: 60.0}}
encryption: {{method: aes-128, key_rotation: {rotation}, key_url_base: "http://127.0.0.1:{port}"}}
ladders:
  default:
    renditions:
      - {{name: 240p, height: 240, video_bitrate: 250k, preset: ultrafast}}
      - {{name: 144p, height: 144, video_bitrate: 120k, preset: ultrafast}}
  cmaf:
    segment_format: fmp4
    renditions:
      - {{name: 240p, height: 240, video_bitrate: 250k, preset: ultrafast}}
streams:
  - {{match: cmaf, ladder: cmaf, playback: token}}
"""


@dataclass
class Encrypted:
    """A service that encrypts, with two publishers; it can be killed and started again."""

    folder: Path
    source: Path
    push: Callable[..., Publisher]
    cleanup: ExitStack
    port: int = field(default_factory=free_port)
    rtmp_port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        configuration = self.folder / "streamkit.yaml"
        configuration.write_text(CONFIGURATION.format(folder=self.folder, rotation=ROTATION, port=self.port))
        self.environment = {
            **os.environ,
            "SERVER_PORT": str(self.port),
            "RTMP_PORT": str(self.rtmp_port),
            "HLS_OUTPUT_DIR": str(self.folder / "hls"),
            "STREAMKIT_CONFIG": str(configuration),
            "ENCRYPTION_SECRET": SECRET,
        }
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60, trust_env=False)
        self.cleanup.callback(self.client.close)
        self.start()

    @property
    def site(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def bucket(self) -> Path:
        return self.folder / "data" / "objects"

    def start(self) -> None:
        """Start the service, and publish both streams."""
        argv = [STREAMKIT, "serve", "--embedded"]
        self.service = ManagedProcess(argv, self.folder / "service.log", env=self.environment, cwd=self.folder)
        self.cleanup.callback(self.service.close)
        self.service.wait_ready(lambda: self.service.log().count("StreamKit is running") > 0)
        wait_until(self.serves, what="the service", every=0.1)
        self.publishers = {key: self.push(f"rtmp://127.0.0.1:{self.rtmp_port}/live/{key}", self.source) for key in KEYS}

    def serves(self) -> bool:
        try:
            return self.client.get("/health").status_code == 200
        except httpx.TransportError:
            return False

    def token(self, key: str) -> str:
        """Return what `streamkit token` prints, as an operator's shell has it."""
        argv = [STREAMKIT, "token", key, "--expires", "10m"]
        done = subprocess.run(argv, env=self.environment, cwd=self.folder, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def playlist(self, key: str, name: str = "240p.m3u8") -> str:
        answer = self.client.get(f"/hls/{key}/{name}", headers={"Authorization": f"Bearer {self.token(key)}"})
        return answer.text if answer.status_code == 200 else ""

    def wait_for(self, segments: int) -> None:
        """Return when so many segments of both streams were made and the bucket lists them."""
        last = segments - 1
        for key in KEYS:
            stored = self.bucket / "hls" / key / "240p.m3u8"
            wait_until(
                lambda stored=stored: stored.exists() and newest(stored.read_text()) >= last,  # type: ignore[misc]
                60,
                f"{segments} segments of {key}; the service said:\n{self.service.log()[-4000:]}",
                every=0.2,
            )


def newest(playlist: str) -> int:
    """Return the number of the newest segment that a playlist lists."""
    names = [parse_segment_name(line) for line in playlist.splitlines()]
    return max((name.sequence for name in names if name is not None), default=-1)


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory, push: Callable[..., Publisher], make_source: Callable[..., Path]
) -> Iterator[Encrypted]:
    with ExitStack() as cleanup:
        source = make_source(width=426, height=240, seconds=20)
        encrypted = Encrypted(tmp_path_factory.mktemp("encrypted"), source, push, cleanup)
        encrypted.wait_for(2 * ROTATION + 2)
        yield encrypted


def play(
    ffmpeg: str, url: str, *options: str, seconds: int | None = 6, patience: float = 60
) -> tuple[int | None, int, str]:
    """Return (exit code, pictures decoded, what it complained of) of FFmpeg as a player, from the oldest segment on.

    The code is None when it still tried after `patience` seconds.
    """
    much = [] if seconds is None else ["-t", str(seconds)]
    argv = [ffmpeg, "-nostdin", "-v", "error", "-progress", "-", "-live_start_index", "0", *options, "-i", url, *much]
    argv += ["-map", "0:v:0", "-fps_mode", "passthrough", "-f", "null", "-"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            out, complaint = process.communicate(timeout=patience)
            code: int | None = process.returncode
        except subprocess.TimeoutExpired:
            process.kill()
            out, complaint = process.communicate()
            code = None
    pictures = [int(line.removeprefix("frame=")) for line in out.splitlines() if line.startswith("frame=")]
    return code, pictures[-1] if pictures else 0, complaint


def assert_played(outcome: tuple[int | None, int, str]) -> None:
    code, pictures, complaint = outcome
    assert (code, complaint) == (0, "")
    assert abs(pictures - 6 * FPS) <= 2


@pytest.mark.parametrize("ffmpeg_path", ["path", "imageio"], indirect=True)
@pytest.mark.parametrize("key", KEYS)
def test_ffmpeg_with_a_token_plays_across_changes_of_the_key(service: Encrypted, ffmpeg_path: str, key: str) -> None:
    url = f"{service.site}/hls/{key}/playlist.m3u8?token={service.token(key)}"
    assert_played(play(ffmpeg_path, url))


@pytest.mark.parametrize("key", KEYS)
def test_a_player_of_the_bucket_s_copy_gets_its_keys_from_the_service(
    service: Encrypted, ffmpeg_path: str, key: str
) -> None:
    with static_host(service.bucket) as host:
        url = f"{str(host.base_url).rstrip('/')}/hls/{key}/playlist.m3u8"
        header = ("-headers", f"Authorization: Bearer {service.token(key)}\r\n")
        assert_played(play(ffmpeg_path, url, *header))
        code, pictures, complaint = play(ffmpeg_path, url, patience=3)
    assert (code != 0, pictures) == (True, 0)
    assert "key" in complaint


def test_without_a_token_for_the_stream_nobody_gets_keys(service: Encrypted, ffmpeg_path: str) -> None:
    line = next(line for line in service.playlist("paid").splitlines() if line.startswith("#EXT-X-KEY:"))
    url = line.partition('URI="')[2].rstrip('"')
    assert url.startswith(f"{service.site}/keys/paid/")
    assert service.client.get(url).status_code == 401
    assert service.client.get(url, params={"token": service.token("cmaf")}).status_code == 403
    assert service.client.get(url, params={"token": service.token("paid")}).status_code == 200
    url = f"{service.site}/hls/paid/playlist.m3u8?token={service.token('cmaf')}"
    code, pictures, _ = play(ffmpeg_path, url, patience=3)
    assert (code != 0, pictures) == (True, 0)


def test_without_a_token_nobody_gets_the_playlists_of_a_stream_that_asks_for_one(service: Encrypted) -> None:
    for name in ("playlist.m3u8", "240p.m3u8"):
        address = f"/hls/cmaf/{name}"
        assert service.client.get(address).status_code == 401
        assert service.client.get(address, params={"token": service.token("paid")}).status_code == 403
        assert service.client.get(address, params={"token": service.token("cmaf")}).status_code == 200
        assert service.client.get(f"/hls/paid/{name}").status_code == 200


def decoded(data: bytes, container: str) -> int:
    """Return how many pictures are in a segment; 0 when it cannot be read."""
    try:
        with av.open(io.BytesIO(data), format=container) as media:
            return sum(1 for _ in media.decode(video=0))
    except (av.error.FFmpegError, IndexError):
        return 0


def test_what_the_bucket_holds_can_be_decoded_with_the_key_of_its_number_only(service: Encrypted) -> None:
    for key, suffix, container in (("paid", ".ts", "mpegts"), ("cmaf", ".m4s", "mp4")):
        token = service.token(key)
        folder = service.bucket / "hls" / key
        init = b"".join(path.read_bytes() for path in folder.glob("init_*_240p_*.mp4"))
        found = sorted(folder.glob(f"segment_*_240p_*{suffix}"))[:8]
        assert len(found) == 8
        for path in found:
            name, data = parse_segment_name(path.name), path.read_bytes()
            assert name is not None
            address = f"/keys/{key}/{name.session}/{name.sequence // ROTATION}"
            secret = service.client.get(address, params={"token": token}).content
            assert decoded(init + data, container) == 0
            assert decoded(init + decrypt(data, secret, name.sequence), container) == FPS


def test_what_must_stay_secret_is_in_no_log_and_no_playlist(service: Encrypted) -> None:
    token = service.token("paid")
    service.client.get(f"/hls/paid/playlist.m3u8?token={token}")
    files = [path.read_text() for path in service.bucket.rglob("*.m3u8")]
    for text in [service.service.log(), *files]:
        assert SECRET not in text
        assert token not in text


# ---- browsers


def position_after(browser: Browser, seconds: float) -> None:
    """Return when the player's position is beyond `seconds`; AssertionError with what the page says else."""
    position = "(v => v && !v.paused && v.readyState > 2 ? v.currentTime : 0)(document.querySelector('video'))"
    try:
        wait_until(lambda: browser.evaluate(position) > seconds, what=f"{seconds} s", every=0.2)
    except AssertionError as error:
        told = browser.evaluate(
            "document.body.innerText + JSON.stringify(document.querySelector('video')?.error?.message)"
        )
        raise AssertionError(f"{error}; the page said:\n{told}") from None


@pytest.mark.browser
@pytest.mark.parametrize("key", KEYS)
def test_hls_js_plays_across_changes_of_the_key(
    service: Encrypted, chromium_path: str, tmp_path: Path, key: str
) -> None:
    with browsing(chromium_path, tmp_path) as browser:
        browser.open(f"{service.site}/?stream={key}&token={service.token(key)}")
        position_after(browser, 0.0)
        start = browser.evaluate("document.querySelector('video').currentTime")
        position_after(browser, start + ROTATION + 1)
        assert browser.evaluate("Boolean(hls)")


@pytest.mark.browser
def test_the_page_says_that_a_token_is_needed(service: Encrypted, chromium_path: str, tmp_path: Path) -> None:
    with browsing(chromium_path, tmp_path) as browser:
        browser.open(f"{service.site}/?stream=paid")
        text = "document.querySelector('#message')?.textContent"
        wait_until(lambda: "token" in (browser.evaluate(text) or ""), what="what is missing", every=0.2)
        assert browser.evaluate("document.querySelector('video').currentTime") == 0


@pytest.mark.browser
def test_the_browser_s_own_player_plays_across_changes_of_the_key(
    service: Encrypted, chromium_path: str, tmp_path: Path
) -> None:
    url = json.dumps(f"{service.site}/hls/paid/playlist.m3u8?token={service.token('paid')}")
    with browsing(chromium_path, tmp_path) as browser:
        browser.open(f"{service.site}/?stream=nobody")
        wait_until(lambda: browser.evaluate("typeof withToken === 'function'"), what="the page's script")
        browser.evaluate(f"stop(); again = () => 0; play = () => 0; video.src = {url}; video.play(); 1")
        position_after(browser, 0.0)
        start = browser.evaluate("document.querySelector('video').currentTime")
        position_after(browser, start + ROTATION + 1)
        assert not browser.evaluate("Boolean(hls)")


# ---- the end


def test_after_kill_9_the_keys_are_the_same_and_the_broadcast_ends_playable(
    service: Encrypted, ffmpeg_path: str
) -> None:
    token = service.token("paid")
    before = service.playlist("paid")
    lines = [line for line in before.splitlines() if line.startswith("#EXT-X-KEY:")]
    urls = [line.partition('URI="')[2].rstrip('"') for line in lines]
    keys = {url: service.client.get(url, params={"token": token}).content for url in urls}
    assert len(set(keys.values())) == len(urls) >= 3
    service.service.kill()
    for publisher in service.publishers.values():
        publisher.close()
    service.start()
    wait_until(lambda: newest(service.playlist("paid")) > newest(before) + ROTATION, what="the broadcast", every=0.2)
    assert {url: service.client.get(url, params={"token": token}).content for url in urls} == keys
    for publisher in service.publishers.values():
        publisher.stop()
    assert service.service.stop(timeout=60) == 0
    check_archives(service, ffmpeg_path)


def check_archives(service: Encrypted, ffmpeg: str) -> None:
    """AssertionError unless the recordings play from the bucket alone, beside a service that was started again."""
    argv = [STREAMKIT, "serve", "--embedded"]
    again = ManagedProcess(argv, service.folder / "again.log", env=service.environment, cwd=service.folder)
    service.cleanup.callback(again.close)
    again.wait_ready(service.serves)
    with static_host(service.bucket) as host:
        for key in KEYS:
            (path,) = (service.bucket / "hls" / key).glob("s???????.m3u8")
            (media,) = (service.bucket / "hls" / key).glob("s???????_240p.m3u8")
            text = media.read_text()
            assert "#EXT-X-ENDLIST" in text
            assert text.count("#EXT-X-DISCONTINUITY\n") == 1
            url = f"{str(host.base_url).rstrip('/')}/hls/{key}/{path.name}"
            header = ("-headers", f"Authorization: Bearer {service.token(key)}\r\n")
            code, pictures, complaint = play(ffmpeg, url, *header, seconds=None)
            length = sum(entry.duration for entry in parse(text).entries if entry.duration and not entry.gap)
            assert (code, complaint) == (0, "")
            # FFmpeg leaves out a segment where an fMP4 playlist changes its EXT-X-MAP, encrypted or not.
            assert length * FPS + 2 >= pictures >= length * FPS - 2 - (FPS if key == "cmaf" else 0)
