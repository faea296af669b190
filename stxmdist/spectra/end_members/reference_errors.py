"""Errors of the end-members, as a few shapes over energy, and their effect on a state of charge.

An error of a reference spectrum is common to everything that is fitted with it, so averaging over pixels, particles or
scans does not reduce it. Its effect is linear to first order: it is enough to know the shape of one standard deviation
of each cause.
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
    """(CAUSE, COMPONENT, NODE) float64: one standard deviation of each cause, fully correlated over energies"""
    causes: tuple[str, ...]
    """(CAUSE,) in words"""
    noise_sd: F64
    """(COMPONENT, NODE) float64 standard deviation that is independent from node to node; 0 for smooth spectra"""

    @property
    def sd(self) -> F64:
        """(COMPONENT, NODE) float64 standard deviation of all causes and the noise together."""
        return np.asarray(np.sqrt(self.noise_sd**2 + (self.shapes**2).sum(axis=0)), dtype=np.float64)

    def soc_sd(self, response: F64, thickness: F64, energy_ev: F64) -> F64:
        """Standard deviation (PARTICLE,) float64 of the state of charge due to errors of the end-members.

        ``response`` (PARTICLE, ENERGY) is the change of the state of charge with the optical density at each energy,
        ``thickness`` (COMPONENT, PARTICLE) that of the particles, ``energy_ev`` (ENERGY,) on the end-members' scale.
        """
        return np.asarray(np.sqrt((self.soc_by_cause(response, thickness, energy_ev) ** 2).sum(axis=0)))

    def soc_by_cause(self, response: F64, thickness: F64, energy_ev: F64) -> F64:
        """The same for each cause (CAUSE + 1, PARTICLE), with a sign, and last for the noise of the spectra."""
        below, share = self._neighbours(energy_ev)
        at_energies = self.shapes[:, :, below] * (1.0 - share) + self.shapes[:, :, below + 1] * share
        # An end-member that absorbs more than assumed leaves less optical density for the rest.
        by_cause = -np.einsum("pe,qce,cp->qp", response, at_energies, thickness)
        nodes, place = np.unique(np.concatenate([below, below + 1]), return_inverse=True)
        # Energies between the same two nodes have correlated errors.
        hats = np.zeros((energy_ev.size, nodes.size))
        rows = np.arange(energy_ev.size)
        hats[rows, place[: energy_ev.size]] += 1.0 - share
        hats[rows, place[energy_ev.size :]] += share
        noise = np.einsum("pn,cn,cp->p", (response @ hats) ** 2, self.noise_sd[:, nodes] ** 2, thickness**2)
        return np.concatenate([by_cause, np.sqrt(noise)[None]])

    def _neighbours(self, energy_ev: F64) -> tuple[Index, F64]:
        """Node below each energy, and the position of the energy between this node and the next, 0 to 1."""
        below = np.clip(np.searchsorted(self.energy_ev, energy_ev, side="right") - 1, 0, self.energy_ev.size - 2)
        share = (energy_ev - self.energy_ev[below]) / (self.energy_ev[below + 1] - self.energy_ev[below])
        return below, np.clip(share, 0.0, 1.0)


def relative_position_error(energy_ev: F64, mu: F64, position_sd_ev: float) -> F64:
    """Shape (COMPONENT, ENERGY) float64 of an error of the position of the two spectra relative to one another.

    The position of each has the standard deviation ``position_sd_ev``. A common shift of both is not included: it is
    the energy shift of a stack, which is fitted or has its own error.
    """
    slope = np.gradient(mu, energy_ev, axis=1)
    return np.asarray(np.array([[0.5], [-0.5]]) * np.sqrt(2.0) * position_sd_ev * slope, dtype=np.float64)
