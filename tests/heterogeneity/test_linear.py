"""Type I error and coverage of effects in many designs, or a refusal that names the confounding."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from scipy import stats

from stxmdist.arrays import F64
from stxmdist.heterogeneity.linear import Design, linear_effect, units_of

TYPE_ONE = 0.06
COVERAGE = (0.92, 0.97)
"""What the issue asks of every design that is not refused."""

SLOPE = 0.04
"""Planted change of the mean per cycle step; that of rate is .03, of direction .05, of a beamtime .03 (SD)."""

REFUSED = ("beamtime", "rate", "direction", "independent electrodes or cells", "too few electrodes")


@dataclass(frozen=True)
class Plan:
    """How electrodes were measured: each function is of the electrode and of the step 0, 1 or 2 of its cycle."""

    steps: Callable[[int], list[int]] = lambda electrode: [0, 1, 2]
    beamtime: Callable[[int, int], int] = lambda electrode, step: 0
    rate: Callable[[int, int], float] = lambda electrode, step: 0.0
    direction: Callable[[int, int], int] = lambda electrode, step: 0
    cell: Callable[[int], int] = lambda electrode: electrode
    heavy: bool = False
    refused: frozenset[int] = field(default_factory=frozenset)
    """Numbers of electrodes at which no number can be given"""


ALL = frozenset({3, 4, 8, 12})
ONE_OF_THREE: Callable[[int], list[int]] = lambda electrode: [electrode % 3]  # noqa: E731

PLANS = {
    "clean": Plan(),
    "unbalanced": Plan(steps=lambda e: [0, 1] if e % 2 else [0, 1, 2]),
    "heavy tails": Plan(heavy=True),
    "confounded with beamtime": Plan(beamtime=lambda e, s: s, refused=ALL),
    "beamtime in part": Plan(beamtime=lambda e, s: [0, 0, 1][s] if e % 2 else [0, 1, 1][s]),
    "confounded with rate": Plan(rate=lambda e, s: float(s), refused=ALL),
    "rate changes with cycle": Plan(rate=lambda e, s: [0.0, 1.0, 1.0][s]),
    "rate in other orders": Plan(rate=lambda e, s: [0.0, 1.0, 0.0][s] if e % 2 else [1.0, 0.0, 0.0][s]),
    "confounded with direction": Plan(steps=lambda e: [0, 2], direction=lambda e, s: int(s > 0), refused=ALL),
    "direction in other orders": Plan(direction=lambda e, s: [0, 1, 0][s] if e % 2 else [0, 0, 1][s]),
    "two electrodes of a cell": Plan(steps=lambda e: [e // 2 % 3], cell=lambda e: e // 2, refused=frozenset({3, 4})),
    "two of a cell, repeated": Plan(cell=lambda e: e // 2),
    "one state each": Plan(steps=ONE_OF_THREE),
    "one repeated, others single": Plan(steps=lambda e: [e % 3] if e else [0, 1, 2]),
    "every other repeated": Plan(steps=lambda e: [e % 3] if e % 2 else [0, 1, 2]),
    "missing states": Plan(steps=lambda e: [[0, 1, 2], [0, 2], [1, 2]][e % 3]),
}


def drawn(plan: Plan, electrodes: int, rng: np.random.Generator, runs: int, slope: float) -> tuple[F64, Design]:
    """(STATE, RUN) means: levels and slopes of electrodes and cells, beamtimes, rate, direction, and a residual."""
    states = [(e, s) for e in range(electrodes) for s in plan.steps(e)]
    electrode, step = (np.array(column) for column in zip(*states, strict=True))
    cell = np.array([plan.cell(e) for e, _ in states])
    beamtime = np.array([plan.beamtime(e, s) for e, s in states])
    rate = np.array([plan.rate(e, s) for e, s in states])
    direction = np.array([plan.direction(e, s) for e, s in states])

    def noise(count: int) -> F64:
        # Student's with three degrees of freedom has infinite kurtosis.
        return rng.standard_t(3, (count, runs)) / np.sqrt(3) if plan.heavy else rng.normal(size=(count, runs))

    centred = (step - 1.0)[:, None]
    y = slope * step[:, None] + 0.03 * rate[:, None] + 0.05 * direction[:, None]
    y = y + 0.05 * noise(electrodes)[electrode] + 0.03 * noise(electrodes)[electrode] * centred
    y = y + 0.05 * noise(cell.max() + 1)[cell] * (centred if plan.cell(1) == 0 and len(plan.steps(0)) > 1 else 1.0)
    y = y + 0.03 * noise(beamtime.max() + 1)[beamtime] + 0.02 * noise(len(states))
    others = {"rate": rate[:, None], "direction": direction[:, None].astype(float)}
    others |= {"beamtime": np.eye(beamtime.max() + 1)[beamtime][:, 1:]}
    varying = {name: column for name, column in others.items() if column.size and np.ptp(column) > 0}
    return y, Design(step.astype(float), varying, electrode, units_of(electrode, cell))


def judged(names: list[str], sizes: tuple[int, ...], runs: int) -> None:
    rng = np.random.default_rng(51)
    doubt = 3.0 * np.sqrt(0.05 * 0.95 / runs)
    for name in names:
        line = []
        for electrodes in sizes:
            null, design = drawn(PLANS[name], electrodes, rng, runs, 0.0)
            found = linear_effect(null, design)
            if np.isnan(found.se).all():
                assert electrodes in PLANS[name].refused, name
                assert any(word in found.note for word in REFUSED), found.note
                line.append(f"{electrodes}: refused ({found.note[:30]})")
                continue
            type_one = float((found.p < 0.05).mean())
            effect, _ = drawn(PLANS[name], electrodes, rng, runs, SLOPE)
            again = linear_effect(effect, design)
            covered = float((np.abs(again.estimate - SLOPE) <= again.half(0.95)).mean())
            line.append(f"{electrodes}: type I {type_one:.3f}, covers {covered:.3f} ({found.how})")
            assert electrodes not in PLANS[name].refused, name
            assert type_one <= TYPE_ONE + doubt, (name, electrodes, type_one)
            assert COVERAGE[0] - doubt <= covered <= COVERAGE[1] + doubt, (name, electrodes, covered)
            assert again.estimate.mean() == pytest.approx(SLOPE, abs=6 * again.estimate.std() / np.sqrt(runs))
        print(f"{name:28} " + " | ".join(line))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_error_rates_of_all_designs() -> None:
    judged(list(PLANS), (3, 4, 8, 12), 20_000)


def test_error_rates_of_some_designs() -> None:
    judged(
        ["clean", "confounded with beamtime", "rate changes with cycle", "one repeated, others single"], (3, 8), 2000
    )
    judged(["two electrodes of a cell", "beamtime in part"], (8,), 2000)


def test_a_balanced_design_is_the_t_test_of_slopes() -> None:
    y, design = drawn(PLANS["clean"], 5, np.random.default_rng(52), 7, SLOPE)
    slopes = (y.reshape(5, 3, 7)[:, 2] - y.reshape(5, 3, 7)[:, 0]) / 2.0
    found = linear_effect(y, design)
    np.testing.assert_allclose(found.estimate, slopes.mean(axis=0))
    np.testing.assert_allclose(found.p, stats.ttest_1samp(slopes, 0).pvalue)
    np.testing.assert_allclose(found.scores.mean(axis=0), found.estimate)
    np.testing.assert_allclose((found.weights * y).sum(axis=0), found.estimate)


def test_errors_are_those_of_statsmodels_where_units_are_cells() -> None:
    sm = pytest.importorskip("statsmodels.api")
    rng = np.random.default_rng(53)
    x, block = rng.normal(size=9), (np.arange(9) % 2)[:, None].astype(float)
    y = rng.normal(size=9)
    index = np.arange(9)
    found = linear_effect(y, Design(x, {"beamtime": block}, index, index))
    fit = sm.OLS(y, np.column_stack([np.ones(9), x, block])).fit()
    assert found.estimate[0] == pytest.approx(fit.params[1])
    assert found.se[0] == pytest.approx(fit.bse[1])
    assert found.p[0] == pytest.approx(fit.pvalues[1])


def test_shift_scale_and_unit_of_the_term_move_effects_as_they_must() -> None:
    y, design = drawn(PLANS["every other repeated"], 8, np.random.default_rng(54), 3, SLOPE)
    one = linear_effect(y, design)
    other = linear_effect(5.0 + 3.0 * y, Design(100.0 * design.x + 7, design.others, design.electrode, design.unit))
    np.testing.assert_allclose(other.estimate, 0.03 * one.estimate)
    np.testing.assert_allclose(other.se, 0.03 * one.se)
    np.testing.assert_allclose((other.weights * (5.0 + 3.0 * y)).sum(axis=0), other.estimate)


def test_electrodes_that_share_a_cell_are_one_unit() -> None:
    electrode = np.array([0, 0, 1, 2, 3])
    np.testing.assert_array_equal(units_of(electrode, np.array([5, 5, 5, -1, -1])), [0, 0, 0, 1, 2])
    np.testing.assert_array_equal(units_of(electrode, np.full(5, -1)), electrode)
