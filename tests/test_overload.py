"""Whether an encoder keeps up, and what is given up while it does not."""

from fractions import Fraction

import pytest

from streamkit.overload import MOST_DOUBLINGS, Pace, given_up, spared
from streamkit.settings_overload import OverloadSettings
from streamkit.types import Rendition, RenditionName

SETTINGS = OverloadSettings(shed_after=30, restore_after=100)


def rendition(name: str, height: int, codec: str | None = "libx264", fps: int = 30) -> Rendition:
    return Rendition(
        name=RenditionName(name), video_codec=codec, width=height * 16 // 9, height=height, fps=Fraction(fps)
    )


TOP, MIDDLE, LOW = rendition("1080p", 1080), rendition("720p60", 720, fps=60), rendition("480p", 480)
COPIED = rendition("source", 1080, "copy")
SOUND = Rendition(name=RenditionName("audio"), video_codec=None)


@pytest.mark.parametrize(
    ("renditions", "shed", "left"),
    [
        ((TOP, MIDDLE, LOW, SOUND), 0, (TOP, MIDDLE, LOW, SOUND)),
        ((TOP, MIDDLE, LOW, SOUND), 1, (MIDDLE, LOW, SOUND)),
        ((LOW, TOP, SOUND), 1, (LOW, SOUND)),
        ((TOP, LOW, SOUND), 9, (LOW, SOUND)),
        ((COPIED, TOP, LOW), 9, (COPIED,)),
        ((COPIED,), 1, (COPIED,)),
        ((SOUND,), 1, (SOUND,)),
        ((), 1, ()),
    ],
)
def test_the_costliest_go_and_one_with_a_picture_stays(
    renditions: tuple[Rendition, ...], shed: int, left: tuple[Rendition, ...]
) -> None:
    assert spared(renditions, shed) == left
    assert set(given_up(renditions, shed)) | set(left) == set(renditions)


class Encoder:
    """An encoder that writes at a pace of its own, reported once a second."""

    def __init__(self, settings: OverloadSettings = SETTINGS) -> None:
        self.pace, self.now, self.out_time = Pace(settings), 1000.0, 0.0

    def run(self, seconds: float, pace: float, *, is_behind: bool = True) -> "Encoder":
        for _ in range(round(seconds)):
            self.now, self.out_time = self.now + 1, self.out_time + pace
            self.pace.note(self.now, self.out_time, is_behind=is_behind)
        return self

    @property
    def is_too_slow(self) -> bool:
        return self.pace.is_too_slow(self.now)

    @property
    def may_restore(self) -> bool:
        return self.pace.may_restore(self.now)


def test_an_encoder_is_too_slow_when_its_backlog_grew_for_long_enough() -> None:
    encoder = Encoder().run(60, 1.0, is_behind=False).run(20, 0.5)
    assert not encoder.is_too_slow
    assert encoder.run(25, 0.5).is_too_slow


def test_a_source_that_sends_slowly_makes_no_encoder_too_slow() -> None:
    assert not Encoder().run(300, 0.5, is_behind=False).is_too_slow


def test_an_encoder_that_catches_up_is_not_too_slow() -> None:
    assert not Encoder().run(300, 1.2).is_too_slow


def test_a_moment_of_real_time_begins_the_wait_anew() -> None:
    assert not Encoder().run(25, 0.5).run(12, 1.1).run(20, 0.5).is_too_slow


def test_nothing_is_given_up_when_the_settings_say_so() -> None:
    assert not Encoder(OverloadSettings(shed_after=0)).run(1000, 0.1).is_too_slow


def test_what_was_given_up_comes_back_after_a_while_without_a_backlog() -> None:
    encoder = Encoder().run(60, 0.5)
    encoder.pace.shed_one(encoder.now)
    encoder.run(90, 1.0, is_behind=False)
    assert not encoder.may_restore
    assert encoder.run(20, 1.0, is_behind=False).may_restore
    encoder.pace.restore_one(encoder.now)
    assert (encoder.pace.shed, encoder.may_restore) == (0, False)


def test_a_backlog_begins_the_wait_for_what_was_given_up_anew() -> None:
    encoder = Encoder()
    encoder.pace.shed_one(encoder.now)
    encoder.run(90, 1.0, is_behind=False).run(3, 1.0).run(90, 1.0, is_behind=False)
    assert not encoder.may_restore


def test_each_time_that_it_did_not_last_the_next_wait_is_twice_as_long() -> None:
    encoder, waits = Encoder(), []
    for _ in range(MOST_DOUBLINGS + 3):
        encoder.pace.shed_one(encoder.now)
        waits.append(encoder.pace.patience)
        encoder.now += encoder.pace.patience
        encoder.pace.restore_one(encoder.now)
        encoder.now += 1
    assert waits[:4] == [100, 200, 400, 800]
    assert max(waits) == 100 * 2**MOST_DOUBLINGS
    encoder.now += max(waits)
    encoder.pace.shed_one(encoder.now)
    assert encoder.pace.patience == 100, "this time it lasted"


def test_a_new_encoder_is_measured_by_itself() -> None:
    encoder = Encoder().run(60, 0.5)
    encoder.pace.begin()
    assert not encoder.is_too_slow
    encoder.out_time = 0.0
    assert not encoder.run(20, 1.0, is_behind=False).is_too_slow
