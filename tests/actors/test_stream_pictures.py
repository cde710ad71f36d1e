"""What FFmpeg draws beside a stream reaches players and the bucket, and nothing else is disturbed by it."""

from pathlib import Path

import pytest
from fakes.stream_world import KEY, StreamWorld
from pydantic import SecretStr

from streamkit.messages import EndPublish, FolderScanned, RecoverStream, StreamIdle, UploadPlaylist
from streamkit.settings import SessionSettings, Settings, StreamRule
from streamkit.settings_encryption import EncryptionSettings
from streamkit.settings_pictures import PictureSettings
from streamkit.types import SourceKind


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StreamWorld:
    return StreamWorld(tmp_path, monkeypatch, sessions=SessionSettings(reconnect_window=0.0))


def jpeg(content: bytes) -> bytes:
    return b"\xff\xd8" + content + b"\xff\xd9"


def draw(world: StreamWorld, body: bytes) -> None:
    """Replace the poster as FFmpeg does."""
    poster = world.folder / ".pictures" / "poster.jpg"
    made = poster.with_suffix(".jpg.tmp")
    made.write_bytes(body)
    made.rename(poster)


def posters(world: StreamWorld) -> list[bytes]:
    return [m.body for ref in world.uploaders for m in ref.of(UploadPlaylist) if m.name == "poster.jpg"]


def test_a_new_poster_goes_to_players_and_to_the_bucket_once(world: StreamWorld) -> None:
    world.go_live()
    assert world.snapshot.poster is None
    draw(world, jpeg(b"one"))
    world.pass_time(1)
    world.pass_time(1)
    assert world.snapshot.poster is not None
    assert world.snapshot.poster.body == jpeg(b"one")
    draw(world, jpeg(b"two"))
    world.pass_time(1)
    assert posters(world) == [jpeg(b"one"), jpeg(b"two")]


@pytest.mark.parametrize("body", [b"", b"\xff\xd8half a picture", b"not a picture\xff\xd9"])
def test_what_is_no_whole_picture_is_left_out(
    world: StreamWorld, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    world.go_live()
    draw(world, jpeg(b"good"))
    world.pass_time(1)
    draw(world, body)
    world.pass_time(1)
    assert posters(world) == [jpeg(b"good")]
    assert world.snapshot.poster is not None
    assert "poster.jpg is not a whole picture" in caplog.text


def test_the_last_poster_of_a_broadcast_is_not_lost_and_the_disk_is_clean_after_it(world: StreamWorld) -> None:
    world.go_live()
    draw(world, jpeg(b"last"))
    world.tell(EndPublish(publish=1))
    world.encoder_exits()
    assert posters(world) == [jpeg(b"last")]
    assert not world.parent.of(StreamIdle)
    world.store_everything()
    world.pass_time(120)
    world.pass_time(1)
    assert not (world.folder / ".pictures").exists()
    assert world.parent.of(StreamIdle)


def test_an_older_poster_is_not_put_again_after_a_crash(world: StreamWorld) -> None:
    world.go_live()
    draw(world, jpeg(b"one"))
    world.pass_time(1)
    world.actor = world.new_actor()
    world.pass_time(1)
    assert len(posters(world)) == 1


def test_a_rule_turns_the_pictures_of_a_stream_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = StreamWorld(tmp_path, monkeypatch, streams=(StreamRule(match=KEY, pictures=False),))
    world.go_live()
    assert "mjpeg" not in world.encoders[-1].argv


def test_a_rule_asks_for_the_pictures_of_a_copied_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for rule, expected in ((None, False), (True, True)):
        streams = (StreamRule(match=KEY, ladder="copy", pictures=rule),)
        world = StreamWorld(tmp_path / str(rule), monkeypatch, streams=streams)
        world.go_live(segments=0)
        assert ("mjpeg" in world.encoders[-1].argv) is expected


def test_an_encrypted_stream_has_no_pictures_unless_a_rule_says_so() -> None:
    hidden = EncryptionSettings(method="aes-128", secret=SecretStr("0123456789abcdef"))
    assert Settings(encryption=hidden).pictures_for(KEY) is None
    shown = Settings(encryption=hidden, streams=(StreamRule(match=KEY, pictures=True),))
    assert shown.pictures_for(KEY) is not None


def thumbnail(content: bytes, side: int = 16) -> bytes:
    """Return what the tiler reads of a picture: its size, one row of blocks, their bytes."""
    size = side.to_bytes(2, "big") * 2
    frame = b"\xff\xc0\x00\x11\x08" + size + b"\x03\x01\x22\x00\x02\x11\x01\x03\x11\x01"
    restart = b"\xff\xdd\x00\x04\x00\x01"
    return b"\xff\xd8" + frame + restart + b"\xff\xda\x00\x0c" + bytes(10) + content + b"\xff\xd9"


def draw_small(world: StreamWorld, first: int, *seconds: int, side: int = 16) -> None:
    for second in seconds:
        path = world.folder / ".pictures" / f"thumb_{world.snapshot.session}_{first}_{second * 1000}.jpg"
        path.write_bytes(thumbnail(b"%d@%d" % (first, second), side))


def sheets(world: StreamWorld) -> dict[str, bytes]:
    return {m.name: m.body for ref in world.uploaders for m in ref.of(UploadPlaylist) if m.name.endswith(".jpg")}


def cues(world: StreamWorld) -> list[str]:
    lines = world.bucket(f"storyboard_{world.snapshot.session}.vtt").splitlines()
    return [line for line in lines if "-->" in line or "xywh" in line]


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StreamWorld:
    """Sheets of two pictures; a publisher may come back."""
    return StreamWorld(tmp_path, monkeypatch, pictures=PictureSettings(storyboard_columns=2, storyboard_rows=1))


def test_a_sheet_is_named_when_the_store_has_it_and_not_before(small: StreamWorld) -> None:
    world = small
    world.go_live(segments=12)
    draw_small(world, 0, 0)
    world.pass_time(1)
    assert sheets(world) == {}, "one picture does not fill it"
    draw_small(world, 0, 10)
    world.pass_time(1)
    name = f"storyboard_{world.snapshot.session}_0.jpg"
    assert list(sheets(world)) == [name]
    assert world.snapshot.storyboard is None
    assert not [m for ref in world.uploaders for m in ref.of(UploadPlaylist) if m.name.endswith(".vtt")]
    world.store_everything()
    assert cues(world) == [
        "00:00:00.000 --> 00:00:10.000",
        f"{name}#xywh=0,0,16,16",
        "00:00:10.000 --> 00:00:24.000",
        f"{name}#xywh=16,0,16,16",
    ]
    assert world.snapshot.storyboard == f"storyboard_{world.snapshot.session}.vtt"
    assert not list((world.folder / ".pictures").iterdir()), "what is stored is not kept"


def come_back(world: StreamWorld, publish: int) -> None:
    world.tell(EndPublish(publish=publish - 1))
    world.encoder_exits()
    world.publish(publish)
    world.detect()


def test_the_times_of_a_second_run_go_on_where_the_first_ended(small: StreamWorld) -> None:
    world = small
    world.go_live(segments=3)
    draw_small(world, 0, 0)
    come_back(world, 2)
    for sequence in (3, 4):
        world.segment(sequence)
    draw_small(world, 3, 1)
    world.pass_time(1)
    world.store_everything()
    assert cues(world)[::2] == ["00:00:00.000 --> 00:00:07.000", "00:00:07.000 --> 00:00:10.000"]


def test_pictures_of_another_size_begin_another_sheet(small: StreamWorld) -> None:
    world = small
    world.go_live(segments=3)
    draw_small(world, 0, 0)
    come_back(world, 2)
    world.segment(3)
    draw_small(world, 3, 0, side=15)
    world.pass_time(1)
    world.store_everything()
    assert cues(world)[1].endswith("_0.jpg#xywh=0,0,16,16")
    world.tell(EndPublish(publish=2))
    world.encoder_exits()
    world.pass_time(16)
    world.store_everything()
    assert cues(world)[3].endswith("_1.jpg#xywh=0,0,15,15")
    assert cues(world)[2] == "00:00:06.000 --> 00:00:08.000"


def test_pictures_of_media_that_no_segment_has_are_left_out(small: StreamWorld) -> None:
    world = small
    world.go_live(segments=3)
    draw_small(world, 0, 0, 7)
    come_back(world, 2)
    world.segment(3)
    draw_small(world, 3, 0)
    world.pass_time(1)
    world.store_everything()
    assert cues(world)[::2] == ["00:00:00.000 --> 00:00:06.000", "00:00:06.000 --> 00:00:08.000"]


def test_a_run_that_came_to_nothing_leaves_no_pictures(small: StreamWorld) -> None:
    world = small
    world.go_live(segments=3)
    come_back(world, 2)
    draw_small(world, 3, 0, 1)
    come_back(world, 3)
    assert not list((world.folder / ".pictures").iterdir())


def test_after_a_crash_the_storyboard_goes_on(small: StreamWorld) -> None:
    world = small
    world.go_live(segments=12)
    draw_small(world, 0, 0, 10)
    world.pass_time(1)
    world.store_everything()
    draw_small(world, 0, 20)
    world.actor = world.new_actor()
    world.tell(RecoverStream(publish=1, source=SourceKind.PULL))
    world.tell(FolderScanned(run=1))
    world.pass_time(20)
    world.pass_time(1)
    world.store_everything()
    assert cues(world)[::2] == [
        "00:00:00.000 --> 00:00:10.000",
        "00:00:10.000 --> 00:00:20.000",
        "00:00:20.000 --> 00:00:24.000",
    ]


def test_a_picture_that_cannot_be_tiled_costs_itself_alone(
    small: StreamWorld, caplog: pytest.LogCaptureFixture
) -> None:
    world = small
    world.go_live(segments=12)
    draw_small(world, 0, 0, 10)
    (world.folder / ".pictures" / f"thumb_{world.snapshot.session}_0_5000.jpg").write_bytes(b"\xff\xd8 cut")
    world.pass_time(1)
    world.store_everything()
    assert cues(world)[::2] == ["00:00:00.000 --> 00:00:10.000", "00:00:10.000 --> 00:00:24.000"]
    assert "5000.jpg is left out of the storyboard: the picture is not whole" in caplog.text
