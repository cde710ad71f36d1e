"""A broadcast in fMP4 with its sound apart, through a crash of the service, to what players have of it afterwards."""

import io
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from e2e_browser import browsing
from e2e_player import MediaPlaylist, parse_media, static_host
from e2e_production import Production
from servers.publishing import Publisher
from servers.waiting import wait_until

from streamkit.playlist_check import StreamCheck, report

pytestmark = pytest.mark.e2e

KEY = "cmaf-show"
PICTURES, SOUND = ("240p", "144p"), "audio-128k"
AUDIO_FRAME = Fraction(1024, 44100)
Push = Callable[..., Publisher]


@dataclass(frozen=True, slots=True, kw_only=True)
class Broadcast:
    """What was seen of it while it was live, and where it is now."""

    production: Production
    session: str
    said: str
    keeps_the_rules: bool
    positions: list[float]

    def file(self, name: str) -> bytes:
        return (self.production.bucket / "hls" / KEY / name).read_bytes()

    def playlist(self, rendition: str) -> MediaPlaylist:
        """Return a rendition's playlist of the whole broadcast."""
        return parse_media(self.file(f"{self.session}_{rendition}.m3u8").decode())


def plays_in_browser(production: Production, chromium: str, folder: Path) -> list[float]:
    """Return the positions of a browser that plays the live stream by itself, a second apart at least."""
    player = "document.querySelector('#natively')"
    with browsing(chromium, folder) as browser:
        browser.open(f"http://127.0.0.1:{production.port}/watch")
        wait_until(lambda: browser.evaluate("document.readyState == 'complete'"), what="the page", every=0.1)
        browser.evaluate(
            "document.body.append(Object.assign(document.createElement('video'), {id: 'natively', muted: true,"
            f" autoplay: true, src: '/hls/{KEY}/playlist.m3u8'}})), null"
        )
        position = f"{player}.error ? -1 : {player}.videoHeight && {player}.currentTime"
        first = wait_until(lambda: browser.evaluate(position), what="a picture in the browser", every=0.2)
        last = wait_until(
            lambda: (at := browser.evaluate(position)) and (at < 0 or at > first + 1) and at, 40, "more", every=0.2
        )
        return [first, last]


@pytest.fixture(scope="module")
def broadcast(
    production_servers: Production,
    make_source: Callable[..., Path],
    push: Push,
    chromium_path: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Broadcast:
    """Return a broadcast that is over: its service was killed in the middle and went on."""
    production = production_servers
    production.start()
    publisher = push(production.nginx.url(KEY), make_source(seconds=40))
    production.wait_live(KEY, segments=9)
    positions = plays_in_browser(production, chromium_path, tmp_path_factory.mktemp("browser"))
    said, keeps = report(StreamCheck(f"http://127.0.0.1:{production.port}/hls/{KEY}/playlist.m3u8").findings())
    production.kill()
    production.start()
    session = str(production.wait_live(KEY)["session"])
    before = production.stored_playlist(KEY, "240p.m3u8").entries[-1].sequence

    def grew() -> bool:
        playlist = production.stored_playlist(KEY, "240p.m3u8")
        return playlist.discontinuities == 1 and playlist.entries[-1].sequence >= before + 3

    production.wait(grew, "three segments after the crash")
    publisher.stop()
    production.wait_state(KEY, "ended")
    return Broadcast(production=production, session=session, said=said, keeps_the_rules=keeps, positions=positions)


def test_a_browser_plays_it_by_itself_while_it_is_live(broadcast: Broadcast) -> None:
    assert broadcast.positions[1] > broadcast.positions[0] > 0


def test_what_is_served_live_keeps_every_rule(broadcast: Broadcast) -> None:
    assert broadcast.keeps_the_rules, broadcast.said


def test_the_entry_point_lists_pictures_as_variants_and_sound_as_their_group(broadcast: Broadcast) -> None:
    text = broadcast.file(f"{broadcast.session}.m3u8").decode()
    uris = [line for line in text.splitlines() if not line.startswith("#")]
    assert uris == [f"{broadcast.session}_{name}.m3u8" for name in PICTURES]
    media = [line for line in text.splitlines() if line.startswith("#EXT-X-MEDIA:")]
    assert len(media) == 1
    assert f'URI="{broadcast.session}_{SOUND}.m3u8"' in media[0]
    assert text.count(f'AUDIO="{SOUND}"') == len(PICTURES)


def test_each_life_of_the_encoder_has_its_own_initialization_section(broadcast: Broadcast) -> None:
    for name in (*PICTURES, SOUND):
        playlist = broadcast.playlist(name)
        assert playlist.discontinuities == 1
        inits = [entry.init for entry in playlist.entries]
        behind = next(entry.sequence for entry in playlist.entries if entry.period == 1)
        prefix = f"init_{broadcast.session}_{name}_"
        assert list(dict.fromkeys(inits)) == [f"{prefix}0.mp4", f"{prefix}{behind}.mp4"]
        assert inits.index(f"{prefix}{behind}.mp4") == behind


def times(broadcast: Broadcast, name: str) -> dict[int, Fraction]:
    """Return when each number of a rendition begins, every segment decoded without the others."""
    found: dict[int, Fraction] = {}
    playlist = broadcast.playlist(name)
    last_before_the_crash = max(entry.sequence for entry in playlist.entries if entry.period == 0)
    for entry in playlist.entries:
        if entry.gap:
            assert entry.sequence == last_before_the_crash, "the one that only some renditions had closed"
            continue
        with av.open(io.BytesIO(broadcast.file(entry.init) + broadcast.file(entry.uri))) as container:
            stream = container.streams.best("audio" if name == SOUND else "video")
            assert stream is not None
            frames: list[Any] = list(container.decode(stream))
            assert frames, entry
            found[entry.sequence] = frames[0].pts * frames[0].time_base
    return found


def test_every_segment_in_the_bucket_decodes_alone_and_begins_with_the_others(broadcast: Broadcast) -> None:
    high, low, sound = (times(broadcast, name) for name in (*PICTURES, SOUND))
    together = high.keys() & low.keys() & sound.keys()
    assert len(together) >= len(broadcast.playlist(SOUND).entries) - 1
    assert [high[number] for number in together] == [low[number] for number in together]
    assert all(abs(sound[number] - high[number]) < 2 * AUDIO_FRAME for number in together)


@pytest.mark.parametrize("ffmpeg_path", ["path", "imageio"], indirect=True)
def test_ffmpeg_plays_the_whole_broadcast_from_any_static_host(broadcast: Broadcast, ffmpeg_path: str) -> None:
    with static_host(broadcast.production.bucket) as client:
        url = str(client.base_url.join(f"hls/{KEY}/{broadcast.session}.m3u8"))
        argv = [ffmpeg_path, "-nostdin", "-hide_banner", "-loglevel", "error", "-progress", "pipe:1", "-i", url]
        argv += ["-map", "0:v:0", "-map", "0:a:0", "-fps_mode", "passthrough", "-f", "null", "-"]
        played = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    assert not played.stderr.strip()
    pictures = int(re.findall(r"^frame=(\d+)$", played.stdout, re.MULTILINE)[-1])
    seconds = sum(entry.duration for entry in broadcast.playlist("240p").entries if not entry.gap)
    assert pictures == pytest.approx(seconds * 30, abs=2)


def test_the_disk_is_clean_when_all_is_stored(broadcast: Broadcast) -> None:
    folder = broadcast.production.hls_folder / KEY
    wait_until(lambda: not [*folder.glob("*.m4s"), *folder.glob("*.mp4")], what="an empty folder", every=0.3)
