"""Whatever happens to a stream, in whatever order, its playlists keep the promises of RFC 8216 6.2.1 and 6.2.2."""

import json

from hls_kit import Parsed, Stream, new_ledger
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from streamkit.hls.dvr import DvrWindow
from streamkit.hls.dvr_text import DvrText
from streamkit.hls.events import from_record, to_record
from streamkit.hls.ledger import Ledger
from streamkit.hls.names import parse_segment_name
from streamkit.hls.render import render_view, render_vod
from streamkit.hls.segments import View
from streamkit.types import MediaSequence, Seconds, UnixTime

LADDERS = (("1080p", "720p", "480p"), ("720p", "480p"), ("720p",), ("480p", "audio"))


class AnyStream(RuleBasedStateMachine):
    """A stream to which anything happens that can, and players who remember all they were ever told."""

    dvr_window: float | None = 20.0

    def __init__(self) -> None:
        super().__init__()
        self.stream = Stream(self.new_ledger())
        self.dvr = DvrText(self.stream.ledger)
        self.following: dict[str, int] = {}
        self.closed: set[str] = set()
        self.uploaded: set[str] = set()
        self.deleted: set[str] = set()
        self.headers: dict[tuple[View, str], tuple[int, int]] = {}
        self.told: dict[tuple[View, str, int], tuple[object, ...]] = {}
        self.targets: dict[tuple[View, str], int] = {}
        self.ended: dict[tuple[View, str], str] = {}

    def new_ledger(self) -> Ledger:
        return new_ledger(dvr=DvrWindow(None if self.dvr_window is None else Seconds(self.dvr_window)))

    # ---- what can happen ---------------------------------------------------------------------------------------

    @rule()
    def open_session(self) -> None:
        self.stream.open()
        self.following = {}

    @precondition(lambda self: self.stream.ledger.is_open)
    @rule(ladder=st.sampled_from(LADDERS))
    def begin_run(self, ladder: tuple[str, ...]) -> None:
        first = self.stream.run(*ladder)
        self.following = dict.fromkeys(ladder, first)

    @precondition(lambda self: self.following and self.stream.ledger.is_open)
    @rule(
        data=st.data(),
        skip=st.sampled_from([0] * 12 + [1, 3]),
        duration=st.sampled_from([2.0, 2.0, 2.0, 1.0, 0.04, 2.502, 7.5]),
    )
    def close(self, data: st.DataObject, skip: int, duration: float) -> None:
        rendition = data.draw(st.sampled_from(sorted(self.following)))
        sequence = self.following[rendition] + skip
        name = self.stream.name(rendition, sequence)
        self.stream.now += 0.3
        if self.stream.close(rendition, sequence, duration=duration, size=1000 + sequence):
            assert name not in self.closed, "a name is used once"
            self.closed.add(name)
            self.following[rendition] = sequence + 1

    @precondition(lambda self: self.following and self.stream.ledger.is_open)
    @rule(count=st.integers(1, 12), upload=st.booleans())
    def go_on_well(self, count: int, upload: bool) -> None:
        for _ in range(count):
            self.stream.now += 2
            for rendition, sequence in list(self.following.items()):
                name = self.stream.name(rendition, sequence)
                assert self.stream.close(rendition, sequence)
                self.closed.add(name)
                self.following[rendition] += 1
                if upload:
                    self._upload(name)
            self.players_look()

    @precondition(lambda self: self.stream.ledger.pending())
    @rule(data=st.data())
    def upload_any(self, data: st.DataObject) -> None:
        self._upload(data.draw(st.sampled_from([one.name for one in self.stream.ledger.pending()])))

    @precondition(lambda self: self.stream.ledger.pending())
    @rule()
    def upload_everything(self) -> None:
        for segment in self.stream.ledger.pending():
            self._upload(segment.name)

    @precondition(lambda self: self.stream.ledger.pending())
    @rule(data=st.data())
    def lose_any(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from([one.name for one in self.stream.ledger.pending()]))
        assert self.stream.record(self.stream.ledger.lose(name, self.stream.time))

    @rule(seconds=st.sampled_from([0.1, 1.0, 4.0, 90.0, -5.0]))
    def time_passes(self, seconds: float) -> None:
        self.stream.wait(seconds)

    @rule()
    def end_run(self) -> None:
        self.stream.record(self.stream.ledger.end_run(self.stream.time))

    @rule()
    def end_session(self) -> None:
        self.stream.record(self.stream.ledger.end_session(self.stream.time))

    @rule(next_sequence=st.integers(0, 400), next_discontinuity=st.integers(0, 9))
    def recall(self, next_sequence: int, next_discontinuity: int) -> None:
        ledger = self.stream.ledger
        self.stream.record(
            ledger.restore(
                epoch=ledger.epoch, next_sequence=MediaSequence(next_sequence), next_discontinuity=next_discontinuity
            )
        )

    @precondition(lambda self: self.stream.ledger.session is not None)
    @rule(grace=st.sampled_from([0.0, 5.0]))
    def clean_up(self, grace: float) -> None:
        ledger = self.stream.ledger
        files = ledger.expired_local(UnixTime(self.stream.now), Seconds(grace))
        assert set(files) <= self.uploaded - self.deleted, "only what the store has is deleted, and once"
        for name in files:
            parts = parse_segment_name(name)
            book = ledger.book(parts.session) if parts else None
            if book is not None and book.ended_at is None:
                listed = [one.name for one in ledger.listed(View.LOCAL, parts.rendition) if not one.gap]  # type: ignore[union-attr]
                assert name not in listed
        self.stream.record(ledger.files_deleted(files))
        self.deleted |= set(files)

    @precondition(lambda self: self.stream.ledger.session is not None)
    @rule()
    def archive(self) -> None:
        session = self.stream.ledger.session
        if session is not None and not self.stream.ledger.is_open and self.stream.ledger.is_drained(session):
            self.stream.record(self.stream.ledger.archive(session))

    def _upload(self, name: str) -> None:
        assert self.stream.record(self.stream.ledger.acknowledge(name, self.stream.time))
        self.uploaded.add(name)

    # ---- what is promised --------------------------------------------------------------------------------------

    @invariant()
    def players_look(self) -> None:
        for view in View:
            for url, body in render_view(self.stream.ledger, view).items():
                playlist = Parsed(body.decode())
                if not playlist.is_multivariant:
                    self._player_looks(view, url, playlist)
        for url, body in self.dvr.render().items():
            playlist = Parsed(body.decode())
            if not playlist.is_multivariant and url != "dvr.m3u8":
                self._player_looks(View.BUCKET, url, playlist)
                book = self.stream.ledger.window(View.BUCKET).book
                assert self.dvr_window is not None or playlist.media_sequence == (book.first if book else None)

    def _player_looks(self, view: View, url: str, playlist: Parsed) -> None:
        before = self.headers.get((view, url), (0, 0))
        header = (playlist.media_sequence, playlist.discontinuity_sequence)
        assert header[0] >= before[0], "EXT-X-MEDIA-SEQUENCE never goes back"
        assert header[1] >= before[1], "EXT-X-DISCONTINUITY-SEQUENCE never goes back"
        self.headers[view, url] = header
        there = self.closed if view is View.LOCAL else self.uploaded
        for number, (entry, duration) in enumerate(
            zip(playlist.entries, playlist.durations, strict=True), start=playlist.media_sequence
        ):
            _, uri, tags = entry
            parts = parse_segment_name(uri)
            assert parts is not None
            assert parts.sequence == number, "numbers are contiguous"
            assert uri in there or "#EXT-X-GAP" in tags, "what is listed is there"
            if url != "playlist.m3u8":  # whose only rendition may be another one next time
                assert self.told.setdefault((view, url, number), (*entry, duration)) == (*entry, duration), (
                    "what was listed never changes"
                )
        assert all(int(duration + 0.5) <= playlist.target for duration in playlist.durations)
        first = self.stream.ledger.window(view).book
        grew = self.targets.get((view, url)) != playlist.target  # what was cut before it grew was cut rightly
        self.targets[view, url] = playlist.target
        if first is not None and header[0] > max(before[0], first.first) and not grew:
            assert sum(playlist.durations) >= 3 * playlist.target - 1e-6, "never cut below three target durations"
        if (view, url) in self.ended and header == before:
            assert playlist.text == self.ended[view, url], "nothing comes after EXT-X-ENDLIST"
        if playlist.ended:
            self.ended[view, url] = playlist.text
        else:
            self.ended.pop((view, url), None)

    @invariant()
    def the_bucket_never_leads(self) -> None:
        local, bucket = (self.stream.ledger.window(view) for view in View)
        assert bucket.cursor <= local.cursor

    def teardown(self) -> None:
        """After a crash at any moment the journal leads to the very same bytes."""
        ledger, again = self.stream.ledger, self.new_ledger()
        for event in self.stream.events:
            again.apply(from_record(json.loads(json.dumps(to_record(event)))))
        for view in View:
            assert render_view(again, view) == render_view(ledger, view)
        assert DvrText(again).render() == self.dvr.render() == DvrText(ledger).render()
        assert render_vod(again) == render_vod(ledger)
        assert again.pending() == ledger.pending()
        assert again.counters() == ledger.counters()
        assert again.counts() == ledger.counts()
        assert again.is_settled == ledger.is_settled
        later = UnixTime(self.stream.now + 1000)
        assert again.expired_local(later, Seconds(0)) == ledger.expired_local(later, Seconds(0))
        self._drain()

    def _drain(self) -> None:
        """Once all is uploaded, an ended broadcast is ended in every view."""
        ledger = self.stream.ledger
        self.end_session()
        self.upload_everything()
        for view in View:
            window = ledger.window(view)
            if ledger.book() is not None and not ledger.book().is_empty:  # type: ignore[union-attr]
                assert window.is_ended
        assert ledger.is_drained()
        self.players_look()


class AnyEvent(AnyStream):
    """The same with DVR playlists that never lose an entry."""

    dvr_window = None


SETTINGS = settings(
    max_examples=40, stateful_step_count=30, deadline=None, phases=(Phase.reuse, Phase.generate, Phase.shrink)
)
TestAnyStream = AnyStream.TestCase
TestAnyStream.settings = SETTINGS
TestAnyEvent = AnyEvent.TestCase
TestAnyEvent.settings = settings(SETTINGS, max_examples=15)
