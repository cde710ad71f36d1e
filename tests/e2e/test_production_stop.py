"""Stopping and killing `streamkit serve` in mid-stream, on real servers."""

from collections.abc import Callable
from pathlib import Path

import pytest
from e2e_player import MediaPlaylist, check_alignment, check_rendition, decode, parse_media, parse_multivariant
from e2e_production import Production, without_retries
from servers.process import descendants, live_processes
from servers.publishing import Publisher
from servers.waiting import wait_until

pytestmark = pytest.mark.e2e

FPS = 30
SIZES = {"240p": (426, 240), "144p": (256, 144)}

Push = Callable[..., Publisher]


def check_archive(production: Production, key: str, session: str, *, discontinuities: int) -> dict[str, MediaPlaylist]:
    """Return the renditions' playlists of a whole broadcast; AssertionError unless it plays from the bucket alone."""
    files = production.stored(key, "")
    playlists, found = {}, {}
    for variant in parse_multivariant(files[f"{session}.m3u8"].decode()):
        playlist = parse_media(files[variant.uri].decode())
        assert (playlist.kind, playlist.ended, playlist.discontinuities) == ("VOD", True, discontinuities)
        assert [entry.sequence for entry in playlist.entries] == list(range(len(playlist.entries)))
        assert not any(entry.gap for entry in playlist.entries)
        segments = {entry.sequence: decode(files[entry.uri]) for entry in playlist.entries}
        check_rendition(playlist, list(segments.values()), size=SIZES[variant.rendition], fps=FPS)
        playlists[variant.rendition], found[variant.rendition] = playlist, segments
    assert playlists.keys() == SIZES.keys()
    check_alignment(found, fps=FPS)
    return playlists


def check_nothing_half_written(production: Production, key: str, playlists: dict[str, MediaPlaylist]) -> None:
    """AssertionError unless the bucket has exactly what the archive lists, as whole as on the disk it came from."""
    segments = production.stored(key, ".ts")
    assert segments.keys() == {uri for playlist in playlists.values() for uri in playlist.uris}
    local = {path.name: path.read_bytes() for path in (production.hls_folder / key).glob("*.ts")}
    for name, content in segments.items():
        assert len(content) % 188 == 0, name
        assert local.get(name, content) == content, name
    for name, content in production.stored(key, ".m3u8").items():
        assert content.startswith(b"#EXTM3U\n"), name
        assert content.endswith(b"\n"), name


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
    playlists = check_archive(production, key, session, discontinuities=0)
    check_nothing_half_written(production, key, playlists)
    assert all(production.stored_playlist(key, f"{name}.m3u8").ended for name in SIZES)
    row, (session_row,) = production.row(key), production.session_rows(key)
    assert row is not None
    assert (row["status"], without_retries(row["last_error"])) == ("ended", None)
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


def test_a_new_broadcast_after_a_stop_goes_on_with_the_numbers(
    production: Production, make_source: Callable[..., Path], push: Push
) -> None:
    key = "patient-stop"
    before = production.stored_playlist(key, "240p.m3u8")
    publisher = push(production.nginx.url(key), make_source())
    live = production.wait_live(key, segments=1)
    sessions = [row["session"] for row in production.session_rows(key)]
    assert len(sessions) == 2
    assert live["session"] == max(sessions)
    after = production.stored_playlist(key, "240p.m3u8")
    assert after.sequence > before.entries[-1].sequence
    assert after.discontinuity_sequence >= before.entries[-1].period
    publisher.stop()
    production.terminate()


def test_a_killed_service_resumes_the_session_and_loses_no_closed_segment(
    production: Production, make_source: Callable[..., Path], push: Push
) -> None:
    key = "patient-crash"
    publisher = push(production.nginx.url(key), make_source())
    session = production.wait_live(key, segments=4)["session"]
    encoders = production.encoders(key)
    assert len(encoders) == 1

    production.kill()

    wait_until(lambda: not production.encoders(), what="the end of FFmpeg with its service")
    closed = closed_by_ffmpeg(production, key, session)
    assert len(closed) >= 4
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
    assert row["status"] == "live"
    assert production.terminate() == 0

    playlists = check_archive(production, key, session, discontinuities=1)
    check_nothing_half_written(production, key, playlists)
    assert closed <= production.stored(key, ".ts").keys()
    assert [row["session"] for row in production.session_rows(key)] == [session]
    assert not production.encoders()
    publisher.stop()


def closed_by_ffmpeg(production: Production, key: str, session: str) -> set[str]:
    """Return the segments that FFmpeg noted as closed before it died."""
    folder = production.hls_folder / key
    lines = [line for name in SIZES for line in (folder / f".{session}_{name}.m3u8").read_text().splitlines()]
    return {line for line in lines if line.endswith(".ts")}


def number(segment: str) -> int:
    return int(segment.removesuffix(".ts").rpartition("_")[2])


def has_number_above(production: Production, key: str, least: int) -> bool:
    return all(production.stored_playlist(key, f"{name}.m3u8").entries[-1].sequence > least for name in SIZES)


def test_the_watchers_looked_at_all_of_it(production_servers: Production) -> None:
    report = production_servers.watch.report
    assert report.bucket_segments == len(list(production_servers.bucket.glob("hls/*/*.ts")))
    assert report.http_segments > 0
