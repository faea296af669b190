"""Components are counted in particles: none where there are two, a third where it was planted, by blocks of rows."""

import numpy as np
import pytest

from stxmdist.arrays import F32, F64, I64, Mask
from stxmdist.spectra.checks import component_count
from stxmdist.spectra.checks.component_count import CountOptions, PixelBlock, ReadPixels, count_components

ENERGY_EV = np.linspace(700.0, 725.0, 20)
COUNTS = np.full(20, 2000.0)
SIDE = 40


def peak(centre_ev: float, width_ev: float) -> F64:
    return np.exp(-(((ENERGY_EV - centre_ev) / width_ev) ** 2))


DESIGN = np.stack([peak(708.0, 2.0) + 0.1, peak(712.0, 3.0) + 0.1], axis=1)


def planted(third: float) -> tuple[ReadPixels, I64, list[slice]]:
    """Two square particles; the second holds a third component. Which rows were asked for is noted."""
    rng = np.random.default_rng(7)
    particle = np.full((SIDE, SIDE), -1)
    particle[4:18, 4:18], particle[22:36, 20:36] = 0, 1
    thickness = rng.uniform(0.3, 0.7, (2, SIDE, SIDE))
    od = np.tensordot(DESIGN, thickness, axes=1)
    od += third * (particle == 1) * peak(720.0, 1.5)[:, None, None] * rng.uniform(0.5, 1.5, (SIDE, SIDE))
    mean = COUNTS[:, None, None] * np.exp(-od)
    transmission = (rng.poisson(mean) / COUNTS[:, None, None]).astype(np.float32)
    asked: list[slice] = []

    def read(rows: slice, chosen: Mask) -> PixelBlock:
        asked.append(rows)

        def of(stack: F32 | F64) -> F32:
            return stack[:, rows].reshape(len(stack), -1)[:, chosen].astype(np.float32)

        nothing = np.zeros(int(chosen.sum()), np.float32)
        return PixelBlock(of(transmission), of(thickness), nothing, nothing + 1)

    return read, particle, asked


def count(read: ReadPixels, particle: I64, n: int, design: F64 = DESIGN) -> component_count.ComponentCount:
    return count_components(
        read,
        particle,
        n,
        design=design,
        energy_ev=ENERGY_EV[: len(design)],
        effective_counts=COUNTS[: len(design)],
        shared_variance=np.zeros(len(design)),
        chi2_reduced=np.ones((SIDE, SIDE)),
        noise_correlation_px2=1.0,
        options=CountOptions(),
    )


def test_two_end_members_are_enough_where_there_are_two() -> None:
    read, particle, _ = planted(0.0)
    found = count(read, particle, 2)
    assert found.components.tolist() == [2.0, 2.0]
    assert found.missing == 0
    assert found.missing_od is not None
    assert np.isnan(found.missing_od).all()
    assert found.said.startswith("two end-members explain all of 2 particles")
    # A reduced chi-square of some thousand degrees of freedom is known to three per cent.
    np.testing.assert_allclose(found.chi2_pooled, 1.0, atol=0.1)
    assert set(found.columns()) <= set(vars(found))


def test_a_third_component_is_found_with_its_spectrum_and_only_where_it_is() -> None:
    read, particle, _ = planted(0.3)
    found = count(read, particle, 2)
    assert found.components.tolist() == [2.0, 3.0]
    assert found.missing == 1
    assert found.missing_od is not None
    assert ENERGY_EV[found.missing_od.argmax()] == pytest.approx(720.0, abs=1.5)
    assert "do not explain 1 of 2" in found.said


def test_blocks_and_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    read, particle, asked = planted(0.3)
    whole = count(read, particle, 2)
    assert len(asked) == 1
    monkeypatch.setattr(component_count, "PIXELS_AT_ONCE", 5 * SIDE)
    monkeypatch.setattr(component_count, "PARTICLES_AT_ONCE", 1)
    parts = count(read, particle, 2)
    assert max(rows.stop - rows.start for rows in asked[1:]) == 5
    for name, values in whole.columns().items():
        np.testing.assert_allclose(parts.columns()[name], values, rtol=1e-9)
    assert parts.said == whole.said


def test_what_cannot_be_counted_is_said() -> None:
    read, particle, asked = planted(0.0)
    assert count(read, np.full_like(particle, -1), 0).said == "no particles"
    few = count(read, particle, 2, DESIGN[:3])
    assert few.said == "3 energies are too few to count components"
    assert np.isnan(few.components).all()
    assert few.missing is None
    assert few.missing_od is None
    assert not asked


def test_backgrounds_that_were_fitted_are_not_asked_for() -> None:
    read, particle, _ = planted(0.0)
    assert set(count(read, particle, 2).wanting) == {"constant", "power_law"}
    constant = np.column_stack([DESIGN, np.ones(len(DESIGN))])
    assert set(count(read, particle, 2, constant).wanting) == {"power_law"}


def test_a_particle_as_a_whole_has_its_rims_and_leaves_what_noise_does() -> None:
    read, particle, _ = planted(0.0)
    reach = particle.copy()
    reach[2:20, 2:20] = 0
    found = count_components(
        read,
        particle,
        2,
        design=DESIGN,
        energy_ev=ENERGY_EV,
        effective_counts=COUNTS,
        shared_variance=np.zeros(len(DESIGN)),
        chi2_reduced=np.ones((SIDE, SIDE)),
        noise_correlation_px2=1.0,
        reach=reach,
    ).whole
    assert found is not None
    block = read(slice(0, SIDE), (reach == 0).ravel())
    np.testing.assert_allclose(found.od[0], DESIGN @ block.thickness.sum(axis=1), rtol=1e-5)
    np.testing.assert_allclose(found.variance[0], (1.0 / (COUNTS * np.exp(-(DESIGN @ block.thickness).T))).sum(axis=0),
                               rtol=1e-4)  # fmt: skip
    # Thicknesses are the planted ones here: nothing follows the noise, which is what is left, and no more.
    pulls = found.residual_od / np.sqrt(found.variance)
    assert 0.6 < np.sqrt(np.mean(pulls**2)) < 1.5
