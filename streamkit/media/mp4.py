"""Fragmented MP4 (ISO 14496-12): the tracks of an initialization section, and the samples of a segment."""

import struct
from dataclasses import dataclass, field
from fractions import Fraction

from streamkit.errors import MediaError
from streamkit.media import audio
from streamkit.media.boxes import boxes, child, find, number
from streamkit.media.entries import Entry, audio_entry, video_entry
from streamkit.media.info import AudioInfo, MediaInfo, Timeline, VideoInfo


@dataclass(slots=True)
class _Track:
    """A track of the initialization section; sizes and durations are the defaults of its samples (trex)."""

    is_video: bool
    timescale: int
    entry: Entry
    shift: Fraction
    """Seconds from a sample's time in the media to when it is presented: its edit list."""
    duration: int = 0
    size: int = 0


@dataclass(slots=True)
class _Samples:
    """A track's samples in a segment, in its timescale. `first` is the first sample's bytes, as far as they go."""

    times: list[int] = field(default_factory=list)
    end: int = 0
    first: bytes = b""


def read(segment: bytes, init: bytes) -> MediaInfo:
    """Return what the beginning of a segment, or all of it, holds. Raises MediaError when it is no MP4."""
    tracks = _tracks(init)
    samples = {track: _Samples() for track in tracks}
    for base, kind, body in boxes(segment):
        if kind == b"moof":
            for _, inner, fragment in boxes(body):
                if inner == b"traf":
                    _read_fragment(segment, base, fragment, tracks, samples)
    found = {tracks[at].is_video: (tracks[at], one) for at, one in samples.items() if one.times}
    if not found:
        raise MediaError("it holds no sample of its initialization section's tracks")
    return MediaInfo(
        video=_video(*found[True]) if True in found else None,
        audio=_audio(*found[False]) if False in found else None,
        is_complete=all(one.times for one in samples.values()),
        announces_video=any(track.is_video for track in tracks.values()),
        announces_audio=any(not track.is_video for track in tracks.values()),
    )


def _tracks(init: bytes) -> dict[int, _Track]:
    moov, found = child(init, b"moov"), dict[int, _Track]()
    ticks = _timescale(child(moov, b"mvhd"))
    for _, kind, body in boxes(moov):
        if kind == b"trak" and (handler := child(body, b"mdia", b"hdlr")[8:12]) in (b"vide", b"soun"):
            header, is_video = child(body, b"tkhd"), handler == b"vide"
            timescale = _timescale(child(body, b"mdia", b"mdhd"))
            descriptions = child(body, b"mdia", b"minf", b"stbl", b"stsd")
            entry = video_entry(descriptions, header) if is_video else audio_entry(descriptions)
            shift = _shift(find(body, b"edts", b"elst"), ticks, timescale)
            found[number(header, 20 if header[:1] == b"\x01" else 12)] = _Track(is_video, timescale, entry, shift)
    for _, kind, body in boxes(child(moov, b"mvex")):
        if kind == b"trex" and (track := found.get(number(body, 4))) is not None:
            track.duration, track.size = number(body, 12), number(body, 16)
    return found


def _timescale(header: bytes) -> int:
    """Return the ticks a second of an mvhd or mdhd box (8.2.2, 8.4.2)."""
    ticks = number(header, 20 if header[:1] == b"\x01" else 12)
    if not ticks:
        raise MediaError("a track in it counts no time")
    return ticks


def _shift(edits: bytes | None, ticks: int, timescale: int) -> Fraction:
    """Return what an edit list adds to every time (8.6.6): emptiness before the media, minus what it leaves out."""
    shift, at = Fraction(0), 8
    if edits is None:
        return shift
    wide = 8 if edits[:1] == b"\x01" else 4
    for _ in range(number(edits, 4)):
        length, start, at = number(edits, at, wide), number(edits, at + wide, wide), at + 2 * wide + 4
        if start != (1 << 8 * wide) - 1:
            return shift - Fraction(start, timescale)
        shift += Fraction(length, ticks)
    return shift


def _read_fragment(
    segment: bytes, base: int, fragment: bytes, tracks: dict[int, _Track], samples: dict[int, _Samples]
) -> None:
    """Take in a traf (8.8.6 to 8.8.12)."""
    header = child(fragment, b"tfhd")
    flags, of = number(header, 0) & 0xFFFFFF, number(header, 4)
    track = tracks.get(of)
    if track is None:
        return
    at = 8
    if flags & 1:
        base, at = number(header, at, 8), at + 8
    at += 4 * bool(flags & 2)
    duration, at = (number(header, at), at + 4) if flags & 8 else (track.duration, at)
    size = number(header, at) if flags & 16 else track.size
    clock = child(fragment, b"tfdt")
    time = number(clock, 4, 8 if clock[:1] == b"\x01" else 4)
    for _, kind, run in boxes(fragment):
        if kind == b"trun":
            time = _read_run(segment, base, run, time, (duration, size), samples[of])


def _read_run(segment: bytes, base: int, run: bytes, time: int, usual: tuple[int, int], into: _Samples) -> int:
    """Take in a trun, whose first sample is decoded at `time`; return when the sample after its last one is."""
    flags, count, at, offset = number(run, 0) & 0xFFFFFF, number(run, 4), 8, 0
    signed = run[:1] == b"\x01"
    if flags & 1:
        offset, at = struct.unpack(">i", run[at : at + 4])[0] if len(run) >= at + 4 else 0, at + 4
    at += 4 * bool(flags & 4)
    for _ in range(count):
        duration, at = (number(run, at), at + 4) if flags & 0x100 else (usual[0], at)
        size, at = (number(run, at), at + 4) if flags & 0x200 else (usual[1], at)
        at += 4 * bool(flags & 0x400)
        shift, at = (number(run, at), at + 4) if flags & 0x800 else (0, at)
        if signed and shift >= 1 << 31:
            shift -= 1 << 32
        if not into.times:
            into.first = segment[base + offset : base + offset + size]
        into.times.append(time + shift)
        into.end = max(into.end, time + shift + duration)
        time += duration
        if at > len(run) or (not flags & 0xF00 and count > len(segment)):
            raise MediaError("an MP4 box in it is cut off")
    return time


def _video(track: _Track, samples: _Samples) -> VideoInfo:
    entry = track.entry
    return VideoInfo(codec=entry.codec, picture=entry.picture, timeline=_timeline(track, samples),
                     starts_with_idr=entry.starts_with_idr(samples.first))  # fmt: skip


def _audio(track: _Track, samples: _Samples) -> AudioInfo:
    entry = track.entry
    is_mp3 = entry.codec == audio.MP3  # whose sample entries say two channels whatever there is
    return AudioInfo(
        codec=entry.codec,
        channels=audio.parse_mp3(samples.first).channels if is_mp3 else entry.channels,
        sample_rate=entry.sample_rate,
        timeline=_timeline(track, samples),
    )


def _timeline(track: _Track, samples: _Samples) -> Timeline:
    times = tuple(Fraction(time, track.timescale) + track.shift for time in samples.times)
    return Timeline(times=times, end=Fraction(samples.end, track.timescale) + track.shift)
