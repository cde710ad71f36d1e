"""Playlists: what one stream's playlists say now, to this node's players and in the bucket.

Used by the Broadcast alone, in the StreamActor's thread. They are rendered from the ledger, and only when they list
something new.
"""

from collections.abc import Callable

from actors.bucket import Bucket
from streamkit.hls.dvr_text import DvrText
from streamkit.hls.events import Event
from streamkit.hls.journal import Journal
from streamkit.hls.ledger import Ledger
from streamkit.hls.names import DVR, MULTIVARIANT, media_playlist_name, vod_multivariant_name
from streamkit.hls.render import render_view, render_vod
from streamkit.hls.segments import View
from streamkit.snapshots import Playlist
from streamkit.types import SessionId


class Playlists:
    """`record` journals an event of the ledger and applies it."""

    def __init__(
        self, ledger: Ledger, bucket: Bucket, record: Callable[[Event | None], bool], *, is_kept: bool = True
    ) -> None:
        self._ledger = ledger
        self._is_kept = is_kept  # as a recording: else there are no playlists of whole broadcasts
        self._bucket = bucket
        self._record = record
        self._shown: dict[View, dict[str, tuple[SessionId | None, bool, int]]] = {}
        self._bucket_files: dict[str, bytes] = {}
        self._dvr = DvrText(ledger)
        self._dvr_shown: tuple[SessionId | None, bool, int] | None = None
        self._dvr_files: dict[str, bytes] = {}
        self._whole: dict[SessionId, tuple[tuple[int, int, int], dict[str, bytes]]] = {}
        self.local: dict[str, Playlist] = {}
        """What players get from this node, by name."""

    def render(self, journal: Journal | None) -> None:
        """Give players and the bucket the playlists as they are now, where what they list has changed."""
        local, bucket = self._moved(View.LOCAL), self._moved(View.BUCKET)
        if (local or bucket) and journal is not None:
            journal.sync_numbers()  # what players are told must survive a power loss, or it comes twice
        dvr = bool(bucket) and self._render_dvr()
        if local:
            self._show(render_view(self._ledger, View.LOCAL) | self._dvr_files)
        elif dvr:
            self._show({name: one.body for name, one in self.local.items()} | self._dvr_files)
        if bucket:
            # A playlist that lists nothing new is not worth a PUT, even if its oldest entries could go.
            kept = {name: body for name, body in self._bucket_files.items() if name in self._shown[View.BUCKET]}
            self._bucket_files = kept | render_view(self._ledger, View.BUCKET, media=bucket)
        self.put()
        if bucket and journal is not None:
            journal.sync()  # while the playlists are sent: else they would go back after a power loss

    def _show(self, files: dict[str, bytes]) -> None:
        before = self.local
        self.local = {
            name: before[name] if name in before and before[name].body == body else Playlist(name=name, body=body)
            for name, body in files.items()
        }

    def _render_dvr(self) -> bool:
        """Bring the DVR playlists up to date, once for each number that all renditions have; False when it is known."""
        window = self._ledger.window(View.BUCKET)
        shown = (window.book.session if window.book else None, window.is_ended, window.cursor)
        if shown == self._dvr_shown:
            return False
        self._dvr_shown, self._dvr_files = shown, self._dvr.render()
        return bool(self._dvr_files)

    def put(self) -> None:
        """Store the playlists that changed, and those of whole broadcasts that are complete."""
        self._bucket.put(self._bucket_files, entry=MULTIVARIANT)
        self._bucket.put(self._dvr_files, entry=DVR)
        self._archive()

    def _moved(self, view: View) -> frozenset[str]:
        """Return the media playlists that list another newest segment than the last time, or have ended since."""
        window = self._ledger.window(view)
        session = window.book.session if window.book else None
        shows = {
            media_playlist_name(one.name): (session, window.is_ended, window.cursor + len(window.ahead(one.name)))
            for one in window.renditions
        }
        before = self._shown.get(view, {})
        self._shown[view] = shows
        return frozenset(name for name, now in shows.items() if before.get(name) != now)

    def _archive(self) -> None:
        """Put the playlists of whole broadcasts that are complete in the store; forget those that are there."""
        for session in self._ledger.unarchived():
            if not self._ledger.is_drained(session):
                continue
            files = self._render_whole(session) if self._is_kept else {}
            self._bucket.put(files, entry=vod_multivariant_name(session))
            if self._bucket.has(files):
                self._record(self._ledger.archive(session))
                self._bucket.forget(files)
                self._whole.pop(session, None)

    def _render_whole(self, session: SessionId) -> dict[str, bytes]:
        """Return the playlists of a whole broadcast, which may be hours long: they are rendered once."""
        counts = self._ledger.counts(session)
        state = (counts.closed, counts.uploaded, counts.lost)
        if self._whole.get(session, (None, None))[0] != state:
            self._whole[session] = state, render_vod(self._ledger, session)
        return self._whole[session][1]
