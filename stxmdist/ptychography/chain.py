"""The energies of a stack one after another: each begins with what its neighbour found."""

from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import C64, F64

NEIGHBOUR = "neighbour"
"""Where an energy comes from that begins with what the one beside it found"""


@dataclass(frozen=True)
class Carried:
    """What a neighbour in energy, or the tile from which all others start, hands on."""

    probe: C64
    """(MODE, QY, QX): in pixels, which go as the wavelength like the focus of a zone plate, it stays the same"""
    orientation: int
    """by which frames were turned, see ``start.ORIENTATIONS``"""
    moves_um: F64
    """(POSITION, 2) by which positions were found to differ from the file's"""
    origin: str = NEIGHBOUR
    """where this comes from, in words"""


def chain_order(energy_ev: F64, counts: F64) -> list[tuple[int, int | None]]:
    """Which energy (its index) follows which: from the brightest outward, each after its neighbour, the first alone.

    Parameters
    ----------
    energy_ev, counts
        (ENERGY,) ascending, and counts of a mean frame: off the absorption edge most light comes through
    """
    first = int(np.argmax(counts))
    below = [(index, index + 1) for index in range(first - 1, -1, -1)]
    above = [(index, index - 1) for index in range(first + 1, len(energy_ev))]
    return [(first, None), *below, *above]
