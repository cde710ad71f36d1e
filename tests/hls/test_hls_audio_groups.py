"""Sound apart from pictures: which audio renditions there are, and how the multivariant playlist ties them together."""

from fractions import Fraction
from typing import Any

import pytest
from hls_kit import Stream
from hls_kit import rung as rendition

from streamkit.audio_groups import with_separate_audio
from streamkit.hls.codecs import codecs
from streamkit.hls.render import render_vod
from streamkit.hls.segments import View
from streamkit.ladder import plan_renditions
from streamkit.settings_ladder import LadderSettings, RenditionSettings
from streamkit.types import AudioSource, Rendition, SourceInfo, VideoSource

AAC = AudioSource(codec="aac", sample_rate=48000, channels=2)
VIDEO = VideoSource(codec="h264", width=1920, height=1080, fps=Fraction(30))
HIGH, LOW = (
    RenditionSettings(name=name, height=height, video_bitrate=1_000_000, audio_bitrate=rate)
    for name, height, rate in (("1080p", 1080, 160_000), ("480p", 480, 64_000))
)
RADIO = RenditionSettings(name="radio", audio_only=True, audio_bitrate=64_000)


def planned(*rungs: RenditionSettings, audio: AudioSource | None = AAC, video: bool = True) -> tuple[Rendition, ...]:
    ladder = LadderSettings(renditions=rungs, separate_audio=True)
    return plan_renditions(ladder, SourceInfo(video=VIDEO if video else None, audio=audio))


def summary(renditions: tuple[Rendition, ...]) -> list[tuple[str, str | None, int, str | None]]:
    return [(one.name, one.audio_codec, one.audio_bitrate, one.audio_group) for one in renditions]


def test_each_distinct_sound_becomes_one_rendition_behind_the_pictures() -> None:
    middle = HIGH.model_copy(update={"name": "720p", "height": 720})
    assert summary(planned(HIGH, middle, LOW)) == [
        ("1080p", None, 0, "audio-160k"),
        ("720p", None, 0, "audio-160k"),
        ("480p", None, 0, "audio-64k"),
        ("audio-160k", "aac", 160_000, None),
        ("audio-64k", "aac", 64_000, None),
    ]


def test_an_audio_only_rung_of_the_same_sound_is_taken_for_it_and_stays_a_variant() -> None:
    assert summary(planned(HIGH, LOW, RADIO)) == [
        ("1080p", None, 0, "audio-160k"),
        ("480p", None, 0, "radio"),
        ("radio", "aac", 64_000, "radio"),
        ("audio-160k", "aac", 160_000, None),
    ]


def test_channels_and_codecs_tell_sounds_of_the_same_rate_apart() -> None:
    mono = LOW.model_copy(update={"name": "240p", "height": 240, "audio_channels": 1})
    assert [one.name for one in planned(LOW, mono)] == ["480p", "240p", "audio-64k", "audio-64k-2"]


def test_a_rung_with_the_name_of_a_sound_keeps_it() -> None:
    taken = LOW.model_copy(update={"name": "audio-64k"})
    assert [one.name for one in planned(taken)] == ["audio-64k", "audio-64k-2"]


def test_without_sound_or_without_pictures_nothing_is_taken_apart() -> None:
    assert summary(planned(HIGH, LOW, audio=None)) == [("1080p", None, 0, None), ("480p", None, 0, None)]
    assert summary(planned(HIGH, LOW, video=False)) == [("audio", "aac", 160_000, None)]


def test_a_ladder_keeps_its_sound_in_every_rendition_unless_asked() -> None:
    ladder = LadderSettings(renditions=(HIGH, LOW))
    assert all(one.audio_codec for one in plan_renditions(ladder, SourceInfo(video=VIDEO, audio=AAC)))


# ---- playlists


@pytest.fixture
def stream() -> Stream:
    stream = Stream()
    stream.record(stream.ledger.open_session(stream.time))
    ladder = (rendition("720p"), rendition("480p", audio_bitrate=64_000))
    stream.record(stream.ledger.begin_run(with_separate_audio(ladder)))
    return stream


def make(stream: Stream, *renditions: str, numbers: range = range(3), sizes: dict[str, int] | None = None) -> None:
    for number in numbers:
        stream.now += 2.0
        for name in renditions:
            stream.close(name, number, size=(sizes or {}).get(name, 30_000))
            stream.upload(name, number)


ALL = ("720p", "480p", "audio-128k", "audio-64k")


def tags(text: str, name: str) -> list[str]:
    return [line.partition(":")[2] for line in text.splitlines() if line.startswith(f"#{name}:")]


def test_rfc8216_4_3_4_1_every_group_is_listed_once_with_its_playlist(stream: Stream) -> None:
    make(stream, *ALL)
    playlist = stream.files(View.LOCAL)["playlist.m3u8"]
    common = 'NAME="Main",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2"'
    assert tags(playlist.text, "EXT-X-MEDIA") == [
        f'TYPE=AUDIO,GROUP-ID="audio-128k",{common},URI="audio-128k.m3u8"',
        f'TYPE=AUDIO,GROUP-ID="audio-64k",{common},URI="audio-64k.m3u8"',
    ]
    assert playlist.uris == ["720p.m3u8", "480p.m3u8"], "a sound is no variant"
    assert [line.rpartition(",")[2] for line in tags(playlist.text, "EXT-X-STREAM-INF")] == [
        'AUDIO="audio-128k"',
        'AUDIO="audio-64k"',
    ]


def test_rfc8216_4_3_4_2_a_variants_rates_and_codecs_include_its_sound(stream: Stream) -> None:
    make(stream, *ALL, sizes={"720p": 1_000_000, "audio-128k": 100_000})
    high = tags(stream.files(View.LOCAL)["playlist.m3u8"].text, "EXT-X-STREAM-INF")[0]
    assert high.startswith("BANDWIDTH=4400000,"), "the measured peaks of both"
    assert f'CODECS="{codecs(rendition("720p", audio_codec=None))},mp4a.40.2"' in high


def test_the_playlist_of_the_whole_broadcast_has_the_groups_too(stream: Stream) -> None:
    make(stream, *ALL, sizes={"720p": 1_000_000, "audio-128k": 100_000})
    stream.record(stream.ledger.end_session(stream.time))
    session = stream.ledger.session
    text = render_vod(stream.ledger)[f"{session}.m3u8"].decode()
    assert f'URI="{session}_audio-128k.m3u8"' in tags(text, "EXT-X-MEDIA")[0]
    assert tags(text, "EXT-X-STREAM-INF")[0].startswith("BANDWIDTH=4400000,AVERAGE-BANDWIDTH=4400000,")
    assert f"\n{session}_audio-128k.m3u8\n" not in text


def test_a_sound_that_died_leaves_its_variants_without_it(stream: Stream) -> None:
    make(stream, *ALL)
    make(stream, "720p", "480p", "audio-128k", numbers=range(3, 12))
    stream.wait(5)
    text = stream.files(View.LOCAL)["playlist.m3u8"].text
    assert "audio-64k" not in text
    assert "mp4a" not in tags(text, "EXT-X-STREAM-INF")[1]


def test_when_only_the_sound_is_left_it_is_a_variant(stream: Stream) -> None:
    make(stream, *ALL)
    make(stream, "audio-128k", numbers=range(3, 12))
    stream.wait(5)
    playlist = stream.files(View.LOCAL)["playlist.m3u8"]
    assert playlist.uris == ["audio-128k.m3u8"]
    assert "EXT-X-MEDIA:" not in playlist.text


def test_an_audio_only_variant_names_its_group_and_counts_it_once() -> None:
    stream = Stream()
    stream.record(stream.ledger.open_session(stream.time))
    radio: dict[str, Any] = {"width": 0, "height": 0, "fps": None, "video_bitrate": 0, "maxrate": 0}
    ladder = (rendition("720p"), rendition("radio", video_codec=None, **radio))
    stream.record(stream.ledger.begin_run(with_separate_audio(ladder)))
    make(stream, "720p", "radio")
    playlist = stream.files(View.LOCAL)["playlist.m3u8"]
    assert playlist.uris == ["720p.m3u8", "radio.m3u8"]
    assert tags(playlist.text, "EXT-X-STREAM-INF")[1] == (
        'BANDWIDTH=140000,AVERAGE-BANDWIDTH=138240,CODECS="mp4a.40.2",AUDIO="radio"'
    )


def test_a_replayed_journal_gives_the_same_groups(stream: Stream) -> None:
    make(stream, *ALL)
    assert stream.replayed().renditions() == stream.ledger.renditions()


def test_rfc8216_6_2_4_a_broadcast_has_one_target_duration_though_its_sound_is_cut_a_little_shorter() -> None:
    stream = Stream()
    session = stream.ledger.open_session(stream.time)
    stream.record(session)
    stream.record(stream.ledger.begin_run(with_separate_audio((rendition("720p"),))))
    for number in range(3):
        stream.make(range(number, number + 1), "720p", duration=1.5)
        stream.make(range(number, number + 1), "audio-128k", duration=1.493)
    stream.record(stream.ledger.end_session(stream.time))
    files = {name: text.decode() for name, text in render_vod(stream.ledger).items()}
    targets = {name: tags(text, "EXT-X-TARGETDURATION") for name, text in files.items()}
    targets.pop(f"{session.session}.m3u8")
    assert targets == {f"{session.session}_720p.m3u8": ["2"], f"{session.session}_audio-128k.m3u8": ["2"]}
