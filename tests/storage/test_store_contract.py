"""One suite for every ObjectStore: what holds for the local folder holds for a real S3 server."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from pydantic import SecretStr

from streamkit.errors import ObjectNotFoundError, StoreDeniedError, StoreUnavailableError
from streamkit.settings import EmbeddedSettings, Settings, StorageSettings
from streamkit.storage import open_store
from streamkit.storage.base import ObjectStore

SEGMENT = "hls/show/segment_s0000001_720p_0.ts"
UNSAFE_NAMES = ["", "/", "/etc/passwd", "../out", "a/../../out", "a/./b", "a//b", "a/", ".", "..", "a\0b", "a" * 300]
UNSAFE_NAMES += ["a/" * 512 + "b", "\ud800"]


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.integration)])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Settings, bool]:
    if request.param == "local":
        return Settings(embedded=EmbeddedSettings(data_dir=tmp_path / "data")), True
    server = request.getfixturevalue("s3_server")
    storage = StorageSettings(
        endpoint=server.endpoint,
        access_key=server.access_key,
        secret_key=SecretStr(server.secret_key),
        region=server.region,
        bucket=request.getfixturevalue("s3_bucket"),
        read_timeout=30.0,  # no fault is tested here, and the machine may be busy
    )
    return Settings(storage=storage), False


@pytest.fixture
def bucket_folder(settings: tuple[Settings, bool], request: pytest.FixtureRequest) -> Path:
    """The test S3 server keeps objects as files too, which makes a thousand of them cheap."""
    if settings[1]:
        return settings[0].embedded.data_dir / "objects"
    return Path(request.getfixturevalue("s3_server").root) / settings[0].storage.bucket


@pytest.fixture
def open_again(settings: tuple[Settings, bool]) -> Callable[[], ObjectStore]:
    return lambda: open_store(settings[0], embedded=settings[1])


@pytest.fixture
def store(open_again: Callable[[], ObjectStore]) -> Iterator[ObjectStore]:
    store = open_again()
    yield store
    store.close()


def put(store: ObjectStore, name: str, data: bytes = b"data") -> str:
    return store.put_bytes(name, data, content_type="video/mp2t", cache_control="public, max-age=1")


def fill(folder: Path, count: int) -> list[str]:
    """Make empty objects behind the store's back and return their names in order."""
    names = sorted(f"hls/show/{number}.ts" for number in range(count))
    (folder / "hls/show").mkdir(parents=True)
    for name in names:
        (folder / name).touch()
    return names


def names(store: ObjectStore, prefix: str) -> list[str]:
    return [found.name for found in store.list(prefix)]


def test_check_makes_the_bucket_and_may_be_repeated(store: ObjectStore) -> None:
    store.check()
    store.check()
    assert names(store, "") == []


def test_a_put_makes_a_missing_bucket_by_itself(store: ObjectStore) -> None:
    put(store, SEGMENT, b"first")
    assert store.get(SEGMENT) == b"first"


def test_several_services_may_make_the_bucket_at_the_same_moment(
    open_again: Callable[[], ObjectStore],
) -> None:
    stores = [open_again() for _ in range(6)]
    together, errors = threading.Barrier(len(stores)), []

    def check(store: ObjectStore) -> None:
        together.wait(10)
        try:
            store.check()
        except Exception as error:  # noqa: BLE001 - shown by the assertion
            errors.append(error)

    threads = [threading.Thread(target=check, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    for store in stores:
        store.close()
    assert errors == []


@pytest.mark.parametrize("size", [0, 1, 5_500_000], ids=["empty", "one byte", "above S3's multipart limit"])
def test_what_was_put_is_what_is_got(store: ObjectStore, tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    (tmp_path / "segment.ts").write_bytes(data)
    etag = store.put_file(
        SEGMENT, tmp_path / "segment.ts", content_type="video/mp2t", cache_control="public, max-age=31536000"
    )
    assert store.get(SEGMENT) == data
    assert store.stat(SEGMENT).size == size
    assert store.stat(SEGMENT).etag == etag
    assert etag.strip('"') == etag != ""
    assert "-2" not in etag[-3:]


def test_a_repeat_replaces_the_object_and_changes_the_etag(store: ObjectStore) -> None:
    first, second = put(store, SEGMENT, b"one"), put(store, SEGMENT, b"two")
    assert store.get(SEGMENT) == b"two"
    assert first != second == store.stat(SEGMENT).etag


def test_a_local_file_that_is_gone_is_told_from_every_other_failure(store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(ObjectNotFoundError, match=r"local file gone\.ts does not exist"):
        store.put_file(SEGMENT, tmp_path / "gone.ts", content_type="video/mp2t", cache_control="")
    assert names(store, "") == []


@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [
        (0, None, b"0123456789"),
        (3, None, b"3456789"),
        (0, 4, b"0123"),
        (3, 4, b"3456"),
        (8, 9, b"89"),
        (10, None, b""),
        (99, 5, b""),
        (4, 0, b""),
    ],
)
def test_a_part_of_an_object_is_exactly_that_part(
    store: ObjectStore, offset: int, length: int | None, expected: bytes
) -> None:
    put(store, SEGMENT, b"0123456789")
    assert store.get(SEGMENT, offset=offset, length=length) == expected


@pytest.mark.parametrize("missing", ["hls/show/nothing.ts", "hls/show", SEGMENT + "/x"])
def test_what_does_not_exist_is_not_found(store: ObjectStore, missing: str) -> None:
    put(store, SEGMENT)
    with pytest.raises(ObjectNotFoundError):
        store.get(missing)
    with pytest.raises(ObjectNotFoundError):
        store.stat(missing)


def test_nothing_is_found_before_the_bucket_exists(store: ObjectStore) -> None:
    with pytest.raises(ObjectNotFoundError):
        store.get(SEGMENT)


def test_stat_tells_name_size_and_time(store: ObjectStore) -> None:
    put(store, SEGMENT, b"12345")
    found = store.stat(SEGMENT)
    assert (found.name, found.size) == (SEGMENT, 5)
    assert abs(found.modified - time.time()) < 60


def test_list_yields_what_begins_with_the_prefix_in_name_order(store: ObjectStore) -> None:
    for name in ["hls/b/2.ts", "hls/b/10.ts", "hls/a/1.ts", "hls/b-c/1.ts", "hls/bb.ts", "poster.jpg"]:
        put(store, name)
    assert names(store, "hls/b") == ["hls/b-c/1.ts", "hls/b/10.ts", "hls/b/2.ts", "hls/bb.ts"]
    assert names(store, "hls/b/") == ["hls/b/10.ts", "hls/b/2.ts"]
    assert names(store, "hls/b/1") == ["hls/b/10.ts"]
    assert names(store, "") == ["hls/a/1.ts", "hls/b-c/1.ts", "hls/b/10.ts", "hls/b/2.ts", "hls/bb.ts", "poster.jpg"]


@pytest.mark.parametrize("prefix", ["nothing/", "hls/show/x", "../", "hls//", "hls/a/b/c/"])
def test_a_prefix_that_matches_nothing_lists_nothing(store: ObjectStore, prefix: str) -> None:
    put(store, SEGMENT)
    assert names(store, prefix) == []


def test_list_describes_as_stat_does(store: ObjectStore) -> None:
    put(store, SEGMENT, b"12345")
    [listed] = store.list("hls/")
    assert (listed.name, listed.size, listed.etag) == (SEGMENT, 5, store.stat(SEGMENT).etag)


def test_more_objects_than_a_page_holds_are_all_listed(store: ObjectStore, bucket_folder: Path) -> None:
    store.check()
    wanted = fill(bucket_folder, 1003)
    assert names(store, "hls/show/") == wanted


def test_more_objects_than_a_request_holds_are_all_removed(store: ObjectStore, bucket_folder: Path) -> None:
    store.check()
    store.remove(fill(bucket_folder, 103))
    assert names(store, "") == []


def test_remove_takes_exactly_the_named_objects(store: ObjectStore) -> None:
    for name in ["a/1", "a/2", "a/3"]:
        put(store, name)
    store.remove(["a/1", "a/3", "a/never-was"])
    store.remove([])
    assert names(store, "a/") == ["a/2"]


@pytest.mark.parametrize("name", UNSAFE_NAMES)
def test_an_unsafe_name_reaches_nothing(store: ObjectStore, tmp_path: Path, name: str) -> None:
    put(store, SEGMENT)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(StoreDeniedError, match="not a valid object name"):
        put(store, name)
    for read in (store.get, store.stat):
        with pytest.raises(ObjectNotFoundError):
            read(name)
    store.remove([name])
    assert sorted(tmp_path.rglob("*")) == before
    assert names(store, "") == [SEGMENT]


@pytest.mark.parametrize("name", ["hls/show/üñï ✓.ts", "a b+c&d=e?f#g%20.ts", "-dash", ".hidden", "x;rm -rf"])
def test_an_odd_but_safe_name_is_kept_as_it_is(store: ObjectStore, name: str) -> None:
    put(store, name, b"odd")
    assert store.get(name) == b"odd"
    assert names(store, "") == [name]


def test_a_reader_sees_the_old_object_or_the_new_one_but_never_a_part(
    store: ObjectStore, settings: tuple[Settings, bool]
) -> None:
    # rclone removes an object before it writes it anew: for a moment a reader finds nothing, as with no real S3.
    gaps = () if settings[1] else (StoreUnavailableError, ObjectNotFoundError)
    versions = [bytes([number]) * 300_000 for number in range(8)]
    put(store, SEGMENT, versions[0])
    done, seen = threading.Event(), set()

    def read() -> None:
        while not done.is_set():
            with suppress(*gaps):
                seen.add(store.get(SEGMENT))

    reader = threading.Thread(target=read)
    reader.start()
    for version in versions:
        put(store, SEGMENT, version)
    done.set()
    reader.join(20)
    assert seen
    assert seen <= set(versions)
