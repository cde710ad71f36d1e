"""A publisher that never stops, a player that never stops asking, and a service that is replaced in mid-stream."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from e2e_archive import SMALL, check_archive, check_nothing_half_written
from e2e_player import parse_media
from e2e_production import CONFIGURATION, Production
from e2e_watcher import Numbering
from servers import tools
from servers.postgres import PostgresServer
from servers.publishing import Publisher
from servers.s3 import S3Server

pytestmark = pytest.mark.e2e

Push = Callable[..., Publisher]
KEEP = CONFIGURATION.replace("reconnect_window: 2.0}", "reconnect_window: 8.0, on_stop: keep}")
KEY = "restarted"


@pytest.fixture(scope="module")
def production_servers(
    tmp_path_factory: pytest.TempPathFactory, _postgres_server: PostgresServer, _s3: S3Server
) -> Iterator[Production]:
    """A production whose stops keep the broadcasts."""
    _postgres_server.start()
    _s3.start()
    production = Production(
        tmp_path_factory.mktemp("restarts"),
        tools.require("nginx with the rtmp module"),
        _postgres_server.create_database(),
        _s3,
        f"test-{uuid4().hex[:12]}",
        KEEP,
    )
    yield production
    production.close()


class Viewer:
    """Asks for the live playlists without a pause, as long as the service can be reached, and notes what is wrong."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._done = threading.Event()
        self._numbering = Numbering()
        self.problems: dict[str, None] = {}
        self.answers = 0

    @contextmanager
    def watching(self) -> Iterator[None]:
        thread = threading.Thread(target=self._run, name="viewer")
        thread.start()
        try:
            yield
        finally:
            self._done.set()
            thread.join()

    def _run(self) -> None:
        with httpx.Client(base_url=self._base_url, timeout=30, trust_env=False) as client:
            while not self._done.wait(0.02):
                for name in ("playlist", *SMALL):
                    self._look(client, f"/hls/{KEY}/{name}.m3u8")

    def _look(self, client: httpx.Client, path: str) -> None:
        try:
            answer = client.get(path)
        except httpx.TransportError:
            return  # nobody serves: a player asks again
        self.answers += 1
        if answer.status_code != 200:
            self.problems[f"{path}: {answer.status_code} {answer.text[:200]}"] = None
        elif not path.endswith("playlist.m3u8"):
            playlist = parse_media(answer.text)
            self.problems |= dict.fromkeys(self._numbering.check(path, playlist))
            if playlist.ended:
                self.problems[f"{path} has ended"] = None


def test_restarts_in_mid_stream_keep_the_session_and_every_closed_segment(
    production: Production, make_source: Callable[..., Path], push: Push
) -> None:
    publisher = push(production.nginx.url(KEY), make_source(width=426, height=240, gop_seconds=1.0))
    session = production.wait_live(KEY, segments=3)["session"]
    viewer = Viewer(str(production.client.base_url))
    with viewer.watching():
        for _ in range(2):
            before = viewer.answers
            assert production.terminate() == 0
            check_left_open(production, session)
            newest = production.stored_playlist(KEY, "240p.m3u8").entries[-1].sequence
            production.start()
            assert production.wait_live(KEY)["session"] == session
            production.wait(lambda least=newest + 2: lists(production, least), "new segments in the bucket")
            assert viewer.answers > before
    assert publisher.running
    assert list(viewer.problems) == []
    assert production.terminate() == 0
    publisher.stop()

    production.start("--drain")

    assert production.wait_exit() == 0, "nobody comes back to the last stream"
    playlists = check_archive(production, KEY, session, fps=30, discontinuities=2)
    check_nothing_half_written(production, KEY, playlists)
    listed = {uri for playlist in playlists.values() for uri in playlist.uris}
    assert listed == production.stored(KEY, ".ts").keys() == rows_of_segments(production, session)
    assert [row["session"] for row in production.session_rows(KEY)] == [session]


def test_a_second_signal_ends_the_service_at_once_and_the_next_start_does_the_rest(
    production: Production, make_source: Callable[..., Path], push: Push
) -> None:
    publisher = push(production.nginx.url("hurried"), make_source(width=426, height=240, gop_seconds=1.0))
    session = production.wait_live("hurried", segments=2)["session"]
    production.s3.stop()  # nothing can be stored: a stop would take all its time
    production.signal(signal.SIGTERM)
    production.wait(lambda: "left open for the next start key=hurried" in production.log(), "the stop")
    production.signal(signal.SIGTERM)
    assert production.wait_exit() == 5
    assert "Uploads are left for the next start: hurried" in production.log()
    assert not production.encoders()

    production.s3.start()
    production.start()

    assert production.wait_live("hurried")["session"] == session
    publisher.stop()
    production.wait_state("hurried", "ended")
    closed = rows_of_segments(production, session, "hurried")
    assert production.stored("hurried", ".ts").keys() == closed
    assert {
        uri for name in SMALL for uri in production.stored_playlist("hurried", f"{session}_{name}.m3u8").uris
    } == closed


def test_a_draining_service_takes_no_new_stream_and_ends_with_its_last(
    production: Production, make_source: Callable[..., Path], push: Push
) -> None:
    source = make_source(width=426, height=240, gop_seconds=1.0)
    publisher = push(production.nginx.url("last"), source)
    production.wait_live("last")
    production.signal(signal.SIGUSR2)
    production.wait(
        lambda: "Draining" in production.get("/ready")["checks"]["supervisor"]["reason"], "/ready to say it"
    )
    late = push(production.nginx.url("late"), source)
    assert late.wait(30) != 0, "nginx turns it away"
    assert production.live("late") is None
    assert production.wait_live("last", segments=3)

    publisher.stop()

    assert production.wait_exit() == 0
    assert production.stored_playlist("last", "240p.m3u8").ended
    row = production.row("last")
    assert row is not None
    assert (row["state"], row["status"]) == ("ended", "inactive")


def check_left_open(production: Production, session: str) -> None:
    """AssertionError unless everything says that the broadcast waits, and the store has all of it."""
    assert not production.encoders()
    row, (session_row,) = production.row(KEY), production.session_rows(KEY)
    assert row is not None
    assert (row["state"], row["stopped_at"]) == ("reconnecting", None)
    assert (session_row["session"], session_row["status"], session_row["ended_at"]) == (session, "reconnecting", None)
    closed = rows_of_segments(production, session)
    assert closed == production.stored(KEY, ".ts").keys()
    for name in SMALL:
        playlist = production.stored_playlist(KEY, f"{name}.m3u8")
        assert not playlist.ended
        assert playlist.entries[-1].uri == max((one for one in closed if f"_{name}_" in one), key=number)


def rows_of_segments(production: Production, session: str, key: str = KEY) -> set[str]:
    """Return every segment of the broadcast that was ever closed, as the database remembers."""
    statement = "SELECT name FROM segments WHERE stream_key = $1 AND session = $2"
    return {row["name"] for row in production.rows(statement, key, session)}


def number(segment: str) -> int:
    return int(segment.removesuffix(".ts").rpartition("_")[2])


def lists(production: Production, least: int) -> bool:
    return all(production.stored_playlist(KEY, f"{name}.m3u8").entries[-1].sequence > least for name in SMALL)
