"""Mixed models beside the summary measures: their failures are recorded, never raised."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from stxmdist.arrays import F64, I64

ANTICONSERVATIVE = "Wald z with few electrodes rejects too often: not for inference"
"""Type-I error at nominal .05 is .10 to .14 with four to eight electrodes; statsmodels has no Satterthwaite."""

OPTIMISERS = ("bfgs", "powell")
"""In the order tried. L-BFGS, the default of statsmodels, steps to where the likelihood is singular."""


@dataclass(frozen=True)
class Slope:
    """A fixed effect of a mixed model and its Wald interval; NaN with a note where the fit failed."""

    estimate: float
    se: float
    p: float
    note: str


def mixed_slope(y: F64, x: F64, groups: I64, covariates: F64 | None = None, *, random_slope: bool = False) -> Slope:
    """Slope of y over x in a linear mixed model with a random intercept (and slope) per group, by REML.

    Where the random slope does not converge, the model is fitted without it and the note says so.

    Parameters
    ----------
    y, x
        (ROW,) float64
    groups
        (ROW,) codes of the clusters
    covariates
        (ROW, COLUMN) further fixed effects, without a constant

    Source: Lindstrom, Bates, J. Am. Stat. Assoc. 83, 1014 (1988), as in statsmodels.
    """
    spread = float(x.std()) if len(x) else 0.0
    if len(np.unique(groups)) < 2 or spread == 0 or len(y) < 4 or y.std() <= 1e-12 * np.abs(y).max():
        return Slope(*(float("nan"),) * 3, "not enough clusters or no spread for a mixed model")
    scaled = (x - x.mean()) / spread
    fixed = np.column_stack([np.ones(len(y)), scaled, *([] if covariates is None else [covariates])])
    if np.linalg.matrix_rank(fixed) < fixed.shape[1]:
        return Slope(*(float("nan"),) * 3, "the fixed effects are collinear")
    notes = [ANTICONSERVATIVE]
    for random in [fixed[:, :2], fixed[:, :1]] if random_slope else [fixed[:, :1]]:
        found, trouble = _fit(y, fixed, groups, random)
        if found is not None:
            return Slope(
                found[0] / spread, found[1] / spread, found[2], "; ".join(notes + ([trouble] if trouble else []))
            )
        notes.append(f"{'random slope' if random.shape[1] == 2 else 'random intercept'} dropped: {trouble}")
    return Slope(*(float("nan"),) * 3, "; ".join(notes[1:]))


def _fit(y: F64, fixed: F64, groups: I64, random: F64) -> tuple[tuple[float, float, float] | None, str]:
    """Estimate, standard error and p of the second fixed effect, or None; and what the optimisers complained of."""
    from statsmodels.regression.mixed_linear_model import MixedLM

    # Variances of order 0.01 make the optimiser stop early: fit in units of the standard deviation.
    unit = float(y.std())
    trouble = ""
    for optimiser in OPTIMISERS:
        with warnings.catch_warnings(record=True) as caught, np.errstate(all="ignore"):
            warnings.simplefilter("always")
            try:
                fit = MixedLM(y / unit, fixed, groups, exog_re=random).fit(reml=True, method=[optimiser])
                variance = float(np.asarray(fit.cov_params())[1, 1])
            # A singular matrix deep in the optimiser is a state of the fit, whatever type it is raised as.
            except (np.linalg.LinAlgError, ValueError, ZeroDivisionError, FloatingPointError) as error:
                trouble = f"{type(error).__name__}: {error}"
                continue
            estimate, converged = float(fit.fe_params[1]), bool(fit.converged)
        trouble = _in_brief(str(warning.message) for warning in caught)
        if converged and np.isfinite(variance) and variance > 0:
            se = float(np.sqrt(variance))
            return (estimate * unit, se * unit, float(2.0 * stats.norm.sf(abs(estimate) / se))), trouble
    return None, trouble or "not converged"


def _in_brief(messages: Iterable[str]) -> str:
    """What the optimiser said, its many words for one thing reduced to that thing."""
    found = set()
    for message in messages:
        if any(word in message for word in ("boundary", "singular", "Hessian")):
            found.add("a random variance is at its boundary")
        elif "converge" in message or "Retrying" in message or "Gradient" in message:
            found.add("the optimiser did not converge")
        else:
            found.add(message.split("\n")[0][:80])
    return "; ".join(sorted(found))
