"""A scan's page beside a page of Panel with the same scan: first canvas, bytes, another energy, memory of the server.

    python3.11 -m venv panel; panel/bin/pip install panel==1.9.4 zarr==3.1.6
    ./run demo
    .venv/bin/python tests/bench/peers/compare_pages.py --panel panel/bin/python --campaign demo/campaign.yaml

It wants chromium, and a machine that does nothing else. `panel_page.py` is Panel's page; its scripts come from its own
server, as ours do. Printed is a line for each.
"""

import argparse
import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))

from storage.store import Store  # noqa: E402
from stxmdist.campaign.manifest import load  # noqa: E402
from tests.dashboard.browser import Browser, browsing  # noqa: E402
from tests.dashboard.test_browser import MAPS_DRAWN, STEP  # noqa: E402

OPENED, STEPS, PAGES = 5, 12, 10
SETTLE_SECONDS = 2.0
PANEL_DRAWN = """(() => {
  const canvases = [], walk = node => {
    if (node.shadowRoot) walk(node.shadowRoot);
    for (const child of node.children) {
      if (child.tagName === 'CANVAS' && child.width > 100) canvases.push(child);
      walk(child);
    }
  };
  walk(document);
  return window.Bokeh?.documents.length && canvases.length >= 2 && Bokeh.documents[0].is_idle;
})()"""
PANEL_STEP = """new Promise(done => {
  const models = [...Bokeh.documents[0]._all_models.values()], began = performance.now();
  const slider = models.find(model => /Slider/.test(model.type));
  const changed = models.find(model => model.type === 'ColumnDataSource' && model.data.image).properties.data.change;
  const drawn = () => requestAnimationFrame(() => requestAnimationFrame(() => done((performance.now() - began) / 1e3)));
  const slot = () => { changed.disconnect(slot); drawn(); };
  changed.connect(slot);
  slider.value = slider.value === 0 ? 1 : 0;
  if ('value_throttled' in slider) slider.value_throttled = slider.value;
})"""


class Page(NamedTuple):
    """A page of one scan, and what its browser is asked."""

    name: str
    command: list[str]
    path: str
    drawn: str
    step: str


class Counting:
    """Bytes of the network that a browser reports while this takes part in its events."""

    def __init__(self, browser: Browser) -> None:
        self.bytes = 0
        self._event = browser._event
        browser._event = self  # type: ignore[method-assign]

    def __call__(self, event: dict) -> None:
        if event.get("method") == "Network.loadingFinished":
            self.bytes += int(event["params"]["encodedDataLength"])
        self._event(event)


def main() -> None:
    """Measure both, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--panel", required=True, help="Python of the environment that has panel and zarr")
    parser.add_argument("--campaign", required=True, type=Path, help="a campaign that was run")
    asked = parser.parse_args()
    scan = next(scan for scan in load(asked.campaign).scans if scan.modality == "stxm")
    output = Store(load(asked.campaign).store).published_output("absorbance", scan.scan_id)
    assert output is not None
    os.environ["STXMDIST_GROUP"] = str(output.group_path)
    page = str(Path(__file__).with_name("panel_page.py"))
    ours = [sys.executable, "-m", "stxmdist", "dashboard", str(asked.campaign), "--port"]
    theirs = [asked.panel, "-m", "panel", "serve", page, "--address", "127.0.0.1", "--port"]
    for one in (
        Page("stxmdist", ours, f"scan?scan={scan.scan_id}", MAPS_DRAWN, STEP),
        Page("Panel", theirs, "panel_page", PANEL_DRAWN, PANEL_STEP),
    ):
        with served(one) as (address, process):
            print(f"{one.name:9s} {measured(one, address, process)}", flush=True)


@contextlib.contextmanager
def served(page: Page) -> Iterator[tuple[str, psutil.Process]]:
    """The page's address while its server runs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "BOKEH_RESOURCES": "server"}
    server = subprocess.Popen([*page.command, str(port)], env=environment, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)  # fmt: skip
    try:
        for _ in range(300):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/{page.path}", psutil.Process(server.pid)
    finally:
        server.terminate()
        server.wait(20)


def measured(page: Page, address: str, server: psutil.Process) -> str:
    """Medians, in words."""
    seconds, fetched = [], []
    with browsing() as browser:
        counting = Counting(browser)
        browser.call("Network.setCacheDisabled", cacheDisabled=True)
        for _ in range(1 + OPENED):
            browser.call("Page.navigate", url="about:blank")
            time.sleep(0.2)
            before = counting.bytes
            seconds.append(browser.open(address, page.drawn))
            time.sleep(SETTLE_SECONDS)
            browser.run("1")
            fetched.append(counting.bytes - before)
        browser.call("Network.setCacheDisabled", cacheDisabled=False)
        steps = [float(browser.run(page.step)) for _ in range(STEPS)]
        before = server.memory_info().rss
        for _ in range(PAGES):
            browser.call("Target.createTarget", url=address, background=True)
        time.sleep(4 * SETTLE_SECONDS)
        kept = (server.memory_info().rss - before) / PAGES
    # The first time, the server reads and compiles.
    return (
        f"first canvas {np.median(seconds[1:]):.2f} s, fetched {np.median(fetched[1:]) / 1e6:.2f} MB, "
        f"another energy {1e3 * np.median(steps):.0f} ms, {kept / 1e6:.2f} MB of the server a page"
    )


if __name__ == "__main__":
    main()
