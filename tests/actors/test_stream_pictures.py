"""What FFmpeg draws beside a stream reaches players and the bucket, and nothing else is disturbed by it."""

from pathlib import Path

import pytest
from fakes.stream_world import KEY, StreamWorld
from pydantic import SecretStr

from streamkit.messages import EndPublish, StreamIdle, UploadPlaylist
from streamkit.settings import SessionSettings, Settings, StreamRule
from streamkit.settings_encryption import EncryptionSettings


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
