"""Pure: snapshots and rows -> what the API's JSON says of them. Times are ISO 8601 in UTC."""

from typing import Any

from streamkit.database.rows import Page, SegmentRow, SessionRow, StreamRow
from streamkit.hls.names import MULTIVARIANT, POSTER, object_name
from streamkit.snapshots import StreamSnapshot
from streamkit.types import Rendition, SourceInfo, StreamKey, StreamState, UnixTime
from streamkit.web.responses import iso_time

_ROW_TIMES = ("started_at", "stopped_at", "created_at", "updated_at")


def playlist_path(key: StreamKey) -> str:
    """Return the live entry point, relative to the site's root."""
    return f"/{object_name(key, MULTIVARIANT)}"


def live_view(snapshot: StreamSnapshot, now: UnixTime) -> dict[str, Any]:
    """Return what is known of a stream that an actor holds. `uptime` and `upload_lag` in seconds, rates in bit/s."""
    ended_at = now if snapshot.stopped_at is None else snapshot.stopped_at
    started_at = snapshot.started_at
    return {
        "stream_key": snapshot.key,
        "session": snapshot.session,
        "state": snapshot.state,
        "started_at": iso_time(started_at),
        "uptime": None if started_at is None else round(max(0.0, ended_at - started_at), 3),
        "playlist_url": playlist_path(snapshot.key) if snapshot.playlists else None,
        "poster_url": f"/{object_name(snapshot.key, POSTER)}" if snapshot.poster else None,
        "storyboard_url": f"/{object_name(snapshot.key, snapshot.storyboard)}" if snapshot.storyboard else None,
        "source": _source_view(snapshot.source),
        "renditions": [_rendition_view(rendition) for rendition in snapshot.renditions],
        "fps": round(snapshot.fps, 2),
        "speed": round(snapshot.speed, 3),
        "bitrate": snapshot.bitrate,
        "dropped_frames": snapshot.dropped_frames,
        "duplicated_frames": snapshot.duplicated_frames,
        "segments_closed": snapshot.segments.closed,
        "segments_uploaded": snapshot.segments.uploaded,
        "segments_listed": snapshot.segments.listed,
        "segments_lost": snapshot.segments.lost,
        "bytes": snapshot.segments.bytes,
        "upload_lag": round(snapshot.upload_lag, 3),
        "restarts": snapshot.restarts,
        "slate": snapshot.slate,
        "shed": list(snapshot.shed),
        "last_error": snapshot.last_error,
    }


def _source_view(source: SourceInfo | None) -> dict[str, Any] | None:
    """Return what the publisher's headers say, None before they are known."""
    if source is None:
        return None
    video, audio = source.video, source.audio
    return {
        "video_codec": None if video is None else video.codec,
        "width": 0 if video is None else video.width,
        "height": 0 if video is None else video.height,
        "fps": None if video is None or video.fps is None else round(float(video.fps), 3),
        "video_bitrate": source.video_bitrate,
        "audio_codec": None if audio is None else audio.codec,
        "sample_rate": None if audio is None else audio.sample_rate,
        "channels": None if audio is None else audio.channels,
    }


def _rendition_view(rendition: Rendition) -> dict[str, Any]:
    return {
        "name": rendition.name,
        "width": rendition.width,
        "height": rendition.height,
        "fps": None if rendition.fps is None else round(float(rendition.fps), 3),
        "video_codec": rendition.video_codec,
        "video_bitrate": rendition.video_bitrate,
        "audio_codec": rendition.audio_codec,
        "audio_bitrate": rendition.audio_bitrate,
    }


def stream_view(
    key: StreamKey, row: StreamRow | None, snapshot: StreamSnapshot | None, now: UnixTime
) -> dict[str, Any]:
    """Return a row of `streams` with the live state of the stream, null when no actor holds it.

    A stream that was accepted a moment ago may not have its row yet: its id and times are null, its state is live.
    """
    state = row.status if row is not None else snapshot.state if snapshot is not None else StreamState.ENDED
    return {
        "id": None if row is None else row.id,
        "stream_key": key,
        "status": state.status,
        "state": state,
        **{name: None if row is None else iso_time(getattr(row, name)) for name in _ROW_TIMES},
        "last_error": None if row is None else row.last_error,
        "live": None if snapshot is None else live_view(snapshot, now),
    }


def session_view(row: SessionRow) -> dict[str, Any]:
    """Return a row of `sessions` with the address of its whole broadcast."""
    return {
        "id": row.id,
        "session": row.session,
        "status": row.status.status,
        "state": row.status,
        "started_at": iso_time(row.started_at),
        "ended_at": iso_time(row.ended_at),
        "end_reason": row.end_reason,
        "expired_at": iso_time(row.expired_at),
        "renditions": list(row.renditions),
    }


def page_view(page: Page[Any], name: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a page of `items` under `name`."""
    return {name: items, "total": page.total, "offset": page.offset, "limit": page.limit}


def manifest_view(key: StreamKey, rows: tuple[SegmentRow, ...], *, base: str, truncated: bool) -> dict[str, Any]:
    """Return the manifest of the segments that the store has; their URLs begin with `base`. Durations in seconds."""
    stored = [row for row in rows if row.state == "uploaded"]
    return {
        "stream_key": key,
        "playlist_url": playlist_path(key),
        "session": stored[0].session if stored else None,
        "rendition": stored[0].rendition if stored else None,
        "segments": [
            {"url": f"{base}/{object_name(key, row.name)}", "duration": row.duration, "size": row.size}
            for row in stored
        ],
        "total_duration": round(sum(row.duration for row in stored), 6),
        "truncated": truncated,
    }
