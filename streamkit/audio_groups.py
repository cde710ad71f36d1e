"""Pure: the sound of a ladder apart from its pictures, each encoded and stored once."""

from collections.abc import Container
from dataclasses import replace
from itertools import count

from streamkit.types import BitsPerSecond, Rendition, RenditionName


def with_separate_audio(renditions: tuple[Rendition, ...]) -> tuple[Rendition, ...]:
    """Return the renditions with pictures alone, and one audio rendition for each distinct sound that they had.

    An audio-only rendition of the same codec, bit rate and channels is taken for it, and stays a variant of its own.
    """
    sounds = {_sound(one): one.name for one in reversed(renditions) if one.video_codec is None}
    taken = {one.name for one in renditions}
    added: list[Rendition] = []
    result: list[Rendition] = []
    for one in renditions:
        if one.audio_codec is None:
            result.append(one)
            continue
        name = sounds.get(_sound(one))
        if name is None:
            name = sounds[_sound(one)] = _free_name(one, taken)
            taken.add(name)
            added.append(_audio_of(one, name))
        result.append(_without_audio(one, name) if one.video_codec else one)
    used = {one.audio_group for one in result}
    return tuple(replace(one, audio_group=one.name) if one.name in used else one for one in result) + tuple(added)


def _sound(rendition: Rendition) -> tuple[str | None, int, int]:
    return rendition.audio_codec, rendition.audio_bitrate, rendition.audio_channels


def _audio_of(rendition: Rendition, name: RenditionName) -> Rendition:
    return Rendition(
        name=name,
        video_codec=None,
        audio_codec=rendition.audio_codec,
        audio_bitrate=rendition.audio_bitrate,
        audio_channels=rendition.audio_channels,
    )


def _without_audio(rendition: Rendition, group: RenditionName) -> Rendition:
    return replace(rendition, audio_codec=None, audio_bitrate=BitsPerSecond(0), audio_channels=0, audio_group=group)


def _free_name(rendition: Rendition, taken: Container[RenditionName]) -> RenditionName:
    """Return a name that says the rate, and more where that is taken."""
    base = f"audio-{rendition.audio_bitrate // 1000}k"
    names = (RenditionName(base if number == 1 else f"{base}-{number}") for number in count(1))
    return next(name for name in names if name not in taken)
