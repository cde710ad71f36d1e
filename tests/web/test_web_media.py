import asyncio

import pytest

from streamkit.snapshots import Playlist, SnapshotBoard, StreamSnapshot
from streamkit.types import StreamKey, StreamState
from streamkit.web.cache import BlockingPool, ByteCache
from streamkit.web.media import HEAD, WholeSegments, at_cdn, segment_uris
from streamkit.web.problems import ApiError

KEY = StreamKey("demo")


async def loaded(data: bytes) -> bytes:
    return data


def test_the_cache_keeps_the_most_recently_used_within_its_bytes() -> None:
    async def scenario() -> list[bool]:
        cache = ByteCache(30)
        for name in "abc":
            await cache.get(name, lambda: loaded(b"x" * 10))
        cache.peek("a")
        await cache.get("d", lambda: loaded(b"x" * 10))
        await cache.get("huge", lambda: loaded(b"x" * 31))
        assert cache.used == 30
        return [cache.peek(name) is not None for name in ("a", "b", "c", "d", "huge")]

    assert asyncio.run(scenario()) == [True, False, True, True, False]


def test_a_failed_load_reaches_all_waiters_and_is_not_remembered() -> None:
    async def scenario() -> None:
        cache, gate, loads = ByteCache(100), asyncio.Event(), 0

        async def fail() -> bytes:
            nonlocal loads
            loads += 1
            await gate.wait()
            raise OSError("gone")

        waiters = [asyncio.ensure_future(cache.get("a", fail)) for _ in range(3)]
        await asyncio.sleep(0)
        gate.set()
        outcomes = await asyncio.gather(*waiters, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [OSError] * 3
        assert loads == 1
        assert await cache.get("a", lambda: loaded(b"there")) == b"there"

    asyncio.run(scenario())


def test_a_player_that_leaves_does_not_cancel_the_load_for_the_others() -> None:
    async def scenario() -> None:
        cache, gate = ByteCache(100), asyncio.Event()

        async def load() -> bytes:
            await gate.wait()
            return b"there"

        leaver, stayer = (asyncio.ensure_future(cache.get("a", load)) for _ in range(2))
        await asyncio.sleep(0)
        leaver.cancel()
        gate.set()
        assert await stayer == b"there"
        with pytest.raises(asyncio.CancelledError):
            await leaver

    asyncio.run(scenario())


def test_a_pool_refuses_what_it_has_no_place_for() -> None:
    async def scenario() -> None:
        pool, gate = BlockingPool("test", workers=1, waiting=1), __import__("threading").Event()
        waiting = [asyncio.ensure_future(pool.run(gate.wait)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(ApiError) as caught:
            await pool.run(lambda: None)
        assert caught.value.status == 503
        gate.set()
        await asyncio.gather(*waiting)
        pool.close()

    asyncio.run(scenario())


def test_a_segment_is_whole_when_listed_now_or_seen_listed_before() -> None:
    board = SnapshotBoard()
    whole = WholeSegments(board)
    first = Playlist(name="a.m3u8", body=b"#EXTM3U\nsegment_1.ts\nsegment_11.ts\n")
    board.publish(StreamSnapshot(key=KEY, state=StreamState.LIVE, playlists={"a.m3u8": first}))
    assert whole.has(KEY, "segment_11.ts")
    assert not whole.has(KEY, "segment_2.ts")
    assert not whole.has(KEY, "ment_11.ts")
    assert not whole.has(StreamKey("other"), "segment_1.ts")
    whole.remember(KEY, first)
    board.remove(KEY)
    assert whole.has(KEY, "segment_1.ts")


def test_what_is_remembered_of_a_long_playlist_is_its_head() -> None:
    whole = WholeSegments(SnapshotBoard())
    names = "".join(f"segment_{n}.ts\n" for n in range(HEAD + 1))
    whole.remember(KEY, Playlist(name="a.m3u8", body=b"#EXTM3U\n" + names.encode()))
    assert whole.has(KEY, f"segment_{HEAD - 1}.ts")
    assert not whole.has(KEY, f"segment_{HEAD}.ts")


def test_rewriting_for_the_cdn_changes_only_relative_segment_uris() -> None:
    playlist = b"#EXTM3U\n#EXTINF:2,\nsegment_1.ts\n#EXTINF:2,\nhttps://else.test/b.ts\n720p.m3u8\n#EXT-X-ENDLIST\n"
    assert at_cdn(playlist, "https://cdn.test/hls/demo/") == (
        b"#EXTM3U\n#EXTINF:2,\nhttps://cdn.test/hls/demo/segment_1.ts\n#EXTINF:2,\nhttps://else.test/b.ts\n"
        b"720p.m3u8\n#EXT-X-ENDLIST\n"
    )
    assert segment_uris(playlist) == ["segment_1.ts", "https://else.test/b.ts"]


def test_what_fmp4_segments_need_goes_to_the_cdn_with_them() -> None:
    playlist = (
        b'#EXTM3U\n#EXT-X-MAP:URI="init_0.mp4"\n#EXTINF:2,\nsegment_1.m4s\n#EXT-X-MAP:URI="https://else.test/i.mp4"\n'
    )
    assert at_cdn(playlist, "https://cdn.test/hls/demo/") == (
        b'#EXTM3U\n#EXT-X-MAP:URI="https://cdn.test/hls/demo/init_0.mp4"\n#EXTINF:2,\n'
        b'https://cdn.test/hls/demo/segment_1.m4s\n#EXT-X-MAP:URI="https://else.test/i.mp4"\n'
    )
    assert segment_uris(playlist) == ["init_0.mp4", "segment_1.m4s", "https://else.test/i.mp4"]


def test_an_initialization_section_is_whole_once_a_playlist_names_it() -> None:
    board = SnapshotBoard()
    whole = WholeSegments(board)
    first = Playlist(name="a.m3u8", body=b'#EXTM3U\n#EXT-X-MAP:URI="init_1.mp4"\nsegment_1.m4s\n')
    board.publish(StreamSnapshot(key=KEY, state=StreamState.LIVE, playlists={"a.m3u8": first}))
    assert whole.has(KEY, "init_1.mp4")
    assert not whole.has(KEY, "it_1.mp4")
    whole.remember(KEY, first)
    board.remove(KEY)
    assert whole.has(KEY, "init_1.mp4")
