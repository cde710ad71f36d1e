"""The poster over HTTP: from the node that made it, from the store, or a 404 that says why."""

import pytest
from fakes.front_end import FrontEnd

from streamkit.errors import StoreUnavailableError
from streamkit.snapshots import Picture, StreamSnapshot
from streamkit.types import (
    AudioSource,
    Rendition,
    RenditionName,
    SourceInfo,
    StreamKey,
    StreamState,
    VideoSource,
)

KEY = StreamKey("demo")
POSTER = Picture(name="poster.jpg", body=b"\xff\xd8 a picture \xff\xd9")
VIDEO = VideoSource(codec="h264", width=640, height=360, fps=None)
AUDIO = AudioSource(codec="aac", sample_rate=44100, channels=2)
COPY = Rendition(name=RenditionName("source"), video_codec="copy")
ENCODED = Rendition(name=RenditionName("360p"), video_codec="libx264", width=640, height=360)


def on_air(
    front: FrontEnd, *renditions: Rendition, video: VideoSource | None = VIDEO, poster: Picture | None = None
) -> None:
    source = SourceInfo(video=video, audio=AUDIO)
    front.board.publish(
        StreamSnapshot(key=KEY, state=StreamState.LIVE, source=source, renditions=renditions, poster=poster)
    )


def test_the_poster_comes_from_the_node_that_made_it_and_is_soon_stale(front: FrontEnd) -> None:
    on_air(front, ENCODED, poster=POSTER)
    answer = front.get("/hls/demo/poster.jpg", accept_encoding="gzip")
    assert (answer.status_code, answer.content) == (200, POSTER.body)
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["cache-control"] == "public, max-age=5"
    assert "content-encoding" not in answer.headers
    assert front.store.reads == []
    assert front.get("/hls/demo/poster.jpg", if_none_match=answer.headers["etag"]).status_code == 304
    assert front.request("HEAD", "/hls/demo/poster.jpg").headers["content-length"] == str(len(POSTER.body))


def test_the_poster_of_a_broadcast_that_is_over_comes_from_the_store(front: FrontEnd) -> None:
    front.store.objects["hls/demo/poster.jpg"] = POSTER.body
    assert front.get("/hls/demo/poster.jpg").content == POSTER.body


@pytest.mark.parametrize(
    ("rendition", "video", "reason"),
    [
        pytest.param(ENCODED, None, "its publisher sends no video", id="audio-only"),
        pytest.param(COPY, VIDEO, "its video is only copied, and pictures.decode_copies is false", id="copy"),
    ],
)
def test_a_stream_without_pictures_says_why(
    front: FrontEnd, rendition: Rendition, video: VideoSource | None, reason: str
) -> None:
    front.store.objects["hls/demo/poster.jpg"] = b"of an older broadcast"
    on_air(front, rendition, video=video)
    answer = front.get("/hls/demo/poster.jpg")
    assert answer.status_code == 404
    assert answer.json()["error"]["message"] == f"Stream demo has no poster: {reason}."


def test_an_unknown_stream_has_no_poster(front: FrontEnd) -> None:
    answer = front.get("/hls/nobody/poster.jpg")
    assert answer.json()["error"] == {"code": "not_found", "message": "Stream nobody has no poster."}


def test_a_store_that_is_away_is_no_missing_poster(front: FrontEnd) -> None:
    front.store.failure = StoreUnavailableError("away")
    assert front.get("/hls/demo/poster.jpg").status_code == 503


def test_stats_say_where_the_poster_is(front: FrontEnd) -> None:
    on_air(front, ENCODED)
    assert front.get("/stats").json()["streams"][0]["poster_url"] is None
    on_air(front, ENCODED, poster=POSTER)
    assert front.get("/stats").json()["streams"][0]["poster_url"] == "/hls/demo/poster.jpg"
