"""Effects of size, grains, cracks and phase on an endpoint, each with the others held: the electrode is the unit."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from stxmdist.arrays import F64, I64, Mask

LEAST_PER_TERM = 5
"""Particles for each number that is fitted, below which an electrode gives no slopes."""

LEAST_RELIABILITY = 0.3
"""Share of what is left of a term, the others held, that must not be measurement error."""

ALIASED = 1e-8


@dataclass(frozen=True, eq=False)
class Adjusted:
    """One effect per term; each (TERM,) float64, NaN where no number can be given."""

    estimate: F64
    se: F64
    low: F64
    high: F64
    p: F64
    n_units: I64
    """Independent electrodes or cells that tell of each term"""
    n_particles: int
    slopes: F64
    """(ELECTRODE, TERM)"""


def adjusted_slopes(y: F64, terms: F64, variances: F64, region: I64, electrode: I64) -> F64:
    """(ELECTRODE, TERM) slopes of y over terms jointly, over particles within regions, errors of the terms taken out.

    Normal equations of deviations from region means, from whose diagonal the terms' error variances are subtracted:
    noise in a term otherwise pulls its slope to 0 and gives the rest to the terms that go with it. NaN where a term
    does not vary, lies in the span of others, or is mostly noise.

    Parameters
    ----------
    y
        (PARTICLE,) float64
    terms, variances
        (PARTICLE, TERM) float64: the terms and the squares of their standard errors
    region, electrode
        (PARTICLE,) codes

    Source: Fuller, Measurement Error Models (1987), 2.2.
    """
    n_electrodes = int(electrode.max(initial=-1)) + 1
    out = np.full((n_electrodes, terms.shape[1]), np.nan)
    known = np.isfinite(y) & np.isfinite(terms).all(axis=1) & np.isfinite(variances).all(axis=1)
    rows = np.flatnonzero(known)
    order = rows[np.argsort(electrode[rows], kind="stable")]
    ends = np.cumsum(np.bincount(electrode[rows], minlength=n_electrodes))[:-1]
    for index, here in enumerate(np.split(order, ends)):
        strata = np.unique(region[here], return_inverse=True)[1].reshape(-1)
        free = len(here) - int(strata.max(initial=-1)) - 1
        told = _told(terms[here], strata)
        if free < LEAST_PER_TERM * max(1, int(told.sum())) or not told.any():
            continue
        x = _within(terms[here][:, told], strata)
        scale = np.sqrt((x**2).mean(axis=0))
        x = x / scale
        noise = variances[here][:, told].mean(axis=0) / scale**2 * free
        square = x.T @ x
        # What the other terms leave of each one, as measured; its error must be the lesser part.
        left = _left(x)
        apart = (left > ALIASED * len(here)) & (left - noise > LEAST_RELIABILITY * left)
        if not apart.all():
            continue
        slopes = np.linalg.solve(square - np.diag(noise), x.T @ _within(y[here][:, None], strata))[:, 0]
        out[index, told] = slopes / scale
    return out


def adjusted_effects(
    y: F64, terms: F64, variances: F64, region: I64, electrode: I64, unit_of: I64, level: float = 0.95
) -> Adjusted:
    """Mean over units of the joint slopes, with Student's t over units; arguments as those of ``adjusted_slopes``.

    Parameters
    ----------
    unit_of
        (ELECTRODE,) codes of independent units: the electrodes of one cell are one
    """
    slopes = adjusted_slopes(y, terms, variances, region, electrode)
    count = terms.shape[1]
    out = {name: np.full(count, np.nan) for name in ("estimate", "se", "half", "p")}
    units = np.zeros(count, dtype=np.int64)
    for index in range(count):
        known = np.isfinite(slopes[:, index])
        unit = np.unique(unit_of[known], return_inverse=True)[1].reshape(-1)
        units[index] = n = int(unit.max(initial=-1)) + 1
        if n == 0:
            continue
        means = np.bincount(unit, slopes[known, index]) / np.bincount(unit)
        out["estimate"][index] = means.mean()
        if n > 1 and means.std() > 1e-12 * np.abs(means).max():
            se = means.std(ddof=1) / np.sqrt(n)
            out["se"][index] = se
            out["half"][index] = stats.t.ppf(0.5 + level / 2.0, n - 1) * se
            out["p"][index] = 2.0 * stats.t.sf(abs(means.mean()) / se, n - 1)
    known = np.isfinite(y) & np.isfinite(terms).all(axis=1) & np.isfinite(variances).all(axis=1)
    low, high = out["estimate"] - out["half"], out["estimate"] + out["half"]
    return Adjusted(out["estimate"], out["se"], low, high, out["p"], units, int(known.sum()), slopes)


def _within(values: F64, strata: I64) -> F64:
    """(ROW, COLUMN) deviations from the means of strata."""
    counts = np.bincount(strata)
    means = np.stack([np.bincount(strata, column) / counts for column in values.T], axis=1)
    return np.asarray(values - means[strata])


def _left(x: F64) -> F64:
    """(TERM,) square of what projection onto the other columns leaves of each."""
    out = np.empty(x.shape[1])
    for index in range(x.shape[1]):
        others = np.delete(x, index, axis=1)
        fit = others @ np.linalg.lstsq(others, x[:, index], rcond=1e-8)[0] if others.size else 0.0
        out[index] = ((x[:, index] - fit) ** 2).sum()
    return out


def _told(terms: F64, strata: I64) -> Mask:
    """(TERM,) whether a term varies within strata."""
    if not len(terms):
        return np.zeros(terms.shape[1], dtype=bool)
    return np.asarray(_within(terms, strata).std(axis=0) > 1e-9 * np.maximum(np.abs(terms).max(axis=0), 1e-9))
