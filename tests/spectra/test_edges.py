"""Which edge a scan crosses, and how its range is said."""

import numpy as np
import pytest

from stxmdist.spectra.edges import EDGES_EV, edge_of, in_words


@pytest.mark.parametrize(
    ("energy_ev", "edge"),
    [
        ((280.0, 285.0, 290.0, 320.0), "C K"),
        ((704.0, 708.0, 710.0), "Fe L"),
        ((709.0,), "Fe L"),
        ((850.0, 855.0, 872.0), "Ni L"),
        ((775.0, 780.0, 782.0), "Co L"),
        ((520.0, 530.0, 545.0), "O K"),
        ((8800.0,), None),
        ((1200.0, 1210.0), None),
    ],
)
def test_the_edge_with_most_energies_near_it(energy_ev: tuple[float, ...], edge: str | None) -> None:
    assert edge_of(np.array(energy_ev)) == edge


def test_edges_are_those_of_the_tables() -> None:
    xraydb = pytest.importorskip("xraydb")
    for name, energy_ev in EDGES_EV.items():
        element, shell = name.split()
        level = "L3" if shell == "L" else "K"
        # Chemical state and choice of tables move edges by a few eV.
        assert abs(xraydb.xray_edge(element, level).energy - energy_ev) < 8.0, name


def test_a_range_is_said_with_its_edge() -> None:
    assert in_words(np.array([709.0])) == "709.0 eV, Fe L"
    assert in_words(np.array([1200.0, 1210.0])) == "1200.0 to 1210.0 eV"
