"""Processes, descriptors and folders break under a service that streams: it says what it saw, and goes on.

One broadcast (copied, segments of a second) lives through it all, and every closed segment is accounted for.
"""

import os
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from chaos_record import measured
from chaos_service import CONFIGURATION, Chaos
from conftest import OnAir
from servers.flv_publishing import publish_tags, read_tags, standing_still
from servers.publishing import Publisher

pytestmark = pytest.mark.chaos


@pytest.fixture(scope="module")
def chaos_configuration() -> str:
    """A frozen FFmpeg is noticed soon, and a publisher may take its time; `slow-*` is encoded, in two renditions."""
    return (
        CONFIGURATION.replace("reconnect_window: 2.0", "reconnect_window: 30.0").replace(
            "encoder: {start_timeout: 60.0}", "encoder: {start_timeout: 60.0, stall_timeout: 4.0}"
        )
        + """
overload: {shed_after: 5.0, restore_after: 10.0}
ladders:
  two:
    renditions:
      - {name: 180p, height: 180, video_bitrate: 200k, preset: ultrafast}
      - {name: 90p, height: 90, video_bitrate: 100k, preset: ultrafast}
streams:
  - {match: "slow-*", ladder: two}
"""
    )


def encoder_of(chaos: Chaos, key: str) -> int:
    """Return the pid of the stream's FFmpeg."""
    return chaos.wait(lambda: next(iter(chaos.encoders(key)), None), f"an FFmpeg of {key}")


def goes_on(chaos: Chaos, on_air: OnAir, segments: int = 2) -> Callable[[], bool]:
    """Return a check whether the broadcast is live, in its session, and has closed so many more segments."""
    before = chaos.live(on_air.key)
    goal = (before["segments_closed"] if before else 0) + segments

    def look() -> bool:
        live = chaos.live(on_air.key)
        return bool(live and live["state"] == "live" and live["segments_closed"] >= goal)

    return look


def test_an_ffmpeg_that_is_killed_is_replaced(chaos: Chaos, on_air: OnAir) -> None:
    with measured("FFmpeg is killed (kill -9)") as measure:
        os.kill(encoder_of(chaos, on_air.key), signal.SIGKILL)
        measure.injected()
        measure.detected(lambda: chaos.lines("ERROR", "FFmpeg failed: FFmpeg was killed"), "the line in the log")
        measure.healed()
        measure.recovered(goes_on(chaos, on_air), "more segments")
    assert chaos.stream(on_air.key)["session"] == on_air.session
    assert len(chaos.encoders(on_air.key)) == 1


def test_an_ffmpeg_that_lives_but_does_not_move_is_replaced(chaos: Chaos, on_air: OnAir) -> None:
    frozen = encoder_of(chaos, on_air.key)
    with measured("FFmpeg is frozen (SIGSTOP)") as measure:
        os.kill(frozen, signal.SIGSTOP)
        measure.injected()
        measure.detected(lambda: chaos.lines("ERROR", "made no progress for 4 s"), "the line in the log")
        measure.healed()
        measure.recovered(goes_on(chaos, on_air), "more segments")
    assert frozen not in chaos.encoders(on_air.key)
    assert chaos.stream(on_air.key)["session"] == on_air.session


def test_a_publisher_whose_timestamps_stand_still_is_named_as_the_cause(chaos: Chaos, small_source: Path) -> None:
    tags = [tag for tag in read_tags(small_source) if tag.send_at < 15_000]
    sent = (chaos.nginx.rtmp_port, "standing", standing_still(after=3000)(tags))
    publisher = threading.Thread(target=publish_tags, args=sent)
    publisher.start()
    try:
        chaos.wait(lambda: chaos.lines("ERROR", "standing", "timestamps", "stand still"), "the line in the log")
    finally:
        publisher.join(60)


def test_a_service_that_is_killed_resumes_its_broadcasts_when_it_starts_again(chaos: Chaos, on_air: OnAir) -> None:
    left_over = encoder_of(chaos, on_air.key)
    with measured("the service is killed (kill -9) and started again") as measure:
        chaos.kill()
        measure.injected()
        chaos.start()
        measure.detected(lambda: chaos.lines("Resuming session", on_air.session), "the line in the log")
        measure.recovered(goes_on(chaos, on_air), "more segments")
    assert left_over not in chaos.encoders()
    assert chaos.stream(on_air.key)["session"] == on_air.session
    chaos.wait_state(on_air.key, "live")
    assert [row["status"] for row in chaos.session_rows(on_air.key)] == ["live"]


def test_a_folder_that_is_removed_is_made_again_and_what_is_gone_is_named(chaos: Chaos, on_air: OnAir) -> None:
    with measured("HLS_OUTPUT_DIR/KEY is removed (rm -rf)") as measure:
        before = chaos.stream(on_air.key)["restarts"]
        shutil.rmtree(chaos.hls_folder / on_air.key, ignore_errors=True)
        measure.injected()
        measure.detected(lambda: chaos.stream(on_air.key)["restarts"] > before, "another FFmpeg")
        measure.healed()
        measure.recovered(goes_on(chaos, on_air), "more segments")
        measure.lost(chaos.stream(on_air.key)["segments_lost"])
    assert chaos.lines("ERROR", "FFmpeg")
    assert chaos.stream(on_air.key)["session"] == on_air.session


def test_every_segment_of_the_broadcast_is_accounted_for(chaos: Chaos, on_air: OnAir) -> None:
    lost = chaos.stream(on_air.key)["segments_lost"]
    accounts = on_air.settle()
    assert len(accounts.lost) == lost
    assert len(accounts.uploaded) > 10
    assert [row["status"] for row in chaos.session_rows(on_air.key)] == ["ended"]


class Slowed(threading.Thread):
    """Lets a stream's FFmpeg run for a part of the time only."""

    def __init__(self, chaos: Chaos, key: str) -> None:
        super().__init__(daemon=True)
        self._chaos, self._key = chaos, key
        self._done = threading.Event()
        self.start()

    def close(self) -> None:
        self._done.set()
        self.join()

    def run(self) -> None:
        while not self._done.is_set():
            for pid in self._chaos.encoders(self._key):
                self._stop_for(pid, 0.45)
            self._done.wait(0.05)

    def _stop_for(self, pid: int, seconds: float) -> None:
        try:
            os.kill(pid, signal.SIGSTOP)
            self._done.wait(seconds)
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            return


def test_a_stream_slower_than_real_time_gives_up_a_rendition_and_gets_it_back(
    chaos: Chaos, push: Callable[[str, Path], Publisher], small_source: Path
) -> None:
    key = "slow-one"
    publisher = push(chaos.nginx.url(key), small_source)
    chaos.wait_live(key, segments=2)
    slowed = Slowed(chaos, key)
    try:
        with measured("FFmpeg is slower than real time") as measure:
            measure.injected()
            measure.detected(lambda: chaos.stream(key)["shed"] == ["180p"], "the rendition in /stats")
            chaos.wait(lambda: chaos.stream(key)["state"] == "live", "a live stream without it")
            chaos.wait(
                lambda: "180p" not in chaos.client.get(f"/hls/{key}/playlist.m3u8").text, "a playlist without it"
            )
            refused = chaos.client.post("/events/published", json={"stream_key": "one-more", "action": "publish"})
            slowed.close()
            measure.healed()
            measure.recovered(lambda: chaos.stream(key)["shed"] == [], "the rendition again")
    finally:
        slowed.close()
    assert refused.status_code == 429, refused.text
    assert len(chaos.lines("gives up 180p")) == 1
    assert len(chaos.lines("brings back 180p")) == 1
    publisher.stop()
    chaos.wait(lambda: chaos.live(key) is None or chaos.stream(key)["state"] != "live", "the end")
