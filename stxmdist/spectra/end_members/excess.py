"""How much more than its noise a spectrum leaves over: what is believed of it from chi-squares of few degrees."""

import numpy as np

from stxmdist.arrays import F64

_STEPS = 61
_LEAST, _MOST = 0.1, 1e4
"""Excess over the smallest and the largest noise: less is not seen, and more is not asked"""


def believed_excess(chi2: F64, freedom: F64, noise: F64) -> F64:
    """Variance (SPECTRUM,) beyond noise that is believed of each of some spectra of one scan, in the unit of ``noise``.

    Each spectrum has a chi-square over its ``noise`` variance (SPECTRUM,), of ``freedom`` (SPECTRUM,) degrees, which
    scales with 1 + excess / noise. Excesses of the spectra of a scan are exponential about a mean of theirs, and that
    mean is nothing or, as likely, of any order of magnitude. What is believed is the median of the posterior: where it
    is more likely than not that noise left all of it, that is nothing, and a few spectra that lie high by chance widen
    no errors; one in which chance hides what all the others show has it all the same.
    """
    if not chi2.size:
        return np.zeros(0)
    excess = np.geomspace(_LEAST * float(noise.min()), _MOST * float(noise.max()), _STEPS)
    # Rows: means of the scan, the first of them nothing; columns: excesses, the first of them all below the grid.
    ratio = excess[None, :] / excess[:, None]
    spread = np.concatenate([-np.expm1(-ratio[:, :1]), ratio * np.exp(-ratio)], axis=1)
    spread = np.concatenate([np.eye(1, _STEPS + 1), spread / spread.sum(axis=1, keepdims=True)])
    grown = 1.0 + np.concatenate([[0.0], excess]) / noise[:, None]
    log_likely = -0.5 * (freedom[:, None] * np.log(grown) + chi2[:, None] / grown)
    likely = np.exp(log_likely - log_likely.max(axis=1, keepdims=True))
    given_mean = likely @ spread.T
    log_mean = np.log(np.maximum(given_mean, 1e-300)).sum(axis=0) + np.log(
        np.concatenate([[0.5], np.full(_STEPS, 0.5 / _STEPS)])
    )
    mean = np.exp(log_mean - log_mean.max())
    posterior = likely * ((mean / np.maximum(given_mean, 1e-300)) @ spread)
    below = np.cumsum(posterior, axis=1) / posterior.sum(axis=1, keepdims=True)
    levels = np.concatenate([[0.0], excess])
    return np.array([0.0 if one[0] >= 0.5 else float(np.interp(0.5, one, levels)) for one in below])
