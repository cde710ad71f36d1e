"""Which preset `auto` stands for: measured, carried over to other sources, and never more than the machine has."""

from dataclasses import replace
from fractions import Fraction

import pytest

from streamkit.ladder import plan_renditions
from streamkit.presets import UNKNOWN, Capacity, Measure, best_effort, describe_auto, has_auto, reference_source, work
from streamkit.settings_ladder import LadderSettings, RenditionSettings
from streamkit.types import AudioSource, SourceInfo, VideoSource


def rung(name: str, height: int, **fields: str) -> RenditionSettings:
    return RenditionSettings(name=name, height=height, video_bitrate=1_000_000, **fields)  # type: ignore[arg-type]


LADDER = LadderSettings(renditions=(rung("720p", 720), rung("480p", 480)))
SPEEDS = (4.0, 3.0, 2.0, 1.5, 1.1, 0.8)
MEASURES = tuple(Measure(speed=speed, processors=2 / speed) for speed in SPEEDS)
CAPACITY = Capacity(measures=MEASURES, work=100.0, processors=2.0)


def source(width: int, height: int, fps: int = 30) -> SourceInfo:
    video = VideoSource(codec="h264", width=width, height=height, fps=Fraction(fps))
    return SourceInfo(video=video, audio=AudioSource(codec="aac", sample_rate=48_000, channels=2))


@pytest.mark.parametrize(
    ("capacity", "wanted", "effort"),
    [
        pytest.param(CAPACITY, 100.0, 3, id="1.5 times real time is enough, 1.1 is not"),
        pytest.param(CAPACITY, 50.0, 5, id="half the work: slower presets"),
        pytest.param(CAPACITY, 200.0, 1, id="twice the work: faster ones"),
        pytest.param(CAPACITY, 1000.0, 0, id="the fastest when none keeps up"),
        pytest.param(replace(CAPACITY, processors=0.7), 100.0, 1, id="no more processors than its share"),
        pytest.param(UNKNOWN, 100.0, None, id="nothing measured"),
    ],
)
def test_the_slowest_effort_that_keeps_real_time_is_chosen(
    capacity: Capacity, wanted: float, effort: int | None
) -> None:
    assert best_effort(capacity, wanted) == effort


def presets(of: LadderSettings, info: SourceInfo, capacity: Capacity) -> list[str]:
    return [rendition.preset for rendition in plan_renditions(of, info, capacity=capacity)]


def measured(of: LadderSettings) -> Capacity:
    reference = reference_source(of)
    return replace(CAPACITY, work=work(reference, plan_renditions(of, reference)))


def test_what_was_measured_is_carried_over_to_the_source_that_came() -> None:
    capacity = measured(LADDER)
    assert presets(LADDER, source(1280, 720), capacity) == ["faster", "faster"]
    assert presets(LADDER, source(1280, 720, 60), capacity) == ["superfast", "superfast"]
    assert presets(LADDER, source(854, 480), capacity)[0] == "medium"


def test_an_unmeasured_machine_uses_the_usual_preset() -> None:
    assert presets(LADDER, source(1280, 720), UNKNOWN) == ["veryfast", "veryfast"]


def test_a_preset_that_was_written_out_is_kept() -> None:
    mixed = LadderSettings(renditions=(rung("720p", 720), rung("480p", 480, preset="ultrafast")))
    assert presets(mixed, source(1280, 720), measured(mixed)) == ["faster", "ultrafast"]


def test_each_encoder_has_its_own_word_for_an_effort() -> None:
    modern = LadderSettings(
        renditions=(
            rung("av1", 720, video_codec="av1"),
            rung("hevc", 720, video_codec="hevc"),
            rung("old", 480),
            rung("gpu", 480, video_codec="h264_nvenc"),
            rung("node", 480, video_codec="h264_vaapi"),
        )
    )
    assert presets(modern, source(1280, 720), measured(modern)) == ["9", "faster", "faster", "p4", ""]
    assert presets(modern, source(1280, 720), UNKNOWN) == ["10", "ultrafast", "veryfast", "p4", ""]


def test_only_what_the_processor_encodes_with_auto_is_worth_a_measurement() -> None:
    assert has_auto(LADDER)
    assert not has_auto(LadderSettings(renditions=(rung("720p", 720, preset="fast"),)))
    assert not has_auto(LadderSettings(renditions=(rung("720p", 720, video_codec="h264_qsv"),)))
    assert not has_auto(LadderSettings(renditions=(RenditionSettings(name="source", video_codec="copy"),)))


def test_the_choice_is_said_in_words() -> None:
    renditions = plan_renditions(LADDER, source(1280, 720))
    assert describe_auto(LADDER, renditions, UNKNOWN) == (
        "preset auto is not measured yet on this machine, the usual ones are used: "
        "720p libx264 veryfast, 480p libx264 veryfast"
    )
    assert str(describe_auto(LADDER, renditions, CAPACITY)).startswith("preset auto is, as measured: 720p libx264")
    fixed = LadderSettings(renditions=(rung("720p", 720, preset="fast"),))
    assert describe_auto(fixed, renditions, UNKNOWN) is None
