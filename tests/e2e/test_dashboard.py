"""The dashboard in a real browser, in front of a service that streams."""

import base64
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from e2e_browser import Browser, browsing
from e2e_production import STREAMKIT
from servers.process import ManagedProcess
from servers.publishing import Publisher
from servers.waiting import free_port, wait_until

pytestmark = [pytest.mark.e2e]

KEY, TOKEN = "evening-show", "for-operators-only"
CONFIGURATION = """
server: {{host: 127.0.0.1, port: {http}}}
rtmp: {{port: {rtmp}}}
hls: {{segment_duration: 1.0, output_dir: {folder}/hls}}
embedded: {{data_dir: {folder}/data}}
encoder: {{calibrate: false}}
sessions: {{reconnect_window: 60.0}}
default_ladder: copy
pictures: {{decode_copies: true}}
access: {{admin_token: {token}}}
"""
ROLES = ("link", "button", "textbox", "searchbox", "meter", "img", "image", "table", "navigation", "region")
"""What a screen reader has to be able to name."""


class Live:
    """`serve --embedded` with a stream from a small source."""

    def __init__(self, folder: Path) -> None:
        self.port, self.rtmp = free_port(), free_port()
        configuration = folder / "streamkit.yaml"
        configuration.write_text(
            CONFIGURATION.format(http=self.port, rtmp=self.rtmp, folder=folder, token=TOKEN), encoding="utf-8"
        )
        environment = {**os.environ, "HOME": str(folder), "STREAMKIT_CONFIG": str(configuration)}
        argv = [STREAMKIT, "serve", "--embedded"]
        self.process = ManagedProcess(argv, folder / "serve.log", env=environment, cwd=folder)
        self.site = f"http://127.0.0.1:{self.port}"
        headers = {"Authorization": f"Bearer {TOKEN}"}
        self.client = httpx.Client(base_url=self.site, headers=headers, timeout=60, trust_env=False)

    def stream(self) -> dict[str, Any] | None:
        found = self.client.get("/stats").json()["streams"]
        return next((dict(one) for one in found if one["stream_key"] == KEY), None)

    def is_live(self) -> bool:
        found = self.stream()
        return found is not None and found["state"] == "live"

    def close(self) -> None:
        self.client.close()
        self.process.close()


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    service = Live(tmp_path_factory.mktemp("dashboard"))
    service.process.wait_ready(lambda: "StreamKit is running" in service.process.log())
    yield service
    service.close()


@pytest.fixture(scope="module")
def published(live: Live, push: Callable[..., Publisher], make_source: Callable[..., Path]) -> Publisher:
    source = make_source(width=320, height=180, fps=15, gop_seconds=1.0)
    publisher = push(f"rtmp://127.0.0.1:{live.rtmp}/live/{KEY}", source)
    wait_until(live.is_live, what="the stream to be live", every=0.2)
    return publisher


@pytest.fixture(scope="module")
def tab(live: Live, chromium_path: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser that has logged in by the form."""
    with browsing(chromium_path, tmp_path_factory.mktemp("chromium")) as browser:
        for domain in ("Page", "Runtime", "Log", "Accessibility"):
            browser.call(f"{domain}.enable")
        browser.open(f"{live.site}/")
        until(browser, "location.pathname === '/login' && document.readyState === 'complete'")
        assert unnamed(browser) == []
        browser.evaluate(f"document.querySelector('#token').value = {json.dumps(TOKEN)}")
        browser.events.clear()  # the answer 401, which led here
        browser.evaluate("setTimeout(() => document.querySelector('form').requestSubmit())")
        until(browser, "location.pathname === '/' && document.querySelector('#link')?.dataset.state === 'open'")
        yield browser


def until(browser: Browser, expression: str, timeout: float = 120) -> None:
    wait_until(lambda: _holds(browser, expression), timeout, expression, every=0.1)


def _holds(browser: Browser, expression: str) -> bool:
    try:
        return bool(browser.evaluate(f"Boolean({expression})"))
    except AssertionError as error:
        if "navigated" not in str(error):
            raise
        return False  # the page is on its way to another one


def text(browser: Browser, selector: str) -> str:
    return str(browser.evaluate(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"))


def complaints(browser: Browser) -> list[Any]:
    """Return the errors of scripts, of the console and of the policy since the last look."""
    browser.evaluate("1")
    wrong = [
        event["params"]
        for event in browser.events
        if event["method"] == "Runtime.exceptionThrown"
        or (event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] == "error")
        or (event["method"] == "Runtime.consoleAPICalled" and event["params"]["type"] in ("error", "assert"))
    ]
    browser.events.clear()
    return wrong


def unnamed(browser: Browser) -> list[str]:
    """Return what a screen reader could not call by a name."""
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    return [
        f"{node['role']['value']} {node['nodeId']}"
        for node in nodes
        if not node["ignored"]
        and node["role"]["value"] in ROLES
        and not str(node.get("name", {}).get("value", "")).strip()
    ]


def test_a_tile_says_what_is_live_and_how_well(live: Live, published: Publisher, tab: Browser) -> None:
    until(tab, f"document.querySelector('[data-key={KEY}] .state')?.innerText === 'Live'")
    tile = text(tab, f"[data-key={KEY}]")
    for words in (KEY, "15 fps", "H.264", "AAC", "Upload lag", "Restarts", "1 rendition"):
        assert words in tile
    assert "1 stream is live" in text(tab, "h1")
    until(tab, f"document.querySelector('[data-key={KEY}] img').naturalWidth > 0")
    assert complaints(tab) == []


def test_the_numbers_move_by_themselves(live: Live, published: Publisher, tab: Browser) -> None:
    for selector in (f"[data-key={KEY}] .uptime", "#cpu b"):
        before = text(tab, selector)
        wait_until(lambda s=selector, b=before: text(tab, s) not in ("", b), what=f"another {selector}", every=0.2)
    assert "room for 63 more" in text(tab, "#capacity")
    assert complaints(tab) == []


def test_everything_has_a_name_and_is_reached_by_the_keyboard(published: Publisher, tab: Browser) -> None:
    until(tab, f"document.querySelector('[data-key={KEY}]')")
    assert unnamed(tab) == []
    assert tab.evaluate("document.documentElement.lang") == "en"
    tab.evaluate("document.activeElement.blur()")
    seen = []
    for _ in range(12):
        for kind in ("rawKeyDown", "keyUp"):
            tab.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
        seen.append(tab.evaluate("document.activeElement.textContent.trim()"))
    assert "Skip to the streams" in seen
    assert KEY in seen
    assert "1 rendition" in seen


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(scheme: str, published: Publisher, tab: Browser, tmp_path: Path) -> None:
    tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    tab.call("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=1, mobile=True)
    assert tab.evaluate("document.documentElement.scrollWidth") == 390
    shot = base64.b64decode(tab.call("Page.captureScreenshot", format="png")["data"])
    (tmp_path / f"{scheme}.png").write_bytes(shot)
    colours = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, colours.strip("rgb()").split(","))) > 384) == (scheme == "light")
    tab.call("Emulation.clearDeviceMetricsOverride")


def test_a_publisher_that_is_gone_is_named_and_said_what_to_do(live: Live, published: Publisher, tab: Browser) -> None:
    published.kill()
    until(tab, f"document.querySelector('[data-key={KEY}]').dataset.tone === 'warn'", timeout=120)
    assert text(tab, f"[data-key={KEY}] .state") == "Waiting for the publisher"
    assert "1 needs a look" in text(tab, "h1")
    assert complaints(tab) == []
