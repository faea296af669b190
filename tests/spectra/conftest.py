"""Planted truth for the spectra tests: particles of known thickness and state of charge, counted photon by photon."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from scipy import ndimage

from stxmdist.arrays import F32, F64
from stxmdist.spectra.end_members.chemistries import CHEMISTRIES
from stxmdist.spectra.end_members.references import EndMembers


@dataclass(frozen=True, eq=False)
class PlantedStack:
    """A stack with what it was made from."""

    energy_ev: F64
    counts: F32
    """(ENERGY, Y, X)"""
    drift_px: F64
    """(ENERGY, 2) how far content was moved"""
    thickness_nm: F32
    """(COMPONENT, Y, X) before PSF and drift"""


@pytest.fixture(scope="session")
def lfp() -> EndMembers:
    return CHEMISTRIES["LFP"].load().end_members()


@pytest.fixture(scope="session")
def l3_energies() -> F64:
    """24 energies: pre-edge, dense L3, a few beyond."""
    return np.concatenate([[700.0, 703.0], np.linspace(705.0, 714.0, 19), [716.0, 721.0, 726.0]])


@pytest.fixture(scope="session")
def plant(lfp: EndMembers) -> Callable[..., PlantedStack]:
    """Make a stack of plates as light does: transmission is blurred on a grid four times finer, then counted."""

    def make(
        rng: np.random.Generator,
        energy_ev: F64,
        shape: tuple[int, int] = (96, 101),
        n_plates: int = 12,
        counts: float = 200.0,
        psf_px: float = 1.0,
        drift_px: float = 0.6,
        two_phase: bool = True,
        diameter_px: float = 14.0,
    ) -> PlantedStack:
        fine = 4
        rows, columns = np.mgrid[0 : shape[0] * fine, 0 : shape[1] * fine] / fine
        thickness = np.zeros((2, *rows.shape), np.float32)
        for _ in range(n_plates):
            centre = rng.uniform(0.15, 0.85, 2) * shape
            half = 0.5 * rng.lognormal(np.log(diameter_px), 0.3)
            angle = rng.uniform(0.0, np.pi)
            y, x = rows - centre[0], columns - centre[1]
            u = (y * np.cos(angle) + x * np.sin(angle)) / half
            v = (x * np.cos(angle) - y * np.sin(angle)) / (half * rng.uniform(0.6, 1.0))
            inside = np.where(u**4 + v**4 < 1.0, rng.uniform(60.0, 200.0), 0.0)
            charged = (u > rng.uniform(-0.8, 0.8)) if two_phase else np.full(u.shape, rng.uniform())
            thickness += np.stack([inside * (1.0 - charged), inside * charged]).astype(np.float32)
        drift = drift_px * np.cumsum(rng.normal(0.0, 1.0, (energy_ev.size, 2)), axis=0)
        counted = np.empty((energy_ev.size, *shape), np.float32)
        for k, mu in enumerate(lfp.at(energy_ev).T.astype(np.float32)):
            transmission = np.exp(-np.tensordot(mu, thickness, axes=1))
            transmission = ndimage.gaussian_filter(transmission, psf_px * fine, mode="nearest")
            transmission = ndimage.shift(transmission, drift[k] * fine, order=1, cval=1.0)
            binned = transmission.reshape(shape[0], fine, shape[1], fine).mean(axis=(1, 3))
            counted[k] = rng.poisson(counts * binned) if np.isfinite(counts) else binned
        coarse = thickness.reshape(2, shape[0], fine, shape[1], fine).mean(axis=(2, 4))
        return PlantedStack(energy_ev, counted, drift, coarse)

    return make
