"""Rows to save, to be varied with `dataclasses.replace`."""

from streamkit.messages import SaveSegment, SaveSession, SaveStream
from streamkit.types import Epoch, MediaSequence, RenditionName, Seconds, SessionId, StreamKey, StreamState, UnixTime

KEY = StreamKey("cam1")
STREAM = SaveStream(
    key=KEY,
    epoch=Epoch(100),
    revision=1,
    state=StreamState.LIVE,
    started_at=UnixTime(100.0),
    stopped_at=None,
    next_sequence=MediaSequence(5),
    discontinuity_sequence=2,
    last_error=None,
)
SESSION = SaveSession(
    key=KEY,
    session=SessionId("s1"),
    epoch=Epoch(100),
    revision=1,
    state=StreamState.LIVE,
    started_at=UnixTime(100.0),
    ended_at=None,
    end_reason=None,
    renditions=(RenditionName("720p"),),
)
SEGMENT = SaveSegment(
    key=KEY,
    session=SessionId("s1"),
    rendition=RenditionName("720p"),
    sequence=MediaSequence(7),
    name="segment_s1_720p_7.ts",
    duration=Seconds(2.0),
    size=1000,
    program_date_time=UnixTime(100.0),
    discontinuity=False,
    state="closed",
)
