"""Clips and old sessions in both databases, asked through the actor."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pykka
import pytest
from fakes.saves import KEY, SESSION, STREAM

from actors.database import DatabaseActor
from actors.timers import Timers
from streamkit.messages import (
    BeginClip,
    DeleteClip,
    FindClip,
    FindUnfinishedClips,
    FinishClip,
    FlushDatabase,
    ListClips,
    Message,
)
from streamkit.types import ClipId, MediaSequence, RenditionName, Seconds, SessionId, StreamKey, UnixTime

Ask = Callable[[Message], Any]
CLIP = BeginClip(
    key=KEY,
    clip=ClipId("0123456789"),
    session=SESSION.session,
    name="goal",
    first=MediaSequence(3),
    last=MediaSequence(5),
    starts_at=UnixTime(1_800_000_000.0),
    ends_at=UnixTime(1_800_000_006.25),
    renditions=(RenditionName("720p"), RenditionName("480p")),
    created_at=UnixTime(1_800_000_100.0),
)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.integration)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path}/streamkit.db"
    return str(request.getfixturevalue("pg_database").url)


@pytest.fixture
def database(url: str) -> Iterator[Ask]:
    timers = Timers()
    ref: pykka.ActorRef[DatabaseActor] = DatabaseActor.start(url=url, timers=timers)

    def ask(message: Message) -> Any:
        return ref.ask(message, timeout=5).result(timeout=15)

    for row in (STREAM, SESSION):
        ref.tell(row)
    assert ask(FlushDatabase(deadline=Seconds(15))) == 0
    yield ask
    ref.stop()
    timers.stop()


def clips(database: Ask, key: StreamKey = KEY) -> list[str]:
    return [row.clip for row in database(ListClips(key=key, offset=0, limit=10)).items]


def test_a_clip_is_listed_once_its_playlists_are_there(database: Ask) -> None:
    row = database(CLIP)
    assert (row.state, row.first, row.last, row.name) == ("pending", 3, 5, "goal")
    assert (row.starts_at, row.ends_at) == (CLIP.starts_at, CLIP.ends_at)
    assert row.renditions == CLIP.renditions
    assert clips(database) == []
    assert database(FinishClip(key=KEY, clip=CLIP.clip))
    assert clips(database) == [CLIP.clip]
    assert clips(database, StreamKey("other")) == []
    assert database(FindClip(key=KEY, clip=CLIP.clip)).state == "ready"


def test_a_repeat_finds_the_first(database: Ask) -> None:
    first = database(CLIP)
    database(FinishClip(key=KEY, clip=CLIP.clip))
    assert database(replace(CLIP, created_at=UnixTime(1_900_000_000.0))) == replace(first, state="ready")


def test_a_clip_of_an_unknown_session_is_refused(database: Ask) -> None:
    assert database(replace(CLIP, session=SessionId("s0000000"))) is None
    assert database(replace(CLIP, key=StreamKey("other"))) is None
    assert database(FindClip(key=KEY, clip=CLIP.clip)) is None


def test_a_deleted_clip_is_gone_and_can_be_made_again(database: Ask) -> None:
    database(CLIP)
    database(FinishClip(key=KEY, clip=CLIP.clip))
    gone = DeleteClip(key=KEY, clip=CLIP.clip, remove_after=UnixTime(1_800_004_000.0))
    assert database(gone)
    assert not database(gone), "it was deleted before"
    assert clips(database) == []
    assert database(FindClip(key=KEY, clip=CLIP.clip)) is None
    assert not database(FinishClip(key=KEY, clip=CLIP.clip)), "who was late does not bring it back"
    assert database(CLIP).state == "pending"


def test_a_clip_that_was_never_finished_is_found_and_deleted_once(database: Ask) -> None:
    database(CLIP)
    since = UnixTime(CLIP.created_at + 1)
    dropped = DeleteClip(key=KEY, clip=CLIP.clip, remove_after=UnixTime(1_800_004_000.0), unfinished_since=since)
    assert database(FindUnfinishedClips(since=CLIP.created_at)) == ()
    assert [row.clip for row in database(FindUnfinishedClips(since=since))] == [CLIP.clip]
    assert database(dropped)
    assert not database(dropped)
    assert database(FindUnfinishedClips(since=since)) == ()


@pytest.mark.parametrize("state", ["ready", "begun anew"])
def test_a_clip_that_somebody_made_meanwhile_is_not_cleared_up(database: Ask, state: str) -> None:
    database(CLIP)
    since = UnixTime(CLIP.created_at + 1)
    database(FinishClip(key=KEY, clip=CLIP.clip) if state == "ready" else replace(CLIP, created_at=since))
    assert database(FindUnfinishedClips(since=since)) == ()
    gone = DeleteClip(key=KEY, clip=CLIP.clip, remove_after=since, unfinished_since=since)
    assert not database(gone)
    assert database(FindClip(key=KEY, clip=CLIP.clip)) is not None


def test_clips_are_paged_newest_first(database: Ask) -> None:
    for number in range(5):
        clip = ClipId(f"000000000{number}")
        database(replace(CLIP, clip=clip, first=MediaSequence(number)))
        database(FinishClip(key=KEY, clip=clip))
    page = database(ListClips(key=KEY, offset=1, limit=2))
    assert ([row.first for row in page.items], page.total) == ([3, 2], 5)
