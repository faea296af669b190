"""Whether the mean spectrum of a particle is like those of the other particles of its scan."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from stxmdist.arrays import F64, Mask

if TYPE_CHECKING:
    from stxmdist.particles.metrics.field_table import LabelledField

LEAST_PARTICLES = 30
"""Among fewer nobody can be told from the others."""
PARTICLES_PER_PATTERN, MOST_PATTERNS = 12, 4
"""Particles that a pattern which they share must have, and most patterns."""
MOST_OFF = 3.5
"""Standard deviations by which a particle may be off and still say what is usual."""
ROUNDS = 4
"""Times that it is chosen anew who is usual."""
QUARTILE = 0.6745
"""Upper quartile of a standard normal number"""
FULL_RANK = 1e-6
"""Of the largest variance; directions of less are those that the fit has taken."""


def anomaly(field: "LabelledField") -> Mapping[str, F64]:
    """Robust Mahalanobis distance of each particle's mean spectrum, and how often chance gives as much.

    Of the mean optical density that part is looked at which the end-members leave, over the thickness: state of charge
    and thickness differ, and make no particle odd. What goes with them, such as errors of end-members and light of
    other orders that thick plates show, is a regression on both and their products over the particles nearest to the
    middle. What else these share are principal components, which count by their robust variance; the rest counts by its
    noise. Middle and width of the distances are those of most particles, so that ``anomaly_p`` is small of odd ones
    alone.

    Source: robust distances after Rousseeuw and van Zomeren, J. Am. Stat. Assoc. 85, 633 (1990); principal components
    of a core after Hubert, Technometrics 47, 64 (2005); odd spectra in mosaics after Zhang et al. (2017).
    """
    n = field.particle_id.size
    distance, p = np.full(n, np.nan), np.full(n, np.nan)
    spectra = field.left_over
    if spectra is not None:
        total = spectra.thickness.sum(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            left, noise = spectra.od / total[:, None], np.sqrt(spectra.variance) / total[:, None]
            soc = spectra.thickness[1] / total
        known = np.isfinite(left).all(axis=1) & (noise > 0.0).all(axis=1) & np.isfinite(noise).all(axis=1)
        if known.sum() >= LEAST_PARTICLES:
            distance[known], p[known] = _distances(left[known], noise[known], soc[known], total[known])
    return {"anomaly_distance": distance, "anomaly_p": p}


def _distances(left: F64, noise: F64, soc: F64, thickness: F64) -> tuple[F64, F64]:
    """Distance and p (PARTICLE,) of spectra (PARTICLE, ENERGY) with noise of the same shape."""
    usual = np.median(noise, axis=0)
    scaled, level = left / usual, np.sqrt(((noise / usual) ** 2).mean(axis=1))
    x, t = soc - np.median(soc), thickness / np.median(thickness) - 1.0
    causes = np.stack([np.ones(x.size), x, t, x * t, t**2, x**2], axis=1)
    core = np.ones(x.size, dtype=np.bool_)
    for _ in range(ROUNDS):
        squared, freedom = _squared(scaled, level, causes, core)
        off = _off(squared)
        core = off < MOST_OFF
    return np.sqrt(squared / freedom), np.asarray(stats.norm.sf(off))


def _off(squared: F64) -> F64:
    """Squared distances (PARTICLE,) in standard deviations from the middle of most.

    The cube root of chi-square is nearly normal, whatever its freedom. Its middle and width are those that most
    particles show, for patterns that nobody counted add to both.

    Source: Wilson and Hilferty, PNAS 17, 684 (1931).
    """
    root = np.cbrt(squared)
    low, middle, high = np.quantile(root, (0.25, 0.5, 0.75))
    return np.asarray((root - middle) / (max(high - middle, middle - low) / QUARTILE))


def _squared(scaled: F64, level: F64, causes: F64, core: Mask) -> tuple[F64, int]:
    """Squared distances (PARTICLE,) of spectra whose noise is ``level`` (PARTICLE,), and their degrees of freedom.

    What follows from causes (PARTICLE, CAUSE) and the patterns are those of a core (PARTICLE,).
    """
    weight = 1.0 / level[:, None]
    followed, *_ = np.linalg.lstsq((causes * weight)[core], (scaled * weight)[core], rcond=1e-6)
    away = scaled - causes @ followed
    _, weights, patterns = np.linalg.svd((away * weight)[core], full_matrices=False)
    freedom = int((weights**2 > FULL_RANK * weights[0] ** 2).sum())
    shared = min(MOST_PATTERNS, int(core.sum()) // PARTICLES_PER_PATTERN, freedom - 1)
    scores = away @ patterns[:freedom].T
    spread = (np.median(np.abs(scores), axis=0) / QUARTILE) ** 2 - np.median(level**2)
    # What no pattern holds is noise.
    spread[shared:] = 0.0
    return np.asarray((scores**2 / (np.maximum(spread, 0.0) + level[:, None] ** 2)).sum(axis=1)), freedom
