"""The Retention actor on real rows in both databases and a real folder as the store; its looks are made by hand."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pykka
import pytest
from fakes.saves import KEY, SEGMENT, SESSION, STREAM

from actors import retention
from actors.database import DatabaseActor
from actors.retention import Retention
from actors.timers import Timers
from streamkit.errors import StoreUnavailableError
from streamkit.messages import BeginClip, DeleteClip, FinishClip, FlushDatabase, ListArchives, ListSegments, Message
from streamkit.settings import HlsSettings, Settings
from streamkit.settings_retention import RetentionSettings
from streamkit.snapshots import Playlist, SnapshotBoard, StreamSnapshot
from streamkit.storage.local import LocalStore
from streamkit.types import ClipId, MediaSequence, RenditionName, Seconds, SessionId, StreamState, UnixTime

S = SessionId("s1hz9xk0")
NOW = 1_800_000_000.0
HOUR = 3600.0


class World:
    """One ended broadcast of ten segments, an hour ago; a clock that moves by hand."""

    def __init__(self, folder: Path, url: str, patch: pytest.MonkeyPatch, **keep: Any) -> None:
        self.now = NOW
        patch.setattr(retention.time, "time", lambda: self.now)
        self.timers = Timers()
        self.settings = Settings(
            hls=HlsSettings(output_dir=folder / "hls"), retention=RetentionSettings(**{"grace": 60.0, **keep})
        )
        self.database: pykka.ActorRef[DatabaseActor] = DatabaseActor.start(url=url, timers=self.timers)
        self.store = LocalStore(folder / "store")
        self.board = SnapshotBoard()
        self.actor = self.new_actor()
        ended = replace(
            SESSION,
            session=S,
            state=StreamState.ENDED,
            started_at=UnixTime(NOW - HOUR - 20),
            ended_at=UnixTime(NOW - HOUR),
        )
        for row in (STREAM, ended, *(self.segment_row(number) for number in range(10))):
            self.database.tell(row)
        assert self.ask(FlushDatabase(deadline=Seconds(15))) == 0
        for number in range(10):
            self.put(self.segment_row(number).name)
        for name in (f"{S}.m3u8", f"{S}_720p.m3u8", f"init_{S}_720p_0.mp4", f"storyboard_{S}_1.jpg", "poster.jpg"):
            self.put(name)
        self.put(f"storyboard_{S}.vtt")
        self.put("playlist.m3u8", "#EXTM3U\n720p.m3u8\n")
        self.put("720p.m3u8", f"#EXTM3U\nsegment_{S}_720p_9.ts\n")

    def new_actor(self) -> Retention:
        return Retention(
            settings=self.settings, store=self.store, database=self.database, board=self.board, timers=Nobody()
        )  # type: ignore[arg-type]

    def segment_row(self, number: int) -> Any:
        name = f"segment_{S}_720p_{number}.ts"
        return replace(SEGMENT, session=S, sequence=MediaSequence(number), name=name, state="uploaded", size=1000)

    def put(self, name: str, text: str = "x") -> None:
        self.store.put_bytes(f"hls/{KEY}/{name}", text.encode(), content_type="", cache_control="")

    def ask(self, message: Message) -> Any:
        return self.database.ask(message, timeout=5).result(15)

    def look(self, seconds: float = 0.0) -> None:
        self.now += seconds
        self.actor._wake()

    @property
    def names(self) -> set[str]:
        return {stat.name.rpartition("/")[2] for stat in self.store.list(f"hls/{KEY}/")}

    @property
    def segments(self) -> list[int]:
        return sorted(int(name.split("_")[3].split(".")[0]) for name in self.names if name.startswith("segment_"))

    def clip(self, first: int, last: int, *, is_finished: bool = True) -> BeginClip:
        clip = BeginClip(
            key=KEY,
            clip=ClipId("0123456789"),
            session=S,
            name="",
            first=MediaSequence(first),
            last=MediaSequence(last),
            starts_at=UnixTime(NOW),
            ends_at=UnixTime(NOW + 4),
            renditions=(RenditionName("720p"),),
            created_at=UnixTime(NOW),
        )
        self.ask(clip)
        if is_finished:
            self.ask(FinishClip(key=KEY, clip=clip.clip))
        return clip

    def close(self) -> None:
        self.database.stop()
        self.timers.stop()


class Nobody:
    """Timers that tell nothing."""

    def after(self, *_: object) -> None: ...


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.integration)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path}/db"
    return str(request.getfixturevalue("pg_database").url)


@pytest.fixture
def world(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., World]]:
    worlds: list[World] = []

    def make(**keep: Any) -> World:
        worlds.append(World(tmp_path, url, monkeypatch, **keep))
        return worlds[-1]

    yield make
    for one in worlds:
        one.close()


def test_by_default_nothing_is_ever_deleted(world: Callable[..., World]) -> None:
    kept = world()
    before = kept.names
    for _ in range(3):
        kept.look(1000 * HOUR)
    assert kept.names == before


def test_a_broadcast_is_unlisted_first_and_its_segments_follow_when_nobody_can_be_playing_it(
    world: Callable[..., World],
) -> None:
    """RFC 8216 6.2.2"""
    old = world(max_age=HOUR)
    old.look()
    assert not [name for name in old.names if name.endswith((".m3u8", ".vtt"))], "live leftovers as well"
    assert len(old.segments) == 10
    old.look(79.0)  # the broadcast's 20 s and the grace of 60 s are not over
    assert len(old.segments) == 10
    old.look(2.0)
    assert old.names == {"poster.jpg"}
    assert old.ask(ListSegments(key=KEY)) == ()
    assert old.ask(ListArchives(all_kept=True, at=UnixTime(old.now))) == ()


def test_too_many_bytes_let_the_oldest_go(world: Callable[..., World]) -> None:
    small = world(max_bytes=9_999)
    small.look(60.0 - HOUR)  # a minute after its end it is not known yet
    assert len(small.segments) == 10
    small.now = NOW
    small.look()
    small.look(100.0)
    assert small.segments == []


def test_what_a_clip_needs_stays_until_the_clip_is_deleted_and_a_while_longer(world: Callable[..., World]) -> None:
    old = world(max_age=HOUR)
    clip = old.clip(3, 5)
    old.look()
    old.look(100.0)
    assert old.segments == [3, 4, 5]
    assert f"init_{S}_720p_0.mp4" in old.names
    old.ask(DeleteClip(key=KEY, clip=clip.clip, remove_after=UnixTime(old.now + 50)))
    old.look(49.0)
    assert old.segments == [3, 4, 5]
    old.look(2.0)
    assert old.names == {"poster.jpg"}


def test_what_a_crash_left_of_a_clip_goes(world: Callable[..., World]) -> None:
    old = world(max_age=HOUR)
    half = old.clip(3, 5, is_finished=False)
    old.put(f"clip_{half.clip}_720p.m3u8")
    old.look(retention.UNFINISHED_AFTER - 1)
    assert f"clip_{half.clip}_720p.m3u8" in old.names, "it may still be made"
    old.look(2.0)
    assert f"clip_{half.clip}_720p.m3u8" not in old.names
    old.look(100.0)
    assert old.segments == []


def test_a_clip_that_comes_too_late_is_refused(world: Callable[..., World]) -> None:
    old = world(max_age=HOUR)
    old.look()
    assert old.ask(old.clip(3, 5)) is None


@pytest.mark.parametrize("crash", ["unlist", "remove"])
def test_a_crash_in_between_is_finished_by_the_next_service(
    world: Callable[..., World], monkeypatch: pytest.MonkeyPatch, crash: str
) -> None:
    old = world(max_age=HOUR)
    if crash == "remove":
        old.look()
    remove = old.store.remove

    def half(names: list[str]) -> None:
        remove(names[: len(names) // 2])
        raise StoreUnavailableError("away")

    monkeypatch.setattr(old.store, "remove", half)
    old.look(100.0)
    monkeypatch.setattr(old.store, "remove", remove)
    old.actor = old.new_actor()
    old.look(1.0)
    old.look(100.0)
    assert old.names == {"poster.jpg"}


def on_air(**changes: Any) -> StreamSnapshot:
    return StreamSnapshot(key=KEY, state=StreamState.LIVE, **changes)


def test_while_the_streams_actor_still_writes_for_it_a_session_is_left_alone(world: Callable[..., World]) -> None:
    busy = world(max_age=HOUR)
    busy.board.publish(on_air(session=S, sessions=(S,)))
    before = busy.names
    busy.look()
    busy.look(1000.0)
    assert busy.names == before


def test_the_playlists_of_a_live_stream_are_never_taken_away(world: Callable[..., World]) -> None:
    """A new broadcast has begun, and its playlists have not replaced the last window of the old one yet."""
    live = world(max_age=HOUR)
    names = ("playlist.m3u8", "720p.m3u8")
    playlists = {name: Playlist(name=name, body=b"") for name in names}
    other = SessionId("s1hz9xk1")
    live.board.publish(on_air(session=other, sessions=(other,), playlists=playlists))
    live.look()
    assert set(names) <= live.names
    live.put("720p.m3u8", f"#EXTM3U\nsegment_{other}_720p_10.ts\n")
    live.look(60.0)
    live.look(100.0)
    assert live.segments == []
    assert set(names) <= live.names


def test_where_recordings_are_not_kept_a_live_stream_loses_what_its_playlists_no_longer_list(
    world: Callable[..., World],
) -> None:
    live = world(archive=False)
    live.clip(1, 1)
    for listed_from in (4, 6, 8):
        live.board.publish(on_air(session=S, sessions=(S,), listed_from=listed_from))
        live.look(8000.0)
        live.look(8000.0)
    assert live.segments == [1, 8, 9], "a clip has 1"
    assert [row.sequence for row in live.ask(ListSegments(key=KEY))] == live.segments


def test_without_the_database_nothing_is_deleted(world: Callable[..., World]) -> None:
    old = world(max_age=HOUR)
    old.database.stop()
    before = old.names
    old.look()
    assert old.names == before


def test_local_files_that_no_stream_knows_go_after_a_day(world: Callable[..., World]) -> None:
    old = world()
    folder = old.settings.hls.output_dir / "forgotten"
    folder.mkdir(parents=True)
    (old.settings.hls.output_dir / ".streamkit").mkdir()
    for name in (f"segment_{S}_720p_1.ts", f".{S}_720p.m3u8", "somebody-elses.txt"):
        (folder / name).write_bytes(b"x")
    written = (folder / f"segment_{S}_720p_1.ts").stat().st_mtime
    old.now = written + 86_000
    old.look()
    assert len(list(folder.iterdir())) == 3
    old.actor = old.new_actor()
    old.look(500.0)
    assert [file.name for file in folder.iterdir()] == ["somebody-elses.txt"]
