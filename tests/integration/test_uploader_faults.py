"""The Uploader with real threads and sockets, through restarts of the store and a bad network."""

import itertools
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from fakes import faulty_server as fault
from fakes.faulty_server import FaultyServer
from fakes.upload_recorder import Recorder
from pydantic import SecretStr

from actors.timers import Timers
from actors.upload_pool import UploadPool
from actors.uploader import UploaderActor
from streamkit.messages import UploadPlaylist, UploadSegment
from streamkit.settings import StorageSettings
from streamkit.storage.minio import MinioStore
from streamkit.types import Seconds, StreamKey

pytestmark = pytest.mark.integration

KEY = StreamKey("show")
XML_ERROR = b"<Error><Code>%s</Code><Message>m</Message><Resource>/r</Resource></Error>"

OpenStore = Callable[..., MinioStore]


@pytest.fixture
def cleanup() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def open_store(cleanup: ExitStack, s3_server: Any, s3_bucket: str) -> OpenStore:
    def make(**changes: Any) -> MinioStore:
        values = {"endpoint": s3_server.endpoint, "read_timeout": 30.0, **changes}
        settings = StorageSettings(
            access_key=s3_server.access_key, secret_key=SecretStr(s3_server.secret_key), bucket=s3_bucket, **values
        )
        store = MinioStore(settings, connections=4)
        cleanup.callback(store.close)
        return store

    return make


@pytest.fixture
def upload(cleanup: ExitStack) -> Callable[..., tuple[Any, Recorder]]:
    def start(store: MinioStore, in_flight: int) -> tuple[Any, Recorder]:
        pool, timers, parent = UploadPool(4), Timers(), Recorder()
        cleanup.callback(timers.stop)
        cleanup.callback(lambda: pytest.fail("an upload thread is left") if not pool.close(Seconds(30)) else None)
        ref = UploaderActor.start(parent=parent, key=KEY, store=store, pool=pool, timers=timers, in_flight=in_flight)
        cleanup.callback(ref.stop)
        return ref, parent

    return start


def make_segments(folder: Path, count: int, size: int = 100_000) -> list[UploadSegment]:
    commands = []
    for number in range(count):
        path = folder / f"segment_s0000001_720p_{number}.ts"
        path.write_bytes(bytes([number]) * size)
        commands.append(UploadSegment(name=path.name, path=path))
    return commands


def assert_all_arrived_once(store: MinioStore, parent: Recorder, commands: list[UploadSegment]) -> None:
    stored = [name for name, _ in parent.stored() if name.endswith(".ts")]
    assert sorted(stored) == sorted(command.name for command in commands)
    assert {found.name.rpartition("/")[2] for found in store.list("hls/show/segment_")} == set(stored)
    for command in commands:
        assert store.get(f"hls/show/{command.name}") == command.path.read_bytes()


@pytest.mark.parametrize("outage", ["refused", "frozen"])
def test_a_restart_of_the_store_in_the_middle_of_a_queue_loses_and_reorders_nothing(
    open_store: OpenStore, upload: Callable[..., Any], s3_server: Any, tmp_path: Path, outage: str
) -> None:
    store = open_store(read_timeout=2.0)
    ref, parent = upload(store, in_flight=1)
    commands = make_segments(tmp_path, 20)
    for command in commands[:10]:
        ref.tell(command)
    parent.wait_for(lambda: len(parent.stored()) >= 3, timeout=30)
    (s3_server.stop if outage == "refused" else s3_server.freeze)()
    for command in commands[10:]:
        ref.tell(command)
    ref.tell(UploadPlaylist(name="720p.m3u8", body=b"old", version=1))
    ref.tell(UploadPlaylist(name="720p.m3u8", body=b"new", version=2))
    parent.wait_for(lambda: len(parent.failures()) >= 2, timeout=30)
    s3_server.start()
    parent.wait_for(lambda: len(parent.stored()) >= 21 and ("720p.m3u8", 2) in parent.stored(), timeout=60)
    assert [name for name, _ in parent.stored() if name.endswith(".ts")] == [command.name for command in commands]
    assert_all_arrived_once(store, parent, commands)
    assert store.get("hls/show/720p.m3u8") == b"new"


def test_everything_arrives_through_a_network_that_does_its_worst(
    open_store: OpenStore,
    upload: Callable[..., Any],
    s3_server: Any,
    cleanup: ExitStack,
    tmp_path: Path,
) -> None:
    real = s3_server.endpoint
    worst = [
        fault.resets,
        fault.forwards(real, cut_after=250_000),  # in the middle of a body
        fault.silent,
        fault.answers(503, XML_ERROR % b"SlowDown"),
        fault.forwards(real, cut_after=130_000),
        fault.trickles,
        fault.closes,
        fault.answers(403, XML_ERROR % b"AccessDenied"),
        fault.babbles,
    ]
    turns = itertools.chain(worst, itertools.repeat(fault.forwards(real)))

    def in_turn(server: FaultyServer, connection: socket.socket) -> None:
        next(turns)(server, connection)

    server = FaultyServer(in_turn)
    cleanup.callback(server.close)
    store = open_store(endpoint=server.endpoint, read_timeout=1.0)
    ref, parent = upload(store, in_flight=3)
    commands = make_segments(tmp_path, 16)
    for command in commands:
        ref.tell(command)
    parent.wait_for(lambda: len(parent.stored()) >= len(commands), timeout=90)
    assert server.connections > len(worst)
    assert parent.failures() != []
    direct = open_store()
    assert_all_arrived_once(direct, parent, commands)
