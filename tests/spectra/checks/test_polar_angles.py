"""Polar angles: the published pair of angles, and two Gaussians that were planted."""

import numpy as np
import pytest

from stxmdist.spectra.checks.polar_angles import histogram, polar_angle_deg, two_gaussians
from stxmdist.spectra.end_members.chemistries import CHEMISTRIES

YU_2018 = {0.93: 27.48, 0.02: 65.0}
"""Lithium content to the centre of the Gaussian, deg (Nat. Commun. 9, 921, Fig. 2)"""


@pytest.mark.parametrize("lithium", YU_2018)
def test_the_built_in_end_members_lie_at_the_published_angles(lithium: float) -> None:
    members = CHEMISTRIES["LFP"].load().end_members().at(np.array([708.2, 710.2]))
    od = lithium * members[0] + (1.0 - lithium) * members[1]
    assert polar_angle_deg(*od) == pytest.approx(YU_2018[lithium], abs=0.1)


def test_thickness_does_not_change_an_angle() -> None:
    od = np.array([[0.3], [0.5]]) * np.array([0.1, 1.0, 7.0])
    assert np.ptp(polar_angle_deg(*od)) < 1e-9


@pytest.mark.parametrize(
    ("share", "centres", "sds"), [(0.6, (27.5, 65.0), (2.0, 4.0)), (0.1, (30.0, 48.0), (1.2, 9.0))]
)
def test_planted_gaussians_are_found(share: float, centres: tuple[float, float], sds: tuple[float, float]) -> None:
    rng, n = np.random.default_rng(3), 40_000
    low = rng.random(n) < share
    angle = np.where(low, rng.normal(centres[0], sds[0], n), rng.normal(centres[1], sds[1], n))
    found = two_gaussians(*histogram(angle))
    assert found is not None
    # Four standard errors of the rarer group, and what half a degree of binning adds to widths.
    rare = min(share, 1 - share) * n
    assert found.centre_deg == pytest.approx(centres, abs=4 * max(sds) / rare**0.5)
    assert found.sd_deg == pytest.approx(sds, rel=4 / (2 * rare) ** 0.5 + 0.01)
    assert found.share == pytest.approx([share, 1 - share], abs=0.01)


def test_a_density_has_the_area_one_and_few_angles_have_none() -> None:
    found = two_gaussians(*histogram(np.random.default_rng(1).normal(45.0, 3.0, 500)))
    assert found is not None
    fine = np.linspace(-90.0, 180.0, 20_001)
    assert found.density(fine).sum() * (fine[1] - fine[0]) == pytest.approx(1.0, abs=1e-6)
    assert two_gaussians(*histogram(np.full(9, 45.0))) is None


def test_equal_angles_make_no_endless_peak() -> None:
    found = two_gaussians(*histogram(np.full(100, 45.1)))
    assert found is not None
    assert (found.sd_deg > 0.4).all()
