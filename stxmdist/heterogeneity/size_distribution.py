"""Sizes of particles in fields of view that cut the large ones: weights, quantiles by number and volume, log-normal."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from stxmdist.arrays import F64, Mask, Real
from stxmdist.heterogeneity.intervals import UNKNOWN

ORIENTATIONS = 12
"""Of an ellipse whose direction is not known, over half a turn"""


def border_weights(
    major_um: F64, minor_um: F64, height_um: F64, width_um: F64, rim_um: F64, angle_rad: F64 | None = None
) -> F64:
    """(PARTICLE,) how many particles stand behind each one that lies wholly inside its field of view.

    A particle whose bounding box is b_h by b_w is not cut only where its centre lies in (H - b_h)(W - b_w) of the
    field's H W, so it counts H W / ((H - b_h)(W - b_w)). NaN where a particle does not fit into its field.

    Parameters
    ----------
    major_um, minor_um
        (PARTICLE,) axes of the particle's ellipse, um
    height_um, width_um
        (PARTICLE,) its field of view, um
    rim_um
        (PARTICLE,) what a particle has to keep clear of the edge to count as not cut, both sides together: a pixel, um
    angle_rad
        (PARTICLE,) of the major axis from the horizontal. NaN or left out: not known; the chance of not being cut is
        then averaged over all directions, because its inverse over those that were seen would be too small.

    Source: Miles, in: Stochastic Geometry (1974), 228; Lantuejoul, Proc. 2nd Int. Conf. Stereology (1978); weight as in
    Serra, Image Analysis and Mathematical Morphology (1982), 8.2.
    """
    turns = (np.arange(ORIENTATIONS) + 0.5) * np.pi / ORIENTATIONS
    angle = np.full(len(major_um), np.nan) if angle_rad is None else angle_rad
    chance = np.empty(len(major_um))
    # One direction where it is known: twelve of a million particles would be most of the memory.
    known = np.isfinite(angle)
    for here, directions in ((known, angle[known, None]), (~known, turns[None, :])):
        axes, field, rim = (
            np.stack(parts)[:, here, None] for parts in ((major_um, minor_um), (height_um, width_um), (rim_um,))
        )
        chance[here] = _uncut(axes, field, rim[0], directions).mean(axis=1)
    return np.asarray(np.divide(1.0, chance, out=np.full(len(chance), np.nan), where=chance > 0))


def _uncut(axes: F64, field: F64, rim: F64, angle: F64) -> F64:
    """(PARTICLE, DIRECTION) chance that particles of (2, PARTICLE, 1) axes in fields of such sides are not cut."""
    (major, minor), (height, width) = axes, field
    box_height = np.hypot(major * np.sin(angle), minor * np.cos(angle))
    box_width = np.hypot(major * np.cos(angle), minor * np.sin(angle))
    free_height = np.maximum(height - box_height - rim, 0.0) / height
    free_width = np.maximum(width - box_width - rim, 0.0) / width
    return np.asarray(free_height * free_width)


def weighted_quantile(values: F64, weights: F64, fractions: F64) -> F64:
    """(FRACTION,) quantiles of (PARTICLE,) values that each stand for a weight; NaN of no values.

    The distribution rises through the middle of each value's weight and is linear between; beyond the middles of the
    outermost values it stays there.
    """
    if not values.size:
        return np.full(np.shape(fractions), np.nan)
    order = np.argsort(values, kind="stable")
    sorted_weights = weights[order]
    middles = (np.cumsum(sorted_weights) - 0.5 * sorted_weights) / sorted_weights.sum()
    return np.asarray(np.interp(fractions, middles, values[order]))


def inside_middles(weights: F64, values: F64, fractions: F64) -> Mask:
    """(FRACTION,) whether a quantile lies between the middles of the smallest and the largest value's weight."""
    order = np.argsort(values, kind="stable")
    share = weights[order] / weights.sum()
    return np.asarray((fractions >= 0.5 * share[0]) & (fractions <= 1.0 - 0.5 * share[-1]))


def below(values: F64, weights: F64, quantile: float) -> F64:
    """(PARTICLE,) influence on the weighted share of values below a quantile, in units of that share."""
    share = weights / weights.sum()
    # As in `weighted_quantile`, a value at the quantile counts half.
    indicator = np.where(values < quantile, 1.0, np.where(values > quantile, 0.0, 0.5))
    return np.asarray(len(values) * share * (indicator - float(share @ indicator)))


def share_limits(share: float, half_width: float) -> tuple[float, float]:
    """Limits of a share whose interval is +- ``half_width`` to first order, by way of its logit: within 0 to 1."""
    if not 0.0 < share < 1.0:
        return UNKNOWN, UNKNOWN
    centre, half = float(np.log(share / (1.0 - share))), half_width / (share * (1.0 - share))
    low, high = (1.0 / (1.0 + np.exp(-np.clip((centre - half, centre + half), -700.0, 700.0)))).tolist()
    return low, high


def sauter(sizes: F64, weights: F64) -> float:
    """Sauter diameter D32: the sphere with the same volume for its surface, sum w d^3 / sum w d^2."""
    return float((weights * sizes**3).sum() / (weights * sizes**2).sum()) if sizes.size else UNKNOWN


def sauter_influence(sizes: F64, weights: F64) -> F64:
    """(PARTICLE,) influence on the Sauter diameter."""
    surface = weights * sizes**2
    return np.asarray(len(sizes) * surface * (sizes - sauter(sizes, weights)) / surface.sum())


@dataclass(frozen=True)
class LogNormal:
    """Log-normal sizes: exp of a normal with mean ``mu`` and standard deviation ``sigma`` of the natural logarithm."""

    mu: float
    sigma: float
    mu_se: float
    sigma_se: float
    n: int
    note: str = ""

    def quantile(self, fraction: float) -> float:
        """Size below which this fraction of the number lies, in the unit of the sizes."""
        return float(np.exp(self.mu + self.sigma * stats.norm.ppf(fraction)))

    @property
    def volume_median(self) -> float:
        """Median by volume that belongs to the median by number: exp(mu + 3 sigma^2).

        Source: Hatch, Choate, J. Franklin Inst. 207, 369 (1929).
        """
        return float(np.exp(self.mu + 3.0 * self.sigma**2))


def lognormal_sizes(sizes: Real, seen_above: float = 0.0, weights: F64 | None = None) -> LogNormal:
    """Maximum likelihood of a log-normal to (PARTICLE,) sizes, of which none below ``seen_above`` could be seen.

    Without truncation the estimates are the mean and standard deviation (divisor n) of the logarithms. ``weights``
    count each size as that many (pseudo-likelihood); standard errors are those of independent particles.

    Source: Cohen, Ann. Math. Stat. 21, 557 (1950), for the truncated normal.
    """
    sizes = np.asarray(sizes, dtype=np.float64)
    kept = np.isfinite(sizes) & (sizes > max(seen_above, 0.0))
    logs = np.log(sizes[kept])
    n = int(logs.size)
    if n < 3:
        return LogNormal(UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, n, "fewer than three sizes")
    w = np.ones(n) if weights is None else weights[kept] * n / weights[kept].sum()
    mu = float(w @ logs) / n
    sigma = float(np.sqrt(w @ (logs - mu) ** 2 / n))
    if sigma < 1e-12:
        return LogNormal(mu, 0.0, UNKNOWN, UNKNOWN, n, "all sizes are equal")
    # Weights that differ leave fewer particles to rest on (Kish's effective number).
    effective = n**2 / float(w @ w)
    if seen_above <= 0:
        return LogNormal(mu, sigma, sigma / np.sqrt(effective), sigma / np.sqrt(2.0 * effective), n)
    limit = np.log(seen_above)

    def negative(parameters: F64) -> float:
        spread = np.exp(parameters[1])
        seen = stats.norm.logsf((limit - parameters[0]) / spread)
        standard = (logs - parameters[0]) / spread
        return float(n * seen + w @ (0.5 * standard**2) + n * parameters[1])

    fit = optimize.minimize(negative, [mu, np.log(sigma)], method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-9})
    mu, sigma = float(fit.x[0]), float(np.exp(fit.x[1]))
    hessian = _hessian(negative, np.asarray(fit.x), 1e-3)
    if not fit.success or np.linalg.eigvalsh(hessian).min() <= 0:
        return LogNormal(UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, n, "the truncated fit did not converge")
    covariance = np.linalg.inv(hessian) * n / effective
    return LogNormal(mu, sigma, float(np.sqrt(covariance[0, 0])), sigma * float(np.sqrt(covariance[1, 1])), n)


def _hessian(function: Callable[[F64], float], at: F64, step: float) -> F64:
    """Second derivatives by central differences."""
    size = len(at)
    out = np.empty((size, size))
    for i in range(size):
        for j in range(size):
            one, other = np.eye(size)[i] * step, np.eye(size)[j] * step
            corners = function(at + one + other) - function(at + one - other)
            corners += function(at - one - other) - function(at - one + other)
            out[i, j] = corners / (4.0 * step**2)
    return out
