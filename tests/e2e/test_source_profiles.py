"""Whatever a publisher sends, players get what is declared, or the operator a refusal that names the fault."""

from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

import pytest
from e2e_production import Production
from profile_service import Broadcasts, Outcome, Service, behind_nginx, configuration, embedded
from profile_table import PROFILES, Profile
from profile_view import Piece, Track, steps
from servers import tools

from streamkit.ffmpeg.binary import find_ffmpeg

pytestmark = pytest.mark.e2e

SOUND_STEP = Fraction(30, 1000)  # an AAC frame of 1024 samples at 44.1 kHz, and a bit
IN_SYNC = Fraction(45, 1000)  # what viewers do not notice: EBU R37 allows sound to be 40 ms early or 60 ms late
LOST = 0.25  # seconds that a publisher's end and the encoders' delays may cost


def name_of(profile: Profile) -> str:
    return f"{profile.through}-{profile.encoder}-{profile.ladder}-{profile.name}"


@pytest.fixture(scope="module")
def broadcasts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broadcasts]:
    """The broadcasts of all profiles that are to be tested, under way."""
    chosen = [item.callspec.params["profile"] for item in request.session.items if item.path == request.path]
    with ExitStack() as cleanup:
        services: dict[tuple[str, str], Service] = {}
        for where in {(profile.through, profile.encoder) for profile in chosen}:
            services[where] = start(request, tmp_path_factory.mktemp("service"), *where)
            cleanup.callback(services[where].close)
        running = Broadcasts(
            tmp_path_factory.mktemp("sources"), lambda profile: services[profile.through, profile.encoder], chosen
        )
        cleanup.callback(running.close)
        yield running


def start(request: pytest.FixtureRequest, folder: Path, through: str, encoder: str) -> Service:
    ffmpeg = (tools.bundled_ffmpeg() if encoder == "imageio" else None) or tools.require("FFmpeg")
    if through == "embedded":
        return embedded(folder, ffmpeg)
    nginx = tools.require("nginx with the rtmp module")
    postgres, s3 = (request.getfixturevalue(name) for name in ("_postgres_server", "_s3"))
    postgres.start()
    s3.start()
    return behind_nginx(
        Production(
            folder, nginx, postgres.create_database(), s3, f"test-{uuid4().hex[:12]}", configuration(folder, ffmpeg)
        )
    )


@pytest.mark.parametrize("profile", PROFILES, ids=name_of)
def test_a_source_comes_out_as_declared(profile: Profile, broadcasts: Broadcasts) -> None:
    if profile.refused and find_ffmpeg(str(tools.require("FFmpeg"))).version >= (6, 1):
        pytest.skip("the FFmpeg on PATH is not an old one")
    outcome = broadcasts.outcome(profile)
    if profile.refused:
        assert outcome.stream["state"] == "failed"
        assert profile.refused in outcome.stream["last_error"]
        assert not outcome.tracks
        return
    assert outcome.stream["last_error"] is None
    check_rules(outcome)
    expected = dict(profile.sizes)
    assert [track.name for track in outcome.tracks] == list(expected)
    for track in outcome.tracks:
        check_segments(profile, track, expected[track.name])
        check_media(profile, track)
        check_time(profile, track)
        check_sound(profile, track)
    check_alignment(outcome.tracks)


def check_rules(outcome: Outcome) -> None:
    """`streamkit check` finds nothing wrong."""
    assert outcome.is_right, outcome.rules


def check_segments(profile: Profile, track: Track, size: tuple[int, int] | None) -> None:
    """Every segment starts with an IDR, can be decoded by itself, and has the size that the plan says."""
    assert track.playlist.ended
    assert not [entry for entry in track.playlist.entries if entry.gap]
    for piece in track.pieces:
        assert piece.picture == size, piece.entry
        if size is not None:
            assert piece.starts_with_idr, piece.entry
            assert piece.decoded == len(piece.video), f"{piece.entry}: {piece.decoded} of {len(piece.video)} pictures"
            assert not piece.interlaced, piece.entry
            assert piece.pixels in ("yuv420p", "yuvj420p"), piece.entry


def check_media(profile: Profile, track: Track) -> None:
    """There are the codecs, the sample rate and the channels that the profile is to come out with."""
    first = next(piece for piece in track.pieces if profile.audio is None or piece.audio)
    wanted = ([profile.codec] if profile.video else []) + ([profile.sound] if profile.audio else [])
    assert [codec.partition(".")[0] for codec in first.codecs.split(",")] == [one.partition(".")[0] for one in wanted]
    if profile.audio is not None:
        assert (first.channels, first.rate) == (profile.channels, profile.audio_rate)
    if track.attributes:
        check_declared(profile, track, first)


def check_declared(profile: Profile, track: Track, first: Piece) -> None:
    """The multivariant playlist says what is in the segments, and BANDWIDTH holds for each of them."""
    declared = track.attributes
    said, found = declared["CODECS"].split(","), first.codecs.split(",")
    assert all(one == other or one.startswith(f"{other}.") for one, other in zip(said, found, strict=True))
    assert max(track.rates()) <= int(declared["BANDWIDTH"])
    assert int(declared["AVERAGE-BANDWIDTH"]) <= int(declared["BANDWIDTH"])
    if first.picture is None:
        assert "RESOLUTION" not in declared
        return
    assert declared["RESOLUTION"] == f"{first.picture[0]}x{first.picture[1]}"
    assert declared["FRAME-RATE"] == f"{float(rate_of(profile, track)):.3f}"


def rate_of(profile: Profile, track: Track) -> Fraction:
    best, _ = profile.sizes[0]
    return profile.rate if track.name == best else profile.lower_rate or profile.rate


def check_time(profile: Profile, track: Track) -> None:
    """Durations are exact, time goes on over the borders of segments, and picture and sound belong together."""
    total = sum(entry.duration for entry in track.playlist.entries)
    assert abs(total - (profile.seconds - profile.begins)) < LOST
    check_durations(profile, track)
    if profile.audio is not None:
        assert max(steps(track.audio)) < SOUND_STEP + Fraction(1, 100)
        assert min(steps(track.audio)) > 0
    if profile.video is None:
        return
    frame = 1 / rate_of(profile, track)
    assert all(frame / 2 < step < frame * 3 / 2 for step in steps(track.video))
    begins = track.video[0]
    check_marks(track.flashes, [begins + at for at in profile.marks(profile.video_late)], frame + SOUND_STEP)
    if profile.audio is not None:
        check_marks(track.beeps, [begins + at for at in profile.marks(profile.audio_late)], frame + SOUND_STEP)
        late = max(profile.audio_late, profile.video_late)
        check_marks(track.beeps[-len(profile.marks(late)) :], track.flashes[-len(profile.marks(late)) :], IN_SYNC)


def check_marks(found: list[Fraction], expected: list[Fraction], tolerance: Fraction) -> None:
    """What the source marked is there, neither too early nor too late."""
    assert len(found) == len(expected), (list(map(float, found)), list(map(float, expected)))
    apart = [float(one - other) for one, other in zip(found, expected, strict=True)]
    assert max(map(abs, apart)) <= tolerance, apart


def check_durations(profile: Profile, track: Track) -> None:
    """EXTINF is the time from a segment's first picture (else sound) to the next one's."""
    frame = 1 / rate_of(profile, track) if profile.video else Fraction(1024, profile.audio_rate)
    for one, following in pairwise(track.pieces):
        times = (one.video, following.video) if profile.video else (one.audio, following.audio)
        lasts = times[1][0] - times[0][0]
        assert abs(float(lasts) - one.entry.duration) < frame / 2, one.entry
        assert round(one.entry.duration) <= track.playlist.target_duration


def check_sound(profile: Profile, track: Track) -> None:
    """Sound apart from the picture is declared as it is, its EXTINF are its own, and it begins where pictures do."""
    if track.sound is None:
        assert "apart" not in profile.ladder
        return
    declared, pieces = track.sound.attributes, track.sound.pieces
    assert (declared["TYPE"], declared["DEFAULT"], declared["AUTOSELECT"]) == ("AUDIO", "YES", "YES")
    assert declared["CHANNELS"] == str(profile.channels)
    for one, following in pairwise(pieces):
        assert abs(float(following.audio[0] - one.audio[0]) - one.entry.duration) < SOUND_STEP, one.entry
    for piece in track.pieces:
        assert abs(piece.audio[0] - piece.video[0]) < SOUND_STEP, piece.entry


def check_alignment(tracks: list[Track]) -> None:
    """Equal numbers begin with the same picture in every rendition."""
    reference = {piece.entry.sequence: piece for piece in tracks[0].pieces}
    for track in tracks[1:]:
        assert [piece.entry.sequence for piece in track.pieces] == list(reference)
        for piece in track.pieces:
            apart = abs(piece.video[0] - reference[piece.entry.sequence].video[0])
            assert apart < Fraction(1, 60), f"{piece.entry} is {float(apart):.3f} s off"
