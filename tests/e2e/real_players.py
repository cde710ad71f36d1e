"""Players that viewers really have, each watching a stream by its URL, and how far they have come."""

import json
import re
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from e2e_browser import Browser, browsing
from servers.process import ManagedProcess


class Player(Protocol):
    """Something that plays, from its making until its stack is closed."""

    def position(self) -> float:
        """Return the seconds of media that it has played, counted from anywhere."""

    def problems(self) -> list[str]:
        """Return what it could not cope with."""


class BrowserPlayer:
    """A video element in a headless Chromium; with hls.js, or with what Chromium itself understands of HLS."""

    _WATCH = """
        const video = document.createElement('video')
        window.video = video
        window.problems = []
        video.muted = video.autoplay = true
        video.addEventListener('error', () => problems.push(`${video.error.code}: ${video.error.message}`))
        video.addEventListener('ended', () => problems.push('it took the stream for ended'))
        document.body.append(video)
    """
    _NATIVE = "video.src = {url}"
    _HLS_JS = """
        const hls = new Hls()
        hls.on(Hls.Events.ERROR, (_, error) => error.fatal && problems.push(`hls.js: ${{error.details}}`))
        hls.loadSource({url})
        hls.attachMedia(video)
    """

    def __init__(self, browser: Browser, page: str, url: str, hls_js: Path | None) -> None:
        self._browser = browser
        browser.open(page)
        if hls_js is not None:
            browser.evaluate(f"{hls_js.read_text()};0")
        begin = (self._NATIVE if hls_js is None else self._HLS_JS).format(url=json.dumps(url))
        browser.evaluate(f"(() => {{{self._WATCH}{begin}}})()")

    def position(self) -> float:
        return float(self._browser.evaluate("video.currentTime"))

    def problems(self) -> list[str]:
        return list(self._browser.evaluate("problems"))


class CommandPlayer:
    """A program that plays and prints its position; `pattern` finds the numbers of its newest report."""

    def __init__(self, process: ManagedProcess, pattern: str, faults: str, units: float) -> None:
        self._process = process
        self._pattern = re.compile(pattern)
        self._faults = re.compile(faults, re.MULTILINE)
        self._units = units

    def position(self) -> float:
        reports = self._pattern.findall(self._process.log())
        return float(reports[-1]) / self._units if reports else 0.0

    def problems(self) -> list[str]:
        ended = [] if self._process.running else ["it ended"]
        return ended + self._faults.findall(self._process.log())


def chromium(stack: ExitStack, program: str, folder: Path, site: str, url: str, hls_js: Path | None) -> Player:
    """Return a browser that plays; on a page of the site, so that nothing is from elsewhere."""
    folder.mkdir()
    browser = stack.enter_context(browsing(program, folder))
    return BrowserPlayer(browser, f"{site}/health", url, hls_js)


def ffmpeg(stack: ExitStack, program: Path, log: Path, url: str) -> Player:
    """Return an FFmpeg that decodes as fast as a player would."""
    argv = [program, "-nostdin", "-hide_banner", "-loglevel", "level+warning", "-progress", "pipe:1", "-nostats"]
    process = ManagedProcess([*argv, "-stats_period", "0.25", "-re", "-i", url, "-f", "null", "-"], log)
    stack.callback(process.close)
    return CommandPlayer(process, r"out_time_us=(\d+)", r"^\[(?:fatal|error)\].*$", 1_000_000)


def gstreamer(stack: ExitStack, program: Path, log: Path, url: str) -> Player:
    """Return a GStreamer pipeline that plays picture and sound to nobody, in time with the clock."""
    shown = "progressreport name=shown update-freq=1 do-query=true ! fakesink sync=true"
    argv = [program, "playbin3", f"uri={url}", f"video-sink={shown}", "audio-sink=fakesink sync=true"]
    process = ManagedProcess(argv, log)
    stack.callback(process.close)
    return CommandPlayer(process, r"shown \(\d+:\d+:\d+\): (\d+)", r"^ERROR.*$", 1)


@dataclass(slots=True)
class Watched:
    """One player's positions over time, both in seconds."""

    player: Player
    samples: list[tuple[float, float]] = field(default_factory=list)

    def sample(self) -> None:
        self.samples.append((time.monotonic(), self.player.position()))

    @property
    def has_begun(self) -> bool:
        """Whether it has played something since the first sample."""
        self.sample()
        return self.samples[-1][1] > self.samples[0][1]

    @property
    def played(self) -> float:
        return self.samples[-1][1] - self.samples[0][1]

    @property
    def lasted(self) -> float:
        return self.samples[-1][0] - self.samples[0][0]

    @property
    def longest_stop(self) -> float:
        """Seconds between two samples with different positions, at most."""
        moved_at, position = self.samples[0]
        longest = 0.0
        for at, now in self.samples[1:]:
            longest = max(longest, at - moved_at)
            if now != position:
                moved_at, position = at, now
        return longest
