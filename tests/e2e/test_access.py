"""Who may do what, with the real nginx-rtmp: keys, tokens, and that nobody finds any secret afterwards."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from e2e_production import STREAMKIT, Production
from servers import tools
from servers.postgres import PostgresServer
from servers.publishing import Publisher
from servers.s3 import S3Server

from streamkit.access.tokens import Purpose, make_token
from streamkit.types import StreamKey

pytestmark = [pytest.mark.e2e]

STREAM = "paid"
WEBHOOK_SECRET, TOKEN_SECRET = "known-to-nginx-and-to-us", "what all tokens are signed with"
ADMIN_TOKEN, ENCRYPTION_SECRET = "for-operators-only", "what all keys are made from"
CONFIGURATION = f"""
server: {{host: 127.0.0.1, shutdown_deadline: 30.0}}
hls: {{segment_duration: 1.0, window: 8.0}}
sessions: {{reconnect_window: 0.0}}
default_ladder: copy
encryption: {{method: aes-128, secret: {ENCRYPTION_SECRET}, token_secret: {TOKEN_SECRET}}}
access:
  publish: key_or_token
  playback: token
  webhook_addresses: [127.0.0.1]
  webhook_secret: {WEBHOOK_SECRET}
  admin_token: {ADMIN_TOKEN}
log: {{level: DEBUG}}
"""


@pytest.fixture(scope="module")
def guarded(
    tmp_path_factory: pytest.TempPathFactory, _postgres_server: PostgresServer, _s3: S3Server
) -> Iterator[Production]:
    _postgres_server.start()
    _s3.start()
    production = Production(
        tmp_path_factory.mktemp("guarded"),
        tools.require("nginx with the rtmp module"),
        _postgres_server.create_database(),
        _s3,
        f"test-{uuid4().hex[:12]}",
        CONFIGURATION,
        f"?secret={WEBHOOK_SECRET}",
    )
    production.client.headers["Authorization"] = f"Bearer {ADMIN_TOKEN}"
    production.start()
    yield production
    production.close()


def keys(production: Production, *arguments: str) -> str:
    argv = [STREAMKIT, "keys", *arguments]
    done = subprocess.run(
        argv, env=production.environment, cwd=production.folder, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def token(*, lives: float, stream: str = STREAM) -> str:
    return make_token(TOKEN_SECRET.encode(), StreamKey(stream), int(time.time() + lives), Purpose.PUBLISH)


def as_player(production: Production, path: str, shown: str) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{production.port}{path}", params={"token": shown}, timeout=10)


def test_only_keys_and_tokens_that_hold_publish_and_none_of_them_is_found_afterwards(
    guarded: Production, push: Callable[..., Publisher], make_source: Callable[..., Path]
) -> None:
    source = make_source(width=320, height=180, fps=15, gop_seconds=1.0)
    url = guarded.nginx.url
    key, good = keys(guarded, "create", STREAM), token(lives=600)
    expired, wrong = token(lives=-5), token(lives=600, stream="other")
    refused = [
        push(url(STREAM, **given), source) for given in ({}, {"token": expired}, {"token": wrong}, {"key": good})
    ]
    assert [publisher.wait(60) != 0 for publisher in refused] == [True] * 4
    assert guarded.live(STREAM) is None

    with_key = push(url(STREAM, key=key), source)
    guarded.wait_live(STREAM)
    with_key.stop()
    guarded.wait_state(STREAM, "ended")

    keys(guarded, "revoke", key[:10])
    assert push(url(STREAM, key=key), source).wait(60) != 0
    push(url(STREAM, token=good), source)
    guarded.wait_live(STREAM)
    stranger = guarded.client.post("/events/published", json={"stream_key": "x", "action": "publish", "token": good})
    assert stranger.status_code == 403

    rows = [row for table in ("streams", "sessions", "publish_keys") for row in guarded.rows(f"SELECT * FROM {table}")]
    bucket = [path.read_bytes() for path in guarded.bucket.rglob("*") if path.suffix in (".m3u8", ".json")]
    paths = ("/stats", "/streams", f"/streams/{STREAM}", "/ready", f"/hls/{STREAM}/playlist.m3u8", "/docs/openapi.json")
    answers = [guarded.client.get(path).text for path in paths]
    answers += [as_player(guarded, path, expired).text for path in paths]
    play = make_token(TOKEN_SECRET.encode(), StreamKey(STREAM), int(time.time()) + 600)
    address = f"/hls/{STREAM}/playlist.m3u8"
    assert as_player(guarded, address, good).status_code == 403  # it is one to publish with
    playlist = as_player(guarded, address, play)
    assert playlist.status_code == 200
    assert play in playlist.text
    journals = [path.read_bytes() for path in (guarded.hls_folder / ".streamkit").rglob("*") if path.is_file()]
    said = f"{guarded.log()} {rows} {bucket} {answers} {journals} {stranger.text}"
    secrets = [key.partition("-")[2], good, expired, wrong, play]
    secrets += [WEBHOOK_SECRET, TOKEN_SECRET, ADMIN_TOKEN, ENCRYPTION_SECRET]
    secrets += [guarded.environment[name] for name in ("DB_PASSWORD", "MINIO_SECRET_KEY")]
    assert "Refused a publisher" in said
    assert [secret for secret in secrets if secret in said] == []
