"""The energies of a stack one after another: each starts from the result of its neighbour."""

from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import C64, F64

NEIGHBOUR = "neighbour"
"""Origin of the start of an energy that takes over the result of the one beside it"""


@dataclass(frozen=True)
class Carried:
    """What is taken over from a neighbour in energy, or from the tile with which all tiles start."""

    probe: C64
    """(MODE, QY, QX). Pixels scale with the wavelength as the focus of a zone plate does: in pixels the probe is nearly
    the same at every energy
    """
    orientation: int
    """How frames were turned: a place in ``trials.ORIENTATIONS``"""
    moves_um: F64
    """(POSITION, 2) by how much positions were corrected"""
    origin: str = NEIGHBOUR
    """Where this comes from, in words"""


def chain_order(energy_ev: F64, counts: F64) -> list[tuple[int, int | None]]:
    """The order of energies, each with the neighbour it starts from: from the brightest outward; None for the first.

    Parameters
    ----------
    energy_ev, counts
        (ENERGY,) ascending; and counts of a mean frame, which are highest off the absorption edge
    """
    first = int(np.argmax(counts))
    below = [(index, index + 1) for index in range(first - 1, -1, -1)]
    above = [(index, index - 1) for index in range(first + 1, len(energy_ev))]
    return [(first, None), *below, *above]
