"""Where a stream's files come from: memory, local disk while live, the object store after.

A local segment is served only when it is whole, which FFmpeg's folder does not show: a growing file looks like any
other. Whole is what a playlist of ours lists or listed, because only closed segments are ever listed.
"""

import logging
import re
from collections import OrderedDict
from functools import partial
from pathlib import Path

from streamkit.errors import ObjectNotFoundError, StoreError
from streamkit.hls.names import is_dvr_name, object_name
from streamkit.settings import Settings
from streamkit.snapshots import Playlist, SnapshotBoard
from streamkit.storage.base import ObjectStore
from streamkit.types import Seconds, StreamKey
from streamkit.web.cache import BlockingPool, ByteCache

logger = logging.getLogger(__name__)

STORE_WORKERS, DISK_WORKERS = 8, 4
MAX_WAITING = 256
MAX_REMEMBERED = 16_384
"""Names of segments that left a playlist: 64 streams of three renditions need about half of it."""
MAX_HEADS = 4096
HEAD = 64
"""Segments at the head of a playlist that are remembered each time: they leave it next."""
_MAP = re.compile(r'(#EXT-X-MAP:URI=")([^"]*)')


class WholeSegments:
    """Which segments of the local folders are whole. Bounded: what is forgotten comes from the store instead."""

    def __init__(self, board: SnapshotBoard) -> None:
        self._board = board
        self._remembered: OrderedDict[str, None] = OrderedDict()
        self._heads: OrderedDict[str, str] = OrderedDict()

    def remember(self, key: StreamKey, playlist: Playlist) -> None:
        """Note what a playlist that goes to a player lists, so that it can be fetched after it left the playlist.

        DVR playlists add nothing: what they list is in the store, and was in a live playlist before.
        """
        if is_dvr_name(playlist.name):
            return
        where = object_name(key, playlist.name)
        if self._heads.get(where) == playlist.etag:
            return
        self._heads[where] = playlist.etag
        self._heads.move_to_end(where)
        for name in segment_uris(playlist.body)[:HEAD]:
            self._remembered[object_name(key, name)] = None
            self._remembered.move_to_end(object_name(key, name))
        _shrink(self._heads, MAX_HEADS)
        _shrink(self._remembered, MAX_REMEMBERED)

    def has(self, key: StreamKey, name: str) -> bool:
        """Return whether the local file of this segment, if there is one, is complete."""
        if object_name(key, name) in self._remembered:
            return True
        snapshot = self._board.get(key)
        listed = (b"\n" + name.encode() + b"\n", b'URI="' + name.encode() + b'"')
        playlists = {} if snapshot is None else snapshot.playlists
        bodies = (playlist.body for where, playlist in playlists.items() if not is_dvr_name(where))
        return any(line in body for body in bodies for line in listed)


class Media:
    """Finds playlists and segments. For one event loop; blocking work runs in two small pools of its own, so that a
    slow store does not hold up what is on local disk."""

    def __init__(self, settings: Settings, board: SnapshotBoard, store: ObjectStore) -> None:
        self._board = board
        self._store = store
        self._folder: Path = settings.hls.output_dir
        self._cdn = settings.hls.cdn_base_url.rstrip("/")
        self._presigns = settings.hls.delivery == "presign"
        self.presigned_for = Seconds(settings.hls.presigned_for)
        self._cache = ByteCache(settings.limits.memory_cache_bytes)
        self._changing = ByteCache(0)  # keeps nothing: a stored playlist may change; but many wait for one read
        self._whole = WholeSegments(board)
        self._stored: OrderedDict[str, None] = OrderedDict()
        self._store_pool = BlockingPool("web-store", workers=STORE_WORKERS, waiting=MAX_WAITING)
        self._disk_pool = BlockingPool("web-disk", workers=DISK_WORKERS, waiting=MAX_WAITING)

    @property
    def cdn(self) -> str:
        """The CDN's base URL without a slash at its end; empty without a CDN."""
        return self._cdn

    def live_playlist(self, key: StreamKey, name: str) -> Playlist | None:
        """Return what the stream's actor published last. Its URIs stay relative: only this node may have the files."""
        snapshot = self._board.get(key)
        playlist = snapshot.playlists.get(name) if snapshot is not None else None
        if playlist is not None:
            self._whole.remember(key, playlist)
        return playlist

    async def stored_playlist(self, key: StreamKey, name: str) -> Playlist:
        """Return the bucket's playlist, its segments' URIs at the CDN when there is one. Raises StoreError."""
        body = await self.stored(key, name)
        if self._cdn:
            body = at_cdn(body, f"{self._cdn}/{object_name(key, '')}")
        return Playlist(name=name, body=body)

    async def stored(self, key: StreamKey, name: str) -> bytes:
        """Return what the bucket has under a name whose content may change. Raises StoreError."""
        where = object_name(key, name)
        return await self._changing.get(where, partial(self._store_pool.run, partial(self._store.get, where)))

    async def segment(self, key: StreamKey, name: str, *, method: str = "GET") -> bytes | str:
        """Return a whole segment's bytes, or the URL where the player gets it. Raises StoreError."""
        where = object_name(key, name)
        data = self._cache.peek(where)
        if data is None and self._whole.has(key, name):
            data = await self._local(key, name, where)
        if data is not None:
            return data
        if (url := await self._elsewhere(where, method)) is not None:
            return url
        return await self._cache.get(where, partial(self._store_pool.run, partial(self._store.get, where)))

    async def compress(self, playlist: Playlist) -> bytes:
        """Return the playlist gzipped; a long one in a thread, and once for all players."""
        if len(playlist.body) < 65_536 or "gzipped" in playlist.__dict__:
            return playlist.gzipped
        return await self._disk_pool.run(lambda: playlist.gzipped)

    def close(self) -> None:
        """End the threads; blocks until the last call ended."""
        self._store_pool.close()
        self._disk_pool.close()

    async def _local(self, key: StreamKey, name: str, where: str) -> bytes | None:
        path = self._folder / key / name
        try:
            return await self._cache.get(where, partial(self._disk_pool.run, path.read_bytes))
        except FileNotFoundError:
            return None
        except OSError as error:
            logger.warning("A local segment cannot be read (%s); asking the store", error, extra={"key": key})
            return None

    async def _elsewhere(self, where: str, method: str) -> str | None:
        """Return the CDN's or a presigned URL, when one is configured and the object exists."""
        presigns = self._presigns and method == "GET"  # the store signs one method, and refuses others with 403
        if not self._cdn and not presigns:
            return None
        try:
            await self._ensure_stored(where)
        except ObjectNotFoundError:
            raise
        except StoreError:
            if not self._cdn:
                raise
            # The CDN may well have the segment while its origin is away.
        if self._cdn:
            return f"{self._cdn}/{where}"
        return await self._store_pool.run(partial(self._store.presigned_get, where, expires=self.presigned_for))

    async def _ensure_stored(self, where: str) -> None:
        """Return when the store has the object, which is asked once: segments stay."""
        if where not in self._stored:
            await self._store_pool.run(partial(self._store.stat, where))
            self._stored[where] = None
            _shrink(self._stored, MAX_REMEMBERED)


def segment_uris(playlist: bytes) -> list[str]:
    """Return the URIs of a media playlist's segments, and of what they need, in order; those of other playlists are
    left out (RFC 8216 4.1)."""
    lines = playlist.decode("utf-8", errors="replace").splitlines()
    found = [match[2] if (match := _MAP.match(line)) else line for line in lines]
    return [uri for uri in found if uri and not uri.startswith("#") and not uri.endswith(".m3u8")]


def at_cdn(playlist: bytes, base: str) -> bytes:
    """Return the playlist with `base` before its segments' relative URIs; URIs of playlists stay relative."""
    lines = playlist.decode("utf-8", errors="replace").split("\n")
    return "\n".join(_line_at_cdn(line, base) for line in lines).encode()


def _line_at_cdn(line: str, base: str) -> str:
    if ".m3u8" in line or "://" in line:
        return line
    if line.startswith("#"):
        return _MAP.sub(lambda match: f"{match[1]}{base}{match[2]}", line)
    return base + line if line else line


def _shrink(names: OrderedDict[str, None] | OrderedDict[str, str], limit: int) -> None:
    while len(names) > limit:
        names.popitem(last=False)
