"""The seam to object stores: what every store promises, whatever it is made of."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from streamkit.types import Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectStat:
    """What a store knows of an object. `size` in bytes; `etag` without quotes; `modified` in Unix seconds."""

    name: str
    size: int
    etag: str
    modified: float


class ObjectStore(Protocol):
    """A flat store of immutable-by-convention objects; names are '/'-separated, e.g. 'hls/key/playlist.m3u8'.

    Every method blocks, may be called from any thread, ends within the store's timeouts, and raises only
    ObjectNotFoundError, StoreDeniedError or StoreUnavailableError (streamkit.errors).
    """

    def check(self) -> None:
        """Return when the bucket can be written to (it is created when missing); raise otherwise."""

    def put_file(self, name: str, path: Path, *, content_type: str, cache_control: str) -> str:
        """Store the file's bytes under `name`, whole or not at all, and return the etag. A repeat replaces.

        ObjectNotFoundError means that the local file is gone.
        """

    def put_bytes(self, name: str, data: bytes, *, content_type: str, cache_control: str) -> str:
        """As put_file, for bytes in memory."""

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """Return the object's bytes from `offset`, `length` of them (None: to its end)."""

    def stat(self, name: str) -> ObjectStat:
        """Return size, etag and time; raise ObjectNotFoundError."""

    def list(self, prefix: str) -> Iterator[ObjectStat]:
        """Yield every object whose name begins with `prefix`, in name order."""

    def remove(self, names: Sequence[str]) -> None:
        """Remove the objects; a name that does not exist is no error."""

    def presigned_get(self, name: str, *, expires: Seconds, headers: Mapping[str, str] | None = None) -> str | None:
        """Return a URL that anybody may GET until `expires` seconds from now, or None if this store has none."""

    def close(self) -> None:
        """Release connections; later calls may fail."""
