"""How wrong end-members may be, as a few shapes over energy, and what that does to a state of charge.

An error of a reference spectrum is common to everything fitted with it: it does not average over pixels, particles or
scans. To first order it is linear, so shapes of one standard deviation each say all.
"""

from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import F64, Index


@dataclass(frozen=True, eq=False)
class ReferenceErrors:
    """Independent errors of a pair of end-members, in the unit of their absorption."""

    energy_ev: F64
    """(NODE,) float64, ascending: the energies of the end-members"""
    shapes: F64
    """(CAUSE, COMPONENT, NODE) float64: one standard deviation of each cause, which acts at all energies at once"""
    causes: tuple[str, ...]
    """(CAUSE,) in words"""
    noise_sd: F64
    """(COMPONENT, NODE) float64 standard deviation that differs from node to node; 0 where spectra are smooth"""

    @property
    def sd(self) -> F64:
        """(COMPONENT, NODE) float64: everything together."""
        return np.asarray(np.sqrt(self.noise_sd**2 + (self.shapes**2).sum(axis=0)), dtype=np.float64)

    def soc_sd(self, response: F64, thickness: F64, energy_ev: F64) -> F64:
        """Standard deviation (PARTICLE,) of the state of charge.

        ``response`` (PARTICLE, ENERGY) is what a unit of optical density at each energy does to the state of charge,
        ``thickness`` (COMPONENT, PARTICLE) that of the particles, ``energy_ev`` (ENERGY,) on the end-members' scale.
        """
        return np.asarray(np.sqrt((self.soc_by_cause(response, thickness, energy_ev) ** 2).sum(axis=0)))

    def soc_by_cause(self, response: F64, thickness: F64, energy_ev: F64) -> F64:
        """The same by cause (CAUSE + 1, PARTICLE), signed but for the last, which is the noise of the spectra."""
        below, share = self._neighbours(energy_ev)
        at_energies = self.shapes[:, :, below] * (1.0 - share) + self.shapes[:, :, below + 1] * share
        # An end-member that absorbs more than is assumed leaves less optical density to explain.
        by_cause = -np.einsum("pe,qce,cp->qp", response, at_energies, thickness)
        nodes, place = np.unique(np.concatenate([below, below + 1]), return_inverse=True)
        # Energies between the same nodes share their errors.
        hats = np.zeros((energy_ev.size, nodes.size))
        rows = np.arange(energy_ev.size)
        hats[rows, place[: energy_ev.size]] += 1.0 - share
        hats[rows, place[energy_ev.size :]] += share
        noise = np.einsum("pn,cn,cp->p", (response @ hats) ** 2, self.noise_sd[:, nodes] ** 2, thickness**2)
        return np.concatenate([by_cause, np.sqrt(noise)[None]])

    def _neighbours(self, energy_ev: F64) -> tuple[Index, F64]:
        """Node below each energy, and how far the energy is on the way to the next."""
        below = np.clip(np.searchsorted(self.energy_ev, energy_ev, side="right") - 1, 0, self.energy_ev.size - 2)
        share = (energy_ev - self.energy_ev[below]) / (self.energy_ev[below + 1] - self.energy_ev[below])
        return below, np.clip(share, 0.0, 1.0)


def apart(energy_ev: F64, mu: F64, position_sd_ev: float) -> F64:
    """Shape (COMPONENT, ENERGY) of an error of the two spectra's positions (each ``position_sd_ev``) to one another.

    What moves both alike is left out: it is the energy shift of a stack, and found or allowed for there.
    """
    slope = np.gradient(mu, energy_ev, axis=1)
    return np.asarray(np.array([[0.5], [-0.5]]) * np.sqrt(2.0) * position_sd_ev * slope, dtype=np.float64)
