"""The test servers do what the other tests rely on, and config/nginx-rtmp.conf what StreamKit relies on."""

import asyncio
import io
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import asyncpg
import minio
import pytest
import urllib3
from servers.leftovers import nothing_left
from servers.nginx import NginxRtmp, WebhookRecorder
from servers.postgres import PgDatabase, PostgresServer
from servers.process import ManagedProcess
from servers.publishing import Publisher
from servers.s3 import S3Server
from servers.waiting import accepts_connections, wait_until

pytestmark = pytest.mark.integration

StartNginx = Callable[[int], NginxRtmp]
StartPublisher = Callable[..., Publisher]


async def query(database: PgDatabase, statement: str) -> object:
    async with asyncio.timeout(10):
        connection = await asyncpg.connect(database.url.replace("+asyncpg", ""))
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()


def connect(server: S3Server) -> minio.Minio:
    http = urllib3.PoolManager(timeout=urllib3.Timeout(connect=1, read=2), retries=False)
    return minio.Minio(
        server.endpoint, access_key=server.access_key, secret_key=server.secret_key, secure=False, http_client=http
    )


def test_every_database_is_new_and_empty(postgres: PostgresServer) -> None:
    first, second = postgres.create_database(), postgres.create_database()
    asyncio.run(query(first, "CREATE TABLE kept (n integer)"))
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
    assert (asyncio.run(query(first, tables)), asyncio.run(query(second, tables))) == (1, 0)


def test_postgresql_asks_for_the_password(pg_database: PgDatabase) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        asyncio.run(asyncpg.connect(pg_database.url.replace("+asyncpg", "").replace(pg_database.password, "wrong")))


def test_postgresql_keeps_data_and_port_over_an_outage(postgres: PostgresServer, pg_database: PgDatabase) -> None:
    asyncio.run(query(pg_database, "CREATE TABLE kept (n integer)"))
    postgres.stop()
    assert not accepts_connections(postgres.port)
    postgres.start()
    assert asyncio.run(query(pg_database, "SELECT count(*) FROM kept")) == 0


def test_a_frozen_postgresql_answers_again_after_thawing(postgres: PostgresServer, pg_database: PgDatabase) -> None:
    postgres.freeze()
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(asyncpg.connect(pg_database.url.replace("+asyncpg", "")), 0.3))
    postgres.thaw()
    assert asyncio.run(query(pg_database, "SELECT 1")) == 1


def test_the_s3_server_stores_objects_as_files_and_keeps_them_over_an_outage(
    s3_server: S3Server, s3_bucket: str
) -> None:
    client = connect(s3_server)
    client.make_bucket(s3_bucket)
    client.put_object(s3_bucket, "hls/key/a.ts", io.BytesIO(b"media"), 5)
    assert (s3_server.root / s3_bucket / "hls/key/a.ts").read_bytes() == b"media"
    s3_server.stop()
    with pytest.raises(urllib3.exceptions.HTTPError):
        client.stat_object(s3_bucket, "hls/key/a.ts")
    s3_server.start()
    assert client.stat_object(s3_bucket, "hls/key/a.ts").size == 5


def test_the_s3_server_refuses_a_wrong_secret(s3_server: S3Server, s3_bucket: str) -> None:
    wrong = minio.Minio(s3_server.endpoint, access_key=s3_server.access_key, secret_key="wrong", secure=False)
    # rclone says text/xml where minio expects application/xml, so the refusal is not the S3Error of other servers.
    with pytest.raises(minio.error.InvalidResponseError, match="SignatureDoesNotMatch"):
        wrong.make_bucket(s3_bucket)


def test_a_publish_and_its_end_reach_the_webhook_with_key_token_and_the_same_client(
    nginx_rtmp: StartNginx, webhook: WebhookRecorder, publisher: StartPublisher
) -> None:
    server = nginx_rtmp(webhook.port)
    push = publisher(server.url("door", token="s3cret"))
    begin = webhook.wait_for(call="publish", name="door")
    wait_until(lambda: server.publishers() == {"door"}, what="the publisher in /stat")
    push.stop()
    end = webhook.wait_for(call="publish_done", name="door")
    assert (begin["path"], begin["app"], begin["token"]) == ("/events/published", "live", "s3cret")
    assert begin["clientid"] == end["clientid"]
    wait_until(lambda: server.publishers() == set(), what="an empty /stat")
    assert "s3cret" not in server.log()


def test_a_refused_publish_never_becomes_a_stream(
    nginx_rtmp: StartNginx, webhook: WebhookRecorder, publisher: StartPublisher
) -> None:
    server = nginx_rtmp(webhook.port)
    webhook.answer_status = 403
    push = publisher(server.url("stranger", token="s3cret"))
    assert push.wait() != 0
    assert server.publishers() == set()
    assert "s3cret" not in server.log()


def test_a_puller_that_joins_before_the_publisher_gets_audio_and_video_from_the_first_key_frame(
    nginx_rtmp: StartNginx,
    webhook: WebhookRecorder,
    publisher: StartPublisher,
    run_process: Callable[..., ManagedProcess],
    make_source: Callable[..., Path],
    ffmpeg_path: str,
    tmp_path: Path,
) -> None:
    server = nginx_rtmp(webhook.port)
    pulled = tmp_path / "pulled.flv"
    argv = [ffmpeg_path, "-nostdin", "-loglevel", "error", "-i", server.url("early"), "-c", "copy", "-t", "1", pulled]
    puller = run_process(argv, name="puller")
    wait_until(lambda: server.stat().findtext(".//stream/nclients") == "1", what="the puller in /stat")
    publisher(server.url("early"), make_source(gop_seconds=5.0))
    assert puller.wait(20) == 0, puller.log()
    assert _streams(ffmpeg_path, pulled) == {"Video: h264", "Audio: aac"}


def test_a_frozen_publisher_is_dropped_and_reported(
    nginx_rtmp: StartNginx, webhook: WebhookRecorder, publisher: StartPublisher
) -> None:
    server = nginx_rtmp(webhook.port)
    push = publisher(server.url("frozen"))
    wait_until(lambda: server.publishers() == {"frozen"}, what="the publisher in /stat")
    push.freeze()
    webhook.wait_for(call="publish_done", name="frozen", timeout=25)


def test_an_operator_can_drop_a_publisher_through_control(
    nginx_rtmp: StartNginx, webhook: WebhookRecorder, publisher: StartPublisher
) -> None:
    server = nginx_rtmp(webhook.port)
    publisher(server.url("dropped"))
    wait_until(lambda: server.publishers() == {"dropped"}, what="the publisher in /stat")
    server.drop_publisher("dropped")
    webhook.wait_for(call="publish_done", name="dropped")


def test_nginx_comes_back_on_the_same_ports(nginx_rtmp: StartNginx, webhook: WebhookRecorder) -> None:
    server = nginx_rtmp(webhook.port)
    server.kill()
    with pytest.raises(URLError), urlopen(f"http://127.0.0.1:{server.stat_port}/stat", timeout=2):
        pass
    server.start()
    assert server.publishers() == set()


@pytest.mark.parametrize("ffmpeg_path", ["path", "imageio"], indirect=True)
def test_either_ffmpeg_reads_the_generated_source(ffmpeg_path: str, make_source: Callable[..., Path]) -> None:
    assert _streams(ffmpeg_path, make_source()) == {"Video: h264", "Audio: aac"}
    assert _streams(ffmpeg_path, make_source(seconds=2, audio=False)) == {"Video: h264"}
    assert _streams(ffmpeg_path, make_source(seconds=2, video=False)) == {"Audio: aac"}


@pytest.mark.parametrize("script", ["echo $$; exec sleep 60", "sleep 60 & echo $!"], ids=["child", "orphan"])
def test_the_guard_names_a_process_that_was_left_behind(script: str) -> None:
    guard = nothing_left(patience=0.3)
    guard.__enter__()
    shell = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, text=True)
    assert shell.stdout is not None
    left_behind = int(shell.stdout.readline())
    with pytest.raises(AssertionError, match=rf"left behind: process {left_behind} \(sleep 60\)"):
        guard.__exit__(None, None, None)
    os.kill(left_behind, signal.SIGKILL)
    shell.communicate(timeout=10)


def test_the_guard_names_a_thread_that_was_left_behind() -> None:
    release = threading.Event()
    with pytest.raises(AssertionError, match="left behind: thread waiting-one"), nothing_left(patience=0.1):
        threading.Thread(target=release.wait, name="waiting-one").start()
    release.set()


def _streams(ffmpeg: str, path: Path) -> set[str]:
    """Return the kind and codec of each stream, as 'Video: h264'."""
    done = subprocess.run([ffmpeg, "-hide_banner", "-i", path], capture_output=True, text=True, check=False, timeout=20)
    lines = [line for line in done.stderr.splitlines() if "Stream #" in line]
    kinds = ("Video: h264", "Audio: aac")
    return {kind for kind in kinds for line in lines if kind in line}
