"""A folder as an object store: for the embedded defaults and for tests."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG
from tempfile import NamedTemporaryFile
from typing import IO

from streamkit.errors import ObjectNotFoundError, StoreDeniedError, StoreUnavailableError
from streamkit.storage.base import ObjectStat
from streamkit.storage.names import is_object_name
from streamkit.types import Seconds

_INCOMING = ".incoming"  # objects while they are written; below the root, so that a rename can publish them


class LocalStore:
    """Objects as files below `root`; written to a temporary file and renamed, so that readers see all or nothing."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self._incoming = self._root / _INCOMING
        shutil.rmtree(self._incoming, ignore_errors=True)  # what a crash left half written

    def check(self) -> None:
        """Return when the folder can be written to (it is created when missing)."""
        try:
            self._incoming.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unavailable("written to", error) from error
        if not os.access(self._incoming, os.W_OK | os.X_OK):
            raise StoreDeniedError(f"the object folder {self._root} is not writable for this user")

    def put_file(self, name: str, path: Path, *, content_type: str, cache_control: str) -> str:  # noqa: ARG002 - the protocol's; the front end knows both from the name
        """Copy the file's bytes to `name` and return the etag; ObjectNotFoundError when the local file is gone."""
        try:
            source = path.open("rb")
        except FileNotFoundError as error:
            raise ObjectNotFoundError(f"the local file {path.name} does not exist any more") from error
        except OSError as error:
            raise StoreUnavailableError(f"the local file {path.name} cannot be read: {error.strerror}") from error
        with source:
            return self._write(name, lambda target: shutil.copyfileobj(source, target, 1 << 20))

    def put_bytes(self, name: str, data: bytes, *, content_type: str, cache_control: str) -> str:  # noqa: ARG002 - as above
        """Store `data` under `name` and return the etag."""
        return self._write(name, lambda target: target.write(data))

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """Return the object's bytes; fewer than `length` at its end."""
        try:
            with self._path(name).open("rb") as file:
                file.seek(offset)
                return file.read(-1 if length is None else length)
        except OSError as error:
            raise self._read_error(name, error) from error

    def stat(self, name: str) -> ObjectStat:
        """Return size, etag and time of the file; nothing is read."""
        try:
            found = os.stat(self._path(name))
        except OSError as error:
            raise self._read_error(name, error) from error
        if not S_ISREG(found.st_mode):
            raise ObjectNotFoundError(f"there is no object {name!r}")
        return _describe(name, found)

    def list(self, prefix: str) -> Iterator[ObjectStat]:
        """Yield the objects whose name begins with `prefix`, in name order; half-written ones do not exist."""
        folder = prefix.rpartition("/")[0]
        if folder and not is_object_name(folder):
            return
        yield from self._walk(folder + "/" if folder else "", prefix)

    def remove(self, names: Sequence[str]) -> None:
        """Remove the files; folders stay, because a put into them may be under way."""
        for name in filter(is_object_name, names):
            try:
                self._path(name).unlink(missing_ok=True)
            except (IsADirectoryError, NotADirectoryError, ObjectNotFoundError):
                continue  # a name that does not exist is no error
            except OSError as error:
                raise self._unavailable("written to", error) from error

    def presigned_get(self, name: str, *, expires: Seconds, headers: Mapping[str, str] | None = None) -> None:
        """Return None: a folder has no URLs of its own."""

    def close(self) -> None:
        """Do nothing: nothing is held open."""

    def _path(self, name: str) -> Path:
        if not is_object_name(name) or name.partition("/")[0] == _INCOMING:
            raise ObjectNotFoundError(f"there is no object {name[:100]!r}")
        return self._root / name

    def _write(self, name: str, fill: Callable[[IO[bytes]], object]) -> str:
        try:
            target = self._path(name)
        except ObjectNotFoundError as error:
            raise StoreDeniedError(f"{name[:100]!r} is not a valid object name") from error
        try:
            return self._write_atomically(name, target, fill)
        except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
            raise StoreDeniedError(f"{name!r} cannot be both an object and a folder of the local store") from error
        except PermissionError as error:
            raise StoreDeniedError(f"the object folder {self._root} is not writable for this user") from error
        except OSError as error:
            raise self._unavailable("written to", error) from error

    def _write_atomically(self, name: str, target: Path, fill: Callable[[IO[bytes]], object]) -> str:
        self._incoming.mkdir(parents=True, exist_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=self._incoming, delete=False) as file:
            try:
                fill(file)
                file.flush()
                os.fchmod(file.fileno(), 0o644)  # temporary files are private; objects may be served by others
                os.fsync(file.fileno())
                etag = _describe(name, os.fstat(file.fileno())).etag
                os.replace(file.name, target)
            except BaseException:
                with suppress(OSError):
                    os.unlink(file.name)
                raise
        return etag

    def _walk(self, folder: str, prefix: str) -> Iterator[ObjectStat]:
        try:
            with os.scandir(self._root / folder) as entries:
                found = sorted(_listed_name(entry) for entry in entries)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise self._unavailable("read", error) from error
        for name in (folder + entry for entry in found if folder or entry != _INCOMING + "/"):
            if name.endswith("/"):
                if name.startswith(prefix) or prefix.startswith(name):
                    yield from self._walk(name, prefix)
            elif name.startswith(prefix):
                with suppress(ObjectNotFoundError):  # removed since it was seen
                    yield self.stat(name)

    def _read_error(self, name: str, error: OSError) -> ObjectNotFoundError | StoreDeniedError | StoreUnavailableError:
        if isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError):
            return ObjectNotFoundError(f"there is no object {name!r}")
        if isinstance(error, PermissionError):
            return StoreDeniedError(f"the object {name!r} is not readable for this user")
        return self._unavailable("read", error)

    def _unavailable(self, verb: str, error: OSError) -> StoreUnavailableError:
        return StoreUnavailableError(f"the object folder {self._root} cannot be {verb}: {error.strerror}")


def _listed_name(entry: os.DirEntry[str]) -> str:
    """Return the entry's name, with a '/' after a folder's: then sorting entries sorts whole object names."""
    return entry.name + "/" if entry.is_dir() else entry.name


def _describe(name: str, found: os.stat_result) -> ObjectStat:
    # Every write makes a new file, so inode, time and size change with the content and no bytes are hashed.
    etag = f"{found.st_ino:x}-{found.st_mtime_ns:x}-{found.st_size:x}"
    return ObjectStat(name=name, size=found.st_size, etag=etag, modified=found.st_mtime)
