"""What was really encoded, in the journal and in the multivariant playlists; and rates and dates that hold."""

import re
from datetime import datetime
from fractions import Fraction

import pytest
from hls_kit import START, Parsed, Stream, new_ledger

from streamkit.hls.events import MediaProbed, from_record, to_record
from streamkit.hls.render import render_vod
from streamkit.hls.segments import View
from streamkit.media.info import AudioInfo, MediaInfo, Picture, Timeline, VideoInfo

A, B = "720p", "480p"
NTSC = Fraction(30000, 1001)


def seen(
    codec: str = "avc1.64001E", size: tuple[int, int] = (854, 480), *, fps: Fraction | None = NTSC, idr: bool = True,
    aspect: Fraction = Fraction(1), audio: str | None = "mp4a.40.5", channels: int = 6,
) -> MediaInfo:  # fmt: skip
    timeline = Timeline(times=(Fraction(1),), end=Fraction(3))
    picture = Picture(*size, fps, aspect)
    video = VideoInfo(codec=codec, picture=picture, timeline=timeline, starts_with_idr=idr)
    sound = audio and AudioInfo(codec=audio, channels=channels, sample_rate=48000, timeline=timeline)
    return MediaInfo(video=video if codec else None, audio=sound or None)


def probe(stream: Stream, rendition: str, sequence: int, media: MediaInfo) -> bool:
    return stream.record(stream.ledger.probe(stream.name(rendition, sequence), media))


def make(stream: Stream, sequences: range, *names: str, **media: MediaInfo) -> None:
    for sequence in sequences:
        for name in names:
            if name[-4:] in media:
                probe(stream, name, sequence, media[name[-4:]])
        stream.make(range(sequence, sequence + 1), *names)


def entry(stream: Stream, view: View = View.LOCAL) -> Parsed:
    return stream.files(view)["playlist.m3u8"]


def attributes(playlist: Parsed, number: int = 0) -> dict[str, str]:
    line = [line for line in playlist.lines if line.startswith("#EXT-X-STREAM-INF")][number]
    return dict(re.findall(r'([A-Z-]+)=("[^"]*"|[^,]*)', line))


def copied() -> Stream:
    """A session that copies one rendition and encodes another."""
    stream = Stream()
    stream.open()
    stream.run(A, B, video_codec="copy", audio_codec="copy", fps=None, width=0, height=0, maxrate=0, video_bitrate=0)
    return stream


@pytest.mark.parametrize("view", list(View))
def test_the_first_playlist_that_players_see_tells_what_was_encoded(view: View) -> None:
    stream = copied()
    probe(stream, A, 0, seen(aspect=Fraction(4, 3)))
    probe(stream, B, 0, seen(audio="mp4a.40.2"))
    assert stream.files(view) == {}
    stream.make(range(1), A, B)
    first = attributes(entry(stream, view))
    assert first["CODECS"] == '"avc1.64001E,mp4a.40.5"'
    assert first["RESOLUTION"] == "1139x480"
    assert first["FRAME-RATE"] == "29.970"
    assert attributes(entry(stream, view), 1)["CODECS"] == '"avc1.64001E,mp4a.40.2"'


def test_what_was_encoded_counts_more_than_what_was_asked_for() -> None:
    stream = Stream()
    stream.open(A, B)
    probe(stream, A, 0, seen("hvc1.1.6.L93.90", (1280, 718)))
    stream.make(range(1), A, B)
    told = attributes(entry(stream))
    assert (told["CODECS"], told["RESOLUTION"]) == ('"hvc1.1.6.L93.90,mp4a.40.5"', "1280x718")
    assert attributes(entry(stream), 1)["CODECS"] == '"avc1.64001F,mp4a.40.2"', "not seen: the wish"


def test_a_medium_that_was_not_seen_is_as_asked_for_or_leaves_codecs_out() -> None:
    stream = Stream()
    stream.open(A)
    stream.run(A, B)
    for name in (A, B):
        probe(stream, name, 0, seen(audio=None))
    stream.make(range(1), A, B)
    assert attributes(entry(stream))["CODECS"] == '"avc1.64001E,mp4a.40.2"'
    stream = copied()
    probe(stream, A, 0, seen(audio=None))
    stream.make(range(1), A, B)
    assert "CODECS" not in attributes(entry(stream))
    probe(stream, A, 1, seen(fps=Fraction(1)))
    stream.make(range(1, 2), A, B)
    assert attributes(entry(stream))["CODECS"] == '"avc1.64001E,mp4a.40.5"', "audio that came late"
    assert attributes(entry(stream))["FRAME-RATE"] == "29.970", "what was seen first stays"


def test_every_run_is_looked_at_and_the_newest_one_is_what_players_choose_from() -> None:
    stream = Stream()
    stream.open(A, B)
    probe(stream, A, 0, seen())
    stream.make(range(2), A, B)
    stream.run(A, B)
    assert attributes(entry(stream))["RESOLUTION"] == "854x480"
    probe(stream, A, 2, seen("avc1.640020", (1920, 1080), fps=Fraction(60)))
    stream.make(range(2, 4), A, B)
    told = attributes(entry(stream))
    assert (told["CODECS"], told["RESOLUTION"]) == ('"avc1.640020,mp4a.40.5"', "1920x1080")


def test_what_an_earlier_run_encoded_is_told_for_as_long_as_it_is_listed() -> None:
    stream = Stream()
    stream.open(A, B)
    probe(stream, A, 0, seen("avc1.640028", (1920, 1080), fps=Fraction(60)))
    stream.make(range(2), A, B)
    stream.run(A, B)
    probe(stream, A, 2, seen("avc1.64001F", (1280, 720), fps=Fraction(25)))
    stream.make(range(2, 4), A, B)
    told = attributes(entry(stream))
    assert (told["CODECS"], told["RESOLUTION"]) == ('"avc1.640028,mp4a.40.5"', "1920x1080")
    assert told["FRAME-RATE"] == "60.000"
    stream.make(range(4, 60), A, B)
    told = attributes(entry(stream))
    assert (told["CODECS"], told["RESOLUTION"]) == ('"avc1.64001F,mp4a.40.5"', "1280x720")
    assert told["FRAME-RATE"] == "25.000"


def test_the_whole_broadcast_tells_the_most_of_all_its_runs() -> None:
    stream = Stream()
    stream.open(A, B)
    for first, codec, size, rate in ((0, "avc1.64001F", (1280, 720), 60), (2, "avc1.640028", (1920, 1080), 25)):
        probe(stream, A, first, seen(codec, size, fps=Fraction(rate)))
        stream.make(range(first, first + 2), A, B)
        stream.run(A, B)
    stream.record(stream.ledger.end_session(stream.time))
    name = f"{stream.ledger.session}.m3u8"
    told = attributes(Parsed(render_vod(stream.ledger)[name].decode()))
    assert told["CODECS"] == '"avc1.640028,mp4a.40.5"', "the higher level plays both"
    assert (told["RESOLUTION"], told["FRAME-RATE"]) == ("1920x1080", "60.000")


def test_a_repeat_a_late_segment_and_an_unknown_name_show_nothing_new() -> None:
    stream = Stream()
    stream.open(A)
    assert probe(stream, A, 0, seen())
    assert not probe(stream, A, 0, seen())
    assert not probe(stream, "other", 0, seen())
    stream.make(range(1), A)
    assert not probe(stream, A, 0, seen("avc1.640028"))


def test_what_was_seen_survives_in_the_journal() -> None:
    stream = copied()
    make(stream, range(3), A, B, **{A: seen(), B: seen(idr=False)})
    for event in stream.events:
        assert from_record(to_record(event)) == event
    again = Stream(ledger=stream.replayed())
    for view in View:
        assert {name: one.text for name, one in again.files(view).items()} == {
            name: one.text for name, one in stream.files(view).items()
        }
    assert sum(isinstance(event, MediaProbed) for event in stream.events) == 2


@pytest.mark.parametrize(
    "change", [{"fps": "1/0"}, {"fps": "x"}, {"width": -1}, {"independent": 1}, {"video_codec": 7}]
)
def test_a_damaged_record_of_what_was_seen_is_refused(change: dict[str, object]) -> None:
    stream = Stream()
    stream.open(A)
    probe(stream, A, 0, seen())
    with pytest.raises(ValueError, match=next(iter(change))):
        from_record(to_record(stream.events[-1]) | change)


def test_independent_segments_are_claimed_only_while_every_segment_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 8216 4.3.5.1."""
    stream = copied()
    make(stream, range(1), A, B, **{A: seen(), B: seen()})
    tag = "#EXT-X-INDEPENDENT-SEGMENTS"
    assert all(tag in playlist.lines for view in View for playlist in stream.files(view).values())
    probe(stream, A, 1, seen(idr=False))
    stream.make(range(1, 2), A, B)
    stream.run(A, B)
    make(stream, range(2, 3), A, B, **{A: seen(), B: seen()})
    assert not any(tag in playlist.lines for view in View for playlist in stream.files(view).values())
    assert not any(tag.encode() in body for body in render_vod(stream.ledger).values())


# ---- rates -----------------------------------------------------------------------------------------------------


def rates(stream: Stream, number: int = 0) -> tuple[int, int]:
    told = attributes(entry(stream), number)
    return int(told["BANDWIDTH"]), int(told["AVERAGE-BANDWIDTH"])


def test_bandwidth_never_falls_within_a_session_whatever_the_ladder_becomes() -> None:
    stream = Stream()
    stream.open(A, B)
    stream.make(range(2), A, B)
    before = rates(stream)[0]
    stream.run(A, B, maxrate=500_000, video_bitrate=400_000)
    stream.make(range(2, 4), A, B)
    assert rates(stream)[0] == before
    for name in (A, B):
        stream.close(name, 4, size=1_000_000)
        stream.upload(name, 4)
    assert rates(stream)[0] == 4_000_000


def test_bandwidth_covers_what_the_bucket_lists_ahead_of_the_others() -> None:
    stream = Stream()
    stream.open(A, B)
    stream.make(range(2), A, B)
    for name in (A, B):
        stream.close(name, 2, size=2_000_000)
    stream.upload(A, 2)
    assert stream.media(View.BUCKET, A).uris[-1] == stream.name(A, 2)
    assert int(attributes(entry(stream, View.BUCKET))["BANDWIDTH"]) == 8_000_000


def test_the_average_is_what_was_measured_once_that_is_known_and_changes_rarely() -> None:
    stream = Stream()
    stream.open(A, B)
    asked, told = (2_000_000 + 128_000) * 108 // 100, []
    for sequence in range(60):
        stream.now += 2
        for name in (A, B):
            stream.close(name, sequence, size=250_000 + sequence % 3 * 1000)
        told.append(rates(stream)[1])
    assert told[:9] == [asked] * 9
    assert abs(told[-1] - 1_004_000) < 100_000
    assert len(set(told)) == 2, "one change"


def test_a_copied_source_has_rates_from_its_first_segment_on() -> None:
    stream = copied()
    stream.make(range(1), A, B)
    assert rates(stream) == (2_000_000, 2_000_000)


# ---- time ------------------------------------------------------------------------------------------------------


def date_of(playlist: Parsed) -> float:
    return datetime.fromisoformat(playlist.tag("EXT-X-PROGRAM-DATE-TIME")).timestamp()


def test_over_a_day_at_29_97_dates_follow_the_durations_to_the_millisecond() -> None:
    """Issue 3: monotone, and less than a frame an hour off the sum of durations; numbers close late now and then."""
    stream = Stream()
    stream.open(A)
    media, dates = Fraction(0), []
    duration = float(f"{60 * 1001 / 30000:.6f}")  # as FFmpeg writes it
    count = int(86400 / duration)
    for sequence in range(count):
        stream.now = START + float(media) + duration + (sequence % 7) * 0.3
        stream.close(A, sequence, duration=duration)
        stream.upload(A, sequence)
        media += Fraction(60 * 1001, 30000)
        if sequence % 1798 == 0:  # about once an hour
            playlist = stream.media(View.LOCAL, A)
            listed = Fraction(playlist.media_sequence) * Fraction(60 * 1001, 30000)
            dates.append(date_of(playlist))
            assert abs(dates[-1] - START - float(listed)) < 0.001, sequence
    assert dates == sorted(dates)
    assert len(dates) > 23


def test_a_run_that_begins_early_is_dated_behind_the_one_before_it() -> None:
    """The publisher's clock may be faster than ours: dates still never go back."""
    stream = Stream()
    stream.open(A)
    for sequence in range(10):
        stream.now += 1.5
        stream.close(A, sequence, duration=2.0)
    stream.run(A)
    stream.now += 0.5
    stream.close(A, 10, duration=2.0)
    lines = [line for line in stream.media(View.LOCAL, A).lines if "DATE-TIME" in line]
    first, second = (datetime.fromisoformat(line.partition(":")[2]).timestamp() for line in lines)
    playlist = stream.media(View.LOCAL, A)
    assert second >= first + sum(playlist.durations[:-1]) - 0.001


def test_the_target_duration_is_constant_and_never_below_a_rounded_duration() -> None:
    stream = Stream(ledger=new_ledger(segment_duration=3.7))
    stream.open(A)
    told = set()
    for sequence in range(40):
        stream.now += 3.7
        stream.close(A, sequence, duration=3.7 + 0.033 * (sequence % 3 - 1))
        playlist = stream.media(View.LOCAL, A)
        told.add(playlist.target)
        assert all(round(one) <= playlist.target for one in playlist.durations)
    assert told == {4}
