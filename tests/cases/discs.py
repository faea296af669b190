"""Scans of discs on an empty field, written as a beamline would: for inputs that no folder holds."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stxmdist.arrays import F64
from stxmdist.spectra.end_members.chemistries import CHEMISTRIES
from stxmdist.writers import sdf
from tests.cases.campaigns import Case, command

ENERGY_EV = np.array([700.0, 704.0, 706.0, 708.2, 709.2, 710.2, 712.0, 715.0])
PIXEL_UM = 0.06
N_PX = 40
RADIUS_PX = 7.0


def write_discs(
    path: Path, thickness_nm: float, soc: Sequence[float] = (0.2, 0.8), counts: float = 4e4, under_od: float = 0.0
) -> Path:
    """A stack of up to four discs of LiFePO4 in the corners of a field; below them ``under_od`` is absorbed as well."""
    places = [(10, 10), (29, 29), (10, 29), (29, 10)]
    row, column = np.mgrid[:N_PX, :N_PX]
    mu = CHEMISTRIES["LFP"].load().end_members().at(ENERGY_EV)
    od: F64 = np.zeros((len(ENERGY_EV), N_PX, N_PX))
    for (y, x), charged in zip(places, soc, strict=False):
        inside = np.hypot(row - y, column - x) < RADIUS_PX
        spectrum = thickness_nm * ((1.0 - charged) * mu[0] + charged * mu[1]) + under_od
        od += spectrum[:, None, None] * inside
    rng = np.random.default_rng(11)
    frames = rng.poisson(counts * np.exp(-od)).astype(np.int64)
    axis = PIXEL_UM * np.arange(N_PX)
    sdf.write_stack(path, lambda i: frames[i], ENERGY_EV, axis, axis, 1.0, 400.0)
    return path


def campaign_of(folder: Path) -> Case:
    """What `init` makes of a folder of files, every row completed."""
    command("init", folder)
    found = Case(folder)
    found.fill()
    return found
