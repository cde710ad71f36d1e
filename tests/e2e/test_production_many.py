"""Many streams at once on real servers, good and bad: each ends in its own right state."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from e2e_archive import SMALL, check_archive
from e2e_player import LivePlayer, check_rendition, decode
from e2e_production import Production
from servers.publishing import Publisher

pytestmark = pytest.mark.e2e

FPS = 15
GOOD, RETURNS = "patient-good", "patient-returns"  # their publishers may be away for two minutes
DIES, SILENT, INVALID = "dies", "silent", "-invalid"

Push = Callable[..., Publisher]


@pytest.fixture(scope="module")
def source(make_source: Callable[..., Path]) -> Path:
    return make_source(width=426, height=240, fps=FPS, seconds=60)


@pytest.fixture(scope="module")
def outcome(production_servers: Production, push: Push, source: Path) -> dict[str, Any]:
    """Five streams came and went at different moments; what was seen of them on the way."""
    production = production_servers
    production.environment.pop("RTMP_STATUS_URL")  # else the stream that nobody publishes is seen not to be there
    production.start()
    url = production.nginx.url
    good = push(url(GOOD), source)
    answer = production.client.post("/events/published", json={"stream_key": SILENT, "action": "publish"})
    dies, returns = push(url(DIES), source), push(url(RETURNS), source)
    invalid = push(url(INVALID), source)
    seen: dict[str, Any] = {
        "good": production.wait_live(GOOD, segments=2),
        "silent answer": answer.json(),
        "invalid exit": invalid.wait(30),
        "dies": production.wait_live(DIES, segments=2),
        "returns": production.wait_live(RETURNS, segments=2),
        "second exit": push(url(GOOD), source).wait(30),
        "after second": production.live(GOOD),
    }
    dies.kill()
    returns.kill()
    production.wait(lambda: is_in_state(production, RETURNS, "reconnecting"), "the loss of a publisher")
    again = push(url(RETURNS), source)
    seen["returned"] = production.wait(lambda: live_again(production, seen["returns"]), "the publisher's return")
    seen["died row"] = production.wait_state(DIES, "ended")
    seen["silent row"] = production.wait(lambda: failed_row(production, SILENT), "the failure of a silent stream")
    seen["active"] = {one["stream_key"]: one for one in production.get("/streams/active")["streams"]}
    seen["stats"] = production.get("/stats")
    seen["publishers"] = production.nginx.publishers()
    player = LivePlayer(production.client, GOOD)
    player.refresh()
    returning_player = LivePlayer(production.client, RETURNS)
    returning_player.refresh()
    seen["player"], seen["returning player"] = player, returning_player
    assert good.running
    assert again.running
    seen["exit code"] = production.terminate()
    good.stop()
    again.stop()
    return seen


def is_in_state(production: Production, key: str, state: str) -> bool:
    live = production.live(key)
    return live is not None and live["state"] == state


def live_again(production: Production, before: dict[str, Any]) -> dict[str, Any] | None:
    live = production.live(before["stream_key"])
    grown = live is not None and live["segments_listed"] >= before["segments_listed"] + 6
    return live if live is not None and live["state"] == "live" and grown else None


def failed_row(production: Production, key: str) -> dict[str, Any] | None:
    row = production.row(key)
    return row if row is not None and row["status"] == "error" else None


def test_a_publisher_with_an_invalid_key_is_turned_away_and_leaves_no_trace(
    production: Production, outcome: dict[str, Any]
) -> None:
    assert outcome["invalid exit"] != 0
    assert production.row(INVALID) is None
    assert not (production.bucket / "hls" / INVALID).exists()
    assert not (production.hls_folder / INVALID).exists()


def test_a_second_publisher_of_a_live_key_is_turned_away_and_the_first_goes_on(
    production: Production, outcome: dict[str, Any]
) -> None:
    assert outcome["second exit"] != 0
    first, later = outcome["good"], outcome["after second"]
    assert (later["state"], later["session"], later["restarts"]) == ("live", first["session"], 0)
    assert outcome["active"][GOOD]["live"]["session"] == first["session"]
    assert GOOD in outcome["publishers"]
    check_archive(production, GOOD, first["session"], fps=FPS, discontinuities=0)


def test_a_key_that_never_sends_media_fails_with_the_reason(production: Production, outcome: dict[str, Any]) -> None:
    assert outcome["silent answer"]["status"] == "accepted"
    row = outcome["silent row"]
    assert "nothing playable came within 15 s" in row["last_error"]
    assert row["stopped_at"] is not None
    assert production.session_rows(SILENT) == []
    assert not (production.bucket / "hls" / SILENT).exists()


def test_a_publisher_that_dies_ends_its_stream_after_the_window(
    production: Production, outcome: dict[str, Any]
) -> None:
    assert outcome["died row"]["stopped_at"] is not None
    (session,) = production.session_rows(DIES)
    assert (session["status"], session["session"]) == ("ended", outcome["dies"]["session"])
    assert session["end_reason"] == "the publisher did not come back"
    assert DIES not in outcome["publishers"]
    check_archive(production, DIES, session["session"], fps=FPS, discontinuities=0)


def test_a_publisher_that_returns_within_the_window_resumes_its_session(
    production: Production, outcome: dict[str, Any]
) -> None:
    before, after = outcome["returns"], outcome["returned"]
    assert after["session"] == before["session"]
    assert [row["session"] for row in production.session_rows(RETURNS)] == [before["session"]]
    player: LivePlayer = outcome["returning player"]
    assert not any(playlist.ended for playlist in player.playlists.values())
    check_archive(production, RETURNS, before["session"], fps=FPS, discontinuities=1)


def test_only_what_is_on_air_was_active(outcome: dict[str, Any]) -> None:
    assert outcome["active"].keys() == {GOOD, RETURNS}
    assert {one["live"]["state"] for one in outcome["active"].values()} == {"live"}
    stats = outcome["stats"]
    counts = {name: stats[f"{name}_streams"] for name in ("total", "active", "inactive", "error")}
    assert counts == {"total": 4, "active": 2, "inactive": 1, "error": 1}
    assert {one["stream_key"] for one in stats["streams"]} == {GOOD, RETURNS}


def test_the_good_stream_played_through_all_of_it(outcome: dict[str, Any]) -> None:
    player: LivePlayer = outcome["player"]
    for name, size in SMALL.items():
        segments = [decode(data) for _, data in sorted(player.segments[name].items())]
        check_rendition(player.playlists[name], segments, size=size, fps=FPS)


def test_the_stop_ended_what_was_still_on_air(production_servers: Production, outcome: dict[str, Any]) -> None:
    assert outcome["exit code"] == 0
    for key in (GOOD, RETURNS):
        (session,) = production_servers.session_rows(key)
        assert (session["status"], session["end_reason"]) == ("ended", "the service stopped")
    assert not production_servers.encoders()


def test_the_watchers_looked_at_all_of_it(production_servers: Production, outcome: dict[str, Any]) -> None:
    report = production_servers.watch.report
    assert report.bucket_segments == len(list(production_servers.bucket.glob("hls/*/*.ts")))
    assert report.http_segments > 0
