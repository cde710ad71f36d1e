"""DVR, clips and retention on real servers: what is listed can be fetched from the first second to the last."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from e2e_production import CONFIGURATION, Production
from servers.publishing import Publisher
from servers.waiting import wait_until

pytestmark = pytest.mark.e2e

Push = Callable[..., Publisher]
KEY = "cmaf-archive"  # fMP4 and sound in a rendition of its own: initialization sections have to stay as well
CHANGES = """
retention: {max_age: 12s, grace: 1.0, interval: 1.0}
streams:
  - {match: "cmaf-*", ladder: cmaf, reconnect_window: 1.0, dvr: event}
"""


@pytest.fixture
def archiving(production_servers: Production) -> Production:
    """A production that keeps recordings for twelve seconds, with DVR."""
    general = CONFIGURATION.partition("streams:")[0]
    (production_servers.folder / "streamkit.yaml").write_text(general + CHANGES)
    production_servers.start()
    return production_servers


def fetch(production: Production, url: str) -> dict[str, str]:
    """Return the playlists at `url` and below, after everything that they list was fetched from the service."""
    folder = url.rpartition("/")[0]
    entry = production.client.get(url)
    assert entry.status_code == 200, f"{url}: {entry.status_code}"
    found = {url: entry.text}
    for name in dict.fromkeys(re.findall(r"[\w-]+\.m3u8", entry.text)):
        found |= fetch(production, f"{folder}/{name}")
    for uri in [*re.findall(r'URI="([^"]+\.mp4)"', entry.text), *re.findall(r"^segment_\S+", entry.text, re.MULTILINE)]:
        assert production.client.get(f"{folder}/{uri}").status_code == 200, uri
    return found


def make_clip(production: Production, **fields: Any) -> dict[str, Any]:
    answer = production.client.post(f"/streams/{KEY}/clips", json={k.rstrip("_"): v for k, v in fields.items()})
    assert answer.status_code == 201, answer.text
    clip: dict[str, Any] = answer.json()
    return clip


def gone(production: Production, url: str) -> bool:
    return production.client.get(url).status_code == 404


def segments(production: Production) -> set[int]:
    return {int(name.rpartition("_")[2].partition(".")[0]) for name in production.stored(KEY, ".m4s")}


def test_a_broadcast_from_its_dvr_playlist_to_the_last_segment_of_its_last_clip(
    archiving: Production, make_source: Callable[..., Path], push: Push
) -> None:
    production = archiving
    publisher = push(production.nginx.url(KEY), make_source())
    session = production.wait_live(KEY, segments=30)["session"]
    dvr = fetch(production, f"/hls/{KEY}/dvr.m3u8")
    media = [text for url, text in dvr.items() if "dvr_" in url]
    assert len(media) == 3
    assert all("#EXT-X-PLAYLIST-TYPE:EVENT" in text and "#EXT-X-MEDIA-SEQUENCE:0\n" in text for text in media)
    live = make_clip(production, from_=-3, name="while it is live")
    assert live["session"] == session
    fetch(production, live["playlist_url"])

    publisher.stop()
    production.wait_state(KEY, "ended")
    whole = fetch(production, f"/hls/{KEY}/{session}.m3u8")
    assert all("#EXT-X-ENDLIST" in text for url, text in whole.items() if f"{session}_" in url)
    assert "#EXT-X-ENDLIST" in fetch(production, f"/hls/{KEY}/dvr.m3u8")[f"/hls/{KEY}/dvr_240p.m3u8"]
    journal = production.hls_folder / ".streamkit" / f"{KEY}.journal"
    wait_until(lambda: b"session_opened" not in journal.read_bytes(), what="nothing left to do for the stream")
    production.terminate()
    production.start()
    started = datetime.fromisoformat(str(live["from"])).timestamp()
    stored = make_clip(production, from_=datetime.fromtimestamp(started - 3, UTC).isoformat(), to=started - 1)
    assert stored["last_sequence"] < live["first_sequence"] + 1
    fetch(production, stored["playlist_url"])

    production.wait(lambda: gone(production, f"/hls/{KEY}/{session}.m3u8") or None, "the recording unlisted")
    assert gone(production, f"/hls/{KEY}/dvr.m3u8")
    assert gone(production, f"/hls/{KEY}/playlist.m3u8")
    problems = production.watch.report.problems
    expected = f"{KEY}/playlist.m3u8 was answered with 404 after it had been there"
    assert production.client.post(f"/streams/{KEY}/clips", json={"from": -5}).status_code in (409, 422)
    needed = {number for clip in (live, stored) for number in range(clip["first_sequence"], clip["last_sequence"] + 1)}
    production.wait(lambda: segments(production) == needed or None, "only what the clips need")
    for clip in (live, stored):
        fetch(production, clip["playlist_url"])
    (page,) = production.get(f"/streams/{KEY}")["sessions"]["items"]
    assert page["expired_at"] is not None

    for clip in (live, stored):
        assert production.client.delete(f"/streams/{KEY}/clips/{clip['id']}").status_code == 204
        assert gone(production, clip["playlist_url"])
    production.wait(lambda: not production.stored(KEY, ".m4s") or None, "nothing of the broadcast")
    assert not production.stored(KEY, ".mp4")
    assert production.get(f"/streams/{KEY}/clips")["total"] == 0
    problems.pop(expected, None)  # RFC 8216 6.2.2 wants just that of a presentation that is removed
