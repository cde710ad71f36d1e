"""MinioStore against real sockets that refuse, reset, stall, trickle and answer with errors."""

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from fakes import faulty_server as fault
from fakes.faulty_server import FaultyServer
from pydantic import SecretStr
from servers import tools
from servers.waiting import accepts_connections

import streamkit.storage.minio
from streamkit.errors import ObjectNotFoundError, StoreDeniedError, StoreError, StoreUnavailableError
from streamkit.settings import StorageSettings
from streamkit.storage.minio import MinioStore
from streamkit.types import Seconds, StreamKey

pytestmark = pytest.mark.integration

KEY = StreamKey("show")
SECRET = "do-not-tell-anybody"
ACCESS_KEY = "AKIDONOTTELLEITHER"
XML_ERROR = b"<Error><Code>%s</Code><Message>m</Message><Resource>/r</Resource></Error>"

OpenStore = Callable[..., MinioStore]


@pytest.fixture
def cleanup() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def open_store(cleanup: ExitStack) -> OpenStore:
    def make(endpoint: str, **changes: Any) -> MinioStore:
        values = {"access_key": ACCESS_KEY, "secret_key": SecretStr(SECRET), "bucket": "some-bucket"}
        values |= {"connect_timeout": 0.4, "read_timeout": 0.6, **changes}
        store = MinioStore(StorageSettings(endpoint=endpoint, **values), connections=4)
        cleanup.callback(store.close)
        return store

    return make


@pytest.fixture
def serve(cleanup: ExitStack) -> Callable[[fault.Behaviour], FaultyServer]:
    def start(behaviour: fault.Behaviour) -> FaultyServer:
        server = FaultyServer(behaviour)
        cleanup.callback(server.close)
        return server

    return start


def put(store: MinioStore, data: bytes = b"data") -> str:
    return store.put_bytes("hls/show/1.ts", data, content_type="video/mp2t", cache_control="no-store")


def assert_is_one_harmless_sentence(error: StoreError, store: MinioStore, endpoint: str) -> None:
    sentence = str(error)
    assert endpoint in sentence
    assert "some-bucket" in sentence
    assert "\n" not in sentence
    for secret in (SECRET, ACCESS_KEY, "Signature", "X-Amz"):
        assert secret not in sentence


def open_real(open_store: OpenStore, server: Any, bucket: str, **changes: Any) -> MinioStore:
    values = {"endpoint": server.endpoint, "read_timeout": 30.0, **changes}
    return open_store(access_key=server.access_key, secret_key=SecretStr(server.secret_key), bucket=bucket, **values)


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        pytest.param(fault.closes, "closed the connection without an answer", id="closes"),
        pytest.param(fault.resets, "connection reset by peer|closed the connection", id="resets"),
        pytest.param(fault.silent, "did not react in time", id="silent"),
        pytest.param(fault.trickles, "so slow that it was given up", id="trickles"),
        pytest.param(fault.babbles, "not valid HTTP", id="babbles"),
        pytest.param(fault.answers(500), "HTTP 500", id="500 without a body"),
        pytest.param(fault.answers(500, b"<html>oops", "text/html"), "HTTP 500", id="500 with a page"),
        pytest.param(fault.answers(503, XML_ERROR % b"SlowDown"), "HTTP 503 SlowDown", id="503"),
        pytest.param(fault.answers(429, XML_ERROR % b"SlowDown"), "HTTP 429 SlowDown", id="429"),
        pytest.param(fault.answers(507, XML_ERROR % b"XMinioStorageFull"), "is full .*StorageFull", id="disk full"),
        pytest.param(fault.answers(403, XML_ERROR % b"QuotaExceeded"), "is full .*Quota.*: free", id="quota"),
        pytest.param(fault.answers(307, XML_ERROR % b"TemporaryRedirect"), "HTTP 307", id="redirect"),
        pytest.param(fault.answers(500, b"<not xml"), "not understood", id="broken XML"),
        pytest.param(fault.answers(200, b"<html>log in", "text/html"), "without an ETag", id="a proxy's page"),
        pytest.param(fault.answers(500, XML_ERROR % b"say &lt;script&gt;"), "answered HTTP 500", id="odd code"),
    ],
)
def test_a_fault_of_the_server_is_unavailable_with_the_reason(
    open_store: OpenStore, serve: Callable[[fault.Behaviour], FaultyServer], behaviour: fault.Behaviour, reason: str
) -> None:
    server = serve(behaviour)
    store = open_store(server.endpoint)
    with pytest.raises(StoreUnavailableError, match=reason) as caught:
        put(store)
    assert_is_one_harmless_sentence(caught.value, store, server.endpoint)
    assert server.connections == 1, "retries belong to the Uploader"


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("kind", ["application/xml", "text/xml"], ids=["as MinIO answers", "as rclone answers"])
def test_refused_credentials_are_denied(
    open_store: OpenStore, serve: Callable[[fault.Behaviour], FaultyServer], status: int, kind: str
) -> None:
    server = serve(fault.answers(status, XML_ERROR % b"InvalidAccessKeyId", kind))
    store = open_store(server.endpoint)
    with pytest.raises(StoreDeniedError, match=f"HTTP {status}.*check the access key") as caught:
        put(store)
    assert_is_one_harmless_sentence(caught.value, store, server.endpoint)
    with pytest.raises(StoreDeniedError):
        store.check()
    with pytest.raises(StoreDeniedError):
        store.remove(["a"])


def test_clocks_that_differ_are_said_so(
    open_store: OpenStore, serve: Callable[[fault.Behaviour], FaultyServer]
) -> None:
    store = open_store(serve(fault.answers(403, XML_ERROR % b"RequestTimeTooSkewed")).endpoint)
    with pytest.raises(StoreDeniedError, match="its clock and this machine's differ"):
        put(store)


@pytest.mark.parametrize(("said", "seconds"), [("17", 17.0), ("Fri, 31 Dec 1999 23:59:59 GMT", None), ("", None)])
def test_what_the_server_asks_to_wait_is_told(
    open_store: OpenStore, serve: Callable[[fault.Behaviour], FaultyServer], said: str, seconds: float | None
) -> None:
    kind = f"application/xml\r\nRetry-After: {said}"
    store = open_store(serve(fault.answers(503, XML_ERROR % b"SlowDown", kind)).endpoint)
    with pytest.raises(StoreUnavailableError) as caught:
        put(store)
    assert caught.value.retry_after == seconds


def test_a_wrong_secret_is_denied_by_a_real_server(open_store: OpenStore, s3_server: Any, s3_bucket: str) -> None:
    store = open_store(s3_server.endpoint, access_key=s3_server.access_key, bucket=s3_bucket, read_timeout=30.0)
    for request in (store.check, lambda: put(store), lambda: store.get("a"), lambda: list(store.list(""))):
        with pytest.raises(StoreDeniedError):
            request()


def test_nobody_listening_is_unavailable(open_store: OpenStore, free_port: Callable[[], int]) -> None:
    store = open_store(f"127.0.0.1:{free_port()}")
    for request in (store.check, lambda: put(store), lambda: store.get("a"), lambda: store.stat("a")):
        with pytest.raises(StoreUnavailableError, match="connection refused"):
            request()


def test_a_connection_that_is_never_accepted_is_unavailable(open_store: OpenStore, cleanup: ExitStack) -> None:
    # The kernel drops what does not fit into the backlog, as a firewall would.
    listener = cleanup.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
    for _ in range(4):
        filler = cleanup.enter_context(socket.socket())
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
    with pytest.raises(StoreUnavailableError, match="did not react in time"):
        put(open_store(f"127.0.0.1:{listener.getsockname()[1]}"))


def test_a_name_that_cannot_be_resolved_is_said_so(open_store: OpenStore) -> None:
    with pytest.raises(StoreUnavailableError, match="host name cannot be resolved"):
        put(open_store("no-such-host.invalid:9000"))


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that nobody trusts yet, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("NOT TESTED over TLS: openssl is not installed")
    paths = tmp_path / "cert.pem", tmp_path / "key.pem"
    arguments = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(
        [openssl, *arguments.split(), "-out", paths[0], "-keyout", paths[1]], check=True, capture_output=True
    )
    return paths


def test_over_tls_objects_are_kept_and_a_strange_certificate_is_refused(
    open_store: OpenStore,
    certificate: tuple[Path, Path],
    s3_server: Any,
    free_port: Callable[[], int],
    run_process: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    port = free_port()
    argv = [tools.require("rclone"), "serve", "s3", "--config", "/dev/null", "--addr", f"127.0.0.1:{port}"]
    argv += ["--cert", certificate[0], "--key", certificate[1], "--auth-key", f"{ACCESS_KEY},{SECRET}", tmp_path]
    server = run_process(argv)
    server.wait_ready(lambda: accepts_connections(port))
    options = {"use_ssl": True, "read_timeout": 30.0, "connect_timeout": 10.0}
    with pytest.raises(StoreUnavailableError, match="TLS certificate is not trusted"):
        put(open_store(f"127.0.0.1:{port}", **options))
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    store, data = open_store(f"127.0.0.1:{port}", **options), bytes(range(256)) * 12_000
    put(store, data)
    assert store.get("hls/show/1.ts") == data


def test_a_server_that_trickles_over_tls_is_given_up(
    open_store: OpenStore,
    serve: Callable[[fault.Behaviour], FaultyServer],
    certificate: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)

    def behaviour(server: FaultyServer, connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            fault.trickles(server, secured)

    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    with pytest.raises(StoreUnavailableError, match="so slow that it was given up"):
        put(open_store(serve(behaviour).endpoint, use_ssl=True, connect_timeout=10.0))


def test_a_server_that_takes_the_body_in_sips_is_given_up(
    open_store: OpenStore, serve: Callable[[fault.Behaviour], FaultyServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streamkit.storage.minio, "_SLOWEST", 1e9)
    with pytest.raises(StoreUnavailableError, match="so slow that it was given up"):
        put(open_store(serve(fault.sips).endpoint), bytes(20_000_000))


def test_an_answer_that_breaks_off_is_not_taken_for_the_object(
    open_store: OpenStore, serve: Callable[[fault.Behaviour], FaultyServer]
) -> None:
    with pytest.raises(StoreUnavailableError):
        open_store(serve(fault.breaks_off).endpoint).get("hls/show/1.ts")


def test_a_closed_store_ends_what_is_under_way(
    open_store: OpenStore, serve: Callable[[fault.Behaviour], FaultyServer]
) -> None:
    began, errors = threading.Event(), []

    def behaviour(server: FaultyServer, connection: socket.socket) -> None:
        began.set()
        fault.trickles(server, connection)

    def run() -> None:
        try:
            put(store)
        except StoreUnavailableError as error:
            errors.append(error)

    store = open_store(serve(behaviour).endpoint, read_timeout=60.0)
    thread = threading.Thread(target=run)
    thread.start()
    assert began.wait(10)
    store.close()
    thread.join(10)
    assert len(errors) == 1


def test_a_bucket_that_is_lost_is_made_again_by_the_next_put(
    open_store: OpenStore, s3_server: Any, s3_bucket: str
) -> None:
    store = open_real(open_store, s3_server, s3_bucket)
    put(store, b"first")
    store.remove(["hls/show/1.ts"])
    with pytest.raises(ObjectNotFoundError):
        store.get("hls/show/1.ts")
    for folder in sorted((s3_server.root / s3_bucket).rglob("*"), reverse=True):
        folder.rmdir()
    (s3_server.root / s3_bucket).rmdir()
    put(store, b"second")
    assert store.get("hls/show/1.ts") == b"second"


def test_a_presigned_url_opens_the_object_to_anybody_and_names_no_secret(
    open_store: OpenStore, s3_server: Any, s3_bucket: str
) -> None:
    import urllib3

    store = open_real(open_store, s3_server, s3_bucket)
    put(store, b"everybody may read this")
    url = store.presigned_get("hls/show/1.ts", expires=Seconds(60), headers={"Content-Type": "video/mp2t"})
    assert s3_server.secret_key not in url
    with urllib3.PoolManager() as http:
        answer = http.request("GET", url)
        assert (answer.status, answer.data) == (200, b"everybody may read this")
        assert answer.headers["Content-Type"] == "video/mp2t"
        assert http.request("GET", url.replace("1.ts", "2.ts")).status == 403
