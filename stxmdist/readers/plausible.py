"""Which numbers a soft or hard X-ray microscope can have: beyond them a file is asked about or mended, not believed."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import F64


@dataclass(frozen=True)
class Range:
    """What a quantity can be, ends included."""

    least: float
    most: float
    unit: str

    def holds(self, value: float) -> bool:
        """Whether a number is possible; what is not a number is not."""
        return self.least <= value <= self.most

    def __str__(self) -> str:
        return f"{self.least:g} to {self.most:g} {self.unit}"


# The finest ptychography resolves a few nm; a coarse look at a whole sample holder steps by some um.
PIXEL_NM = Range(0.5, 20_000.0, "nm")
# From the window of one grain to the travel of a sample stage.
FIELD_UM = Range(0.02, 50_000.0, "um")
# From the edges of lithium to hard X-rays.
ENERGY_EV = Range(30.0, 100_000.0, "eV")
# From the fastest fly scans to exposures of minutes.
DWELL_MS = Range(1e-4, 1e6, "ms")


def unit_of_positions(positions: F64, um_per_unit: Mapping[str, float]) -> str:
    """The unit that positions (PIXEL,) without one are in: the first in which they have the pixels of a microscope.

    ``um_per_unit`` holds the units in the order in which they are tried. Where none makes sense, or there is no step,
    it is the first.
    """
    pixel = np.median(np.abs(np.diff(positions))) if positions.size > 1 else np.nan
    possible = (unit for unit, um in um_per_unit.items() if PIXEL_NM.holds(float(pixel) * um * 1e3))
    return next(possible, next(iter(um_per_unit)))


def look_like_kev(energies: F64) -> bool:
    """Whether photon energies, said to be in eV or without a unit, are none of a microscope in eV, and are in keV."""
    known = energies[np.isfinite(energies)]
    if not known.size or known.max() >= ENERGY_EV.least:
        return False
    return ENERGY_EV.holds(float(known.min()) * 1e3)
