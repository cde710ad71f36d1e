"""RtmpLoop.open_pull against a real nginx-rtmp and real FFmpeg."""

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from rtmp_lab import DEADLINE, Encoder, Owner, nginx, push_argv, rtmp_loop
from servers.process import ManagedProcess
from servers.waiting import wait_until

from streamkit.rtmp import loop as loop_module
from streamkit.rtmp import tcp
from streamkit.types import AudioSource, SourceInfo, StreamKey, VideoSource

pytestmark = pytest.mark.integration
KEY = StreamKey("show")
RunProcess = Callable[..., ManagedProcess]


@pytest.mark.parametrize("event_loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("prompt_bytes", [tcp.PROMPT_BYTES, 0], ids=["prompt", "in strides"])
def test_a_pull_that_is_there_first_gets_every_frame_of_the_broadcast(
    event_loop: str,
    prompt_bytes: int,
    tmp_path: Path,
    run_process: RunProcess,
    make_source: Callable[..., Path],
    ffmpeg_path: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tcp, "PROMPT_BYTES", prompt_bytes)
    if event_loop == "asyncio":
        monkeypatch.setattr(loop_module, "uvloop", None)
    source, owner = make_source(seconds=4.0), Owner()
    with nginx(tmp_path) as port, rtmp_loop(port) as loop:
        feed = loop.open_pull(KEY, 1, owner)
        assert owner.joined.wait(DEADLINE)
        publisher = run_process(push_argv(ffmpeg_path, source, f"rtmp://127.0.0.1:{port}/live/{KEY}"))
        found = owner.detected()
        assert (found.video, found.audio) == (
            VideoSource(codec="h264", width=640, height=360, fps=Fraction(30), profile=66),
            AudioSource(codec="aac", sample_rate=44100, channels=2),
        )
        encoder = Encoder(ffmpeg_path, tmp_path / "out.mkv", feed)
        assert owner.closed() is None
        assert encoder.wait() == 0
        assert publisher.wait() == 0
        assert feed.bytes_received > 100_000
        feed.close()
    video = encoder.packets("video")
    assert len(video) == 120
    assert video[0] == (pytest.approx(0, abs=0.1), True)
    assert video[-1][0] == pytest.approx(119 / 30, abs=0.1)
    assert len(encoder.packets("audio")) >= 165  # of 172: at most the first two frames' worth is older than the video


def test_idle_streams_off_is_retried_until_the_stream_appears(
    tmp_path: Path, run_process: RunProcess, make_source: Callable[..., Path], ffmpeg_path: str
) -> None:
    owner = Owner()
    with nginx(tmp_path, "idle_streams off;") as port, rtmp_loop(port) as loop:
        feed = loop.open_pull(KEY, 1, owner)
        wait_until(lambda: feed.last_error, what="a refusal")
        assert "no such stream" in str(feed.last_error).lower()
        run_process(push_argv(ffmpeg_path, make_source(seconds=4.0), f"rtmp://127.0.0.1:{port}/live/{KEY}"))
        assert owner.detected().video is not None
        assert owner.closed() is None


def test_a_server_that_is_not_there_is_retried_and_named(
    tmp_path: Path,
    free_port: Callable[[], int],
    run_process: RunProcess,
    make_source: Callable[..., Path],
    ffmpeg_path: str,
) -> None:
    port, owner = free_port(), Owner()
    with rtmp_loop(port) as loop:
        feed = loop.open_pull(KEY, 1, owner)
        wait_until(lambda: feed.last_error, what="a refusal")
        assert feed.last_error == f"cannot reach the RTMP server 127.0.0.1:{port}: connection refused"
        with nginx(tmp_path, port=port):
            run_process(push_argv(ffmpeg_path, make_source(seconds=4.0), f"rtmp://127.0.0.1:{port}/live/{KEY}"))
            owner.detected()
            feed.close()


@pytest.mark.parametrize("idle_streams", ["on", "off"])
def test_a_killed_publisher_closes_the_source_and_ends_the_encoder(
    idle_streams: str, tmp_path: Path, run_process: RunProcess, make_source: Callable[..., Path], ffmpeg_path: str
) -> None:
    owner = Owner()
    with nginx(tmp_path, f"idle_streams {idle_streams};") as port, rtmp_loop(port) as loop:
        publisher = run_process(push_argv(ffmpeg_path, make_source(), f"rtmp://127.0.0.1:{port}/live/{KEY}"))
        feed = loop.open_pull(KEY, 7, owner)
        owner.detected(7)
        encoder = Encoder(ffmpeg_path, tmp_path / "out.mkv", feed)
        received = feed.bytes_received
        wait_until(lambda: feed.bytes_received > received + 100_000, what="media")
        publisher.kill()
        assert owner.closed(7) is None
        assert encoder.wait() == 0
    assert encoder.packets("video")[0][1]


def test_a_new_encoder_goes_on_at_a_key_frame_when_the_first_one_died(
    tmp_path: Path, run_process: RunProcess, make_source: Callable[..., Path], ffmpeg_path: str
) -> None:
    owner = Owner()
    source = make_source(gop_seconds=0.5)
    with nginx(tmp_path) as port, rtmp_loop(port) as loop:
        feed = loop.open_pull(KEY, 1, owner)
        publisher = run_process(push_argv(ffmpeg_path, source, f"rtmp://127.0.0.1:{port}/live/{KEY}"))
        owner.detected()
        Encoder(ffmpeg_path, tmp_path / "first.mkv", feed).kill()
        received = feed.bytes_received
        wait_until(lambda: feed.bytes_received > received + 200_000, what="media after the encoder's death")
        encoder = Encoder(ffmpeg_path, tmp_path / "second.mkv", feed)
        received = feed.bytes_received
        wait_until(lambda: feed.bytes_received > received + 200_000, what="media for the second encoder")
        publisher.kill()
        assert owner.closed() is None
        assert encoder.wait() == 0
    times = [seconds for seconds, _ in encoder.packets("video")]
    assert encoder.packets("video")[0] == (pytest.approx(0, abs=0.1), True)
    assert all(later - earlier < 0.05 for earlier, later in pairwise(times))


def test_after_close_nothing_is_told_and_the_encoder_ends(
    tmp_path: Path, run_process: RunProcess, make_source: Callable[..., Path], ffmpeg_path: str
) -> None:
    owner = Owner()
    with nginx(tmp_path) as port, rtmp_loop(port) as loop:
        feed = loop.open_pull(KEY, 1, owner)
        publisher = run_process(push_argv(ffmpeg_path, make_source(), f"rtmp://127.0.0.1:{port}/live/{KEY}"))
        owner.detected()
        encoder = Encoder(ffmpeg_path, tmp_path / "out.mkv", feed)
        received = feed.bytes_received
        wait_until(lambda: feed.bytes_received > received + 50_000, what="media")
        feed.close()
        feed.close()
        assert encoder.wait() == 0
        publisher.kill()
        late = Encoder(ffmpeg_path, tmp_path / "late.mkv", feed)  # gets EOF at once, and no FLV
        late.kill()
    assert owner.events.empty()


def test_a_stopped_loop_takes_nothing_more(tmp_path: Path) -> None:
    with rtmp_loop() as loop:
        feed = loop.open_pull(KEY, 1, Owner())
    loop.stop(DEADLINE)
    feed.close()
    assert not loop.call(pytest.fail)


def test_two_streams_do_not_disturb_each_other(
    tmp_path: Path, run_process: RunProcess, make_source: Callable[..., Path], ffmpeg_path: str
) -> None:
    class Clumsy(Owner):
        def source_detected(self, run: int, source: SourceInfo) -> None:
            super().source_detected(run, source)
            raise RuntimeError("an owner's mistake")

    owners = [Clumsy(), Owner()]
    with nginx(tmp_path) as port, rtmp_loop(port) as loop:
        for number, owner in enumerate(owners):
            loop.open_pull(StreamKey(f"show{number}"), number, owner)
            url = f"rtmp://127.0.0.1:{port}/live/show{number}"
            run_process(push_argv(ffmpeg_path, make_source(seconds=4.0), url))
        for number, owner in enumerate(owners):
            owner.detected(number)
            assert owner.closed(number) is None
