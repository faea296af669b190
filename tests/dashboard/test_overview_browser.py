"""Beamtime and Campaign in a real browser: a box drawn over particles, the wells of the plate, and forms."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from stxmdist.dashboard.serve import Place, serving
from tests.dashboard.browser import Browser, browsing, chromium

pytestmark = pytest.mark.skipif(chromium() is None, reason="no chromium here: apt-get install chromium")

FIGURE_DRAWN = "window.Bokeh?.documents.some(d => d.get_model_by_name('choose'))"
SELECT_ALL = """(() => {
  const model = Bokeh.documents.map(d => d.get_model_by_name('choose')).find(Boolean);
  const view = Bokeh.index.find_one(model), area = view.frame.bbox;
  const tool = model.toolbar.gestures.pan.active;
  view.tool_views.get(tool)._do_select([area.left, area.right], [area.top, area.bottom], true, "replace");
  return tool.type;
})()"""
"""What the figure's own box tool does at the end of a drag; the drag itself is Bokeh's"""


@pytest.fixture(scope="module")
def opened(processed: Path) -> Iterator[tuple[Browser, str]]:
    with serving([processed], Place(port=0, prefix="/beam")) as address, browsing() as browser:
        yield browser, address
        assert browser.outside == []
        assert browser.errors == []
        assert browser.failed == []


def test_a_box_over_particles_chooses_them_and_the_address_holds_it(opened: tuple[Browser, str]) -> None:
    browser, address = opened
    browser.open(f"{address}campaign", FIGURE_DRAWN)
    assert browser.run(SELECT_ALL) == "BoxSelectTool"
    browser.wait_for("document.querySelectorAll('#chosen tbody tr').length")
    shown = "document.querySelector('#chosen h2').textContent"
    drawn = browser.run(shown)
    corners = browser.run("new URLSearchParams(location.search).get('shape')").split(",")
    assert len(corners) == 8
    # The same address shows the same choice.
    browser.open(browser.run("location.href"), "document.querySelectorAll('#chosen tbody tr').length")
    assert browser.run(shown) == drawn


LASSO = """(() => {
  const model = Bokeh.documents.map(d => d.get_model_by_name('choose')).find(Boolean);
  const view = Bokeh.index.find_one(model), area = view.frame.bbox;
  model.toolbar.tools.find(tool => tool.type === 'LassoSelectTool').active = true;
  view.el.scrollIntoView({ block: 'center' });
  const at = view.canvas_view.el.getBoundingClientRect();
  const source = model.renderers.find(one => one.data_source?.data.y && one.glyph.type === 'Scatter').data_source.data;
  const xs = [...view.frame.x_scale.v_compute(source.x)], ys = [...view.frame.y_scale.v_compute(source.y)];
  const lowest = ys.indexOf(Math.max(...ys));
  return { left: at.left + xs[lowest], top: at.top + ys[lowest], radius: 12,
    within: xs.filter((x, i) => Math.hypot(x - xs[lowest], ys[i] - ys[lowest]) < 12).length };
})()"""
"""The tool is chosen, and a place about which there is at least one particle: the lowest of all"""


def test_a_lasso_drawn_with_the_mouse_chooses_what_lies_in_it(opened: tuple[Browser, str]) -> None:
    browser, address = opened
    browser.open(f"{address}campaign", FIGURE_DRAWN)
    about = browser.run(LASSO)
    angles = np.linspace(0.0, 2.0 * np.pi, 25)
    x, y = about["left"] + about["radius"] * np.cos(angles), about["top"] + about["radius"] * np.sin(angles)
    browser.drag(list(zip(x.tolist(), y.tolist(), strict=True)))
    browser.wait_for("document.querySelectorAll('#chosen tbody tr').length")
    corners = browser.run("new URLSearchParams(location.search).get('shape')").split(",")
    assert len(corners) > 2 * 10
    chosen = browser.run("document.querySelector('#chosen h2').textContent")
    assert int(re.search(r"(\d+) particle", chosen)[1]) == about["within"] >= 1  # type: ignore[index]


def test_a_well_of_the_plate_is_a_link_to_its_electrode(opened: tuple[Browser, str]) -> None:
    browser, address = opened
    browser.open(f"{address}campaign")
    browser.run("document.querySelector('.well').focus()")
    assert browser.run("document.activeElement.classList.contains('well')")
    browser.run("document.activeElement.click()")
    browser.wait_for("document.querySelectorAll('.well[aria-current]').length")
    assert browser.run("document.querySelector('h1').textContent").startswith("E01")


def test_every_control_of_the_home_has_a_name_and_thumbnails_are_drawn(opened: tuple[Browser, str]) -> None:
    browser, address = opened
    browser.open(address, "document.querySelector('.scans img')?.naturalWidth")
    unnamed = """[...document.querySelectorAll('button, input:not([type=hidden]), summary')].filter(e =>
      !e.textContent.trim() && !e.getAttribute('aria-label') && !e.labels?.length).length"""
    assert browser.run(unnamed) == 0
    browser.run("document.querySelector('details.act').open = true")
    assert browser.run("document.querySelector('details.act input[name=reason]').required")
