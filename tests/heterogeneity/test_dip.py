"""The dip on values that another implementation gives, and on uniform numbers."""

import numpy as np
import pytest

from stxmdist.heterogeneity.dip import CHANCES, DIPS, SIZES, dip, dip_p

TIES = {
    1: (30, 33, 35, 36, 41, 42, 46, 49, 51, 59, 63, 66, 70),
    2: (37, 44, 45, 47, 50, 52, 54, 57, 72),
    3: (43, 48, 60),
}
TIES |= {4: (40, 61, 62), 5: (39, 53)}
RATINGS = np.concatenate([np.repeat(np.array(values, dtype=np.float64), count) for count, values in TIES.items()])
"""62 whole numbers with many ties"""


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        # The package diptest 0.12 gives these.
        (np.random.default_rng(1).uniform(size=40), 0.04947566689921652),
        (np.random.default_rng(2).uniform(size=40), 0.03654526751419938),
        (np.random.default_rng(3).uniform(size=40), 0.047529749889946446),
        (RATINGS, 0.0604838709677),
        # Two points of equal weight are as far from one mode as can be.
        (np.repeat([0.0, 1.0], 50), 0.25),
        # Equal steps are uniform but for the steps: 1/(2 n).
        (np.arange(20.0), 0.025),
        (np.full(7, 3.0), 1.0 / 14.0),
    ],
)
def test_known_values(values: np.ndarray, expected: float) -> None:  # type: ignore[type-arg]
    assert len(RATINGS) == 62
    assert dip(values) == pytest.approx(expected, abs=1e-12)


def test_the_dip_knows_neither_place_nor_scale_nor_direction() -> None:
    values = np.random.default_rng(4).normal(size=60)
    assert dip(3.0 - 2.0 * values) == pytest.approx(dip(values), abs=1e-12)
    assert dip(np.append(values, np.nan)) == dip(values)
    assert np.isnan(dip(np.zeros(0)))


def test_p_is_its_table_and_falls() -> None:
    for n, row in zip(SIZES, DIPS, strict=True):
        for chance, scaled in zip(CHANCES, row, strict=True):
            assert dip_p(scaled / np.sqrt(n), int(n)) == pytest.approx(chance, rel=1e-6)
    p = [dip_p(found, 70) for found in np.linspace(0.0, 0.2, 40)]
    assert (np.diff(p) <= 0).all()
    assert (p[0], p[-1]) == (1.0, pytest.approx(0.001))
    assert np.isnan(dip_p(0.1, 3))


def test_size_on_distributions_with_one_mode() -> None:
    rng = np.random.default_rng(5)
    runs, n = 400, 70
    found = {
        "uniform": rng.uniform(size=(runs, n)),
        "normal": rng.normal(size=(runs, n)),
        "exponential": rng.exponential(size=(runs, n)),
        "heavy tails": rng.standard_t(2, (runs, n)),
    }
    sizes = {name: np.mean([dip_p(dip(row), n) < 0.05 for row in rows]) for name, rows in found.items()}
    print(f"\nsize of the dip, n = {n}: {sizes}")
    # Three binomial standard errors of 400 draws at 5 %.
    assert sizes["uniform"] == pytest.approx(0.05, abs=0.033)
    assert max(sizes[name] for name in sizes if name != "uniform") <= 0.02
