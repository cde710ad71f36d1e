"""What a session encodes after its source changed, and where FFmpeg takes what the source does not bring."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_ladder import AAC, AUDIO_RUNG, COPY, HIGH, THREE, ladder, rung, source

from streamkit.continuity import continued
from streamkit.ffmpeg.inputs import Slate, plan_inputs
from streamkit.ladder import plan_renditions
from streamkit.settings_ladder import LadderSettings
from streamkit.types import Rendition, SourceInfo

SEPARATE = THREE.model_copy(update={"separate_audio": True})
RADIO = ladder(HIGH, rung("480p", 480, 1_400_000), AUDIO_RUNG)
VIDEO_ONLY, AUDIO_ONLY = source(audio=None), SourceInfo(video=None, audio=AAC)


def planned(rungs: LadderSettings, *sources: SourceInfo) -> tuple[Rendition, ...]:
    """Return what is encoded of the last of the sources that one session has had."""
    before: tuple[Rendition, ...] = ()
    for one in sources:
        plan = plan_renditions(rungs, one, keep=frozenset(rendition.name for rendition in before))
        before = continued(plan, before, one)
    return before


def names(renditions: tuple[Rendition, ...]) -> list[str]:
    return [one.name for one in renditions]


def test_a_smaller_source_keeps_every_rendition_without_enlarging_its_pictures() -> None:
    after = planned(THREE, source(), source(640, 360))
    assert names(after) == ["1080p", "720p", "480p"]
    assert {(one.width, one.height) for one in after} == {(640, 360)}
    assert all(one.video_bitrate < 1_400_000 for one in after)


def test_a_larger_source_adds_renditions() -> None:
    assert names(planned(THREE, source(1280, 720), source())) == ["1080p", "720p", "480p"]


def test_a_single_rendition_stays_single_because_players_have_its_own_playlist() -> None:
    after = planned(THREE, source(640, 360), source())
    assert [(one.name, one.height) for one in after] == [("480p", 480)]


@pytest.mark.parametrize("rungs", [THREE, SEPARATE, RADIO, COPY], ids=["muxed", "separate", "radio", "copy"])
@pytest.mark.parametrize("later", [VIDEO_ONLY, AUDIO_ONLY, source(640, 360)], ids=["silent", "dark", "small"])
def test_what_players_play_is_there_whatever_the_source_lacks(rungs: LadderSettings, later: SourceInfo) -> None:
    before, after = planned(rungs, source()), planned(rungs, source(), later)
    assert set(names(after)) >= set(names(before))
    kinds = {one.name: (bool(one.video_codec), bool(one.audio_codec), one.audio_group) for one in after}
    for one in before:
        assert kinds[one.name] == (bool(one.video_codec), bool(one.audio_codec), one.audio_group)


def test_sound_that_begins_late_is_added() -> None:
    assert all(one.audio_codec for one in planned(THREE, VIDEO_ONLY, source()))


def test_pictures_that_begin_late_are_added_to_the_sound() -> None:
    assert names(planned(THREE, AUDIO_ONLY, source(1280, 720))) == ["720p", "480p", "audio"]


def test_a_first_run_is_what_the_ladder_says() -> None:
    assert planned(THREE, source()) == plan_renditions(THREE, source())


@given(st.lists(st.sampled_from([source(), source(640, 360), VIDEO_ONLY, AUDIO_ONLY]), min_size=2, max_size=6))
def test_no_change_ever_takes_a_rendition_or_a_track_away(sources: list[SourceInfo]) -> None:
    before: tuple[Rendition, ...] = ()
    for count in range(1, len(sources) + 1):
        after = {one.name: one for one in planned(SEPARATE, *sources[:count])}
        for one in before:
            assert one.name in after
            assert bool(after[one.name].video_codec) >= bool(one.video_codec)
            assert bool(after[one.name].audio_codec) >= bool(one.audio_codec) or after[one.name].audio_group
        before = tuple(after.values())


def test_what_the_source_brings_is_taken_from_it() -> None:
    inputs = plan_inputs(source(), planned(THREE, source()), None)
    assert (inputs.video, inputs.audio, inputs.drawn) == ("0:v:0", "0:a:0", "")
    assert "lavfi" not in inputs.options


@pytest.mark.parametrize(
    ("later", "video", "drawn"),
    [
        (VIDEO_ONLY, "0:v:0", ""),
        (AUDIO_ONLY, "0:a:0", "showwaves=size=480x270:rate=30:colors=black,format=yuv420p,"),
    ],
    ids=["silence", "black"],
)
def test_what_the_source_does_not_bring_is_made_and_ends_with_the_rest(
    later: SourceInfo, video: str, drawn: str
) -> None:
    inputs = plan_inputs(later, planned(THREE, source(), later), None)
    assert (inputs.video, inputs.audio, inputs.drawn) == (video, "0:a:0", drawn)
    assert inputs.options.count("-i") == 1, "another input would not end with the publisher's media"


def test_a_slate_is_read_from_its_file_alone_in_real_time_for_ever() -> None:
    slate = Slate(path=Path("/srv/slates/back soon.mp4"), has_audio=False)
    inputs = plan_inputs(source(), planned(THREE, source()), slate)
    assert inputs.options[:2] == ["-protocol_whitelist", "file,pipe"]
    assert inputs.options[inputs.options.index("-re") + 1 :][:4] == ["-stream_loop", "-1", "-i", f"file:{slate.path}"]
    assert (inputs.video, inputs.audio, inputs.drawn) == ("0:v:0", "1:a:0", "")
    picture = plan_inputs(source(), planned(THREE, source()), replace(slate, path=Path("soon.PNG"), has_audio=True))
    assert "-loop" in picture.options
    assert picture.audio == "0:a:0"
