"""POST, GET and DELETE of clips, with a database and a Supervisor that record, and a store in memory."""

import json
import re
import time
from dataclasses import replace
from typing import Any

import pytest
from fakes.front_end import FrontEnd, later
from hls.hls_kit import START, Stream
from test_web_hostile_input import BODIES, HUGE, check, request, send

from streamkit.database.rows import ClipRow, Page, SessionRow, StreamRow
from streamkit.errors import DatabaseUnavailableError, StoreUnavailableError
from streamkit.hls.clip import Available, Cut, Span
from streamkit.hls.render import render_vod
from streamkit.messages import (
    BeginClip,
    CutClip,
    DeleteClip,
    FindClip,
    FindStream,
    FinishClip,
    ListClips,
    ListSessions,
)
from streamkit.types import ClipId, MediaSequence, RenditionName, SessionId, StreamKey, StreamState, UnixTime

KEY = StreamKey("demo")
A, B = RenditionName("720p"), RenditionName("480p")
CLIPS = "/streams/demo/clips"
JSON = {"Content-Type": "application/json"}


def a_row(message: BeginClip, state: str = "pending") -> ClipRow:
    return ClipRow(
        stream_key=message.key,
        clip=message.clip,
        session=message.session,
        name=message.name,
        state=state,
        first=message.first,
        last=message.last,
        starts_at=message.starts_at,
        ends_at=message.ends_at,
        renditions=message.renditions,
        created_at=message.created_at,
    )


ROW = ClipRow(
    stream_key=KEY,
    clip=ClipId("0123456789"),
    session=SessionId("s1hz9xk0"),
    name="goal",
    state="ready",
    first=MediaSequence(3),
    last=MediaSequence(5),
    starts_at=UnixTime(START),
    ends_at=UnixTime(START + 6),
    renditions=(A, B),
    created_at=UnixTime(START),
)


@pytest.fixture
def stored(front: FrontEnd) -> Stream:
    """An ended broadcast of 20 segments, of which only the store knows."""
    stream = Stream()
    stream.open(A, B)
    stream.make(range(20), A, B)
    stream.record(stream.ledger.end_session(stream.time))
    session = stream.ledger.session
    assert session is not None
    for name, body in render_vod(stream.ledger).items():
        front.store.objects[f"hls/demo/{name}"] = body
    row = SessionRow(
        id=1,
        stream_key=KEY,
        session=session,
        status=StreamState.ENDED,
        started_at=UnixTime(START),
        ended_at=UnixTime(START + 40),
        end_reason=None,
        renditions=(A, B),
    )
    front.supervisor_answers[CutClip] = lambda _: later(None)
    front.database_answers |= {
        FindStream: lambda _: later(a_stream_row()),
        ListSessions: lambda m: later(Page(items=(row,), total=1, offset=m.offset, limit=m.limit)),
        BeginClip: lambda m: later(a_row(m)),
        FinishClip: lambda _: later(True),
        DeleteClip: lambda _: later(True),
        FindClip: lambda _: later(ROW),
        ListClips: lambda m: later(Page(items=(ROW,), total=1, offset=m.offset, limit=m.limit)),
    }
    return stream


def a_stream_row() -> StreamRow:
    at = UnixTime(START)
    return StreamRow(
        id=1,
        stream_key=KEY,
        status=StreamState.ENDED,
        started_at=at,
        stopped_at=at,
        created_at=at,
        updated_at=at,
        last_error=None,
    )


def post(front: FrontEnd, **fields: Any) -> Any:
    return front.client.post(CLIPS, json={name.rstrip("_"): value for name, value in fields.items()})


def test_a_clip_of_an_ended_broadcast_is_cut_out_of_its_stored_playlists(front: FrontEnd, stored: Stream) -> None:
    answer = post(front, from_=START + 4, to="2027-01-15T08:00:10Z", name="goal")
    assert answer.status_code == 201, answer.text
    clip = answer.json()
    assert answer.headers["location"] == f"{CLIPS}/{clip['id']}"
    assert (clip["first_sequence"], clip["last_sequence"], clip["duration"]) == (2, 4, 6.0)
    assert (clip["from"], clip["to"]) == ("2027-01-15T08:00:04.000Z", "2027-01-15T08:00:10.000Z")
    entry = front.get(clip["playlist_url"])
    assert entry.status_code == 200
    uris = [line for line in entry.text.splitlines() if not line.startswith("#")]
    assert [f"/hls/demo/{uri}" for uri in uris] == [one["url"] for one in clip["renditions"]]
    media = front.get(clip["renditions"][0]["url"]).text
    assert re.findall(r"segment_\w+_720p_(\d+)\.ts", media) == ["2", "3", "4"]


def test_its_row_is_there_before_its_playlists_and_is_finished_after(front: FrontEnd, stored: Stream) -> None:
    seen: dict[str, list[str]] = {}

    def note(kind: str, answer: Any) -> Any:
        seen[kind] = [name for name in front.store.objects if "clip_" in name]
        return later(answer)

    front.database_answers[BeginClip] = lambda m: note("begin", a_row(m))
    front.database_answers[FinishClip] = lambda _: note("finish", True)
    post(front, from_=-6)
    assert seen["begin"] == []
    assert len(seen["finish"]) == 3


def test_a_clip_of_a_running_broadcast_comes_from_its_ledger(front: FrontEnd, stored: Stream) -> None:
    cut = Cut(
        session=SessionId("s1hz9xk1"),
        first=MediaSequence(7),
        last=MediaSequence(8),
        start=UnixTime(START),
        end=UnixTime(START + 4),
        renditions=(A,),
        files={"s1hz9xk1_720p.m3u8": b"media", "s1hz9xk1.m3u8": b"#EXTM3U\ns1hz9xk1_720p.m3u8\n"},
    )
    front.supervisor_answers[CutClip] = lambda _: later(cut)
    clip = post(front, from_=-4).json()
    assert (clip["session"], clip["first_sequence"]) == ("s1hz9xk1", 7)
    assert front.store.objects[f"hls/demo/clip_{clip['id']}_720p.m3u8"] == b"media"
    assert [m.span for m in front.told_supervisor if isinstance(m, CutClip)] == [Span(start=-4.0, end=0.0)]


def test_the_same_request_again_finds_the_clip_and_writes_nothing(front: FrontEnd, stored: Stream) -> None:
    first = post(front, from_=START, to=START + 6).json()
    front.database_answers[BeginClip] = lambda m: later(a_row(m, "ready"))
    front.store.objects.pop(f"hls/demo/clip_{first['id']}.m3u8")
    again = post(front, from_=START, to=START + 6)
    assert (again.status_code, again.json()["id"]) == (200, first["id"])
    assert f"hls/demo/clip_{first['id']}.m3u8" not in front.store.objects


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "'from' is missing"),
        ({"from_": None}, "'from' is missing"),
        ({"from_": True}, "'from' must be"),
        ({"from_": "yesterday"}, "'from' must be"),
        ({"from_": "2026-11-22T20:00:00"}, "with its zone"),
        ({"from_": "1969-12-31T23:59:59Z"}, "'from' must be"),
        ({"from_": "0001-01-01T00:00:00+14:00"}, "'from' must be"),
        ({"from_": 1_790_000_000_000}, "Unix seconds"),
        ({"from_": -10, "to": []}, "'to' must be"),
        ({"from_": START + 9, "to": START + 3}, "'from' must be before 'to'"),
        ({"from_": -1, "to": "2026-11-22t20:00:00z"}, "has 2027-01-15"),
        ({"from_": 0}, "'from' must be before 'to'"),
        ({"from_": -1, "session": "x"}, "'session' must be"),
        ({"from_": -1, "session": 7}, "'session' must be"),
        ({"from_": -1, "name": "a\nb"}, "'name' must be"),
        ({"from_": -1, "name": "a" * 201}, "'name' must be"),
        ({"from_": -1, "titel": "a"}, "'titel' is none"),
        ({"from_": START + 100, "to": START + 110}, "has 2027-01-15T08:00:00.000Z to 2027-01-15T08:00:40.000Z"),
        ({"from_": -5, "session": "s0000000"}, "Nothing of session s0000000 is stored"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(
    front: FrontEnd, stored: Stream, fields: dict[str, Any], message: str
) -> None:
    answer = post(front, **fields)
    assert answer.status_code == 422
    assert message in answer.json()["error"]["message"]
    assert not [m for m in front.told_database if isinstance(m, BeginClip)]


def test_what_the_ledger_has_is_said_when_nothing_is_in_the_range(front: FrontEnd, stored: Stream) -> None:
    live = Available(session=SessionId("s1hz9xk1"), start=UnixTime(START + 50), end=UnixTime(START + 90))
    front.supervisor_answers[CutClip] = lambda _: later(live)
    answer = post(front, from_=START + 200)
    assert answer.status_code == 422
    assert "session s1hz9xk1 has 2027-01-15T08:00:50.000Z to" in answer.json()["error"]["message"]


def test_an_unknown_stream_is_404(front: FrontEnd, stored: Stream) -> None:
    front.database_answers[FindStream] = lambda _: later(None)
    assert post(front, from_=-5).status_code == 404
    front.database_answers[ListClips] = lambda m: later(Page(items=(), total=0, offset=m.offset, limit=m.limit))
    assert front.get(CLIPS).status_code == 404


def test_a_session_that_is_about_to_go_is_409(front: FrontEnd, stored: Stream) -> None:
    front.database_answers[BeginClip] = lambda _: later(None)
    answer = post(front, from_=-5)
    assert answer.status_code == 409
    assert "is not kept any more" in answer.json()["error"]["message"]
    assert not [name for name in front.store.objects if "clip_" in name]


def test_only_declared_json_is_taken_so_that_no_web_page_can_send_it(front: FrontEnd, stored: Stream) -> None:
    for media_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        answer = front.client.post(CLIPS, content=b'{"from": -5}', headers={"Content-Type": media_type})
        assert answer.status_code == 415
    preflight = front.request("OPTIONS", CLIPS, Origin="http://evil.test")
    assert "access-control-allow-origin" not in preflight.headers


@pytest.mark.parametrize(
    ("away", "code"),
    [(DatabaseUnavailableError("gone"), "database_unavailable"), (StoreUnavailableError("gone"), "store_unavailable")],
)
def test_without_database_or_store_it_is_503_and_says_which(
    front: FrontEnd, stored: Stream, away: Exception, code: str
) -> None:
    if isinstance(away, StoreUnavailableError):
        front.store.failure = away
    else:
        front.database_is_away(away)
    answer = post(front, from_=-5)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, code)


def test_clips_are_listed_and_found(front: FrontEnd, stored: Stream) -> None:
    page = front.get(f"{CLIPS}?limit=5").json()
    assert (page["total"], page["limit"], [one["name"] for one in page["clips"]]) == (1, 5, ["goal"])
    assert front.get(f"{CLIPS}/0123456789").json() == page["clips"][0]


def test_a_clip_that_is_not_finished_is_not_shown(front: FrontEnd, stored: Stream) -> None:
    front.database_answers[FindClip] = lambda _: later(replace(ROW, state="pending"))
    assert front.get(f"{CLIPS}/0123456789").status_code == 404


def test_a_deleted_clip_is_unlisted_at_once_and_its_segments_stay_for_those_who_play_it(
    front: FrontEnd, stored: Stream
) -> None:
    """RFC 8216 6.2.2"""
    names = [f"hls/demo/clip_0123456789{rest}.m3u8" for rest in ("", "_720p", "_480p")]
    front.store.objects |= dict.fromkeys(names, b"#EXTM3U\n")
    before = len(front.store.objects)
    asked_at = time.time()
    assert front.request("DELETE", f"{CLIPS}/0123456789").status_code == 204
    assert len(front.store.objects) == before - 3
    told = [m for m in front.told_database if isinstance(m, DeleteClip)]
    assert told[0].remove_after >= asked_at + 6 + front.settings.retention.grace


@pytest.mark.parametrize("clip", ["012345678", "../x", "%00", "0123456789%0d%0a", HUGE, "clip_0123456789"])
def test_what_is_no_id_is_404(front: FrontEnd, stored: Stream, clip: str) -> None:
    for method in ("GET", "DELETE"):
        check(*send(front, request(method, f"{CLIPS}/{clip}", {})))
    assert not [m for m in front.told_database if isinstance(m, DeleteClip)]


HOSTILE = [
    b'{"from":NaN}',
    b'{"from":-Infinity,"to":Infinity}',
    b'{"from":1e308,"to":1e309}',
    b'{"from":-' + b"9" * 5000 + b"}",
    b'{"from":{"$gt":0}}',
    b'{"from":"' + b"9" * 20000 + b'"}',
    b'{"from":"2026-11-22T20:00:00\\u0000Z"}',
    b'{"from":-5,"name":"\\ud800"}',
    b'{"from":-5,"name":"\\u0000"}',
    b'{"from":-5,"session":"../../x"}',
    b'{"from":-5,"session":"s1hz9xk0\\n"}',
    b'{"from":-5,"__proto__":1}',
    b"[" * 60000,
]


def test_hostile_bodies_are_refused(front: FrontEnd, stored: Stream) -> None:
    for body in (*BODIES, *HOSTILE):
        check(*send(front, request("POST", CLIPS, JSON, body)))
    assert not [m for m in front.told_database if isinstance(m, BeginClip)]


def test_a_stored_playlist_that_is_not_ours_is_no_error_of_ours(front: FrontEnd, stored: Stream) -> None:
    for name in [name for name in front.store.objects if name.endswith(".m3u8")]:
        front.store.objects[name] = b"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:x\n\xff"
    assert post(front, from_=-5).status_code == 422


def test_answers_have_the_documented_form(front: FrontEnd, stored: Stream) -> None:
    schema = front.get("/docs/openapi.json").json()["components"]["schemas"]["Clip"]
    for clip in (post(front, from_=-5).json(), front.get(CLIPS).json()["clips"][0]):
        assert set(clip) == set(schema["required"])
    assert json.dumps(schema)
