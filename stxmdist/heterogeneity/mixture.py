"""Two groups of particles behind numbers that hold noise: a mixture of two Gaussians whose noise is known."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from stxmdist.arrays import F64

START_SHARES = (0.5, 0.2, 0.8)
"""Share of the particles that the lower group has at the start; the best of the ends is kept."""
MOST_ROUNDS = 300
GAIN = 1e-6
"""Of the log-likelihood in ten rounds, at which it stands still"""
NARROWEST = 1e-4
"""Variance of a group over that of all numbers: less than this is none, and the likelihood has no bound at 0."""
LEAST_SHARE = 0.01
"""Of the particles in a group: fewer are outliers"""

CHANCES = np.array([0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.001])
"""How often a single Gaussian gains more than the rows of ``GAINS`` say"""
GAIN_SIZES = np.array([10.0, 20.0, 50.0, 100.0, 200.0])
"""Numbers of particles of ``GAINS``; of more, the last stands: it hardly grows from 50 on"""
GAIN_RELIABILITIES = np.array([1.0, 0.8, 0.5, 0.25])
"""Variance without noise over variance with it"""
# fmt: off
GAINS = np.array([
    [
        [2.09, 4.48, 6.25, 8.00, 10.27, 12.06, 13.96, 17.10],
        [1.80, 3.98, 5.57, 7.11, 9.33, 10.84, 12.66, 15.35],
        [1.66, 3.67, 5.25, 6.71, 8.45, 9.67, 10.73, 14.03],
        [1.48, 3.50, 4.92, 6.51, 8.39, 9.90, 10.99, 13.66],
        [1.44, 3.45, 4.91, 6.37, 8.10, 9.79, 11.01, 14.86],
    ],
    [
        [1.84, 3.79, 5.18, 6.47, 8.20, 9.51, 10.31, 12.45],
        [1.78, 3.83, 5.31, 6.76, 8.62, 9.94, 10.96, 14.39],
        [1.60, 3.58, 5.09, 6.59, 8.49, 9.76, 11.01, 13.89],
        [1.53, 3.46, 4.89, 6.35, 8.14, 9.58, 11.09, 14.79],
        [1.41, 3.43, 4.88, 6.38, 8.54, 10.27, 11.53, 14.82],
    ],
    [
        [0.70, 1.99, 2.94, 3.96, 5.17, 6.30, 7.04, 9.69],
        [1.07, 2.47, 3.55, 4.69, 5.96, 7.00, 7.94, 10.46],
        [1.40, 2.99, 4.19, 5.29, 6.90, 7.91, 9.21, 11.26],
        [1.44, 3.33, 4.65, 5.93, 7.63, 9.21, 10.30, 12.77],
        [1.34, 3.23, 4.57, 5.96, 7.67, 8.73, 10.05, 11.95],
    ],
    [
        [0.12, 0.98, 1.75, 2.45, 3.55, 4.26, 4.88, 6.22],
        [0.35, 1.33, 2.16, 3.10, 4.18, 4.94, 5.90, 7.70],
        [0.61, 1.72, 2.72, 3.70, 5.05, 6.05, 7.08, 10.40],
        [0.78, 2.04, 3.05, 4.14, 5.63, 6.64, 7.96, 11.25],
        [0.82, 2.12, 3.19, 4.24, 5.81, 7.18, 8.18, 10.59],
    ],
])
# fmt: on
"""(RELIABILITY, SIZE, CHANCE) gains of ``two_groups`` of a single Gaussian with noise, from 4,000 draws or more each by
that function itself (seed 7); the likelihood ratio of mixtures has no chi-square distribution"""


@dataclass(frozen=True, eq=False)
class TwoGroups:
    """Fits of one and of two Gaussians of equal variance, noise taken out; each (SAMPLE,) float64."""

    share_low: F64
    """Of the particles in the lower group"""
    low: F64
    high: F64
    """Means of the groups"""
    sd: F64
    """Standard deviation inside either group"""
    gain: F64
    """Twice the log-likelihood ratio of two groups against one, at least 0"""

    @property
    def ashman_d(self) -> F64:
        """Distance of the groups in their standard deviations: sqrt(2) (m2 - m1)/sqrt(s1^2 + s2^2); above 2 they part.

        Source: Ashman, Bird, Zepf, Astron. J. 108, 2348 (1994), eq. 5.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray((self.high - self.low) / self.sd)


def two_groups(values: F64, noise_variance: F64) -> TwoGroups:
    """Maximum likelihood of two Gaussians of equal variance, each number blurred by its own known noise.

    A number has the density ``sum_k share_k N(mean_k, sd^2 + noise variance)``; expectation and maximisation treat the
    group and the number without noise as unknown. With equal variances the likelihood is bounded but for a variance of
    0, which ``NARROWEST`` keeps away.

    Parameters
    ----------
    values, noise_variance
        (SAMPLE, PARTICLE) float64, finite; each sample is fitted by itself

    Source: Dempster, Laird, Rubin, J. R. Stat. Soc. B 39, 1 (1977); known errors: Bovy, Hogg, Roweis, Ann. Appl. Stat.
    5, 1657 (2011).
    """
    values, noise = np.atleast_2d(values), np.broadcast_to(noise_variance, np.atleast_2d(values).shape)
    least = np.maximum(NARROWEST * values.var(axis=1), np.finfo(float).tiny)
    best: F64 | None = None
    for share in START_SHARES:
        found = _maximised(values, noise, least, share)
        best = found if best is None else np.where(found[0] > best[0], found, best)
    assert best is not None
    one = _one_group(values, noise, least)
    fit, share_low, first, second, variance = best
    swap = first > second
    return TwoGroups(
        share_low=np.where(swap, 1.0 - share_low, share_low),
        low=np.where(swap, second, first),
        high=np.where(swap, first, second),
        sd=np.sqrt(variance),
        gain=np.maximum(2.0 * (fit - one), 0.0),
    )


def _maximised(values: F64, noise: F64, least: F64, share: float) -> F64:
    """(5, SAMPLE): log-likelihood, share, both means, variance; from a split of the numbers at a quantile."""
    cut = np.quantile(values, share, axis=1)[:, None]
    belongs = np.where(values <= cut, 0.95, 0.05)
    first, second = _mean(belongs, values), _mean(1.0 - belongs, values)
    inside = belongs * (values - first[:, None]) ** 2 + (1.0 - belongs) * (values - second[:, None]) ** 2
    variance = np.maximum((inside - noise).mean(axis=1), least)
    weight = belongs.mean(axis=1)
    before = np.full(len(values), -np.inf)
    for turn in range(MOST_ROUNDS):
        blurred = variance[:, None] + noise
        one, other = values - first[:, None], values - second[:, None]
        odds = np.log(weight / (1.0 - weight))[:, None] + 0.5 * (other**2 - one**2) / blurred
        belongs = expit(odds)
        if turn % 10 == 9:
            now = _log_likelihood(values, noise, weight, first, second, variance)
            if (now - before < GAIN).all():
                break
            before = now
        # The number without noise, given its group: pulled towards the group's mean, and known to so much.
        pull = variance[:, None] / blurred
        precise_one, precise_other = belongs / blurred, (1.0 - belongs) / blurred
        squares = (belongs * one**2 + (1.0 - belongs) * other**2) * pull**2 + pull * noise
        first, second = _mean(precise_one, values), _mean(precise_other, values)
        variance = np.maximum(squares.mean(axis=1), least)
        weight = np.clip(belongs.mean(axis=1), LEAST_SHARE, 1.0 - LEAST_SHARE)
    return np.stack([_log_likelihood(values, noise, weight, first, second, variance), weight, first, second, variance])


def _log_likelihood(values: F64, noise: F64, weight: F64, first: F64, second: F64, variance: F64) -> F64:
    blurred = variance[:, None] + noise
    one = np.log(weight)[:, None] - 0.5 * (values - first[:, None]) ** 2 / blurred
    other = np.log1p(-weight)[:, None] - 0.5 * (values - second[:, None]) ** 2 / blurred
    return np.asarray((np.logaddexp(one, other) - 0.5 * np.log(blurred)).sum(axis=1))


def _one_group(values: F64, noise: F64, least: F64) -> F64:
    """(SAMPLE,) log-likelihood of the best single Gaussian."""
    variance = np.maximum(values.var(axis=1) - noise.mean(axis=1), least)
    for _ in range(100):
        pull = variance[:, None] / (variance[:, None] + noise)
        mean = _mean(1.0 / (variance[:, None] + noise), values)
        variance = np.maximum((((values - mean[:, None]) * pull) ** 2 + pull * noise).mean(axis=1), least)
    blurred = variance[:, None] + noise
    return np.asarray(-0.5 * ((values - mean[:, None]) ** 2 / blurred + np.log(blurred)).sum(axis=1))


def _mean(weights: F64, values: F64) -> F64:
    return np.asarray((weights * values).sum(axis=1) / np.maximum(weights.sum(axis=1), np.finfo(float).tiny))


def gain_p(gain: float, n: int, reliability: float) -> float:
    """How often one Gaussian with noise gains as much from being split in two; NaN of fewer than ten particles.

    Read off ``GAINS`` between its sizes and reliabilities, beyond its largest gain by the slope of its tail.

    Source: McLachlan, Appl. Stat. 36, 318 (1987) (simulated null of the likelihood ratio of mixtures).
    """
    if n < GAIN_SIZES[0] or not np.isfinite(gain):
        return float("nan")
    size = np.interp(np.log(n), np.log(GAIN_SIZES), np.arange(len(GAIN_SIZES)))
    # Reliabilities fall.
    level = np.interp(-reliability, -GAIN_RELIABILITIES, np.arange(len(GAIN_RELIABILITIES)))
    rows = _between(_between(GAINS, float(level)), float(size))
    if gain <= rows[0]:
        return 1.0 if gain <= 0 else float(1.0 - (1.0 - CHANCES[0]) * gain / rows[0])
    logs = np.log(CHANCES)
    if gain > rows[-1]:
        slope = (logs[-1] - logs[3]) / (rows[-1] - rows[3])
        return float(np.exp(logs[-1] + slope * (gain - rows[-1])))
    return float(np.exp(np.interp(gain, rows, logs)))


def _between(table: F64, at: float) -> F64:
    """Row of a table at a place between two of its rows."""
    first = min(int(at), len(table) - 2)
    part = at - first
    return np.asarray((1.0 - part) * table[first] + part * table[first + 1])


def ashman_error(values: F64, noise_variance: F64, fit: TwoGroups) -> float:
    """Standard error of Ashman's D of one fitted sample, from the curvature of its likelihood; NaN where it is flat."""
    low, high, sd = float(fit.low[0]), float(fit.high[0]), float(fit.sd[0])
    share = float(np.clip(fit.share_low[0], LEAST_SHARE, 1.0 - LEAST_SHARE))
    if not high > low or sd <= 0:
        return float("nan")
    middle, distance = 0.5 * (low + high), high - low
    at = np.array([np.log(share / (1.0 - share)), middle, np.log(distance), np.log(sd)])
    scale = np.array([1.0, sd, 1.0, 1.0])
    values, noise = values[None, :], noise_variance[None, :]

    def log_likelihood(moved: F64) -> float:
        odds, centre, log_distance, log_sd = at + scale * moved
        half = 0.5 * np.exp(log_distance)
        parts = (expit(odds), centre - half, centre + half, np.exp(2.0 * log_sd))
        return float(_log_likelihood(values, noise, *(np.array([part]) for part in parts))[0])

    steps = 1e-3 * np.eye(4)
    information = np.array(
        [
            [
                log_likelihood(one - other) + log_likelihood(other - one)
                - log_likelihood(one + other) - log_likelihood(-one - other)
                for other in steps
            ]
            for one in steps
        ]
    ) / 4e-6  # fmt: skip
    if np.linalg.eigvalsh(information).min() <= 0:
        return float("nan")
    covariance = np.linalg.inv(information)
    # log D = log distance - log sd
    variance = covariance[2, 2] + covariance[3, 3] - 2.0 * covariance[2, 3]
    return float(distance / sd * np.sqrt(variance))
