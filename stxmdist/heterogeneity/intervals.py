"""Intervals and estimators for few clusters and small counts."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from stxmdist.arrays import Real


@dataclass(frozen=True)
class Interval:
    """An estimate and its confidence limits; NaN with a note where there is nothing to say."""

    estimate: float
    low: float
    high: float
    note: str = ""


UNKNOWN = float("nan")


def t_interval(values: Real, level: float = 0.95) -> Interval:
    """Mean of (CLUSTER,) values and Student's interval with one degree of freedom less than there are clusters.

    This is the interval to ship for few electrodes: percentile bootstraps of clusters cover 73 % at three of them.
    """
    values = np.asarray(values, dtype=np.float64)
    values = values[np.isfinite(values)]
    if values.size == 0:
        return Interval(UNKNOWN, UNKNOWN, UNKNOWN, "no values")
    mean = float(values.mean())
    if values.size == 1:
        return Interval(mean, UNKNOWN, UNKNOWN, "one value has no spread")
    half = float(stats.t.ppf(0.5 + level / 2.0, values.size - 1) * values.std(ddof=1) / np.sqrt(values.size))
    return Interval(mean, mean - half, mean + half)


def design_effect(cluster_sizes: Real, icc: float) -> float:
    """By how much clustering inflates the variance of a mean: 1 + (m - 1) ICC, m the size-weighted mean cluster size.

    Source: Kish, Survey Sampling (1965), 5.4; unequal sizes: Kerry, Bland, Stat. Med. 20, 377 (2001).
    """
    sizes = np.asarray(cluster_sizes, dtype=np.float64)
    if sizes.sum() <= 0 or not np.isfinite(icc):
        return 1.0
    return float(1.0 + ((sizes**2).sum() / sizes.sum() - 1.0) * max(icc, 0.0))


def wilson(successes: float, n: float, deff: float = 1.0, level: float = 0.95) -> Interval:
    """A fraction and Wilson's score interval, with n divided by the design effect of clustering.

    Source: Wilson, J. Am. Stat. Assoc. 22, 209 (1927); with a design effect: Korn, Graubard, Surv. Methodol. 24, 193
    (1998).
    """
    if not n > 0:
        return Interval(UNKNOWN, UNKNOWN, UNKNOWN, "no values")
    p, effective = successes / n, n / max(deff, 1.0)
    z2 = float(stats.norm.ppf(0.5 + level / 2.0)) ** 2
    centre = (p + z2 / (2.0 * effective)) / (1.0 + z2 / effective)
    half = float(np.sqrt(z2 * (p * (1.0 - p) / effective + z2 / (4.0 * effective**2)))) / (1.0 + z2 / effective)
    return Interval(p, max(0.0, centre - half), min(1.0, centre + half))


def rogan_gladen(observed: float, sensitivity: float, specificity: float) -> float:
    """True fraction behind an observed one, given how often each class is recognised; not clipped to 0 ... 1.

    NaN where the classification is no better than chance.

    Source: Rogan, Gladen, Am. J. Epidemiol. 107, 71 (1978).
    """
    gain = sensitivity + specificity - 1.0
    return (observed + specificity - 1.0) / gain if gain > 0 else UNKNOWN
