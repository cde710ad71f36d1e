import errno
import os
from pathlib import Path

import pytest

from streamkit.errors import ObjectNotFoundError, StoreDeniedError, StoreUnavailableError
from streamkit.storage.local import LocalStore
from streamkit.types import Seconds


def put(store: LocalStore, name: str, data: bytes = b"data") -> str:
    return store.put_bytes(name, data, content_type="video/mp2t", cache_control="no-store")


def test_what_a_crash_left_half_written_is_cleared_and_never_listed(tmp_path: Path) -> None:
    put(LocalStore(tmp_path), "a.ts")
    left = tmp_path / ".incoming" / "half"
    left.write_bytes(b"half")
    assert [found.name for found in LocalStore(tmp_path).list("")] == ["a.ts"]
    assert not left.exists()


@pytest.mark.parametrize("name", [".incoming", ".incoming/half"])
def test_half_written_objects_cannot_be_named(tmp_path: Path, name: str) -> None:
    store = LocalStore(tmp_path)
    store.check()
    (tmp_path / ".incoming" / "half").write_bytes(b"half")
    with pytest.raises(ObjectNotFoundError):
        store.get(name)
    with pytest.raises(StoreDeniedError):
        put(store, name)
    store.remove([name])
    assert list(store.list("")) == list(store.list(".incoming")) == list(store.list(".incoming/")) == []
    assert (tmp_path / ".incoming" / "half").exists()


def test_a_full_disk_is_unavailable_and_leaves_the_old_object_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    store = LocalStore(tmp_path)
    put(store, "a.ts", b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreUnavailableError, match="cannot be written to: No space left on device"):
        put(store, "a.ts", b"new")
    assert store.get("a.ts") == b"old"
    assert list((tmp_path / ".incoming").iterdir()) == []


def test_a_name_cannot_be_an_object_and_a_folder(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    put(store, "a/b.ts")
    for name in ("a", "a/b.ts/c"):
        with pytest.raises(StoreDeniedError, match="both an object and a folder"):
            put(store, name)
    assert list((tmp_path / ".incoming").iterdir()) == []


def test_a_root_that_is_a_file_is_unavailable_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "root").write_bytes(b"")
    with pytest.raises(StoreUnavailableError, match="cannot be written to"):
        LocalStore(tmp_path / "root").check()


def test_the_etag_changes_even_when_size_and_name_stay(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    assert len({put(store, "a.m3u8", b"%d" % number) for number in range(10)}) == 10


def test_objects_are_readable_by_other_programs(tmp_path: Path) -> None:
    put(LocalStore(tmp_path), "a.ts")
    assert (tmp_path / "a.ts").stat().st_mode & 0o777 == 0o644


def test_there_are_no_presigned_urls(tmp_path: Path) -> None:
    assert LocalStore(tmp_path).presigned_get("a.ts", expires=Seconds(60)) is None
