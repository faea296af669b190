"""Absorption edges that lie in the range of soft X-ray microscopes, and which of them a scan crosses."""

from collections.abc import Mapping

import numpy as np

from stxmdist.arrays import F64

EDGES_EV: Mapping[str, float] = {
    # Binding energies of the K shell, and of L3, where the L edge begins: X-ray Data Booklet, table 1-1.
    "B K": 188.0, "C K": 284.2, "Ca L": 346.2, "N K": 409.9, "Ti L": 453.8, "V L": 512.1, "O K": 543.1, "Cr L": 574.1,
    "Mn L": 638.7, "F K": 696.7, "Fe L": 706.8, "Co L": 778.1, "Ni L": 852.7, "Cu L": 932.7, "Zn L": 1021.8,
    "Na K": 1070.8, "Mg K": 1303.0, "Al K": 1559.6, "Si K": 1839.0, "P K": 2145.5, "S K": 2472.0, "Cl K": 2822.4,
    "K K": 3608.4, "Ca K": 4038.5, "Ti K": 4966.0, "V K": 5465.0, "Cr K": 5989.0, "Mn K": 6539.0, "Fe K": 7112.0,
    "Co K": 7709.0, "Ni K": 8333.0, "Cu K": 8979.0, "Zn K": 9659.0,
}  # fmt: skip
"""Name of an edge to where it begins, in eV"""

ALONE_EV = 4.0
"""A single energy belongs to an edge that begins no farther away"""


def edge_of(energy_ev: F64) -> str | None:
    """The edge that the energies (ENERGY,) of a scan cross; of several the one with most energies near; None: none.

    White lines lie up to 5 eV from where tables let the edge begin, so that as much is allowed at both ends.
    """
    energy = np.asarray(energy_ev, dtype=np.float64)
    low, high = float(energy.min()) - ALONE_EV, float(energy.max()) + ALONE_EV
    crossed = [name for name, edge_ev in EDGES_EV.items() if low <= edge_ev <= high]
    return max(crossed, key=lambda name: _energies_near(energy, EDGES_EV[name]), default=None)


def _energies_near(energy_ev: F64, edge_ev: float) -> int:
    return int((np.abs(energy_ev - edge_ev) <= 3.0 * ALONE_EV).sum())


def in_words(energy_ev: F64) -> str:
    """The range of a scan's energies (ENERGY,), with the edge that it crosses: ``280.0 to 320.0 eV, C K``."""
    low, high = float(np.min(energy_ev)), float(np.max(energy_ev))
    edge = edge_of(energy_ev)
    span = f"{low:.1f} eV" if low == high else f"{low:.1f} to {high:.1f} eV"
    return span if edge is None else f"{span}, {edge}"
