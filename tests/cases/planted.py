"""Two discs of LiFePO4, the one hardly charged, the other nearly, as somebody measured them: counts and their files."""

from pathlib import Path

import numpy as np

from stxmdist.spectra.end_members.chemistries import CHEMISTRIES
from stxmdist.writers.nxstxm import writer as nxstxm
from tests.cases.campaigns import Case, command

ENERGY_EV = np.array([700.0, 704.0, 706.6, 707.4, 708.2, 709.2, 710.2, 711.0, 712.6, 720.6])
N_PX, PIXEL_UM = 36, 0.06
SOC = (0.2, 0.8)
"""Of the disc above (at small y) and of that below"""
CENTRES_PX, RADIUS_PX = ((9.5, 12.0), (25.5, 22.0)), 5.0
THICKNESS_NM = 100.0
TOLERANCE = 0.05
"""The default corrects for a zone plate of 60 nm, which these discs were not seen through: some hundredths"""


def transmission() -> np.ndarray:
    """(ENERGY, Y, X) of the field."""
    y, x = np.mgrid[:N_PX, :N_PX]
    amounts = np.zeros((2, N_PX, N_PX))
    for (row, column), soc in zip(CENTRES_PX, SOC, strict=True):
        inside = np.hypot(y - row, x - column) <= RADIUS_PX
        amounts += np.array([1.0 - soc, soc])[:, None, None] * THICKNESS_NM * inside
    mu = CHEMISTRIES["LFP"].load().end_members().at(ENERGY_EV)
    return np.asarray(np.exp(-np.tensordot(mu.T, amounts, axes=1)))


def inside(depth_px: float) -> np.ndarray:
    """Pixels (Y, X) of the discs that lie deeper than this."""
    y, x = np.mgrid[:N_PX, :N_PX]
    return np.asarray(sum(np.hypot(y - row, x - column) <= RADIUS_PX - depth_px for row, column in CENTRES_PX) > 0)


def counts(photons: float = 8000.0, seed: int = 1) -> np.ndarray:
    """(ENERGY, Y, X) float64, with a beam that falls from energy to energy."""
    beam = photons * np.linspace(1.0, 0.8, len(ENERGY_EV))[:, None, None]
    return np.random.default_rng(seed).poisson(beam * transmission()).astype(np.float64)


def written(folder: Path, stack: np.ndarray) -> Case:
    """A campaign over the stack in an NXstxm file, ready to run."""
    folder.mkdir(parents=True)
    axis = PIXEL_UM * np.arange(N_PX)
    values = stack.astype(np.float32)
    nxstxm.write_stack(folder / "scan.hdf5", values.__getitem__, ENERGY_EV, axis, axis, 2.0, np.nan)
    return begun(folder)


def begun(folder: Path) -> Case:
    """The campaign of what lies in a folder, ready to run."""
    command("init", folder)
    case = Case(folder)
    case.fill()
    return case


STAGES = [word for name in ("ingest", "absorbance", "align", "fit", "segment", "infer") for word in ("--stage", name)]
"""What leads to the table of particles: no exploration, no pictures"""
