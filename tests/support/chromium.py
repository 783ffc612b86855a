"""A real headless Chromium, driven over its DevTools protocol: opens a page and records its requests."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from support.servers import get, program, running, until

OFFLINE = (
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-default-apps"),
    *("--no-first-run", "--no-default-browser-check", "--disable-extensions", "--metrics-recording-only"),
)


class Browser:
    """One tab. `requests` are the requested URLs, `complaints` the messages of the console."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._next = 0
        self._loaded = False
        self.requests: list[str] = []
        self.complaints: list[str] = []
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and return its answer; record the events until then."""
        self._next += 1
        self._socket.send(json.dumps({"id": self._next, "method": method, "params": params}))
        while True:
            said = self._hear()
            if said.get("id") == self._next:
                assert "error" not in said, said
                return said["result"]

    def _hear(self) -> dict[str, Any]:
        said = json.loads(self._socket.recv(timeout=60))
        params = said.get("params", {})
        match said.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
            case "Runtime.consoleAPICalled" | "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(params))
            case "Log.entryAdded":
                self.complaints.append(params["entry"]["text"])
            case "Page.loadEventFired":
                self._loaded = True
        return said

    def open(self, page: Path | str, width: int, height: int = 900, *, dark: bool = False, script: bool = True) -> None:
        """Load a file, or a URL, in a window of this size."""
        mobile = width < 600
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])
        self.ask("Emulation.setScriptExecutionDisabled", value=not script)
        self._loaded = False
        self.ask("Page.navigate", url=page.as_uri() if isinstance(page, Path) else page)
        while not self._loaded:
            self._hear()

    def run(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        said = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in said, said
        return said["result"].get("value")

    def picture(self, path: Path) -> None:
        """Take a screenshot of the whole page."""
        size = self.ask("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        made = self.ask("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(made["data"]))


@contextmanager
def browser(directory: Path) -> Iterator[Browser]:
    """Start a Chromium with a new profile below this directory."""
    profile = directory / "profile"
    command = [
        program("chromium", "chromium"),
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", *OFFLINE),
        *(f"--user-data-dir={profile}", "--remote-debugging-port=0", "about:blank"),
    ]
    with running(command, directory / "chromium.log"):
        port = until(lambda: (profile / "DevToolsActivePort").read_text().splitlines()[0], "Chromium")
        tab = until(
            lambda: next(t for t in json.loads(get(f"http://127.0.0.1:{port}/json")) if t["type"] == "page"), "a tab"
        )
        # a late answer of a busy machine is not a failure
        with connect(tab["webSocketDebuggerUrl"], max_size=None, open_timeout=60, ping_interval=None) as socket:
            yield Browser(socket)
