"""Particles that do not all react, and neighbours that resemble one another."""

import numpy as np

from stxmdist.arrays import F64, Mask

INACTIVE_SOC = (0.02, 0.98)
"""State of charge of particles that wait, and of those that have arrived."""
ACTIVE_RANGE = (0.12, 0.88)
"""Active particles keep their mean inside, so that no threshold between takes one for the other."""


def draw_states(fixed_soc: F64, active_share: float, rng: np.random.Generator) -> tuple[Mask, F64]:
    """Which particles (PARTICLE,) react, and the state of charge of those that do not (NaN for those that do).

    An inactive particle has arrived with the probability at which the expectation of its soc is ``fixed_soc``.
    """
    active = rng.random(fixed_soc.size) < active_share
    low, high = INACTIVE_SOC
    arrived = rng.random(fixed_soc.size) < (fixed_soc - low) / (high - low)
    return np.asarray(active), np.where(active, np.nan, np.where(arrived, high, low))


def neighbour_deviates(places_um: F64, share: float, length_um: float, rng: np.random.Generator) -> F64:
    """Standard normal deviates (PARTICLE,) of particles at (PARTICLE, 2) um that follow their places in part.

    Covariance: ``share`` exp(-r / length) between particles, 1 of each with itself.
    """
    alone = rng.normal(size=len(places_um))
    if share == 0.0 or not len(places_um):
        return alone
    distance = np.hypot(*(places_um[:, None] - places_um[None, :]).transpose(2, 0, 1))
    root = np.linalg.cholesky(np.exp(-distance / length_um) + 1e-9 * np.eye(len(places_um)))
    return np.asarray(np.sqrt(1.0 - share) * alone + np.sqrt(share) * (root @ rng.normal(size=len(places_um))))
