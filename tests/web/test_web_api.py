from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from fakes.front_end import FrontEnd, later, running
from openapi_schema_validator import OAS30Validator

from streamkit.database.rows import Page, SegmentRow, SessionRow, StreamRow
from streamkit.errors import DatabaseUnavailableError, EncoderNotFoundError, StoreUnavailableError
from streamkit.messages import (
    CheckDatabase,
    CountStreams,
    FindStream,
    ListSegments,
    ListSessions,
    ListStreams,
)
from streamkit.settings import HlsSettings, Settings
from streamkit.snapshots import Playlist, SegmentCounts, StreamSnapshot
from streamkit.storage.spool import Waiting
from streamkit.types import (
    BitsPerSecond,
    Rendition,
    RenditionName,
    Seconds,
    SessionId,
    StreamKey,
    StreamState,
    UnixTime,
)
from streamkit.web.schemas import SCHEMAS

KEY = StreamKey("demo")
AT = UnixTime(1790000000.25)
AT_ISO = "2026-09-21T14:13:20.250Z"
AWAY = DatabaseUnavailableError("postgres://user:secret@db refused")

LIVE = StreamSnapshot(
    key=KEY,
    state=StreamState.LIVE,
    session=SessionId("s1k2m3n4"),
    started_at=AT,
    renditions=(
        Rendition(name=RenditionName("720p"), video_codec="libx264", width=1280, height=720, fps=Fraction(30000, 1001)),
        Rendition(name=RenditionName("audio"), video_codec=None, audio_codec="aac"),
    ),
    fps=29.97,
    speed=1.001,
    bitrate=BitsPerSecond(2_800_000),
    dropped_frames=1,
    duplicated_frames=2,
    segments=SegmentCounts(closed=9, uploaded=8, listed=7, bytes=1000),
    upload_lag=Seconds(0.5),
    restarts=1,
    last_error="the encoder stalled",
    playlists={"playlist.m3u8": Playlist(name="playlist.m3u8", body=b"#EXTM3U\n")},
)
ROW = StreamRow(
    id=3,
    stream_key=KEY,
    status=StreamState.LIVE,
    started_at=AT,
    stopped_at=None,
    created_at=AT,
    updated_at=AT,
    last_error=None,
)
SESSION = SessionRow(
    id=4,
    stream_key=KEY,
    session=SessionId("s1k2m3n4"),
    status=StreamState.ENDED,
    started_at=AT,
    ended_at=UnixTime(AT + 10),
    end_reason="unpublished",
    renditions=(RenditionName("720p"),),
)


def segment_row(number: int, state: str = "uploaded") -> SegmentRow:
    return SegmentRow(
        session=SessionId("s1k2m3n4"),
        rendition=RenditionName("720p"),
        sequence=number,
        name=f"segment_s1k2m3n4_720p_{number}.ts",
        duration=Seconds(2.0),
        size=1000,
        program_date_time=AT,
        discontinuity=False,
        state=state,
    )


def answer_with(front: FrontEnd, question: type, value: Any) -> None:
    front.database_answers[question] = lambda _: later(value)


def valid(document: Any, schema: str) -> Any:
    """Return the document, which the OpenAPI document's schema describes."""
    OAS30Validator({"$ref": f"#/components/schemas/{schema}", "components": {"schemas": SCHEMAS}}).validate(document)
    return document


# ---- health and readiness


def test_health_is_ok_whatever_else_is_away(front: FrontEnd) -> None:
    front.store.failure = StoreUnavailableError("refused")
    front.database.stop()
    front.supervisor.stop()
    assert valid(front.get("/health").json(), "Health")["status"] == "ok"


def test_ready_says_the_state_and_reason_of_each_part(front: FrontEnd) -> None:
    answer = front.get("/ready")
    report = valid(answer.json(), "Readiness")
    assert answer.status_code == 200
    assert set(report["checks"]) == {"database", "object_store", "ffmpeg", "disk", "supervisor", "actors"}
    assert report["checks"]["ffmpeg"] == {"state": "ok", "reason": "FFmpeg 7.0 at /usr/bin/ffmpeg."}


def database_away(front: FrontEnd) -> None:
    answer_with(front, CheckDatabase, DatabaseUnavailableError("the database cannot be reached"))


def store_away(front: FrontEnd) -> None:
    front.store.failure = StoreUnavailableError("the store cannot be reached")


def uploads_fail(front: FrontEnd) -> None:
    """The store answers, and takes nothing."""
    front.spool.health.failed("the store is full")
    front.spool.health._failing_since = float("-inf")
    front.spool.health.failed("the store is full")


def uploads_behind(front: FrontEnd) -> None:
    front.spool.report(KEY, Waiting(segments=12, bytes=3_000_000, lag=Seconds(60.0)))


def encoder_missing(front: FrontEnd) -> None:
    def missing() -> str:
        raise EncoderNotFoundError("there is no FFmpeg")

    front.encoder = missing


def encoder_check_broken(front: FrontEnd) -> None:
    front.encoder = lambda: "".join(None)  # type: ignore[arg-type]


def supervisor_dead(front: FrontEnd) -> None:
    front.supervisor.stop()


def disk_missing(front: FrontEnd) -> None:
    front.folder.rmdir()
    front.folder.write_text("a file where the folder should be")


@pytest.mark.parametrize(
    ("breaks", "part", "status", "whole"),
    [
        (database_away, "database", 200, "degraded"),
        (store_away, "object_store", 200, "degraded"),
        (uploads_fail, "object_store", 200, "degraded"),
        (uploads_behind, "object_store", 200, "degraded"),
        (encoder_missing, "ffmpeg", 503, "down"),
        (encoder_check_broken, "ffmpeg", 503, "down"),
        (supervisor_dead, "supervisor", 503, "down"),
        (disk_missing, "disk", 503, "down"),
    ],
)
def test_ready_is_degraded_without_database_or_store_and_down_without_what_encodes(
    front: FrontEnd, breaks: Callable[[FrontEnd], None], part: str, status: int, whole: str
) -> None:
    breaks(front)
    answer = front.get("/ready")
    report = valid(answer.json(), "Readiness")
    assert (answer.status_code, report["status"]) == (status, whole)
    assert report["checks"][part]["state"] in ("degraded", "down")
    assert report["checks"][part]["reason"]


def test_those_who_ask_together_share_one_look(front: FrontEnd) -> None:
    for _ in range(3):
        front.get("/ready")
    assert len(front.told_database) == 1


# ---- statistics


def test_stats_has_the_totals_and_everything_about_each_live_stream(front: FrontEnd) -> None:
    front.board.publish(LIVE)
    front.board.publish(replace(LIVE, key=StreamKey("over"), state=StreamState.ENDED))
    stats = valid(front.get("/stats").json(), "Stats")
    totals = [stats[f"{name}_streams"] for name in ("total", "active", "inactive", "error")]
    assert totals == [5, 1, 3, 1]
    assert [stats[f"spool_{name}"] for name in ("segments", "bytes", "given_up")] == [0, 0, 0]
    (stream,) = stats["streams"]
    assert stream["uptime"] > 0
    assert stream["renditions"][0]["fps"] == 29.97
    expected = {
        "stream_key": "demo",
        "session": "s1k2m3n4",
        "state": "live",
        "started_at": AT_ISO,
        "playlist_url": "/hls/demo/playlist.m3u8",
        "segments_closed": 9,
        "segments_uploaded": 8,
        "segments_listed": 7,
        "bytes": 1000,
        "upload_lag": 0.5,
        "restarts": 1,
        "slate": False,
        "last_error": "the encoder stalled",
        "dropped_frames": 1,
        "duplicated_frames": 2,
        "bitrate": 2_800_000,
    }
    assert {name: stream[name] for name in expected} == expected


def test_stats_goes_on_without_the_database_and_says_so(front: FrontEnd) -> None:
    front.board.publish(LIVE)
    answer_with(front, CountStreams, AWAY)
    answer = front.get("/stats")
    stats = valid(answer.json(), "Stats")
    assert (answer.status_code, stats["total_streams"], stats["active_streams"]) == (200, None, 1)
    assert "database" in stats["note"]
    assert len(stats["streams"]) == 1
    front.database.stop()
    assert front.get("/stats").status_code == 200


# ---- streams


def test_streams_are_rows_with_their_live_state(front: FrontEnd) -> None:
    front.board.publish(LIVE)
    gone = replace(ROW, id=2, stream_key=StreamKey("gone"), status=StreamState.FAILED, stopped_at=AT, last_error="x")
    front.database_answers[ListStreams] = lambda m: later(
        Page(items=(ROW, gone), total=7, offset=m.offset, limit=m.limit)
    )
    page = valid(front.get("/streams?limit=2&offset=5").json(), "StreamPage")
    assert (page["total"], page["offset"], page["limit"]) == (7, 5, 2)
    live, failed = page["streams"]
    assert (live["id"], live["status"], live["state"], live["created_at"]) == (3, "active", "live", AT_ISO)
    assert live["live"]["session"] == "s1k2m3n4"
    assert (failed["status"], failed["state"], failed["live"]) == ("error", "failed", None)


def test_active_streams_asks_for_those_alone(front: FrontEnd) -> None:
    assert front.get("/streams/active").json()["streams"] == []
    assert front.told_database == [ListStreams(offset=0, limit=50, active_only=True)]


def test_a_stream_comes_with_a_page_of_its_sessions(front: FrontEnd) -> None:
    answer_with(front, FindStream, ROW)
    front.database_answers[ListSessions] = lambda m: later(
        Page(items=(SESSION,), total=9, offset=m.offset, limit=m.limit)
    )
    body = valid(front.get("/streams/demo?offset=1&limit=1").json(), "StreamDetail")
    assert (body["stream_key"], body["playlist_url"], body["live"]) == ("demo", "/hls/demo/playlist.m3u8", None)
    assert (body["sessions"]["total"], body["sessions"]["offset"]) == (9, 1)
    (session,) = body["sessions"]["items"]
    assert (session["status"], session["end_reason"]) == ("inactive", "unpublished")


def test_a_stream_that_has_no_row_yet_is_known_by_its_live_state(front: FrontEnd) -> None:
    front.board.publish(replace(LIVE, state=StreamState.CONNECTING, playlists={}))
    body = valid(front.get("/streams/demo").json(), "StreamDetail")
    assert (body["id"], body["status"], body["state"]) == (None, "active", "connecting")


def test_an_unknown_stream_is_404_and_a_wrong_key_422(front: FrontEnd) -> None:
    assert front.get("/streams/nobody").status_code == 404
    assert front.get("/streams/no%20body").status_code == 422


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=501", "limit=x", "limit=-1", "offset=-1", "offset=1e3", "limit=", "limit=1&limit=2", "offset=٣"],
)
def test_a_wrong_page_is_422(front: FrontEnd, query: str) -> None:
    answer = front.get(f"/streams?{query}")
    if query == "limit=":  # an empty value counts as none
        assert answer.status_code == 200
    else:
        assert (answer.status_code, answer.json()["error"]["code"][-9:]) == (422, "parameter")


@pytest.mark.parametrize("path", ["/streams", "/streams/active", "/streams/demo", "/manifest?stream_key=demo"])
def test_without_the_database_history_is_503_with_a_reason_and_no_secret(front: FrontEnd, path: str) -> None:
    front.database_is_away(AWAY)
    answer = front.get(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "database_unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert "secret" not in answer.text
    front.database.stop()
    assert front.get(path).json()["error"]["code"] == "database_unavailable"


# ---- manifest


def test_the_manifest_lists_what_the_store_has(front: FrontEnd) -> None:
    rows = (segment_row(0), segment_row(1, "lost"), segment_row(2), segment_row(3, "closed"))
    answer_with(front, ListSegments, rows)
    manifest = valid(front.get("/manifest?stream_key=demo&rendition=720p").json(), "Manifest")
    assert manifest["stream_key"] == "demo"
    assert manifest["playlist_url"] == "/hls/demo/playlist.m3u8"
    assert manifest["segments"] == [
        {"url": "/hls/demo/segment_s1k2m3n4_720p_0.ts", "duration": 2.0, "size": 1000},
        {"url": "/hls/demo/segment_s1k2m3n4_720p_2.ts", "duration": 2.0, "size": 1000},
    ]
    assert manifest["total_duration"] == 4.0
    assert front.told_database[0].rendition == "720p"


def test_the_manifest_of_a_known_stream_without_segments_is_empty(front: FrontEnd) -> None:
    front.board.publish(LIVE)
    assert valid(front.get("/manifest?stream_key=demo").json(), "Manifest")["segments"] == []


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 422),
        ("stream_key=", 422),
        ("stream_key=a%2Fb", 422),
        ("stream_key=a&stream_key=b", 422),
        ("stream_key=nobody", 404),
        ("stream_key=demo&rendition=../x", 422),
    ],
)
def test_the_manifest_of_a_wrong_or_unknown_stream_is_refused(front: FrontEnd, query: str, status: int) -> None:
    assert front.get(f"/manifest?{query}").status_code == status


def test_with_a_cdn_the_manifest_points_there(front_settings: Settings) -> None:
    front_settings.hls.output_dir.mkdir()
    hls = HlsSettings(output_dir=front_settings.hls.output_dir, cdn_base_url="https://cdn.test/")
    with running(front_settings.model_copy(update={"hls": hls})) as front:
        answer_with(front, ListSegments, (segment_row(0),))
        manifest = front.get("/manifest?stream_key=demo").json()
        assert manifest["segments"][0]["url"] == "https://cdn.test/hls/demo/segment_s1k2m3n4_720p_0.ts"
