"""Settings, keys and a callback URL for tests of who may publish."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from streamkit.access.keys import digest, key_id, make_key
from streamkit.database.rows import PublishKeyRow
from streamkit.settings import HlsSettings, Settings
from streamkit.settings_access import AccessSettings
from streamkit.settings_encryption import EncryptionSettings
from streamkit.types import StreamKey, UnixTime

TOKEN_SECRET = "the secret of all tokens"
DEMO = StreamKey("demo")
KEY = make_key(bytes(range(37)))


def settings_with(folder: Path, **access: Any) -> Settings:
    """Return settings with this `access` section and a secret for tokens."""
    access = {name: tuple(value) if isinstance(value, list) else value for name, value in access.items()}
    secrets = {
        name: SecretStr(access.pop(name))
        for name in ("callback_secret", "webhook_secret", "admin_token")
        if name in access
    }
    return Settings(
        hls=HlsSettings(output_dir=folder),
        access=AccessSettings(**access, **secrets),
        encryption=EncryptionSettings(token_secret=SecretStr(TOKEN_SECRET)),
    )


def row(key: str = KEY, *, stream: str = "demo", expires: float | None = None, revoked: float | None = None) -> Any:
    """Return what the database has of a key."""
    found = key_id(key)
    assert found is not None
    return PublishKeyRow(
        id=found,
        stream_key=StreamKey(stream),
        digest=digest(key),
        label="",
        created_at=UnixTime(1.0),
        expires_at=None if expires is None else UnixTime(expires),
        revoked_at=None if revoked is None else UnixTime(revoked),
    )


@dataclass
class AuthServer:
    """An operator's URL. `answer` is called with each request and returns the status; headers go with it."""

    url: str = ""
    answer: Callable[[bytes], int] = lambda _: 204
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


@contextmanager
def auth_server() -> Iterator[AuthServer]:
    """Serve on loopback; everything has ended afterwards."""
    server = AuthServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.requests.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(server.answer(body))
            for name, value in {"Content-Length": str(len(server.body)), **server.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(OSError):  # who asked does not read it
                self.wfile.write(server.body)

        do_GET = do_POST  # noqa: N815 - the base class's name

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the base class's name
            """Stay silent."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{http.server_address[1]}/auth"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
