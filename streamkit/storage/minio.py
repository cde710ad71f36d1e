"""MinIO, or any S3, as an object store."""

import io
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TypeVar
from xml.etree.ElementTree import ParseError

from minio import Minio
from minio.datatypes import Object
from minio.deleteobjects import DeleteObject
from minio.error import MinioException
from urllib3.exceptions import HTTPError

from streamkit.errors import ObjectNotFoundError, StoreDeniedError, StoreError, StoreUnavailableError
from streamkit.settings import StorageSettings
from streamkit.storage.base import ObjectStat
from streamkit.storage.failures import status_of, store_error
from streamkit.storage.names import is_object_name
from streamkit.storage.transport import connection_pool, deadline
from streamkit.types import Seconds

_ONE_PART = 5 * 1024**3  # bytes, S3's limit for one PUT: segments never become multipart, whose ETag is no MD5
_REMOVED_AT_ONCE = 100  # S3 allows 1000, but a server on slow disks takes seconds for so many
_SLOWEST = 65_536  # bytes/s: a transfer that is slower than this over its whole length counts as stuck
_LONGEST_PRESIGN = Seconds(7 * 86400)  # S3's limit

# What the client raises on failures and on answers that are not S3's (ValueError and LookupError: from its parsers).
_CLIENT_ERRORS = (MinioException, HTTPError, OSError, ValueError, LookupError, ParseError)

T = TypeVar("T")


class MinioStore:
    """One bucket of an S3 server; made by check() or by the first put when it is missing.

    Nothing is retried. A request ends after `read_timeout` seconds without progress, and in any case within
    connect_timeout + read_timeout + size / 64 KiB/s. Requests end early once the store is closed.
    """

    def __init__(self, settings: StorageSettings, *, connections: int) -> None:
        self._settings = settings
        self._bucket = settings.bucket
        self._closing = threading.Event()
        self._pool = connection_pool(
            connections=connections,
            connect_timeout=Seconds(settings.connect_timeout),
            read_timeout=Seconds(settings.read_timeout),
            use_tls=settings.use_ssl,
        )
        self._client = Minio(
            settings.endpoint,
            access_key=settings.access_key,
            secret_key=settings.secret_key.get_secret_value(),
            secure=settings.use_ssl,
            region=settings.region,  # spares a request that asks for it
            http_client=self._pool,
        )

    def check(self) -> None:
        """Return when the bucket is there, for the price of one HEAD; it is created when missing."""
        if self._call(lambda: self._client.bucket_exists(self._bucket)):
            return
        try:
            self._call(lambda: self._client.make_bucket(self._bucket))
        except StoreError:
            # Somebody else may have made it meanwhile: then it is ours to use, or the second HEAD is denied.
            if not self._call(lambda: self._client.bucket_exists(self._bucket)):
                raise

    def put_file(self, name: str, path: Path, *, content_type: str, cache_control: str) -> str:
        """Store the file's bytes under `name` and return the etag; ObjectNotFoundError when the local file is gone."""
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise ObjectNotFoundError(f"the local file {path.name} does not exist any more") from error
        except OSError as error:
            raise StoreUnavailableError(f"the local file {path.name} cannot be read: {error.strerror}") from error
        return self.put_bytes(name, data, content_type=content_type, cache_control=cache_control)

    def put_bytes(self, name: str, data: bytes, *, content_type: str, cache_control: str) -> str:
        """Store `data` under `name` in one PUT and return the etag (the MD5 of the data)."""
        if not is_object_name(name):
            raise StoreDeniedError(f"{name[:100]!r} is not a valid object name")
        try:
            return self._put(name, data, content_type, cache_control)
        except ObjectNotFoundError:
            self.check()  # the bucket is missing: a fresh server, or one that lost its disk
        try:
            return self._put(name, data, content_type, cache_control)
        except ObjectNotFoundError as error:
            raise StoreUnavailableError(f"{self._where()} lost its bucket while it was written to") from error

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """Return the object's bytes; fewer than `length` at its end."""
        self._require(name)
        if length == 0:
            return b""  # HTTP has no empty range: the server would send everything
        try:
            response = self._call(lambda: self._client.get_object(self._bucket, name, offset, length or 0))
        except StoreUnavailableError as error:
            if status_of(error.__cause__) == 416:  # the object ends before `offset`
                return b""
            raise
        try:
            length_said = response.headers.get("Content-Length", "")
            return self._call(response.read, size=int(length_said) if length_said.isdecimal() else 0)
        finally:
            response.close()
            response.release_conn()

    def stat(self, name: str) -> ObjectStat:
        """Return size, etag and time of the object (one HEAD)."""
        self._require(name)
        return _describe(self._call(lambda: self._client.stat_object(self._bucket, name)))

    def list(self, prefix: str) -> Iterator[ObjectStat]:
        """Yield the objects whose name begins with `prefix`, in name order, a page per thousand."""
        found = self._client.list_objects(self._bucket, prefix=prefix, recursive=True)
        try:
            while (item := self._call(lambda: next(found, None))) is not None:
                yield _describe(item)
        except ObjectNotFoundError:
            return  # no bucket yet: no objects

    def remove(self, names: Sequence[str]) -> None:
        """Remove the objects, a hundred per request."""
        wanted = [DeleteObject(name) for name in names if is_object_name(name)]
        for start in range(0, len(wanted), _REMOVED_AT_ONCE):
            self._remove(wanted[start : start + _REMOVED_AT_ONCE])

    def presigned_get(self, name: str, *, expires: Seconds, headers: Mapping[str, str] | None = None) -> str:
        """Return a signed URL for GET; `headers` (Content-Type, Cache-Control, ...) are what the store answers with."""
        self._require(name)
        lifetime = timedelta(seconds=max(1, min(int(expires), int(_LONGEST_PRESIGN))))
        answer: dict[str, str | list[str] | tuple[str]] = {
            f"response-{header.lower()}": value for header, value in (headers or {}).items()
        }
        return self._client.presigned_get_object(self._bucket, name, expires=lifetime, response_headers=answer or None)

    def close(self) -> None:
        """Close the connections; requests under way fail within the read timeout."""
        self._closing.set()
        self._pool.clear()

    def _put(self, name: str, data: bytes, content_type: str, cache_control: str) -> str:
        def put() -> str:
            result = self._client.put_object(
                self._bucket,
                name,
                io.BytesIO(data),
                len(data),
                content_type=content_type,
                metadata={"Cache-Control": cache_control},
                part_size=_ONE_PART,
            )
            return result.etag or ""

        etag = self._call(put, size=len(data))
        if not etag:  # a proxy's login page also says 200
            raise StoreUnavailableError(f"{self._where()} cannot be used: it acknowledged a PUT without an ETag")
        return etag

    def _remove(self, wanted: Sequence[DeleteObject]) -> None:
        # The client removes while its result is iterated: without list() nothing would be removed.
        errors = self._call(lambda: list(self._client.remove_objects(self._bucket, wanted)))
        codes = [error.code for error in errors if error.code not in ("NoSuchKey", "NoSuchVersion")]
        if codes:
            kind = StoreDeniedError if codes[0] == "AccessDenied" else StoreUnavailableError
            raise kind(f"{self._where()} did not remove {len(codes)} of {len(wanted)} objects ({codes[0]})")

    def _require(self, name: str) -> None:
        if not is_object_name(name):
            raise ObjectNotFoundError(f"there is no object {name[:100]!r}")

    def _call(self, request: Callable[[], T], *, size: int = 0) -> T:
        """Return what `request` returns, within the deadline for `size` bytes, or raise one of our three errors."""
        idle = self._settings.read_timeout
        total = self._settings.connect_timeout + idle + size / _SLOWEST
        try:
            with deadline(Seconds(total), idle=Seconds(idle), closing=self._closing):
                return request()
        except _CLIENT_ERRORS as error:
            raise store_error(error, self._where()) from error

    def _where(self) -> str:
        return f"the object store at {self._settings.endpoint} (bucket {self._bucket})"


def _describe(found: Object) -> ObjectStat:
    modified = found.last_modified.timestamp() if found.last_modified else 0.0
    return ObjectStat(
        name=found.object_name or "", size=found.size or 0, etag=(found.etag or "").strip('"'), modified=modified
    )
