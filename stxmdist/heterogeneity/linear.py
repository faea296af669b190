"""One linear model on the means of electrodes in their conditions, with the electrode or cell as the unit of chance."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from scipy import stats

from stxmdist.arrays import F64, I64, Mask

UNKNOWN = float("nan")

ALIASED = 1e-8
"""Share of a column's square left after projection below which it lies in the span of the others."""

RATIOS = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0)
"""Variances of electrodes over that of their conditions among which the likelihood chooses."""

FEW = 5
"""If no more than one unit in so many tells of a term by itself, units are compared by their means."""

FEWEST = 3
"""Units below which changes and differences cannot be joined: their errors are of two kinds."""

LEAST_DEGREES = 1.0
"""Fewer degrees of freedom leave no interval."""

How = Literal["slopes", "means", "both"]


@dataclass(frozen=True, eq=False)
class Design:
    """What was measured where: one row per CELL, an electrode in a condition in a beamtime."""

    x: F64
    """(CELL,) the term whose effect is asked for"""
    others: Mapping[str, F64]
    """Name to (CELL, COLUMN): the other terms and blocks, without a constant"""
    electrode: I64
    """(CELL,) codes 0, 1, ..."""
    unit: I64
    """(CELL,) codes 0, 1, ... of what was cycled: the electrodes of one cell are one unit"""


@dataclass(frozen=True, eq=False)
class LinearEffect:
    """The slope over a term for each of DRAW sets of means; (DRAW,) arrays, NaN where ``note`` says why."""

    estimate: F64
    se: F64
    degrees: F64
    how: How
    """From changes within electrodes, from differences between them, or from both"""
    n_units: int
    """Units that tell of the term"""
    scores: F64
    """(UNIT, DRAW) what each unit adds to the estimate, times their number: their mean is the estimate"""
    weights: F64
    """(CELL, DRAW) the estimate is the sum of weights times means"""
    note: str = ""

    @property
    def p(self) -> F64:
        """(DRAW,) two-sided probability by Student's t."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(2.0 * stats.t.sf(np.abs(self.estimate) / self.se, self.degrees))

    def half(self, level: float) -> F64:
        """(DRAW,) half the width of the interval."""
        return np.asarray(stats.t.ppf(0.5 + level / 2.0, self.degrees) * self.se)


def linear_effect(y: F64, design: Design) -> LinearEffect:
    """Slope of (CELL, DRAW) means over a term, other terms and blocks held, with an error over units.

    Where every unit tells of the term by itself, electrodes are blocks and only changes within them count. Where none
    does, the means of units are regressed. Where some do, both are joined in a model with a random level of each
    electrode, whose variance is the likeliest among ``RATIOS``. Errors are robust to anything that a unit shares
    (slopes of its own, two electrodes of one cell) and unbiased in small designs (CR2); Student's t has Satterthwaite's
    degrees of freedom. In the balanced design this is the t test of the electrodes' slopes. What lies in the span of
    the others is refused and named.

    Source: Bell, McCaffrey, Surv. Methodol. 28, 169 (2002); Pustejovsky, Tipton, J. Bus. Econ. Stat. 36, 672 (2018).
    """
    y = y[:, None] if y.ndim == 1 else y
    x = design.x - design.x.mean()
    if not np.ptp(design.x) > 1e-12 * max(1.0, float(np.abs(design.x).max())):
        return _refused(y, "means", "it does not vary", design)
    x = x / x.std()
    z = _joined(design.others, len(x))
    inside, z_inside = _centred(x[:, None], design.electrode)[:, 0], _centred(z, design.electrode)
    changes = _without(inside, z_inside)
    told = np.bincount(design.unit, changes**2) > ALIASED * float(x @ x)
    between = _without(x, np.column_stack([np.ones(len(x)), z]))
    if not between @ between > ALIASED * (x @ x):
        return _refused(y, "slopes" if inside.any() else "means", confounding(design), design)
    scale = float(design.x.std())
    if told.all():
        return _scaled(_robust(_centred(y, design.electrode), inside, z_inside, design.unit, "slopes"), scale)
    constant = np.column_stack([np.ones(len(x)), z])
    if not told.any():
        return _scaled(_of_units(y, x, constant, design.unit), scale)
    # The error of few changes within electrodes cannot be known: all units then count alike, each by its means.
    if int(told.sum()) <= max(1, len(told) // FEW):
        collapsed = _scaled(_of_unit_means(y, x, constant, design.unit), scale)
        if np.isfinite(collapsed.se).any():
            return collapsed
    if len(told) < FEWEST:
        note = f"{len(told)} independent electrodes or cells, not alike in what they tell: no error can be given"
        return _refused(y, "both", note, design)
    return _scaled(_both(y, x, constant, design), scale)


def confounding(design: Design) -> str:
    """With which other terms and blocks a term that is not estimable cannot be told apart."""
    x = design.x - design.x.mean()
    names = list(design.others)
    for count in range(1, len(names) + 1):
        found = [
            chosen
            for chosen in combinations(names, count)
            if not _left(x, np.column_stack([np.ones(len(x)), *(design.others[name] for name in chosen)]))
        ]
        if found:
            return " or ".join(" and ".join(chosen) for chosen in found)
    return "electrode"


def _left(x: F64, columns: F64) -> bool:
    rest = _without(x, columns)
    return bool(rest @ rest > ALIASED * (x @ x))


def _joined(columns: Mapping[str, F64], n: int) -> F64:
    return np.column_stack([np.zeros((n, 0)), *columns.values()])


def _centred(values: F64, group: I64, share: F64 | None = None) -> F64:
    """(CELL, COLUMN) values less (a share of) the means of their groups."""
    counts = np.bincount(group)
    sums = np.zeros((len(counts), values.shape[1]))
    np.add.at(sums, group, values)
    means = sums / np.maximum(counts, 1)[:, None]
    return np.asarray(values - (means if share is None else share[:, None] * means)[group])


def _basis(columns: F64) -> F64:
    """Orthonormal basis of the span of (CELL, COLUMN) columns; those of rounding size are dropped."""
    if not columns.size:
        return np.zeros((len(columns), 0))
    norm = np.sqrt((columns**2).sum(axis=0))
    kept = columns[:, norm > 1e-9 * max(float(norm.max()), 1e-300)]
    if not kept.size:
        return np.zeros((len(columns), 0))
    u, s, _ = np.linalg.svd(kept / np.sqrt((kept**2).sum(axis=0)), full_matrices=False)
    return np.asarray(u[:, s > 1e-7 * s[0]])


def _without(x: F64, columns: F64) -> F64:
    """What projection onto columns leaves of (CELL,) x."""
    basis = _basis(columns)
    return np.asarray(x - basis @ (basis.T @ x))


def _refused(y: F64, how: How, note: str, design: Design) -> LinearEffect:
    nothing = np.full(y.shape[1], np.nan)
    units = int(design.unit.max()) + 1
    return LinearEffect(
        nothing, nothing, nothing, how, units, np.full((units, y.shape[1]), np.nan), np.full(y.shape, np.nan), note
    )


def _scaled(found: LinearEffect, scale: float) -> LinearEffect:
    return LinearEffect(
        found.estimate / scale,
        found.se / scale,
        found.degrees,
        found.how,
        found.n_units,
        found.scores / scale,
        found.weights / scale,
        found.note,
    )


def _robust(y: F64, x: F64, z: F64, unit: I64, how: How) -> LinearEffect:
    """Least squares with CR2 errors over units; Satterthwaite's degrees under equal independent errors."""
    basis = _basis(z)
    rest = x - basis @ (basis.T @ x)
    power = float(rest @ rest)
    weights = rest / power
    whole = np.column_stack([basis, rest / np.sqrt(power)])
    estimate = weights @ y
    residual = y - whole @ (whole.T @ y)
    units = np.unique(unit)
    pulls = np.zeros((len(units), len(x)))
    for row, name in enumerate(units):
        here = np.flatnonzero(unit == name)
        pulls[row, here] = _adjusted(whole[here]) @ weights[here]
    parts = pulls @ residual
    se = np.sqrt((parts**2).sum(axis=0))
    # Each part is a linear form of the errors: their quadratic form has Satterthwaite's degrees of freedom.
    forms = pulls - (pulls @ whole) @ whole.T
    gram = forms @ forms.T
    degrees = float(np.trace(gram) ** 2 / (gram**2).sum()) if (gram**2).sum() > 0 else 0.0
    telling = np.array([float(rest[unit == name] @ rest[unit == name]) > ALIASED * power for name in units])
    scores = np.array([weights[unit == name] @ y[unit == name] for name in units])[telling] * int(telling.sum())
    spread = np.tile(weights[:, None], (1, y.shape[1]))
    degrees_of = np.full(y.shape[1], degrees)
    if int(telling.sum()) < 2 or degrees < LEAST_DEGREES - 1e-6:
        note = "one electrode tells of it" if int(telling.sum()) < 2 else "too few electrodes for so many terms"
        lacking = np.full(y.shape[1], np.nan)
        return LinearEffect(estimate, lacking, lacking, how, int(telling.sum()), scores, spread, note)
    return LinearEffect(estimate, se, degrees_of, how, int(telling.sum()), scores, spread)


def _adjusted(rows: F64) -> F64:
    """(I - H)^-1/2 of the rows of one unit, by which residuals are freed of what the fit took from them."""
    value, vector = np.linalg.eigh(np.eye(len(rows)) - rows @ rows.T)
    with np.errstate(divide="ignore", invalid="ignore"):
        root = np.where(value > 1e-9, 1.0 / np.sqrt(np.abs(value)), 0.0)
    return np.asarray((vector * root) @ vector.T)


def _of_units(y: F64, x: F64, constant: F64, unit: I64) -> LinearEffect:
    """Regression of the means of units where all that explains is alike within each; else of cells, with CR2 errors."""
    if np.abs(_centred(np.column_stack([x, constant]), unit)).max() > 1e-9:
        return _robust(y, x, constant, unit, "means")
    return _of_unit_means(y, x, constant, unit)


def _of_unit_means(y: F64, x: F64, constant: F64, unit: I64) -> LinearEffect:
    """Least squares of the means of units on the means of what explains, with errors of one size."""
    n = int(unit.max()) + 1
    share = np.zeros((n, len(unit)))
    share[unit, np.arange(len(unit))] = 1.0 / np.bincount(unit)[unit]
    means, place = share @ y, share @ x
    basis = _basis(share @ constant)
    rest = place - basis @ (basis.T @ place)
    if not rest @ rest > ALIASED * (x @ x):
        lacking = np.full(y.shape[1], np.nan)
        return LinearEffect(
            lacking, lacking, lacking, "means", n, np.full(means.shape, np.nan), np.full(y.shape, np.nan)
        )
    weights = rest / (rest @ rest)
    estimate = weights @ means
    left = means - basis @ (basis.T @ means) - rest[:, None] * estimate
    degrees = n - basis.shape[1] - 1
    of_cells = np.tile((share.T @ weights)[:, None], (1, y.shape[1]))
    scores = weights[:, None] * means * n
    if degrees < 1:
        lacking = np.full(y.shape[1], np.nan)
        note = f"{n} independent electrodes or cells for {basis.shape[1] + 1} numbers: no error can be given"
        return LinearEffect(estimate, lacking, lacking, "means", n, scores, of_cells, note)
    se = np.sqrt((left**2).sum(axis=0) / degrees / (rest @ rest))
    return LinearEffect(estimate, se, np.full(y.shape[1], float(degrees)), "means", n, scores, of_cells)


def _both(y: F64, x: F64, constant: F64, design: Design) -> LinearEffect:
    """Changes within electrodes and differences between them, weighted by the likeliest variance of electrodes."""
    sizes = np.bincount(design.electrode)
    whole = np.column_stack([constant, x])
    likely, fits = [], []
    for ratio in RATIOS:
        share = 1.0 - 1.0 / np.sqrt(1.0 + sizes * ratio)
        y_here, z_here = _centred(y, design.electrode, share), _centred(constant, design.electrode, share)
        x_here = _centred(x[:, None], design.electrode, share)[:, 0]
        basis = _basis(_centred(whole, design.electrode, share))
        left = np.maximum((y_here**2).sum(axis=0) - ((basis.T @ y_here) ** 2).sum(axis=0), 1e-300)
        independent = _basis(whole)
        scaled = _centred(independent, design.electrode, share)
        volume = float(np.linalg.slogdet(scaled.T @ scaled)[1])
        free = len(x) - basis.shape[1]
        likely.append(-0.5 * (np.log1p(sizes * ratio).sum() + volume + free * np.log(left)))
        fits.append(_robust(y_here, x_here, z_here, design.unit, "both"))
    best = np.argmax(likely, axis=0)
    draws = np.arange(y.shape[1])

    def chosen(name: str) -> F64:
        return np.asarray(np.stack([getattr(fit, name) for fit in fits])[best, draws])

    shares = [1.0 - 1.0 / np.sqrt(1.0 + sizes * ratio) for ratio in RATIOS]
    # Weights on the means as they were, before levels were taken out.
    weights = np.stack(
        [_centred(fit.weights[:, :1], design.electrode, share)[:, 0] for fit, share in zip(fits, shares, strict=True)]
    )
    of_cells = weights[best].T
    units = np.unique(design.unit)
    scores = np.array([(of_cells[design.unit == name] * y[design.unit == name]).sum(axis=0) for name in units])
    notes = {fit.note for fit in fits}
    return LinearEffect(
        chosen("estimate"),
        chosen("se"),
        chosen("degrees"),
        "both",
        max(fit.n_units for fit in fits),
        scores * len(units),
        of_cells,
        "" if "" in notes else notes.pop(),
    )


def units_of(electrode: I64, cell: I64) -> I64:
    """(CELL,) codes of what belongs together because an electrode or a cell joins it; cell < 0: not known."""
    unit = electrode.astype(np.int64).copy()
    changed = True
    while changed:
        before = unit.copy()
        for codes in (electrode, cell):
            known: Mask = codes >= 0
            least = np.full(int(codes.max(initial=0)) + 1, np.iinfo(np.int64).max)
            np.minimum.at(least, codes[known], unit[known])
            unit[known] = least[codes[known]]
        changed = bool((unit != before).any())
    return np.asarray(np.unique(unit, return_inverse=True)[1], dtype=np.int64)
