"""One real service for all hostile clients, with a neighbour on air that must not notice them."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from e2e_production import Production
from hostile_cases import NEIGHBOUR
from servers import tools
from servers.postgres import PostgresServer
from servers.publishing import Publisher
from servers.s3 import S3Server

SECRETS = {
    "webhook": "told-to-the-rtmp-server-alone",
    "admin": "told-to-operators-alone",
    "token": "what-all-tokens-are-signed-with",
    "encryption": "what-all-keys-are-made-from",
}
OPEN = """
server: {host: 127.0.0.1, shutdown_deadline: 30.0}
hls: {segment_duration: 1.0, window: 8.0}
sessions: {reconnect_window: 1.0, connect_timeout: 5.0}
default_ladder: copy
"""
GUARDED = f"""{OPEN}
encryption: {{method: aes-128, secret: {SECRETS["encryption"]}, token_secret: {SECRETS["token"]}}}
access:
  playback: token
  webhook_secret: {SECRETS["webhook"]}
  admin_token: {SECRETS["admin"]}
"""
ANSWERED_WITHIN = 20.0  # seconds; for a busy machine


class Target:
    """The service, and what it must not lose."""

    def __init__(self, production: Production, *, guarded: bool) -> None:
        self.production = production
        self.is_guarded = guarded
        self.webhook = f"?secret={SECRETS['webhook']}" if guarded else ""
        self.headers = {"Authorization": f"Bearer {SECRETS['admin']}"} if guarded else {}
        production.client.headers.update(self.headers)

    def send(self, raw: bytes) -> tuple[int, str, str]:
        """Return status, head and body of the answer to these bytes; a closed connection counts as status 0."""
        with socket.create_connection(("127.0.0.1", self.production.port), timeout=ANSWERED_WITHIN) as connection:
            connection.sendall(raw)
            answer = b""
            try:
                while b"text/event-stream" not in answer and (chunk := connection.recv(65536)):
                    answer += chunk
            except ConnectionResetError:
                """It was answered before all of the request was read."""
        head, _, body = answer.partition(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1]) if head else 0
        return status, head.decode("latin-1"), body.decode(errors="replace")

    def tree(self) -> set[str]:
        """Return every path around the service, but those of streams."""
        around = self.production.folder.parent
        found = {str(path.relative_to(around)) for path in around.rglob("*")}
        return {path for path in found if f"{self.production.folder.name}/hls/" not in path}


@pytest.fixture(scope="module", params=["open", "guarded"])
def target(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    _postgres_server: PostgresServer,
    _s3: S3Server,
    make_source: Callable[..., Path],
) -> Iterator[Target]:
    """The service, with access unset and set."""
    _postgres_server.start()
    _s3.start()
    guarded = request.param == "guarded"
    folder = tmp_path_factory.mktemp("around") / "service"
    folder.mkdir()
    (folder.parent / "secret.ts").write_text("the secret outside")
    production = Production(
        folder,
        tools.require("nginx with the rtmp module"),
        _postgres_server.create_database(),
        _s3,
        f"test-{uuid4().hex[:12]}",
        GUARDED if guarded else OPEN,
        f"?secret={SECRETS['webhook']}" if guarded else "",
    )
    found = Target(production, guarded=guarded)
    production.watch.stop()  # it is no player that shows a token
    production.start()
    source = make_source(width=320, height=180, fps=10, gop_seconds=1.0, seconds=30.0)
    ffmpeg = tools.ffmpeg() or tools.bundled_ffmpeg() or tools.require("FFmpeg")
    log = tmp_path_factory.mktemp("publisher") / "ffmpeg.log"
    publisher = Publisher(ffmpeg, production.nginx.url(NEIGHBOUR), source, log, loop=True)
    try:
        production.wait_live(NEIGHBOUR, segments=2)
        yield found
    finally:
        publisher.close()
        production.close()
