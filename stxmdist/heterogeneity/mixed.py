"""Mixed models beside the summary measures: their failures are recorded, never raised."""

from dataclasses import dataclass

import numpy as np
from scipy import optimize

from stxmdist.arrays import F64, I64

ANTICONSERVATIVE = "Wald z with few electrodes rejects too often: not for inference"
"""Type-I error at nominal .05 is .10 to .14 with four to eight electrodes."""

AT_BOUNDARY = "a random variance is at its boundary"
LEAST = 1e-4
"""Standard deviation between groups over that inside, below which it is none"""
MOST = 1e4
"""The same, above which the groups leave nothing inside: the likelihood has no maximum"""


@dataclass(frozen=True)
class Slope:
    """A fixed effect of a mixed model and its standard error; NaN with a note where the fit failed."""

    estimate: float
    se: float
    note: str


def mixed_slope(y: F64, x: F64, groups: I64, covariates: F64 | None = None, *, random_slope: bool = False) -> Slope:
    """Slope of y over x in a linear mixed model with a random intercept (and slope) per group, by REML.

    Where the model with a random slope has no maximum, it is fitted without and the note says so.

    Parameters
    ----------
    y, x
        (ROW,) float64
    groups
        (ROW,) codes of the clusters
    covariates
        (ROW, COLUMN) further fixed effects, without a constant

    Source: Laird, Ware, Biometrics 38, 963 (1982); profiled likelihood: Lindstrom, Bates, J. Am. Stat. Assoc. 83, 1014
    (1988).
    """
    spread = float(x.std()) if len(x) else 0.0
    if len(np.unique(groups)) < 2 or spread == 0 or len(y) < 4 or y.std() <= 1e-12 * np.abs(y).max():
        return Slope(float("nan"), float("nan"), "not enough clusters or no spread for a mixed model")
    scaled = (x - x.mean()) / spread
    fixed = np.column_stack([np.ones(len(y)), scaled, *([] if covariates is None else [covariates])])
    if np.linalg.matrix_rank(fixed) < fixed.shape[1] or len(y) <= fixed.shape[1]:
        return Slope(float("nan"), float("nan"), "the fixed effects are collinear")
    unit, notes = float(y.std()), [ANTICONSERVATIVE]
    for n_random in (2, 1) if random_slope else (1,):
        model = _Model(y / unit, fixed, fixed[:, :n_random], groups)
        factor = model.factor()
        fit = model.fit(factor)
        if np.abs(factor).max() < MOST and np.isfinite(fit.se[1]):
            notes += [AT_BOUNDARY] if np.abs(np.linalg.svd(factor)[1]).min() < LEAST else []
            return Slope(fit.estimate[1] * unit / spread, fit.se[1] * unit / spread, "; ".join(notes))
        notes.append(
            f"{'random slope' if n_random == 2 else 'random intercept'} dropped: nothing is left inside groups"
        )
    return Slope(float("nan"), float("nan"), "; ".join(notes[1:]))


@dataclass(frozen=True, eq=False)
class _Fit:
    estimate: F64
    """(FIXED,)"""
    se: F64
    criterion: float
    """Minus twice the restricted likelihood, but for a constant"""


class _Model:
    """y = X b + Z_g u_g + e, u_g ~ s^2 L L', e ~ s^2: s and b follow from L, which alone is sought.

    Of each group only sums of products are kept, so that a step takes as long for a thousand rows as for ten.
    """

    def __init__(self, y: F64, fixed: F64, random: F64, groups: I64) -> None:
        order = np.argsort(groups, kind="stable")
        start = np.flatnonzero(np.diff(groups[order], prepend=groups[order][0] - 1))
        both = np.column_stack([fixed, y])
        self._total = both.T @ both
        self._zz = np.add.reduceat(random[order, :, None] * random[order, None, :], start)
        self._zb = np.add.reduceat(random[order, :, None] * both[order, None, :], start)
        self._free = len(y) - fixed.shape[1]
        self._n = random.shape[1]

    def fit(self, factor: F64) -> _Fit:
        """Fixed effects and the criterion for (RANDOM, RANDOM) L; NaN where it leaves no likelihood."""
        try:
            with np.errstate(all="ignore"):
                return self._fit(factor)
        except np.linalg.LinAlgError:
            unknown = np.full(self._total.shape[0] - 1, np.nan)
            return _Fit(unknown, unknown, np.inf)

    def _fit(self, factor: F64) -> _Fit:
        # V^-1 = I - Z L (I + L' Z'Z L)^-1 L' Z', Woodbury.
        inner = np.eye(self._n) + factor.T @ self._zz @ factor
        half = factor.T @ self._zb
        left = self._total - np.einsum("gij,gik->jk", half, np.linalg.solve(inner, half))
        normal, right = left[:-1, :-1], left[:-1, -1]
        estimate = np.linalg.solve(normal, right)
        rest = max(float(left[-1, -1] - right @ estimate), 1e-300)
        se = np.sqrt(np.diag(np.linalg.inv(normal)) * rest / self._free)
        criterion = self._free * np.log(rest) + np.linalg.slogdet(inner)[1].sum() + np.linalg.slogdet(normal)[1]
        return _Fit(np.asarray(estimate), np.asarray(se), float(criterion))

    def factor(self) -> F64:
        """L of the greatest restricted likelihood, lower triangular."""
        place = np.tril_indices(self._n)
        # No start at 0, where the likelihood is flat: L and -L are alike.
        start = (0.5 * np.eye(self._n))[place]
        found = optimize.minimize(
            lambda values: self.fit(self._triangle(values)).criterion,
            start,
            method="Nelder-Mead",
            options={"xatol": 1e-6, "fatol": 1e-9, "maxiter": 2000},
        )
        return self._triangle(found.x)

    def _triangle(self, values: F64) -> F64:
        factor = np.zeros((self._n, self._n))
        factor[np.tril_indices(self._n)] = values
        return factor
