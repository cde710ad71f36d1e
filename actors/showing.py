"""What players and dashboards are shown of a stream: the one place where its snapshot is made."""

from types import MappingProxyType

from actors.encoding import Encoding
from streamkit.hls.ledger import Ledger
from streamkit.snapshots import Picture, Playlist, StreamSnapshot
from streamkit.types import BitsPerSecond, StreamKey, StreamState, UnixTime


def take_snapshot(
    key: StreamKey,
    ledger: Ledger,
    encoding: Encoding,
    *,
    now: UnixTime,
    state: StreamState,
    times: tuple[UnixTime | None, UnixTime | None],
    bitrate: float,
    error: str | None,
    pictures: tuple[Picture | None, str | None],
    playlists: dict[str, Playlist],
) -> StreamSnapshot:
    """Return what the front end may show. `now` by the ledger's clock; `times`: when it started and stopped;
    `pictures`: poster and storyboard.
    """
    progress = encoding.progress
    return StreamSnapshot(
        key=key,
        state=state,
        session=ledger.session,
        sessions=ledger.sessions,
        listed_from=ledger.listed_from,
        started_at=times[0],
        stopped_at=times[1],
        source=encoding.feed.source,
        renditions=ledger.renditions(),
        fps=progress.fps,
        speed=progress.speed,
        bitrate=BitsPerSecond(int(bitrate)),
        dropped_frames=progress.dropped,
        duplicated_frames=progress.duplicated,
        segments=ledger.counts(ledger.session),
        upload_lag=ledger.oldest_pending(now),
        restarts=encoding.restarts,
        slate=encoding.shows_slate,
        shed=encoding.shedding.names,
        last_error=error,
        newest_key=ledger.newest_key,
        poster=pictures[0],
        storyboard=pictures[1],
        playlists=MappingProxyType(playlists),
    )
