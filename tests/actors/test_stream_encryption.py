"""An encrypted stream: what its watcher, its playlists and the front end are told, and what a restart changes."""

from pathlib import Path

import pytest
from fakes.stream_world import KEY, StreamWorld
from pydantic import SecretStr

from streamkit.messages import EndPublish, FolderScanned, RecoverStream, WatchRun
from streamkit.settings import Settings, StreamRule
from streamkit.settings_encryption import EncryptionSettings
from streamkit.types import SourceKind

SECRET = SecretStr("a secret of more than 16")
ON = EncryptionSettings(method="aes-128", key_rotation=2, secret=SECRET)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StreamWorld:
    return StreamWorld(tmp_path, monkeypatch, encryption=ON)


def rotations(world: StreamWorld) -> list[int]:
    return [message.key_rotation for ref in world.watchers for message in ref.of(WatchRun)]


def key_line(world: StreamWorld, number: int) -> str:
    return f'#EXT-X-KEY:METHOD=AES-128,URI="/keys/{KEY}/{world.snapshot.session}/{number}"\n'


def configure(world: StreamWorld, **sections: object) -> None:
    settings: Settings = world.services.settings
    world.services.settings = settings.model_copy(update=sections)


def test_the_watcher_and_the_playlists_know_the_keys(world: StreamWorld) -> None:
    world.go_live(segments=3)
    world.store_everything()
    assert rotations(world) == [2]
    for text in (world.local("720p.m3u8"), world.bucket("720p.m3u8")):
        assert key_line(world, 0) in text
        assert key_line(world, 1) in text
    assert world.snapshot.newest_key == 1


def test_a_rule_leaves_a_stream_unencrypted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = StreamWorld(tmp_path, monkeypatch, encryption=ON, streams=(StreamRule(match=KEY, encryption="none"),))
    world.go_live()
    assert rotations(world) == [0]
    assert "EXT-X-KEY" not in world.local("720p.m3u8")
    assert world.snapshot.newest_key is None


def test_a_rule_encrypts_one_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    off = EncryptionSettings(secret=SECRET)
    world = StreamWorld(tmp_path, monkeypatch, encryption=off, streams=(StreamRule(match="al*", encryption="aes-128"),))
    world.go_live()
    assert rotations(world) == [60]
    assert key_line(world, 0) in world.local("720p.m3u8")


def test_after_a_crash_the_run_is_collected_as_it_began_and_the_next_one_as_it_is_configured(
    world: StreamWorld,
) -> None:
    world.go_live(segments=3)
    configure(world, encryption=EncryptionSettings(method="none", secret=SECRET))
    world.actor = world.new_actor()
    world.tell(RecoverStream(publish=1, source=SourceKind.PULL))
    assert rotations(world) == [2, 2]
    collected = world.watchers[-1].of(WatchRun)[-1].run
    world.segment(3, run=collected)
    assert key_line(world, 1) in world.local("720p.m3u8")
    world.tell(FolderScanned(run=collected))
    world.publish(2)
    world.detect()
    world.segment(4)
    assert rotations(world)[-1] == 0
    assert "#EXT-X-DISCONTINUITY\n#EXT-X-KEY:METHOD=NONE\n" in world.local("720p.m3u8")
    assert world.snapshot.newest_key == 1


def test_a_publisher_that_returns_goes_on_with_the_keys_of_its_numbers(world: StreamWorld) -> None:
    world.go_live(segments=3)
    world.tell(EndPublish(publish=1))
    world.encoder_exits()
    world.publish(2)
    world.detect()
    world.segment(3)
    assert world.local("720p.m3u8").count("#EXT-X-KEY") == 2  # number 3 has the key of number 2
    world.segment(4)
    assert key_line(world, 2) in world.local("720p.m3u8")
