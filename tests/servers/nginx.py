"""nginx-rtmp with the configuration that we ship, and somebody to receive its webhooks."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from urllib.request import urlopen
from xml.etree import ElementTree

from servers.process import ManagedProcess
from servers.waiting import accepts_connections, free_port, wait_until

CONFIGURATION = Path(__file__).parents[2] / "config" / "nginx-rtmp.conf"


class NginxRtmp:
    """nginx running config/nginx-rtmp.conf, in which nothing but addresses is changed, and `webhook_query` is added."""

    def __init__(self, program: Path, folder: Path, webhook_port: int, webhook_query: str = "") -> None:
        self.rtmp_port = free_port()
        self.stat_port = free_port()
        self.status_port = free_port()
        self._program = program
        self._folder = folder
        self._configuration = folder / "nginx.conf"
        text = self._with_addresses(CONFIGURATION.read_text(), webhook_port)
        self._configuration.write_text(text.replace("/events/published;", f"/events/published{webhook_query};"))
        self.start()

    def url(self, key: str, /, **query: str) -> str:
        """Return the URL to publish or play this key at."""
        return f"rtmp://127.0.0.1:{self.rtmp_port}/live/{key}" + (f"?{urlencode(query)}" if query else "")

    @property
    def status_url(self) -> str:
        """The page that StreamKit reads."""
        return f"http://127.0.0.1:{self.status_port}/stat"

    def start(self) -> None:
        """Return when it accepts publishers, on the same ports as before."""
        argv = [self._program, "-p", f"{self._folder}/", "-c", self._configuration]
        self._process = ManagedProcess(argv, self._folder / "nginx.log")
        self._process.wait_ready(lambda: accepts_connections(self.rtmp_port))

    def stat(self) -> ElementTree.Element:
        """Return the rtmp_stat document."""
        with urlopen(f"http://127.0.0.1:{self.stat_port}/stat", timeout=5) as answer:
            return ElementTree.fromstring(answer.read())

    def publishers(self) -> set[str]:
        """Return the keys that are published now."""
        return {
            str(stream.findtext("name"))
            for stream in self.stat().iter("stream")
            if stream.find("publishing") is not None
        }

    def drop_publisher(self, key: str) -> None:
        """Disconnect the publisher of this key, as an operator would."""
        query = urlencode({"app": "live", "name": key})
        with urlopen(f"http://127.0.0.1:{self.stat_port}/control/drop/publisher?{query}", timeout=5) as answer:
            answer.read()

    def log(self) -> str:
        return self._process.log()

    def stop(self) -> None:
        """Disconnect everybody and refuse connections until start()."""
        self._process.stop()

    def kill(self) -> None:
        """End it at once, without the farewells of stop()."""
        self._process.close()

    close = kill

    def freeze(self) -> None:
        """Keep connections open and silent until thaw()."""
        self._process.freeze()

    def thaw(self) -> None:
        """Undo freeze()."""
        self._process.thaw()

    def _with_addresses(self, text: str, webhook_port: int) -> str:
        addresses = {
            "listen 1935;": f"listen 127.0.0.1:{self.rtmp_port};",
            "listen 127.0.0.1:8081;": f"listen 127.0.0.1:{self.stat_port};",
            "listen 8082;": f"listen 127.0.0.1:{self.status_port};",
            "http://streamkit:8080/": f"http://127.0.0.1:{webhook_port}/",
        }
        for shipped, ours in addresses.items():
            assert shipped in text, f"config/nginx-rtmp.conf no longer has {shipped!r}"
            text = text.replace(shipped, ours)
        return text


class WebhookRecorder:
    """An HTTP server that records the form of every POST and answers with `answer_status`."""

    def __init__(self) -> None:
        self.calls: list[dict[str, str]] = []
        self.answer_status = 200
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                recorder.calls.append({"path": urlsplit(self.path).path, **dict(parse_qsl(body))})
                self.send_response(recorder.answer_status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the base class's name
                """Stay silent: the tests look at `calls`."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def wait_for(self, *, call: str, name: str, timeout: float = 10.0) -> dict[str, str]:
        """Return the first recorded call of this kind for this stream key."""
        return wait_until(
            lambda: next((c for c in list(self.calls) if (c.get("call"), c.get("name")) == (call, name)), {}),
            timeout,
            f"the webhook call {call} for {name}",
        )

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
