"""A segment of an encrypted run is encrypted once, before anybody hears of it, whatever died in between."""

import os
from pathlib import Path
from struct import pack

import pytest
from fakes.stream_world import RecordingRef
from test_segment_watcher import NoTimers, NoWatch

from actors.segment_watcher import SegmentWatcher
from streamkit.encryption import files
from streamkit.encryption.cipher import decrypt
from streamkit.encryption.keys import StreamKeys
from streamkit.messages import ScanFolder, SegmentClosed, WatchRun
from streamkit.types import MediaSequence, RenditionName, Seconds, SessionId, StreamKey

SESSION = SessionId("s1ng6482")
KEYS = StreamKeys(StreamKey("cam-1"), b"a secret of more than 16")
ROTATION = 2
CLOSED_AT = 1_790_000_000_500_000_000  # ns
M4S = pack(">I4s", 16, b"moof") + b"m" * 8 + pack(">I4s", 80, b"mdat") + b"d" * 72
INIT = pack(">I4s", 8, b"ftyp") + pack(">I4s", 8, b"moov")


def media(number: int) -> bytes:
    return (b"G" + bytes([number]) * 187) * 9


class Crypt:
    """A folder with an encrypted run, and watchers that look at it one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, count: int) -> None:
        lines = ["#EXTM3U"]
        for number in range(count):
            path = self.path(number)
            path.write_bytes(media(number))
            os.utime(path, ns=(CLOSED_AT, CLOSED_AT))
            lines += ["#EXTINF:2.000000,", path.name]
        (self.folder / f".{SESSION}_720p.m3u8").write_text("\n".join([*lines, ""]))

    def write_fmp4(self) -> None:
        (self.folder / f"init_{SESSION}_720p_0.mp4").write_bytes(INIT)
        (self.folder / f"segment_{SESSION}_720p_0.m4s").write_bytes(M4S)
        lines = [f'#EXT-X-MAP:URI="init_{SESSION}_720p_0.mp4"', "#EXTINF:2.0,", f"segment_{SESSION}_720p_0.m4s"]
        (self.folder / f".{SESSION}_720p.m3u8").write_text("\n".join(["#EXTM3U", *lines, ""]))

    def path(self, number: int) -> Path:
        return self.folder / f"segment_{SESSION}_720p_{number}.ts"

    def watch(self, keys: StreamKeys | None = KEYS, rotation: int = ROTATION) -> list[SegmentClosed]:
        """Return what a new watcher tells of the run."""
        parent = RecordingRef("parent")
        watcher = SegmentWatcher(
            parent=parent,  # type: ignore[arg-type]
            folder=self.folder,
            watch=NoWatch(),  # type: ignore[arg-type]
            timers=NoTimers(),  # type: ignore[arg-type]
            segment_duration=Seconds(2.0),
            keys=keys,
        )
        run = WatchRun(
            run=1,
            session=SESSION,
            renditions=(RenditionName("720p"),),
            first_sequence=MediaSequence(0),
            key_rotation=rotation,
        )
        watcher.on_receive(run)
        watcher.on_receive(ScanFolder(run=1))
        return parent.of(SegmentClosed)

    def opened(self, number: int) -> bytes:
        return decrypt(self.path(number).read_bytes(), KEYS.key(SESSION, number // ROTATION), number)


@pytest.fixture
def crypt(tmp_path: Path) -> Crypt:
    return Crypt(tmp_path)


def test_each_segment_is_told_encrypted_with_the_key_of_its_number(crypt: Crypt) -> None:
    crypt.write(5)
    told = crypt.watch()
    assert [message.sequence for message in told] == [0, 1, 2, 3, 4]
    assert [message.size for message in told] == [crypt.path(number).stat().st_size for number in range(5)]
    assert [crypt.opened(number) for number in range(5)] == [media(number) for number in range(5)]
    assert {message.closed_at for message in told} == {CLOSED_AT / 1e9}


def test_a_run_that_is_not_encrypted_is_left_as_it_is(crypt: Crypt) -> None:
    crypt.write(2)
    assert [message.size for message in crypt.watch(rotation=0)] == [188 * 9] * 2
    assert crypt.path(0).read_bytes() == media(0)


def test_another_watcher_finds_them_encrypted_and_tells_the_same(crypt: Crypt) -> None:
    crypt.write(3)
    assert crypt.watch() == crypt.watch() == crypt.watch()
    assert [crypt.opened(number) for number in range(3)] == [media(number) for number in range(3)]


@pytest.mark.parametrize("step", ["write", "replace"])
def test_a_service_killed_while_it_encrypts_leaves_nothing_that_the_next_one_cannot_finish(
    crypt: Crypt, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    class KilledError(BaseException):
        """The process ends here."""

    def killed(*_arguments: object, **_options: object) -> None:
        raise KilledError

    crypt.write(2)
    with monkeypatch.context() as patch:
        if step == "write":
            patch.setattr(files.os, "utime", killed)  # the copy is whole, its time is not set
        else:
            patch.setattr(Path, "replace", killed)
        with pytest.raises(KilledError):
            crypt.watch()
    assert crypt.path(0).read_bytes() == media(0)
    assert [message.size for message in crypt.watch()] == [1696, 1696]
    assert [crypt.opened(number) for number in range(2)] == [media(0), media(1)]
    assert not list(crypt.folder.glob("*.enc")) + list(crypt.folder.glob(".*.enc"))


def test_a_segment_that_was_cut_is_told_without_media_and_is_not_encrypted(
    crypt: Crypt, caplog: pytest.LogCaptureFixture
) -> None:
    crypt.write(2)
    crypt.path(0).write_bytes(media(0)[:1000])
    assert [message.size for message in crypt.watch()] == [0, 1696]
    assert crypt.path(0).read_bytes() == media(0)[:1000]
    assert "disk full" in caplog.text


def test_a_segment_that_cannot_be_encrypted_is_told_without_media(
    crypt: Crypt, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_arguments: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    crypt.write(1)
    monkeypatch.setattr(files.os, "utime", full)
    assert [message.size for message in crypt.watch()] == [0]
    assert "No space left" in caplog.text


def test_without_the_secret_an_encrypted_run_is_not_told_in_the_clear(
    crypt: Crypt, caplog: pytest.LogCaptureFixture
) -> None:
    crypt.write(1)
    assert [message.size for message in crypt.watch(keys=None)] == [0]
    assert "encryption.secret" in caplog.text


def test_an_fmp4_segment_is_encrypted_and_its_initialization_section_is_not(crypt: Crypt) -> None:
    crypt.write_fmp4()
    first = crypt.watch()
    assert [message.size for message in first] == [112] == [message.size for message in crypt.watch()]
    assert decrypt(first[0].path.read_bytes(), KEYS.key(SESSION, 0), 0) == M4S
    assert (crypt.folder / f"init_{SESSION}_720p_0.mp4").read_bytes() == INIT


def test_an_encrypted_fmp4_segment_without_its_initialization_section_counts_as_lost(crypt: Crypt) -> None:
    crypt.write_fmp4()
    crypt.watch()
    (crypt.folder / f"init_{SESSION}_720p_0.mp4").unlink()
    assert [message.size for message in crypt.watch()] == [0]
