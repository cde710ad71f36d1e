"""Stopping and killing `streamkit serve` in mid-stream, on real servers."""

from collections.abc import Callable
from pathlib import Path

import pytest
from e2e_archive import SMALL, check_archive, check_nothing_half_written
from e2e_production import Production, without_retries
from servers.process import descendants, live_processes
from servers.publishing import Publisher
from servers.waiting import wait_until

pytestmark = pytest.mark.e2e

Push = Callable[..., Publisher]


def test_a_stop_in_mid_stream_finishes_the_broadcast_and_leaves_nothing(
    production: Production, make_source: Callable[..., Path], push: Push
) -> None:
    key = "patient-stop"  # its reconnect window is two minutes: a stop does not wait for it
    publisher = push(production.nginx.url(key), make_source())
    session = production.wait_live(key, segments=4)["session"]
    family = descendants({production.pid})
    assert production.encoders(key) <= family
    assert production.encoders(key)

    assert production.terminate() == 0

    wait_until(lambda: not family & live_processes().keys(), what="the end of all that the service had started")
    playlists = check_archive(production, key, session, fps=30, discontinuities=0)
    check_nothing_half_written(production, key, playlists)
    assert all(production.stored_playlist(key, f"{name}.m3u8").ended for name in SMALL)
    row, (session_row,) = production.row(key), production.session_rows(key)
    assert row is not None
    assert (row["status"], without_retries(row["last_error"])) == ("inactive", None)
    assert row["stopped_at"] is not None
    assert (session_row["status"], session_row["end_reason"]) == ("ended", "the service stopped")
    assert publisher.running, "the publisher is the RTMP server's"
    publisher.stop()


def test_a_broadcast_that_was_stopped_plays_from_the_bucket_after_the_next_start(production: Production) -> None:
    key = "patient-stop"
    session = production.session_rows(key)[0]["session"]
    for name in ("playlist.m3u8", f"{session}.m3u8", "240p.m3u8"):
        answer = production.client.get(f"/hls/{key}/{name}")
        assert answer.status_code == 200
        assert answer.content == production.stored(key, name)[name]
    assert key not in {one["stream_key"] for one in production.get("/streams/active")["streams"]}


def test_a_killed_service_resumes_the_session_and_loses_no_closed_segment(
    production: Production, make_source: Callable[..., Path], push: Push
) -> None:
    key = "patient-crash"
    publisher = push(production.nginx.url(key), make_source())
    session = production.wait_live(key, segments=4)["session"]
    encoders = production.encoders(key)
    assert len(encoders) == 1
    production.s3.stop()
    production.wait(lambda: backlog(production, key) >= 4, "segments that only this machine has")

    production.kill()

    wait_until(lambda: not production.encoders(), what="the end of FFmpeg with its service")
    closed = closed_by_ffmpeg(production, key, session)
    assert len(closed - production.stored(key, ".ts").keys()) >= 4
    production.s3.start()
    production.start()
    after_start = production.wait_live(key)
    assert after_start["session"] == session
    assert production.live(key) is not None
    production.wait(
        lambda: has_number_above(production, key, max(map(number, closed)) + 2), "new segments in the bucket"
    )
    assert len(production.encoders(key)) == 1
    assert not encoders & production.encoders(key)
    row = production.row(key)
    assert row is not None
    assert (row["status"], row["state"]) == ("active", "live")
    assert production.terminate() == 0

    playlists = check_archive(production, key, session, fps=30, discontinuities=1)
    check_nothing_half_written(production, key, playlists)
    assert closed <= production.stored(key, ".ts").keys()
    assert [row["session"] for row in production.session_rows(key)] == [session]
    assert not production.encoders()
    publisher.stop()


def test_a_new_broadcast_after_a_stop_goes_on_with_the_numbers(
    production: Production, make_source: Callable[..., Path], push: Push
) -> None:
    key = "patient-crash"
    before = production.stored_playlist(key, "240p.m3u8")
    assert before.ended
    publisher = push(production.nginx.url(key), make_source())
    live = production.wait_live(key, segments=2)
    sessions = [row["session"] for row in production.session_rows(key)]
    assert len(sessions) == 2
    assert live["session"] == max(sessions)
    after = production.stored_playlist(key, "240p.m3u8")
    assert after.sequence > before.entries[-1].sequence
    assert after.entries[0].period > before.entries[-1].period
    production.terminate()
    publisher.stop()


def test_a_broadcast_whose_publisher_left_while_the_service_was_dead_is_finished(
    production: Production, make_source: Callable[..., Path], push: Push
) -> None:
    key = "left"
    publisher = push(production.nginx.url(key), make_source())
    session = production.wait_live(key, segments=4)["session"]
    production.kill()
    publisher.stop()
    wait_until(lambda: not production.encoders(), what="the end of FFmpeg with its service")
    closed = closed_by_ffmpeg(production, key, session)

    production.start()

    row = production.wait_state(key, "ended")
    assert row["stopped_at"] is not None
    (session_row,) = production.session_rows(key)
    assert (session_row["session"], session_row["status"]) == (session, "ended")
    playlists = check_archive(production, key, session, fps=30, discontinuities=0)
    check_nothing_half_written(production, key, playlists)
    assert closed == production.stored(key, ".ts").keys()
    assert production.live(key) is None
    assert not production.encoders()


def backlog(production: Production, key: str) -> int:
    live = production.live(key)
    return live["segments_closed"] - live["segments_uploaded"] if live is not None else 0


def closed_by_ffmpeg(production: Production, key: str, session: str) -> set[str]:
    """Return the segments that FFmpeg noted as closed before it died."""
    folder = production.hls_folder / key
    lines = [line for name in SMALL for line in (folder / f".{session}_{name}.m3u8").read_text().splitlines()]
    return {line for line in lines if line.endswith(".ts")}


def number(segment: str) -> int:
    return int(segment.removesuffix(".ts").rpartition("_")[2])


def has_number_above(production: Production, key: str, least: int) -> bool:
    return all(production.stored_playlist(key, f"{name}.m3u8").entries[-1].sequence > least for name in SMALL)


def test_the_watchers_looked_at_all_of_it(production_servers: Production) -> None:
    report = production_servers.watch.report
    assert report.bucket_segments == len(list(production_servers.bucket.glob("hls/*/*.ts")))
    assert report.http_segments > 0
