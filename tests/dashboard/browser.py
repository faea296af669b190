"""Debian's Chromium, driven by its own protocol over one websocket: no driver to install, no browser to download.

Source: Chrome DevTools Protocol, domains Page, Runtime, Network, Input, Emulation and Fetch.
"""

import base64
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome")
START_LIMIT_SECONDS = 60.0
LIMIT_SECONDS = 60.0
"""Machines are shared: a page may take long, and is then slow, not wrong"""
SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--hide-scrollbars",
    "--mute-audio",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)


def chromium() -> str | None:
    """Where the browser is; None where there is none."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


@dataclass
class Browser:
    """One page of the browser, and what went wrong in it."""

    socket: ClientConnection
    session: str = ""
    outside: list[str] = field(default_factory=list)
    """Addresses on other hosts that were asked for; they are not answered"""
    errors: list[str] = field(default_factory=list)
    """What the console calls an error, and what no script caught"""
    failed: list[str] = field(default_factory=list)
    """Answers with a status of 400 or more"""
    requests: list[str] = field(default_factory=list)
    _number: int = 0

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """One command of the protocol and its answer; events that come before it are taken down."""
        self._number += 1
        message: dict[str, object] = {"id": self._number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.socket.send(json.dumps(message))
        number, ends = self._number, time.monotonic() + LIMIT_SECONDS
        while time.monotonic() < ends:
            answer = json.loads(self.socket.recv(timeout=LIMIT_SECONDS))
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return dict(answer["result"])
            self._event(answer)
        raise TimeoutError(method)

    def _send(self, method: str, **parameters: object) -> None:
        """A command whose answer nobody waits for."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters, "sessionId": self.session}
        self.socket.send(json.dumps(message))

    def _event(self, event: dict[str, Any]) -> None:
        about = event.get("params", {})
        match event.get("method"):
            case "Fetch.requestPaused":
                address = about["request"]["url"]
                self.requests.append(address)
                parts = urlsplit(address)
                if parts.scheme in ("http", "https", "ws", "wss") and parts.hostname != "127.0.0.1":
                    self.outside.append(address)
                    self._send("Fetch.failRequest", requestId=about["requestId"], errorReason="Aborted")
                else:
                    self._send("Fetch.continueRequest", requestId=about["requestId"])
            case "Runtime.exceptionThrown":
                details = about["exceptionDetails"]
                self.errors.append(details.get("exception", {}).get("description") or details["text"])
            case "Runtime.consoleAPICalled" if about["type"] in ("error", "assert"):
                self.errors.append(" ".join(str(one.get("value", one.get("description"))) for one in about["args"]))
            case "Log.entryAdded" if about["entry"]["level"] == "error":
                self.errors.append(f"{about['entry']['text']} {about['entry'].get('url', '')}")
            case "Network.responseReceived" if about["response"]["status"] >= 400:
                self.failed.append(f"{about['response']['status']} {about['response']['url']}")

    def run(self, expression: str) -> Any:
        """The value of a JavaScript expression; of a promise, what it gives."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait_for(self, expression: str, seconds: float = LIMIT_SECONDS) -> Any:
        """The first value of an expression that counts as true."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            if value := self.run(expression):
                return value
            time.sleep(0.02)
        raise AssertionError(f"after {seconds:.0f} s it is still not so: {expression}; errors: {self.errors}")

    def open(self, address: str, ready: str = "document.readyState === 'complete'") -> float:
        """Go to an address; the seconds until it is ready."""
        began = time.monotonic()
        self.call("Page.navigate", url=address)
        self.wait_for(f"location.href !== 'about:blank' && ({ready})")
        return time.monotonic() - began

    def window(self, width: int, height: int = 900, *, dark: bool = False) -> None:
        """Size of the page, and what the system says of its colours."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=scheme)

    def press(self, key: str) -> None:
        """A key of the keyboard."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key)

    def click(self, x: float, y: float) -> None:
        """A click of the mouse at a place of the window."""
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def drag(self, places: Sequence[tuple[float, float]]) -> None:
        """The mouse pressed at the first place, moved over the others, and let go at the last."""
        mouse = {"pointerType": "mouse", "button": "left"}
        for at, (x, y) in enumerate(places):
            self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y, buttons=int(at > 0), **mouse)
            if at == 0:
                self.call("Input.dispatchMouseEvent", type="mousePressed", x=x, y=y, buttons=1, clickCount=1, **mouse)
        x, y = places[-1]
        self.call("Input.dispatchMouseEvent", type="mouseReleased", x=x, y=y, buttons=0, clickCount=1, **mouse)

    def picture(self, *, whole: bool = True) -> bytes:
        """The page as a PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"])


@contextmanager
def browsing() -> Iterator[Browser]:
    """A browser with one empty page, for the length of a block."""
    program = chromium()
    assert program is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        process = subprocess.Popen(
            [program, *SWITCHES, f"--user-data-dir={home}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            port, path = _until(lambda: _announced(Path(home) / "DevToolsActivePort"), process)
            with connect(f"ws://127.0.0.1:{port}{path}", max_size=None, proxy=None) as socket:
                browser = Browser(socket)
                target = browser.call("Target.createTarget", url="about:blank")["targetId"]
                browser.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
                for domain in ("Page", "Runtime", "Network", "Log"):
                    browser.call(f"{domain}.enable")
                browser.call("Fetch.enable", patterns=[{"urlPattern": "*"}])
                browser.window(1440)
                yield browser
        finally:
            # The browser's own processes are in the group that was made for it.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def _announced(file: Path) -> tuple[str, str] | None:
    lines = file.read_text().split() if file.exists() else []
    return (lines[0], lines[1]) if len(lines) == 2 else None


def _until(look: Callable[[], tuple[str, str] | None], process: "subprocess.Popen[bytes]") -> tuple[str, str]:
    ends = time.monotonic() + START_LIMIT_SECONDS
    while time.monotonic() < ends and process.poll() is None:
        if (found := look()) is not None:
            return found
        time.sleep(0.05)
    raise RuntimeError(f"the browser did not start within {START_LIMIT_SECONDS:.0f} s")
