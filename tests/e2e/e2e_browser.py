"""A headless Chromium, driven over its DevTools protocol."""

import base64
import io
import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
from servers.process import ManagedProcess
from websockets.sync.client import ClientConnection, connect

SWITCHES = (
    "--headless=new",
    "--no-sandbox",  # Chromium refuses to be root with it
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-breakpad",
    "--disable-background-networking",
    "--no-first-run",
    "--mute-audio",
    "--autoplay-policy=no-user-gesture-required",
    "--window-size=1280,900",
    "--remote-debugging-port=0",
)


class Browser:
    """One tab."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._numbers = itertools.count(1)
        self.events: list[dict[str, Any]] = []
        """What the domains that were enabled told, read while a call was waited for."""

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Return the result of a DevTools command; AssertionError when it fails."""
        number = next(self._numbers)
        self._connection.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._connection.recv(timeout=30))
            if message.get("id") == number:
                assert "error" not in message, message
                return dict(message["result"])
            self.events.append(message)

    def open(self, url: str) -> None:
        """Go to a page."""
        result = self.call("Page.navigate", url=url)
        assert "errorText" not in result, result

    def evaluate(self, expression: str) -> Any:
        """Return the JSON value of a JavaScript expression."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def picture_of(self, selector: str) -> bytes:
        """Return a PNG of the part of the page where the element is."""
        box = self.evaluate(
            f"(r => [r.x, r.y, r.width, r.height])(document.querySelector('{selector}').getBoundingClientRect())"
        )
        clip = {**dict(zip(("x", "y", "width", "height"), box, strict=True)), "scale": 1}
        return base64.b64decode(self.call("Page.captureScreenshot", format="png", clip=clip)["data"])


@contextmanager
def browsing(chromium: str, folder: Path) -> Iterator[Browser]:
    """Yield the tab of a new Chromium with its profile in `folder`."""
    process = ManagedProcess(
        [chromium, *SWITCHES, f"--user-data-dir={folder / 'profile'}", "about:blank"], folder / "chromium.log"
    )
    try:
        address = folder / "profile" / "DevToolsActivePort"
        process.wait_ready(lambda: address.exists() and len(address.read_text().split()) == 2)
        port, path = address.read_text().split()
        with connect(f"ws://127.0.0.1:{port}{path}", max_size=None, proxy=None) as connection:
            target = Browser(connection).call("Target.createTarget", url="about:blank")["targetId"]
            with connect(f"ws://127.0.0.1:{port}/devtools/page/{target}", max_size=None, proxy=None) as tab:
                yield Browser(tab)
    finally:
        process.close()


def luminances(png: bytes) -> bytes:
    """Return the brightness of every pixel of a picture, row by row."""
    with av.open(io.BytesIO(png), format="png_pipe") as container:
        frame = next(container.decode(video=0)).reformat(format="gray")
        plane = frame.planes[0]
        rows = bytes(plane)
        return b"".join(
            rows[start : start + frame.width] for start in range(0, plane.line_size * frame.height, plane.line_size)
        )
