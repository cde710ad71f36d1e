"""Keys go to players with a token for the stream, and to nobody else; playlists carry the token on."""

import gzip
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.front_end import FrontEnd, running
from pydantic import SecretStr
from test_web_hostile_input import HUGE, check, request, send

from streamkit.access.tokens import make_token
from streamkit.encryption.keys import StreamKeys
from streamkit.settings import HlsSettings, Settings
from streamkit.settings_encryption import EncryptionSettings
from streamkit.snapshots import Playlist, StreamSnapshot
from streamkit.types import Epoch, StreamKey, StreamState, session_epoch, session_id
from streamkit.web.token_urls import with_token

CAM, OTHER = StreamKey("cam-1"), StreamKey("cam-2")
SECRET, TOKEN_SECRET = "a secret of more than 16", "another of more than 16"
NOW = int(time.time())
LIVE, PAST = session_id(Epoch(NOW - 60)), session_id(Epoch(NOW - 9999))
KEYS = StreamKeys(CAM, SECRET.encode())
PLAYLIST = f"""#EXTM3U
#EXT-X-VERSION:3
#EXT-X-KEY:METHOD=AES-128,URI="/keys/{CAM}/{LIVE}/0"
#EXTINF:2.000000,
segment_{LIVE}_720p_0.ts
#EXT-X-KEY:METHOD=NONE
#EXTINF:2.000000,
segment_{LIVE}_720p_1.ts
""".encode()
MULTIVARIANT = b"""#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="sound",URI="audio.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"
720p.m3u8
"""


def token(*, stream: StreamKey = CAM, secret: str = TOKEN_SECRET, seconds: int = 86_400) -> str:
    return make_token(secret.encode(), stream, NOW + seconds)


@pytest.fixture
def front(tmp_path: Path) -> Iterator[FrontEnd]:
    """The service with keys, and a live stream of which three keys are in use."""
    encryption = EncryptionSettings(
        method="aes-128", secret=SecretStr(SECRET), token_secret=SecretStr(TOKEN_SECRET), key_rotation=2
    )
    with running(Settings(hls=HlsSettings(output_dir=tmp_path), encryption=encryption)) as front_end:
        playlists = {
            name: Playlist(name=name, body=body)
            for name, body in (("playlist.m3u8", MULTIVARIANT), ("720p.m3u8", PLAYLIST))
        }
        front_end.board.publish(
            StreamSnapshot(key=CAM, state=StreamState.LIVE, session=LIVE, newest_key=2, playlists=playlists)
        )
        yield front_end


def url(number: object = 0, *, session: str = LIVE, stream: str = CAM) -> str:
    return f"/keys/{stream}/{session}/{number}"


# ---- who gets a key


def test_a_player_with_a_token_gets_the_key(front: FrontEnd) -> None:
    answer = front.get(f"{url(1)}?token={token()}")
    assert answer.status_code == 200
    assert answer.content == KEYS.key(LIVE, 1)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_token_may_come_in_the_header(front: FrontEnd, scheme: str) -> None:
    assert front.get(url(), authorization=f"{scheme} {token()}").content == KEYS.key(LIVE, 0)


def test_head_tells_the_same_without_the_key(front: FrontEnd) -> None:
    answer = front.request("HEAD", f"{url()}?token={token()}")
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "16")
    assert front.request("HEAD", url()).status_code == 401


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("", 401, "token_missing"),
        ("?token=", 401, "token_missing"),
        ("?token=x", 401, "token_invalid"),
        (f"?token={token(seconds=-1)}", 401, "token_expired"),
        (f"?token={token(stream=OTHER)}", 403, "token_refused"),
        (f"?token={token(secret=SECRET)}", 403, "token_refused"),
        (f"?token={token()}&token={token()}", 422, "repeated_parameter"),
    ],
    ids=["none", "empty", "no token", "expired", "of another stream", "with another secret", "two"],
)
def test_everybody_else_is_told_why_not(front: FrontEnd, query: str, status: int, code: str) -> None:
    answer = front.get(url() + query)
    assert answer.status_code == status
    assert answer.json()["error"]["code"] == code
    assert answer.json()["error"]["message"].endswith(".")
    assert ("www-authenticate" in answer.headers) == (status == 401)  # RFC 9110 15.5.2
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["access-control-allow-origin"] == "*"


def test_another_scheme_than_bearer_is_no_token(front: FrontEnd) -> None:
    assert front.get(url(), authorization=f"Basic {token()}").status_code == 401


def test_without_a_token_nobody_learns_which_streams_and_keys_there_are(front: FrontEnd) -> None:
    for path in (url(), url(999), url(stream=OTHER), url(session="s0000000")):
        assert front.get(path).status_code == 401


# ---- which keys there are


def test_keys_of_numbers_to_come_are_not_given_out(front: FrontEnd) -> None:
    statuses = {number: front.get(f"{url(number)}?token={token()}").status_code for number in (0, 2, 3, 10**12)}
    assert statuses == {0: 200, 2: 200, 3: 404, 10**12: 404}


def test_keys_of_broadcasts_to_come_are_not_given_out(front: FrontEnd) -> None:
    later = session_id(Epoch(NOW + 3600))
    for stream in (CAM, OTHER):
        path = url(session=later, stream=stream)
        assert front.get(f"{path}?token={token(stream=stream)}").status_code == 404


def test_keys_of_broadcasts_that_have_ended_are_given_out(front: FrontEnd) -> None:
    for stream in (CAM, OTHER):
        answer = front.get(f"{url(7, session=PAST, stream=stream)}?token={token(stream=stream)}")
        assert answer.content == StreamKeys(stream, SECRET.encode()).key(PAST, 7)


def test_a_session_s_epoch_is_read_back_from_its_id() -> None:
    for epoch in (0, 1, 31, 32, NOW):
        assert session_epoch(session_id(Epoch(epoch))) == epoch


@pytest.mark.parametrize("encryption", [EncryptionSettings(), EncryptionSettings(token_secret=SecretStr(TOKEN_SECRET))])
def test_without_a_secret_there_are_no_keys(tmp_path: Path, encryption: EncryptionSettings) -> None:
    with running(Settings(hls=HlsSettings(output_dir=tmp_path), encryption=encryption)) as plain:
        assert plain.get(f"{url()}?token={token()}").status_code == 404


def test_without_a_token_secret_the_secret_signs(tmp_path: Path) -> None:
    settings = Settings(hls=HlsSettings(output_dir=tmp_path), encryption=EncryptionSettings(secret=SecretStr(SECRET)))
    with running(settings) as plain:
        assert plain.get(f"{url(session=PAST)}?token={token(secret=SECRET)}").status_code == 200
        assert plain.get(f"{url(session=PAST)}?token={token()}").status_code == 403


HOSTILE = [
    url("x"), url(-1), url("01"), url("1e3"), url("%D9%A3"), url("0%0a"), url("%00"), url(HUGE),
    url("../0"), url("%2e%2e"), url("0/0"), url(""), url(session="s1"), url(session="S1K2M3N4"), url(session="%2e%2e"),
    url(session="s1k2m3nu"), url(session=HUGE), url(stream=".."), url(stream="%2e%2e"), url(stream="a%2Fb"),
    url(stream="a" * 65), url(stream="%00"), url(stream="%ff"), "/keys", "/keys/", "/keys//", "/keys/cam-1",
]  # fmt: skip
TOKENS = [
    "", "%", "%00", "%ff%fe", "%0d%0aX-Injected:%201", "." * 4000, HUGE, "1." + "A" * 43, "9" * 12 + "." + "-" * 43,
    "[]", "null", "' OR 1=1", "%D9%A3." + "A" * 43, '%22%0a%23EXT',
]  # fmt: skip
AUTHORIZATIONS = [
    "", "Bearer", "Bearer ", "Bearer  ", "Bearer \x01", "Bearer é", "Bearer " + "a" * 5000, "Bearer a b", "Bearer,",
    "Basic a:b", "bearer " + "1." + "A" * 43,
]  # fmt: skip


def test_hostile_key_requests_are_refused(front: FrontEnd) -> None:
    good = token()
    for path in HOSTILE:
        check(*send(front, request("GET", f"{path}?token={good}", {})))
    for text in TOKENS:
        check(*send(front, request("GET", f"{url()}?token={text.replace(' ', '%20')}", {})))
    for header in AUTHORIZATIONS:
        check(*send(front, request("GET", url(), {"Authorization": header})))
    for method in ("POST", "PUT", "DELETE"):
        check(*send(front, request(method, f"{url()}?token={good}", {}, b"x")))


def test_hostile_tokens_do_not_get_into_playlists(front: FrontEnd) -> None:
    for text in TOKENS:
        path = f"/hls/{CAM}/720p.m3u8?token={text.replace(' ', '%20')}"
        status, answer = send(front, request("GET", path, {}))
        check(status, answer, refused=False)
        assert status == 200
        if not text.startswith(("1.", "999")):
            assert answer.partition("\r\n\r\n")[2].encode() == PLAYLIST


def test_tokens_and_secrets_stay_out_of_the_log(front: FrontEnd, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    tokens = [token(), token(stream=OTHER), token(seconds=-1)]
    for one in tokens:
        front.get(f"{url()}?token={one}")
        front.get(f"/hls/{CAM}/playlist.m3u8?token={one}")
        front.get(f"/hls/{CAM}/{PAST}.m3u8?token={one}")
    ours = "\n".join(record.getMessage() for record in caplog.records if not record.name.startswith("http"))
    assert not [text for text in (*tokens, SECRET, TOKEN_SECRET) if text in ours]


def test_a_preflight_lets_players_send_the_header(front: FrontEnd) -> None:
    answer = front.request(
        "OPTIONS", url(), origin="https://player.test", access_control_request_headers="authorization"
    )
    assert answer.status_code == 204
    assert "Authorization" in answer.headers["access-control-allow-headers"]


# ---- playlists carry the token on


def test_a_token_goes_from_playlist_to_playlist_to_key(front: FrontEnd) -> None:
    good = token()
    entry = front.get(f"/hls/{CAM}/playlist.m3u8?token={good}")
    assert f'NAME="sound",URI="audio.m3u8?token={good}"' in entry.text
    assert entry.text.splitlines()[-1] == f"720p.m3u8?token={good}"
    media = front.get(f"/hls/{CAM}/{entry.text.splitlines()[-1]}")
    assert f'#EXT-X-KEY:METHOD=AES-128,URI="{url()}?token={good}"\n' in media.text
    assert "#EXT-X-KEY:METHOD=NONE\n" in media.text
    assert f"\nsegment_{LIVE}_720p_0.ts\n" in media.text
    assert front.get(f"{url()}?token={good}").status_code == 200


def test_a_playlist_with_a_token_in_it_is_for_its_player_alone(front: FrontEnd) -> None:
    path = f"/hls/{CAM}/720p.m3u8"
    plain, carried = front.get(path), front.get(f"{path}?token={token()}")
    assert plain.headers["cache-control"] == "public, max-age=1"
    assert carried.headers["cache-control"] == "private, max-age=1"
    assert plain.content == PLAYLIST
    assert plain.headers["etag"] != carried.headers["etag"]
    again = front.get(f"{path}?token={token()}", if_none_match=carried.headers["etag"])
    assert again.status_code == 304


def test_a_playlist_with_a_token_is_gzipped_too(front: FrontEnd) -> None:
    with front.client.stream(
        "GET", f"/hls/{CAM}/720p.m3u8?token={token()}", headers={"accept-encoding": "gzip"}
    ) as answer:
        assert gzip.decompress(b"".join(answer.iter_raw())) == with_token(PLAYLIST, token())


def test_stored_playlists_carry_the_token_too(front: FrontEnd) -> None:
    front.store.objects[f"hls/{CAM}/{PAST}.m3u8"] = PLAYLIST
    answer = front.get(f"/hls/{CAM}/{PAST}.m3u8?token={token()}")
    assert answer.content == with_token(PLAYLIST, token())
    assert answer.headers["cache-control"].startswith("private")


def test_where_nothing_is_encrypted_a_parameter_called_token_means_nothing(tmp_path: Path) -> None:
    with running(Settings(hls=HlsSettings(output_dir=tmp_path))) as plain:
        playlists = {"720p.m3u8": Playlist(name="720p.m3u8", body=PLAYLIST)}
        plain.board.publish(StreamSnapshot(key=CAM, state=StreamState.LIVE, playlists=playlists))
        answer = plain.get(f"/hls/{CAM}/720p.m3u8?token={token()}&token=2")
        assert (answer.content, answer.headers["cache-control"]) == (PLAYLIST, "public, max-age=1")


@pytest.mark.parametrize(
    ("line", "carried"),
    [
        ("720p.m3u8", "720p.m3u8?token=T"),
        ("720p.m3u8?a=1", "720p.m3u8?a=1&token=T"),
        ("https://cdn.test/hls/a/segment_1.ts", "https://cdn.test/hls/a/segment_1.ts"),
        ('#EXT-X-KEY:METHOD=AES-128,URI="https://a.test/k/0"', '#EXT-X-KEY:METHOD=AES-128,URI="https://a.test/k/0?token=T"'),
        ('#EXT-X-SESSION-KEY:METHOD=AES-128,URI="/k/0"', '#EXT-X-SESSION-KEY:METHOD=AES-128,URI="/k/0?token=T"'),
        ("#EXT-X-KEY:METHOD=NONE", "#EXT-X-KEY:METHOD=NONE"),
        ('#EXT-X-MAP:URI="init_a.mp4"', '#EXT-X-MAP:URI="init_a.mp4"'),
        ('#EXT-X-I-FRAME-STREAM-INF:URI="i.m3u8",A=1', '#EXT-X-I-FRAME-STREAM-INF:URI="i.m3u8?token=T",A=1'),
        ("#EXTM3U", "#EXTM3U"),
        ("", ""),
    ],
)  # fmt: skip
def test_the_uris_of_playlists_and_keys_alone_are_extended(line: str, carried: str) -> None:
    assert with_token(f"#EXTM3U\n{line}\n".encode(), "T").decode() == f"#EXTM3U\n{carried}\n"
