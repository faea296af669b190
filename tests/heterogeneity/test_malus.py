"""Axes and contrasts of planted dichroism, their errors, and series that cannot give them."""

import numpy as np
import pandas as pd
import pytest

from stxmdist.heterogeneity.analyses.evidence import Evidence
from stxmdist.heterogeneity.analyses.polarisation import NO_SERIES, polarisation
from stxmdist.heterogeneity.malus import malus

ANGLES = np.arange(0.0, 180.0, 30.0)


def apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Difference of two axes, degrees."""
    return np.mod(one - other + 90.0, 180.0) - 90.0


def test_axis_and_contrast_are_the_planted_ones_within_their_errors() -> None:
    rng = np.random.default_rng(1)
    n, contrast = 2000, 0.2
    axis = rng.uniform(0, 180, n)
    truth = 1.0 + contrast * np.cos(2 * np.radians(ANGLES - axis[:, None]))
    found = malus(ANGLES, truth + rng.normal(0.0, 0.03, truth.shape))
    off = apart(found.axis_deg, axis)
    covered = np.mean(np.abs(off) < 1.96 * found.axis_se_deg)
    of_contrast = np.mean(np.abs(found.contrast - contrast) < 1.96 * found.contrast_se)
    print(
        f"axis +- {off.std():.2f} deg, covered {covered:.3f}; contrast {found.contrast.mean():.4f}, {of_contrast:.3f}"
    )
    assert 0.92 < covered < 0.97
    assert 0.92 < of_contrast < 0.97
    assert found.contrast.mean() == pytest.approx(contrast, abs=0.002)
    exact = malus(ANGLES, truth)
    np.testing.assert_allclose(apart(exact.axis_deg, axis), 0.0, atol=1e-6)


def test_isotropic_particles_show_contrast_as_rarely_as_they_should() -> None:
    rng = np.random.default_rng(2)
    found = malus(ANGLES, 1.0 + rng.normal(0.0, 0.03, (4000, len(ANGLES))))
    size = float(np.mean(found.p < 0.05))
    print(f"isotropic: called dichroic {size:.3f}, median contrast {np.median(found.contrast):.4f}")
    assert 0.03 < size < 0.07
    assert found.axis_se_deg.max() <= 180 / np.sqrt(12)


@pytest.mark.parametrize("angles", [[0.0], [0.0, 90.0], [0.0, 180.0, 90.0], [10.0, 10.0, 10.0]])
def test_two_polarisations_have_no_axis(angles: list[float]) -> None:
    found = malus(np.array(angles), np.ones((4, len(angles))))
    assert np.isnan(found.axis_deg).all()
    assert "an axis needs three" in found.note


def test_three_polarisations_have_an_axis_without_error() -> None:
    found = malus(np.array([0.0, 45.0, 90.0]), np.array([[1.2, 1.0, 0.8]]))
    assert found.axis_deg == pytest.approx(0.0, abs=1e-6)
    assert found.contrast == pytest.approx(0.2)
    assert np.isnan(found.axis_se_deg).all()
    assert "no residual" in found.note


def series(rng: np.random.Generator, angles: np.ndarray) -> tuple[pd.DataFrame, np.ndarray]:
    """Particles on a grid that move with the stage; two are lost at one angle."""
    y, x = (part.ravel() + rng.uniform(-0.2, 0.2, 25) for part in np.meshgrid(np.arange(5.0), np.arange(5.0)))
    axis, thickness, scans = rng.uniform(0, 180, 25), rng.uniform(80, 150, 25), []
    for place, angle in enumerate(angles):
        order = rng.permutation(25) if place else np.arange(25)
        order = order[order < 23] if place == 2 else order
        gain = rng.uniform(0.8, 1.2)
        apparent = gain * thickness * (1 + 0.25 * np.cos(2 * np.radians(angle - axis))) * rng.normal(1.0, 0.01, 25)
        scans.append(
            pd.DataFrame(
                {
                    "scan_id": f"s{place}", "electrode_id": "E1", "region_id": "r1", "modality": "stxm",
                    "polarisation_deg": angle, "particle_id": np.arange(1, len(order) + 1),
                    "y_um": (y + 0.3 * place)[order], "x_um": (x - 0.1 * place)[order], "d_eq_um": 0.5,
                    "thickness_nm": apparent[order],
                }
            )
        )  # fmt: skip
    return pd.concat(scans, ignore_index=True), axis


def test_particles_are_followed_through_the_series() -> None:
    table, axis = series(np.random.default_rng(3), ANGLES[:5])
    nothing = pd.DataFrame()
    found = polarisation(Evidence(table, table, nothing, nothing, nothing, "stxm", 0))
    assert len(found) == 25
    lost = found["note"] == "not found at every polarisation"
    assert lost.sum() == 2
    off = apart(found["axis_deg"].to_numpy()[~lost], axis[~lost])
    print(f"axes of particles +- {off.std():.1f} deg")
    # The median particle's own axis stays in what every scan is divided by.
    assert np.abs(off).max() < 10.0


def test_a_campaign_without_a_series_says_so() -> None:
    table, _ = series(np.random.default_rng(4), ANGLES[:1])
    nothing = pd.DataFrame()
    assert polarisation(Evidence(table, table, nothing, nothing, nothing, "stxm", 0))["note"].tolist() == [NO_SERIES]
    assert len(polarisation(Evidence(nothing, nothing, nothing, nothing, nothing, "stxm", 0))) == 0
