"""Playlists and pictures for those who have a token, segments for everybody; and which web pages may play."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from fakes.access import TOKEN_SECRET, settings_with
from fakes.front_end import FrontEnd, running

from streamkit.access.tokens import Purpose, make_token
from streamkit.settings import HlsSettings, StreamRule
from streamkit.snapshots import Picture, Playlist, StreamSnapshot
from streamkit.types import Epoch, StreamKey, StreamState, session_id

DEMO = StreamKey("demo")
SESSION = session_id(Epoch(1_790_000_000))
SEGMENT, SHEET, INDEX = f"segment_{SESSION}_720p_0.ts", f"storyboard_{SESSION}_0.jpg", f"storyboard_{SESSION}.vtt"
MULTIVARIANT = b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n720p.m3u8\n"
MEDIA = f"#EXTM3U\n#EXTINF:2.000000,\n{SEGMENT}\n".encode()
GUARDED = ["playlist.m3u8", "720p.m3u8", "poster.jpg", INDEX, f"{SESSION}.m3u8"]
Serve = Callable[..., FrontEnd]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """`serve(rules=(), hls=.., **access) -> FrontEnd` with the live stream demo, stored as well."""
    with ExitStack() as stack:

        def start(rules: tuple[StreamRule, ...] = (), **access: object) -> FrontEnd:
            settings = settings_with(tmp_path, **access).model_copy(update={"streams": rules})
            front = stack.enter_context(running(settings))
            bodies = {"playlist.m3u8": MULTIVARIANT, "720p.m3u8": MEDIA}
            snapshot = StreamSnapshot(
                key=DEMO,
                state=StreamState.LIVE,
                session=SESSION,
                playlists={name: Playlist(name=name, body=body) for name, body in bodies.items()},
                poster=Picture(name="poster.jpg", body=b"a picture"),
            )
            front.board.publish(snapshot)
            for name in (SEGMENT, SHEET, INDEX, f"{SESSION}.m3u8"):
                front.store.objects[f"hls/demo/{name}"] = b"#EXTM3U\n" if name.endswith("m3u8") else b"stored"
            return front

        yield start


def token(stream: str = "demo", *, lives: int = 600, purpose: Purpose = Purpose.PLAY) -> str:
    return make_token(TOKEN_SECRET.encode(), StreamKey(stream), int(time.time()) + lives, purpose)


def get(front: FrontEnd, name: str, shown: str | None = None) -> httpx.Response:
    return front.client.get(f"/hls/demo/{name}", params={} if shown is None else {"token": shown})


@pytest.mark.parametrize("name", GUARDED)
def test_playlists_and_pictures_need_a_token_and_no_shared_cache_keeps_them(name: str, serve: Serve) -> None:
    front = serve(playback="token")
    assert get(front, name).status_code == 401
    assert get(front, name, "junk").status_code == 401
    assert get(front, name, token(lives=-5)).status_code == 401
    assert get(front, name, token("other")).status_code == 403
    assert get(front, name, token(purpose=Purpose.PUBLISH)).status_code == 403
    answer = get(front, name, token())
    assert answer.status_code == 200
    assert answer.headers["cache-control"].startswith("private")
    answer = front.client.get(f"/hls/demo/{name}", headers={"Authorization": f"Bearer {token()}"})
    assert answer.status_code == 200
    assert answer.headers["cache-control"].startswith("private")


@pytest.mark.parametrize("name", [SEGMENT, SHEET])
def test_segments_and_sheets_are_for_everybody_and_every_cache(name: str, serve: Serve) -> None:
    answer = get(serve(playback="token"), name)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


def test_a_player_that_follows_the_playlists_keeps_its_token(serve: Serve) -> None:
    front, shown = serve(playback="token"), token()
    multivariant = get(front, "playlist.m3u8", shown).text
    assert multivariant.splitlines()[-1] == f"720p.m3u8?token={shown}"
    media = front.client.get(f"/hls/demo/{multivariant.splitlines()[-1]}")
    assert media.status_code == 200
    assert media.text.splitlines()[-1] == SEGMENT  # one copy for all players


def test_the_board_does_not_learn_a_player_s_token(serve: Serve) -> None:
    front = serve(playback="token")
    get(front, "playlist.m3u8", token())
    bearer = {"Authorization": f"Bearer {token()}"}
    assert front.client.get("/hls/demo/playlist.m3u8", headers=bearer).content == MULTIVARIANT


def test_a_304_and_a_range_need_the_token_too(serve: Serve) -> None:
    front = serve(playback="token")
    tag = get(front, "720p.m3u8", token()).headers["etag"]
    assert front.get("/hls/demo/720p.m3u8", if_none_match=tag).status_code == 401
    assert front.get("/hls/demo/720p.m3u8", range="bytes=0-6").status_code == 401
    assert front.request("HEAD", "/hls/demo/720p.m3u8").status_code == 401
    assert front.client.options("/hls/demo/720p.m3u8").status_code == 204


def test_a_player_elsewhere_may_read_why_it_was_refused(serve: Serve) -> None:
    answer = serve(playback="token").get("/hls/demo/playlist.m3u8", origin="https://example.org")
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (401, "*")


def test_the_manifest_needs_the_token_as_well(serve: Serve) -> None:
    front = serve(playback="token")
    assert front.get("/manifest?stream_key=demo").status_code == 401
    assert front.get(f"/manifest?stream_key=demo&token={token()}").status_code == 200


def test_a_rule_asks_for_tokens_of_some_streams_only(serve: Serve) -> None:
    front = serve(rules=(StreamRule(match="demo", playback="token"),))
    assert get(front, "playlist.m3u8").status_code == 401
    front = serve(rules=(StreamRule(match="demo", playback="open"),), playback="token")
    assert get(front, "playlist.m3u8").status_code == 200


def test_operators_play_everything(serve: Serve) -> None:
    front = serve(playback="token", admin_token="for-operators-only")
    bearer = {"Authorization": "Bearer for-operators-only"}
    assert front.client.get("/hls/demo/playlist.m3u8", headers=bearer).status_code == 200
    assert get(front, "playlist.m3u8", "for-operators-only").status_code == 401


# ---- pages


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Referer": "https://example.org/watch?v=1"}, 200),
        ({"Referer": "https://WWW.Example.ORG:8443/"}, 200),
        ({"Origin": "https://example.org"}, 200),
        ({"Referer": "https://example.org.evil.test/"}, 403),
        ({"Referer": "https://evil.test/example.org"}, 403),
        ({"Referer": "https://example.org@evil.test/"}, 403),
        ({"Origin": "null"}, 403),
        ({"Referer": "https://[broken"}, 403),
        ({"Referer": "junk"}, 403),
        ({"Referer": "https://evil.test/", "Origin": "https://example.org"}, 403),
        ({}, 200),
    ],
)
@pytest.mark.parametrize("name", ["playlist.m3u8", SEGMENT])
def test_only_pages_of_allowed_hosts_play(headers: dict[str, str], status: int, name: str, serve: Serve) -> None:
    front = serve(referers=["example.org", "*.example.org"])
    assert front.client.get(f"/hls/demo/{name}", headers=headers).status_code == status


def test_our_own_page_plays_and_who_says_nothing_may_have_to(serve: Serve) -> None:
    front = serve(referers=["example.org"], referer_required=True)
    own = {"Referer": f"http://127.0.0.1:{front.port}/?stream=demo"}
    assert front.client.get("/hls/demo/playlist.m3u8", headers=own).status_code == 200
    assert front.client.get("/hls/demo/playlist.m3u8").status_code == 403
    assert front.get("/health").status_code == 200
    assert front.client.options("/hls/demo/playlist.m3u8").status_code == 204


# ---- presigned URLs


def test_a_presigned_url_is_good_for_as_long_as_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_with(tmp_path).model_copy(
        update={"hls": HlsSettings(output_dir=tmp_path, delivery="presign", presigned_for=120.0)}
    )
    with running(settings) as front:
        front.store.objects[f"hls/demo/{SEGMENT}"] = b"stored"
        asked: list[float] = []

        def presigned(name: str, *, expires: float, headers: object = None) -> str:
            asked.append(expires)
            return f"http://store.test/{name}"

        monkeypatch.setattr(front.store, "presigned_get", presigned)
        answer = front.client.get(f"/hls/demo/{SEGMENT}", follow_redirects=False)
        assert (answer.status_code, asked) == (302, [120.0])
        assert answer.headers["cache-control"] == "private, max-age=60"
