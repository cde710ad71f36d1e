"""One broadcast on real servers, from an RTMP publisher to what players, the bucket and PostgreSQL have of it."""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import httpx
import pytest
from e2e_player import (
    Decoded,
    LivePlayer,
    check_alignment,
    check_rendition,
    decode,
    parse_media,
    parse_multivariant,
    static_host,
)
from e2e_production import Production, without_retries
from servers.publishing import Publisher
from servers.waiting import wait_until

pytestmark = pytest.mark.e2e

KEY = "show"
FPS = 30
SIZES = {"720p": (1280, 720), "480p": (854, 480), "360p": (640, 360)}
SEGMENTS = 12
"""Fetched of each rendition before the publisher leaves: more than the live window of eight seconds holds."""

Push = Callable[..., Publisher]


@dataclass(frozen=True, slots=True, kw_only=True)
class Broadcast:
    """What was seen of one broadcast while it was live, and of its end."""

    production: Production
    player: LivePlayer
    live: dict[str, Any]
    live_ready: dict[str, Any]
    live_active: dict[str, Any]
    live_manifest: dict[str, Any]
    live_row: dict[str, Any]
    live_session_row: dict[str, Any]
    answers: dict[str, httpx.Response]
    row: dict[str, Any]
    session_row: dict[str, Any]

    @property
    def session(self) -> str:
        return str(self.live["session"])


@pytest.fixture(scope="module")
def broadcast(production_servers: Production, make_source: Callable[..., Path], push: Push) -> Broadcast:
    """Return a broadcast that is over: a publisher came, was watched for a dozen segments, and left."""
    production = production_servers
    production.start()
    source = make_source(width=1280, height=720, fps=FPS, seconds=40)
    publisher = push(production.nginx.url(KEY), source)
    player = LivePlayer(production.client, KEY)
    wait_until(player.is_on_air, what=f"a playlist of {KEY}", every=0.2)
    wait_until(lambda: player.has(SEGMENTS), what=f"{SEGMENTS} segments of {KEY}", every=0.3)
    live = production.live(KEY)
    live_row = production.row(KEY)
    assert live is not None
    assert live_row is not None
    seen = {
        "live": live,
        "live_ready": production.get("/ready"),
        "live_active": production.get("/streams/active"),
        "live_manifest": production.get("/manifest", stream_key=KEY),
        "live_row": live_row,
        "live_session_row": production.session_rows(KEY)[0],
        "answers": ask_in_every_way(production.client, player),
    }
    assert publisher.running, publisher.log()
    publisher.stop()
    wait_until(player.has_ended, what=f"the end of {KEY}", every=0.3)
    row = production.wait_state(KEY, "ended")
    return Broadcast(production=production, player=player, row=row, session_row=production.session_rows(KEY)[0], **seen)


def ask_in_every_way(client: httpx.Client, player: LivePlayer) -> dict[str, httpx.Response]:
    """Return the service's answers about the newest segment and the live playlist."""
    segment = f"/hls/{KEY}/{player.playlists['360p'].uris[-1]}"
    whole = client.get(segment)
    tag = whole.headers["etag"]
    return {
        "whole": whole,
        "head": client.head(segment),
        "range": client.get(segment, headers={"range": "bytes=188-375"}),
        "suffix": client.get(segment, headers={"range": "bytes=-188"}),
        "beyond": client.get(segment, headers={"range": f"bytes={len(whole.content)}-"}),
        "unchanged": client.get(segment, headers={"if-none-match": tag}),
        "resumed": client.get(segment, headers={"range": "bytes=0-187", "if-range": tag}),
        "other range": client.get(segment, headers={"range": "bytes=0-187", "if-range": '"other"'}),
        "playlist": client.get(f"/hls/{KEY}/360p.m3u8"),
    }


def decode_all(segments: dict[int, bytes]) -> dict[int, Decoded]:
    return {number: decode(data) for number, data in sorted(segments.items())}


@pytest.fixture(scope="module")
def decoded(broadcast: Broadcast) -> dict[str, dict[int, Decoded]]:
    """What the player fetched while it was live, decoded: rendition -> number -> segment."""
    return {name: decode_all(segments) for name, segments in broadcast.player.segments.items()}


# ---- over HTTP, while it was live


def test_the_entry_point_offers_every_rendition_best_first(broadcast: Broadcast) -> None:
    variants = broadcast.player.variants
    assert {variant.rendition: variant.size for variant in variants} == SIZES
    assert [variant.rendition for variant in variants] == list(SIZES)
    assert sorted((variant.bandwidth for variant in variants), reverse=True) == [v.bandwidth for v in variants]


@pytest.mark.parametrize("name", SIZES)
def test_every_rendition_decodes_in_its_size_without_a_break(
    broadcast: Broadcast, decoded: dict[str, dict[int, Decoded]], name: str
) -> None:
    playlist = broadcast.player.whole(name)
    assert playlist.entries[0].sequence == 0, "the player was there from the beginning"
    assert [entry.sequence for entry in playlist.entries] == list(range(len(playlist.entries)))
    assert playlist.discontinuities == 0
    check_rendition(playlist, list(decoded[name].values()), size=SIZES[name], fps=FPS)


def test_equal_numbers_begin_with_the_same_picture_in_every_rendition(decoded: dict[str, dict[int, Decoded]]) -> None:
    assert len({frozenset(segments) for segments in decoded.values()}) == 1
    check_alignment(decoded, fps=FPS)


def test_pictures_and_sound_stay_together(decoded: dict[str, dict[int, Decoded]]) -> None:
    for segments in decoded.values():
        for number, segment in segments.items():
            assert abs(segment.video[0] - segment.audio[0]) < Fraction(1, 5), number


def test_the_live_window_slid_while_the_player_watched(broadcast: Broadcast) -> None:
    assert all(playlist.sequence > 0 for playlist in broadcast.player.playlists.values())


def test_a_segment_is_answered_with_its_type_and_may_be_kept_for_ever(broadcast: Broadcast) -> None:
    whole, head = broadcast.answers["whole"], broadcast.answers["head"]
    assert whole.headers["content-type"] == "video/mp2t"
    assert "immutable" in whole.headers["cache-control"]
    assert whole.headers["access-control-allow-origin"] == "*"
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) == len(whole.content)
    assert head.headers["etag"] == whole.headers["etag"]


@pytest.mark.parametrize(
    ("answer", "part"), [("range", slice(188, 376)), ("suffix", slice(-188, None)), ("resumed", slice(188))]
)
def test_a_range_of_a_segment_is_answered_with_that_range(broadcast: Broadcast, answer: str, part: slice) -> None:
    whole, found = broadcast.answers["whole"].content, broadcast.answers[answer]
    start, stop, _ = part.indices(len(whole))
    assert found.status_code == 206
    assert found.content == whole[part]
    assert found.headers["content-range"] == f"bytes {start}-{stop - 1}/{len(whole)}"


def test_conditions_on_a_segment_are_obeyed(broadcast: Broadcast) -> None:
    answers = broadcast.answers
    assert (answers["unchanged"].status_code, answers["unchanged"].content) == (304, b"")
    assert answers["beyond"].status_code == 416
    assert answers["beyond"].headers["content-range"] == f"bytes */{len(answers['whole'].content)}"
    assert (answers["other range"].status_code, answers["other range"].content) == (200, answers["whole"].content)


def test_a_live_playlist_is_compressed_and_soon_stale(broadcast: Broadcast) -> None:
    playlist = broadcast.answers["playlist"]
    assert playlist.headers["content-type"] == "application/vnd.apple.mpegurl"
    assert playlist.headers["content-encoding"] == "gzip"
    assert playlist.headers["cache-control"] == "public, max-age=1"


# ---- what the service said of it


def test_everything_was_ready(broadcast: Broadcast) -> None:
    assert broadcast.live_ready["status"] == "ok", broadcast.live_ready


def test_stats_described_the_live_stream(broadcast: Broadcast) -> None:
    live = broadcast.live
    assert live["state"] == "live"
    assert {one["name"]: (one["width"], one["height"]) for one in live["renditions"]} == SIZES
    assert live["segments_closed"] >= live["segments_uploaded"] >= live["segments_listed"] >= 3 * (SEGMENTS - 3)
    assert (live["segments_lost"], live["restarts"], without_retries(live["last_error"])) == (0, 0, None)
    assert live["bytes"] > 0
    assert live["bitrate"] > 0
    assert live["fps"] > 0
    assert live["speed"] > 0


def test_the_database_said_live_and_then_ended(broadcast: Broadcast) -> None:
    live, ended = broadcast.live_row, broadcast.row
    assert (live["status"], live["state"], live["stopped_at"]) == ("active", "live", None)
    assert (ended["id"], ended["started_at"]) == (live["id"], live["started_at"])
    assert ended["stopped_at"] > ended["started_at"]
    assert without_retries(ended["last_error"]) is None


def test_the_session_said_live_and_then_ended(broadcast: Broadcast) -> None:
    live, ended = broadcast.live_session_row, broadcast.session_row
    assert (live["session"], live["status"], live["ended_at"]) == (broadcast.session, "live", None)
    assert (ended["session"], ended["status"]) == (broadcast.session, "ended")
    assert ended["end_reason"] == "the publisher did not come back"


def test_the_stream_was_active_and_then_inactive(broadcast: Broadcast) -> None:
    (active,) = (one for one in broadcast.live_active["streams"] if one["stream_key"] == KEY)
    assert (active["status"], active["state"], active["live"]["session"]) == ("active", "live", broadcast.session)
    assert active["id"] == broadcast.live_row["id"]
    production = broadcast.production
    assert KEY not in {one["stream_key"] for one in production.get("/streams/active")["streams"]}
    after = production.get(f"/streams/{KEY}")
    assert (after["status"], after["state"]) == ("inactive", "ended")
    assert [one["session"] for one in after["sessions"]["items"]] == [broadcast.session]


def test_stats_count_the_ended_stream(broadcast: Broadcast) -> None:
    stats = broadcast.production.get("/stats")
    assert KEY not in {one["stream_key"] for one in stats["streams"]}
    assert stats["inactive_streams"] >= 1
    assert stats["total_streams"] == stats["active_streams"] + stats["inactive_streams"] + stats["error_streams"]


def test_the_manifest_grew_into_the_whole_broadcast(broadcast: Broadcast) -> None:
    production = broadcast.production
    whole = production.get("/manifest", stream_key=KEY)
    playlist = production.stored_playlist(KEY, f"{broadcast.session}_720p.m3u8")
    stored = production.stored(KEY, ".ts")
    assert whole["playlist_url"] == f"/hls/{KEY}/playlist.m3u8"
    assert [one["url"] for one in whole["segments"]] == [f"/hls/{KEY}/{uri}" for uri in playlist.uris]
    assert [one["size"] for one in whole["segments"]] == [len(stored[uri]) for uri in playlist.uris]
    assert whole["total_duration"] == pytest.approx(sum(entry.duration for entry in playlist.entries), abs=1e-3)
    live = broadcast.live_manifest["segments"]
    assert live == whole["segments"][: len(live)]
    assert len(live) >= SEGMENTS - 3


# ---- the bucket alone


def test_the_bucket_behind_a_static_host_is_a_playable_copy(broadcast: Broadcast) -> None:
    with static_host(broadcast.production.bucket) as host:

        def fetch(name: str) -> bytes:
            return host.get(f"/hls/{KEY}/{name}").raise_for_status().content

        variants = parse_multivariant(fetch(f"{broadcast.session}.m3u8").decode())
        assert {variant.rendition: variant.size for variant in variants} == SIZES
        found = {}
        for variant in variants:
            playlist = parse_media(fetch(variant.uri).decode())
            assert (playlist.kind, playlist.ended, playlist.discontinuities) == ("VOD", True, 0)
            assert [entry.sequence for entry in playlist.entries] == list(range(len(playlist.entries)))
            segments = {entry.sequence: decode(fetch(entry.uri)) for entry in playlist.entries}
            check_rendition(playlist, list(segments.values()), size=variant.size, fps=FPS)
            found[variant.rendition] = segments
        check_alignment(found, fps=FPS)


def test_the_live_playlists_in_the_bucket_end_as_those_over_http(broadcast: Broadcast) -> None:
    production = broadcast.production
    for name in SIZES:
        stored = production.stored_playlist(KEY, f"{name}.m3u8")
        assert stored.ended
        assert stored == broadcast.player.playlists[name]
    entry = production.stored(KEY, "playlist.m3u8")["playlist.m3u8"].decode()
    assert {variant.uri for variant in parse_multivariant(entry)} == {f"{name}.m3u8" for name in SIZES}


def test_the_bucket_has_what_players_got_and_nothing_else(broadcast: Broadcast) -> None:
    production, player = broadcast.production, broadcast.player
    stored = production.stored(KEY, ".ts")
    assert stored == {
        entry.uri: player.segments[name][number]
        for name, entries in player.entries.items()
        for number, entry in entries.items()
    }
    playlists = {f"{name}.m3u8" for name in ("playlist", broadcast.session, *SIZES)}
    playlists |= {f"{broadcast.session}_{name}.m3u8" for name in SIZES}
    storyboard = f"storyboard_{broadcast.session}"
    pictures = {"poster.jpg", f"{storyboard}.vtt", f"{storyboard}_0.jpg"}
    assert production.stored(KEY, "").keys() == stored.keys() | playlists | pictures


def test_the_poster_shows_the_broadcast_and_stays_when_it_is_over(broadcast: Broadcast) -> None:
    production = broadcast.production
    assert broadcast.live["poster_url"] == f"/hls/{KEY}/poster.jpg"
    answer = production.client.get(f"/hls/{KEY}/poster.jpg")
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.content == production.stored(KEY, ".jpg")["poster.jpg"]
    with av.open(io.BytesIO(answer.content)) as container:
        frame = next(container.decode(video=0))
    assert (frame.width, frame.height) == (640, 360)


def test_the_storyboard_is_complete_when_the_broadcast_is_over(broadcast: Broadcast) -> None:
    production, name = broadcast.production, f"storyboard_{broadcast.session}"
    answer = production.client.get(f"/hls/{KEY}/{name}.vtt")
    assert answer.headers["content-type"].startswith("text/vtt")
    assert answer.content == production.stored(KEY, ".vtt")[f"{name}.vtt"]
    times = re.findall(r"^(\S+) --> (\S+)\n(\S+)#xywh=\d+,\d+,160,90$", answer.text, re.MULTILINE)
    assert {sheet for _, _, sheet in times} == {f"{name}_0.jpg"}
    assert [end for _, end, _ in times[:-1]] == [start for start, _, _ in times[1:]]
    with av.open(io.BytesIO(production.client.get(f"/hls/{KEY}/{name}_0.jpg").content)) as container:
        frame = next(container.decode(video=0))
    assert (frame.width, frame.height) == (160 * len(times), 96)


def test_segments_come_from_the_bucket_once_the_local_files_are_gone(broadcast: Broadcast) -> None:
    production = broadcast.production
    folder = production.hls_folder / KEY
    production.wait(lambda: not list(folder.glob("*.ts")), "the deletion of the local segments")
    stored = production.stored(KEY, ".ts")
    for name, content in stored.items():
        assert production.client.get(f"/hls/{KEY}/{name}").content == content, name


def test_the_watchers_looked_at_all_of_it(broadcast: Broadcast) -> None:
    report = broadcast.production.watch.report
    segments = sum(len(entries) for entries in broadcast.player.entries.values())
    assert report.bucket_segments == segments
    assert report.http_segments >= segments / 2
    assert report.bucket_playlists > segments
    assert report.http_playlists > segments / 2
