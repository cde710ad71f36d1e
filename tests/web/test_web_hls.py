import gzip
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from fakes.front_end import FrontEnd, running
from servers.waiting import wait_until

from streamkit.errors import StoreDeniedError, StoreUnavailableError
from streamkit.settings import HlsSettings, ServerSettings, Settings
from streamkit.snapshots import Playlist, StreamSnapshot
from streamkit.types import StreamKey, StreamState

KEY = StreamKey("demo")
SESSION = "s1k2m3n4"


def segment(number: int) -> str:
    return f"segment_{SESSION}_720p_{number}.ts"


def media_playlist(*numbers: int) -> bytes:
    lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:2", f"#EXT-X-MEDIA-SEQUENCE:{numbers[0]}"]
    for number in numbers:
        lines += ["#EXTINF:2.000000,", segment(number)]
    return ("\n".join(lines) + "\n").encode()


def go_live(front: FrontEnd, *numbers: int, state: StreamState = StreamState.LIVE) -> None:
    playlist = Playlist(name="playlist.m3u8", body=media_playlist(*numbers))
    front.board.publish(StreamSnapshot(key=KEY, state=state, playlists={playlist.name: playlist}))


def write_local(front: FrontEnd, number: int, data: bytes = b"local" * 100) -> Path:
    folder = front.folder / KEY
    folder.mkdir(exist_ok=True)
    path = folder / segment(number)
    path.write_bytes(data)
    return path


def url(name: str) -> str:
    return f"/hls/{KEY}/{name}"


@pytest.fixture
def served(front: FrontEnd) -> FrontEnd:
    go_live(front, 1, 2, 3)
    return front


# ---- playlists


def test_a_live_playlist_is_served_from_the_board_without_asking_anybody(served: FrontEnd) -> None:
    answer = served.get(url("playlist.m3u8"), accept_encoding="identity")
    assert answer.status_code == 200
    assert answer.content == media_playlist(1, 2, 3)
    assert answer.headers["content-type"] == "application/vnd.apple.mpegurl"
    assert answer.headers["cache-control"] == "public, max-age=1"
    assert answer.headers["vary"] == "Accept-Encoding"
    assert (served.store.reads, served.told_database, served.told_supervisor) == ([], [], [])


def test_a_playlist_is_gzipped_for_those_who_accept_it_with_an_etag_of_its_own(served: FrontEnd) -> None:
    with served.client.stream("GET", url("playlist.m3u8"), headers={"accept-encoding": "gzip"}) as answer:
        raw = b"".join(answer.iter_raw())
    plain = served.get(url("playlist.m3u8"), accept_encoding="identity")
    assert answer.headers["content-encoding"] == "gzip"
    assert gzip.decompress(raw) == plain.content
    assert answer.headers["etag"] != plain.headers["etag"]


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_an_unchanged_playlist_is_304_and_a_changed_one_200(served: FrontEnd, encoding: str) -> None:
    tag = served.get(url("playlist.m3u8"), accept_encoding=encoding).headers["etag"]
    again = served.get(url("playlist.m3u8"), accept_encoding=encoding, if_none_match=tag)
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    go_live(served, 2, 3, 4)
    assert served.get(url("playlist.m3u8"), accept_encoding=encoding, if_none_match=tag).status_code == 200


def test_head_of_a_playlist_has_the_length_and_no_body(served: FrontEnd) -> None:
    answer = served.request("HEAD", url("playlist.m3u8"), accept_encoding="identity")
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) == len(media_playlist(1, 2, 3))


def test_the_playlist_of_a_stream_that_has_ended_may_go_live_again_and_is_kept_only_briefly(front: FrontEnd) -> None:
    go_live(front, 1, state=StreamState.ENDED)
    assert front.get(url("playlist.m3u8")).headers["cache-control"] == "public, max-age=5"


def test_a_playlist_that_nobody_holds_live_comes_from_the_store(front: FrontEnd) -> None:
    front.store.objects[f"hls/{KEY}/{SESSION}.m3u8"] = media_playlist(0, 1)
    answer = front.get(url(f"{SESSION}.m3u8"))
    assert (answer.status_code, answer.content) == (200, media_playlist(0, 1))
    assert answer.headers["cache-control"] == "public, max-age=3600"


def test_what_is_nowhere_is_404(front: FrontEnd) -> None:
    for name in ("playlist.m3u8", "720p.m3u8", segment(1)):
        answer = front.get(url(name))
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize("failure", [StoreUnavailableError("refused"), StoreDeniedError("the key AKIA is wrong")])
def test_while_the_store_is_away_what_only_it_has_is_503_with_retry_after(front: FrontEnd, failure: Exception) -> None:
    front.store.failure = failure
    for name in ("playlist.m3u8", segment(1)):
        answer = front.get(url(name))
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "store_unavailable")
        assert int(answer.headers["retry-after"]) > 0
        assert "AKIA" not in answer.text


def test_while_the_store_is_away_live_streams_go_on(served: FrontEnd) -> None:
    served.store.failure = StoreUnavailableError("refused")
    write_local(served, 1)
    assert served.get(url("playlist.m3u8")).status_code == 200
    assert served.get(url(segment(1))).status_code == 200


# ---- segments


def test_a_listed_segment_comes_from_local_disk_and_may_be_kept_for_ever(served: FrontEnd) -> None:
    path = write_local(served, 2)
    answer = served.get(url(segment(2)))
    assert answer.content == path.read_bytes()
    assert answer.headers["content-type"] == "video/mp2t"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["accept-ranges"] == "bytes"
    assert served.store.reads == []


def test_a_growing_local_segment_is_never_served(served: FrontEnd) -> None:
    write_local(served, 4, b"half a segm")
    assert served.get(url(segment(4))).status_code == 404
    served.store.objects[f"hls/{KEY}/{segment(4)}"] = b"the whole segment"
    assert served.get(url(segment(4))).content == b"the whole segment"


def test_a_segment_that_left_the_playlist_is_still_served_from_local_disk(served: FrontEnd) -> None:
    write_local(served, 1)
    served.get(url("playlist.m3u8"))  # a player reads the list that names it
    go_live(served, 2, 3, 4)
    served.store.failure = StoreUnavailableError("refused")
    assert served.get(url(segment(1))).status_code == 200


def test_a_listed_segment_that_is_not_local_any_more_comes_from_the_store(served: FrontEnd) -> None:
    served.store.objects[f"hls/{KEY}/{segment(1)}"] = b"stored"
    assert served.get(url(segment(1))).content == b"stored"


def test_a_segment_in_memory_is_served_after_its_file_is_gone(served: FrontEnd) -> None:
    path = write_local(served, 1)
    first = served.get(url(segment(1)))
    path.unlink()
    second = served.get(url(segment(1)))
    assert (second.content, second.headers["etag"]) == (first.content, first.headers["etag"])


def test_many_players_share_one_read_of_the_store(front: FrontEnd) -> None:
    front.store.objects[f"hls/{KEY}/{segment(1)}"] = b"stored"
    front.store.gate.clear()
    with ThreadPoolExecutor(8) as players:
        answers = [players.submit(httpx.get, f"http://127.0.0.1:{front.port}{url(segment(1))}") for _ in range(8)]
        wait_until(lambda: front.store.reads, what="a read of the store")
        front.store.gate.set()
        assert [answer.result().content for answer in answers] == [b"stored"] * 8
    assert len(front.store.reads) == 1


def test_a_slow_store_does_not_hold_up_what_is_on_local_disk(served: FrontEnd) -> None:
    write_local(served, 1)
    served.store.gate.clear()
    with ThreadPoolExecutor(32) as players:
        base = f"http://127.0.0.1:{served.port}"
        waiting = [players.submit(httpx.get, base + url(segment(100 + n)), timeout=20) for n in range(32)]
        wait_until(lambda: len(served.store.reads) >= 8, what="a full pool of store readers")
        assert served.get(url(segment(1))).status_code == 200
        assert served.get("/health").status_code == 200
        served.store.gate.set()
        assert {answer.result().status_code for answer in waiting} == {404}


def test_ranges_heads_and_conditions_of_a_segment(served: FrontEnd) -> None:
    write_local(served, 1, b"0123456789")
    path = url(segment(1))
    tag = served.get(path).headers["etag"]
    part = served.get(path, range="bytes=2-4")
    assert (part.status_code, part.content, part.headers["content-range"]) == (206, b"234", "bytes 2-4/10")
    assert served.get(path, range="bytes=-3").content == b"789"
    wrong = served.get(path, range="bytes=10-")
    assert (wrong.status_code, wrong.headers["content-range"]) == (416, "bytes */10")
    assert wrong.json()["error"]["code"] == "range_not_satisfiable"
    assert served.get(path, range="bytes=2-4", if_range='"old"').content == b"0123456789"
    assert served.get(path, range="bytes=2-4", if_range=tag).content == b"234"
    assert served.get(path, if_none_match=tag).status_code == 304
    head = served.request("HEAD", path)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "10")


@pytest.mark.parametrize(
    "name",
    [
        f".{SESSION}_720p.m3u8",
        "journal.ndjson",
        "segment_x.ts",
        f"segment_{SESSION}_720p_1.ts.tmp",
        f"segment_{SESSION}_720p_01.ts",
        "..%2Fother%2Fplaylist.m3u8",
        "playlist.m3u8%00.ts",
    ],
)
def test_private_and_odd_names_are_404_even_when_the_file_is_there(served: FrontEnd, name: str) -> None:
    folder = served.folder / KEY
    folder.mkdir()
    if "%" not in name:
        (folder / name).write_text("secret")
        served.store.objects[f"hls/{KEY}/{name}"] = b"secret"
    assert served.get(url(name)).status_code == 404


def test_percent_encoding_is_undone_once(served: FrontEnd) -> None:
    assert served.get("/hls/%64emo/playlist%2Em3u8").status_code == 200
    assert served.get("/hls/%2564emo/playlist.m3u8").status_code == 422


# ---- CDN and presigned URLs


@pytest.fixture
def elsewhere(front_settings: Settings, request: pytest.FixtureRequest) -> Iterator[FrontEnd]:
    changed: dict[str, str] = request.param
    front_settings.hls.output_dir.mkdir()
    hls = HlsSettings(output_dir=front_settings.hls.output_dir, **changed)  # type: ignore[arg-type]
    with running(front_settings.model_copy(update={"hls": hls})) as front:
        yield front


CDN = pytest.mark.parametrize("elsewhere", [{"cdn_base_url": "https://cdn.test/x/"}], indirect=True)
PRESIGN = pytest.mark.parametrize("elsewhere", [{"delivery": "presign"}], indirect=True)


@CDN
def test_with_a_cdn_stored_playlists_name_its_segments_and_live_ones_stay_relative(elsewhere: FrontEnd) -> None:
    variant = b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n720p.m3u8\n"
    elsewhere.store.objects |= {f"hls/{KEY}/{SESSION}.m3u8": media_playlist(1), f"hls/{KEY}/old.m3u8": variant}
    stored = elsewhere.get(url(f"{SESSION}.m3u8")).text
    assert f"\nhttps://cdn.test/x/hls/demo/{segment(1)}\n" in stored
    assert elsewhere.get(url("old.m3u8")).content == variant
    go_live(elsewhere, 1, 2)
    assert elsewhere.get(url("playlist.m3u8")).content == media_playlist(1, 2)


@CDN
def test_with_a_cdn_a_segment_that_is_not_local_is_redirected_there(elsewhere: FrontEnd) -> None:
    go_live(elsewhere, 1, 2)
    write_local(elsewhere, 2)
    elsewhere.store.objects[f"hls/{KEY}/{segment(1)}"] = b"stored"
    answer = elsewhere.get(url(segment(1)))
    assert (answer.status_code, answer.headers["location"]) == (302, f"https://cdn.test/x/hls/demo/{segment(1)}")
    assert elsewhere.get(url(segment(2))).status_code == 200
    assert elsewhere.get(url(segment(9))).status_code == 404
    elsewhere.store.failure = StoreUnavailableError("refused")
    assert elsewhere.get(url(segment(8))).status_code == 302  # the CDN may have it


@PRESIGN
def test_with_presigning_a_stored_segment_is_redirected_to_a_presigned_url(elsewhere: FrontEnd) -> None:
    elsewhere.store.objects[f"hls/{KEY}/{segment(1)}"] = b"stored"
    answer = elsewhere.get(url(segment(1)))
    assert (answer.status_code, answer.headers["location"]) == (
        302,
        f"http://store.test/hls/demo/{segment(1)}?signature=x",
    )
    assert answer.headers["cache-control"].startswith("private")
    assert elsewhere.get(url(segment(9))).status_code == 404
    elsewhere.store.presigns = False
    assert elsewhere.get(url(segment(1))).content == b"stored"


@PRESIGN
def test_head_is_answered_here_because_a_presigned_url_is_for_get_alone(elsewhere: FrontEnd) -> None:
    elsewhere.store.objects[f"hls/{KEY}/{segment(1)}"] = b"stored"
    answer = elsewhere.request("HEAD", url(segment(1)))
    assert (answer.status_code, answer.headers["content-length"], answer.content) == (200, "6", b"")
    assert answer.headers["content-type"] == "video/mp2t"
    assert elsewhere.request("HEAD", url(segment(9))).status_code == 404


# ---- players on other origins


def test_a_player_on_another_origin_may_read_and_send_ranges(served: FrontEnd) -> None:
    answer = served.get(url("playlist.m3u8"), origin="https://player.test")
    assert answer.headers["access-control-allow-origin"] == "*"
    exposed = answer.headers["access-control-expose-headers"]
    assert "Content-Range" in exposed
    assert "ETag" in exposed
    asked = {"access_control_request_method": "GET", "access_control_request_headers": "range"}
    preflight = served.request("OPTIONS", url(segment(1)), origin="https://player.test", **asked)
    assert preflight.status_code == 204
    assert "GET" in preflight.headers["access-control-allow-methods"]
    assert "Range" in preflight.headers["access-control-allow-headers"]
    assert served.get(url("none.m3u8"), origin="https://player.test").headers["access-control-allow-origin"] == "*"


def test_only_the_configured_origins_may_read(front_settings: Settings) -> None:
    front_settings.hls.output_dir.mkdir()
    server = replace_origins(front_settings, "https://a.test", "https://b.test")
    with running(server) as front:
        allowed = front.get("/stats", origin="https://b.test")
        assert allowed.headers["access-control-allow-origin"] == "https://b.test"
        assert "Origin" in allowed.headers["vary"]
        other = front.get("/stats", origin="https://c.test")
        assert "access-control-allow-origin" not in other.headers
        assert "Origin" in other.headers["vary"]


def replace_origins(settings: Settings, *origins: str) -> Settings:
    return settings.model_copy(update={"server": ServerSettings(cors_origins=origins)})


def test_no_web_page_may_publish_in_its_visitors_name(front: FrontEnd) -> None:
    answer = front.request("OPTIONS", "/events/published", origin="https://evil.test")
    assert "access-control-allow-origin" not in answer.headers


def test_a_snapshot_that_is_replaced_changes_the_next_answer(served: FrontEnd) -> None:
    snapshot = served.board.get(KEY)
    assert snapshot is not None
    body = media_playlist(7)
    served.board.publish(replace(snapshot, playlists={"playlist.m3u8": Playlist(name="playlist.m3u8", body=body)}))
    assert served.get(url("playlist.m3u8")).content == body
