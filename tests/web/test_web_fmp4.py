"""fMP4 over HTTP: segments and what they need, from local disk, the store and a CDN."""

import pytest
from fakes.front_end import FrontEnd, running

from streamkit.settings import HlsSettings, Settings
from streamkit.snapshots import Playlist, StreamSnapshot
from streamkit.types import StreamKey, StreamState

KEY = StreamKey("demo")
INIT, SEGMENT = "init_s1k2m3n4_720p_4.mp4", "segment_s1k2m3n4_720p_5.m4s"
PLAYLIST = (
    "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:5\n"
    f'#EXT-X-MAP:URI="{INIT}"\n#EXTINF:2.000000,\n{SEGMENT}\n'
)


def go_live(front: FrontEnd) -> None:
    playlist = Playlist(name="720p.m3u8", body=PLAYLIST.encode())
    front.board.publish(StreamSnapshot(key=KEY, state=StreamState.LIVE, playlists={playlist.name: playlist}))


@pytest.mark.parametrize("name", [INIT, SEGMENT])
def test_what_a_live_playlist_names_comes_from_local_disk_and_may_be_kept_for_ever(front: FrontEnd, name: str) -> None:
    go_live(front)
    (front.folder / KEY).mkdir(exist_ok=True)
    (front.folder / KEY / name).write_bytes(b"0123456789")
    answer = front.get(f"/hls/{KEY}/{name}")
    assert (answer.status_code, answer.content) == (200, b"0123456789")
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["etag"] == f'"{name.partition(".")[0]}-a"'
    assert front.get(f"/hls/{KEY}/{name}", range="bytes=2-4").content == b"234"
    assert front.store.reads == []


@pytest.mark.parametrize("name", [INIT.replace("_4", "_5"), SEGMENT.replace("_5", "_6")])
def test_what_no_playlist_names_is_not_taken_from_local_disk(front: FrontEnd, name: str) -> None:
    go_live(front)
    (front.folder / KEY).mkdir(exist_ok=True)
    (front.folder / KEY / name).write_bytes(b"half of i")
    assert front.get(f"/hls/{KEY}/{name}").status_code == 404


@pytest.mark.parametrize("name", [INIT, SEGMENT])
def test_what_is_not_local_any_more_comes_from_the_store(front: FrontEnd, name: str) -> None:
    go_live(front)
    front.store.objects[f"hls/{KEY}/{name}"] = b"stored"
    assert front.get(f"/hls/{KEY}/{name}").content == b"stored"


def test_a_stored_playlist_leads_to_the_cdn_for_all_that_it_needs(tmp_path_factory: pytest.TempPathFactory) -> None:
    hls = HlsSettings(output_dir=tmp_path_factory.mktemp("hls"), cdn_base_url="https://cdn.test")
    with running(Settings(hls=hls)) as front:
        front.store.objects[f"hls/{KEY}/720p.m3u8"] = PLAYLIST.encode()
        front.store.objects[f"hls/{KEY}/{INIT}"] = b"stored"
        text = front.get(f"/hls/{KEY}/720p.m3u8").text
        assert f'#EXT-X-MAP:URI="https://cdn.test/hls/{KEY}/{INIT}"' in text
        assert f"\nhttps://cdn.test/hls/{KEY}/{SEGMENT}\n" in text
        answer = front.get(f"/hls/{KEY}/{INIT}")
        assert (answer.status_code, answer.headers["location"]) == (302, f"https://cdn.test/hls/{KEY}/{INIT}")
