"""What stays of a broadcast: DVR playlists while it runs, its whole playlists when it is over."""

import re
from concurrent.futures import Future
from pathlib import Path

import pytest
from fakes.stream_world import KEY, StreamWorld

from actors import playlists
from streamkit.hls.clip import Available, Cut, Span
from streamkit.messages import CutClip, EndPublish, ObjectStored, UploadPlaylist, UploadSegment
from streamkit.settings import HlsSettings, SessionSettings, StreamRule
from streamkit.types import SessionId, StreamState, UnixTime


def a_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **hls: object) -> StreamWorld:
    return StreamWorld(
        tmp_path,
        monkeypatch,
        hls=HlsSettings(**hls),  # type: ignore[arg-type]
        sessions=SessionSettings(reconnect_window=0.0),
    )


def uris(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_a_dvr_playlist_says_the_same_here_and_in_the_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = a_world(tmp_path, monkeypatch, dvr="event", window=6.0)
    world.go_live(segments=20)
    assert not any(name.startswith("dvr") for name in world.snapshot.playlists), "the store has nothing yet"
    world.store_everything()
    assert len(uris(world.local("dvr_720p.m3u8"))) == 20
    assert len(uris(world.local("720p.m3u8"))) == 3
    for name in ("dvr.m3u8", "dvr_720p.m3u8", "dvr_480p.m3u8"):
        assert world.local(name) == world.bucket(name)


def test_a_rule_gives_one_stream_dvr_and_another_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = StreamRule(match=KEY, dvr="sliding", dvr_window=60.0, window=10.0)
    world = StreamWorld(tmp_path, monkeypatch, streams=(rule,))
    world.go_live(segments=40)
    world.store_everything()
    assert len(uris(world.local("dvr_720p.m3u8"))) == 30
    assert len(uris(world.local("720p.m3u8"))) == 5


def test_by_default_there_are_no_dvr_playlists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = a_world(tmp_path, monkeypatch)
    world.go_live(segments=3)
    world.store_everything()
    assert not [m.name for ref in world.uploaders for m in ref.of(UploadPlaylist) if m.name.startswith("dvr")]


def test_after_a_crash_the_dvr_playlist_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = a_world(tmp_path, monkeypatch, dvr="event")
    world.go_live(segments=5)
    world.store_everything()
    before = world.bucket("dvr_720p.m3u8")
    world.actor = world.new_actor()
    world.actor._broadcast.recover()
    world.pass_time(1)
    assert world.local("dvr_720p.m3u8") == before


def test_the_dvr_playlist_ends_with_the_broadcast(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = a_world(tmp_path, monkeypatch, dvr="sliding")
    end(world, segments=3)
    world.store_everything()
    assert world.bucket("dvr_480p.m3u8").endswith("#EXT-X-ENDLIST\n")


def end(world: StreamWorld, *, segments: int) -> None:
    world.go_live(segments=segments)
    world.tell(EndPublish(publish=1))
    world.encoder_exits()


def test_the_whole_broadcast_is_put_by_the_acknowledgement_of_its_last_segment_and_by_nothing_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = a_world(tmp_path, monkeypatch)
    end(world, segments=4)
    session = world.snapshot.session
    segments = [m.name for ref in world.uploaders for m in ref.of(UploadSegment)]
    for name in segments[:-1]:
        world.tell(ObjectStored(name=name, version=0, stored_at=UnixTime(world.clock.time())))
    assert not whole(world, f"{session}_720p.m3u8")
    world.tell(ObjectStored(name=segments[-1], version=0, stored_at=UnixTime(world.clock.time())))
    assert whole(world, f"{session}_720p.m3u8"), "no tick and no timer in between"
    assert not whole(world, f"{session}.m3u8"), "what names the others comes when they are there"
    world.store_everything()
    listed = uris(world.bucket(f"{session}_720p.m3u8"))
    assert listed == [name for name in segments if "_720p_" in name], "the same objects, none copied"
    assert re.search("^#EXT-X-PLAYLIST-TYPE:VOD$", world.bucket(f"{session}_720p.m3u8"), re.MULTILINE)


def whole(world: StreamWorld, name: str) -> list[UploadPlaylist]:
    return [m for ref in world.uploaders for m in ref.of(UploadPlaylist) if m.name == name]


def test_a_long_broadcast_is_rendered_once_however_many_acknowledgements_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = a_world(tmp_path, monkeypatch)
    rendered: list[object] = []
    render = playlists.render_vod
    monkeypatch.setattr(playlists, "render_vod", lambda *args: rendered.append(args) or render(*args))
    end(world, segments=4)
    world.store_everything()
    assert len(rendered) == 1


def cut(world: StreamWorld, start: float, session: SessionId | None = None) -> Cut | Available | None:
    answer: Future[Cut | Available | None] = Future()
    world.tell(CutClip(key=KEY, session=session, span=Span(start=start, end=0.0), answer=answer))
    return answer.result(timeout=0)


def test_a_clip_is_cut_out_of_what_the_store_has_while_the_broadcast_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = a_world(tmp_path, monkeypatch)
    world.go_live(segments=5)
    assert cut(world, -4.0) is None
    world.store_everything()
    world.segment(5)
    found = cut(world, -4.0)
    assert isinstance(found, Cut)
    assert (found.first, found.last, found.session) == (3, 4, world.snapshot.session)
    assert cut(world, -4.0, SessionId("s0000000")) is None


def test_where_recordings_are_not_kept_there_are_no_playlists_of_the_whole_broadcast(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = StreamRule(match=KEY, archive=False, window=6.0)
    world = StreamWorld(tmp_path, monkeypatch, streams=(rule,), sessions=SessionSettings(reconnect_window=0.0))
    world.go_live(segments=10)
    world.store_everything()
    assert world.snapshot.listed_from == 7
    found = cut(world, -1000.0)
    assert isinstance(found, Cut)
    assert found.first == 7, "what no playlist lists may be on its way out"
    world.tell(EndPublish(publish=1))
    world.encoder_exits()
    world.store_everything()
    assert not whole(world, f"{world.snapshot.session}.m3u8")
    assert world.bucket("720p.m3u8").endswith("#EXT-X-ENDLIST\n")
    assert world.snapshot.state is StreamState.ENDED
