"""The gallery: what is compared has one energy and one scale."""

import re
from types import SimpleNamespace

import pytest
from matplotlib.figure import Figure

from stxmdist.report.canvas import Picture, as_svg, drawing
from stxmdist.report.gallery import gallery, nearest_measured, shared_energies
from tests.report.conftest import ENERGY_EV


def test_scans_of_one_edge_are_shown_at_one_energy_and_edges_apart() -> None:
    found = shared_energies({"a": 708.2, "b": 710.3, "c": 709.9, "oxygen": 531.0, "nickel": 853.1, "d": 708.1})
    assert found["a"] == found["b"] == found["c"] == found["d"] == pytest.approx(709.05)
    assert (found["oxygen"], found["nickel"]) == (531.0, 853.1)
    assert shared_energies({}) == {}


def test_an_energy_is_taken_from_those_that_were_measured(bench: SimpleNamespace) -> None:
    for energy, ev in enumerate(ENERGY_EV):
        assert nearest_measured(bench.evidence, "wide-1", float(ev) + 0.01) == energy


def test_it_can_be_printed(bench: SimpleNamespace) -> None:
    """Words and lines are vectors, and images have as many pixels as a printed page shows."""
    picture = gallery(bench.evidence)
    assert isinstance(picture, Picture)
    assert isinstance(picture.image, Figure)
    with drawing():
        text = as_svg(picture.image, picture.dpi).decode()
    assert len(re.findall("<image", text)) >= 5
    assert max(float(width) for width in re.findall(r'<image[^>]*width="([\d.]+)"', text)) > 100
    assert text.count("<path") > 50
