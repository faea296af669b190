"""How many components: power and size of the pooled tests on planted spectra, and pulls and Moran's I of pure noise."""

import numpy as np
import pytest
from scipy import ndimage

from stxmdist.errors import InputError
from stxmdist.spectra.checks.components import (
    MissingSpectrum,
    ResidualSums,
    extra_term_test,
    missing_spectrum,
    noise_excess,
    residual_sums,
    whitened_residuals,
)
from stxmdist.spectra.checks.pulls import morans_i, morans_test, pull_summary, pulls
from stxmdist.spectra.end_members.design_matrix import design_matrix
from stxmdist.spectra.end_members.edge_model import Edge, Peak, Step, edge_parts
from stxmdist.spectra.end_members.references import EndMembers
from stxmdist.spectra.fitters.contract import FITTERS, FitOptions

ENERGY = np.linspace(700.0, 735.0, 35)
THICKNESS_NM = 150.0
LEVEL = 0.05
# Power .11 .23 .62 .97 per pixel at 100 to 3000 photons, as derived for a spectrum of other width and height.
PER_PIXEL = {100.0: 0.11, 300.0: 0.23, 1000.0: 0.62, 3000.0: 0.97}
POWER_WITHIN = 0.08
POOLED_PIXELS = 150
LEAST_POOLED_POWER = 0.9
# Of 100 particles at .05: three standard deviations are .065.
FALSE_WITHIN = 0.065


def third() -> np.ndarray:
    """A third component (ENERGY,) per nm: iron as in the others, its white line sharper and between theirs."""
    edge = Edge("Fe L", "Fe", (Step(708.5, 1.2, 2 / 3), Step(721.5, 1.5, 1 / 3)), onset_ev=706.8)
    lines = (Peak(709.3, 0.5, 6.7), Peak(711.2, 0.9, 1.0), Peak(721.2, 1.0, 1.0), Peak(723.1, 1.1, 1.0))
    return edge_parts(edge, {"Fe": 1, "P": 1, "O": 4}, lines, 1.37e22, ENERGY).total


def sums(lfp: EndMembers, counts: float, share: float, n_particles: int, n_pixels: int, seed: int = 1) -> ResidualSums:
    """Fitted particles of ``n_pixels`` each, with a share of a third component in them."""
    rng = np.random.default_rng(seed)
    design = design_matrix(lfp, ENERGY)
    soc = np.repeat(rng.uniform(0.0, 1.0, n_particles), n_pixels)
    od = (1.0 - share) * THICKNESS_NM * (design @ np.stack([1.0 - soc, soc])) + (
        share * THICKNESS_NM * third()[:, None]
    )
    transmission = (rng.poisson(counts * np.exp(-od)) / counts).astype(np.float32)
    fit = FITTERS["poisson"].load()(transmission, np.full(ENERGY.size, counts), design, FitOptions())
    group = np.repeat(np.arange(n_particles), n_pixels)
    candidates = np.stack([third(), np.ones(ENERGY.size)], axis=1)
    given = (np.full(ENERGY.size, counts), design, group, n_particles, candidates)
    return residual_sums(transmission, fit.coefficients, *given)


def test_power_of_one_pixel_and_of_a_particle(lfp: EndMembers, capsys: pytest.CaptureFixture[str]) -> None:
    for counts, expected in PER_PIXEL.items():
        one = extra_term_test(sums(lfp, counts, 0.1, 1000, 1), 2, 0).p < LEVEL
        none = extra_term_test(sums(lfp, counts, 0.0, 1000, 1), 2, 0).p < LEVEL
        with capsys.disabled():
            print(f"\n  {counts:g} photons: a tenth of a third component shows in {one.mean():.2f} of pixels, ", end="")
            print(f"where it is not in {none.mean():.3f}", end="")
        assert none.mean() == pytest.approx(LEVEL, abs=0.02)
        assert one.mean() == pytest.approx(expected, abs=POWER_WITHIN)
    pooled, false = (sums(lfp, 100.0, share, 100, POOLED_PIXELS) for share in (0.1, 0.0))
    given, given_false = (extra_term_test(one, 2, 0).p < LEVEL for one in (pooled, false))
    found, found_false = (missing_spectrum(one, 2) for one in (pooled, false))
    with capsys.disabled():
        print(
            f"\n  {POOLED_PIXELS} pixels of 100 photons: F test {given.mean():.2f}, false {given_false.mean():.3f}; "
            f"unknown spectrum {(found.p < LEVEL).mean():.2f}, false {(found_false.p < LEVEL).mean():.3f}"
        )
    assert given.mean() > LEAST_POOLED_POWER
    assert (found.p < LEVEL).mean() > LEAST_POOLED_POWER
    for wrong in (given_false, found_false.p < LEVEL):
        assert abs(wrong.mean() - LEVEL) < FALSE_WITHIN
    assert (extra_term_test(false, 2, 0).bic_gain < 0.0).all()
    assert (extra_term_test(false, 2, 0).aic_gain < 0.0).mean() > 0.95


def test_an_unknown_spectrum_is_found_by_its_shape(lfp: EndMembers) -> None:
    found: MissingSpectrum = missing_spectrum(sums(lfp, 1000.0, 0.2, 3, 400), 2)
    design = design_matrix(lfp, ENERGY)
    weight = np.sqrt(np.exp(-THICKNESS_NM * design.mean(axis=1)))
    basis = np.linalg.qr(weight[:, None] * design)[0]
    beside = third() * weight
    beside -= basis @ (basis.T @ beside)
    for od in found.od * weight:
        cosine = abs(od @ beside) / np.linalg.norm(od) / np.linalg.norm(beside)
        assert cosine > 0.95
    assert (found.share > 0.01).all()
    assert (found.p < 1e-6).all()


def test_what_varies_from_pixel_to_pixel_is_found_where_the_mean_is_right(lfp: EndMembers) -> None:
    rng = np.random.default_rng(6)
    design = design_matrix(lfp, ENERGY)
    counts, n = np.full(ENERGY.size, 300.0), 400
    amount = 30.0 * rng.choice([-1.0, 1.0], n)
    od = design @ np.full((2, n), 60.0) + amount * third()[:, None]
    od -= design @ np.linalg.lstsq(design, third(), rcond=None)[0][:, None] * amount
    transmission = rng.poisson(300.0 * np.exp(-od)) / 300.0
    coefficients = FITTERS["poisson"].load()(transmission.astype(np.float32), counts, design).coefficients
    found = missing_spectrum(residual_sums(transmission, coefficients, counts, design, np.zeros(n, int), 1), 2)
    assert found.p_varying[0] < 1e-6
    assert found.p_varying[0] < found.p_constant[0]


@pytest.mark.parametrize("share", [0.0, 0.1])
def test_noise_is_told_from_what_all_pixels_lack(lfp: EndMembers, share: float) -> None:
    """A third component in all pixels alike is no noise; noise of twice the variance that is claimed is."""
    counts, claimed = 1000.0, 2000.0
    right = noise_excess(sums(lfp, counts, share, 20, 300), 2)
    assert np.median(right) == 1.0
    rng = np.random.default_rng(5)
    design = design_matrix(lfp, ENERGY)
    od = THICKNESS_NM * (design @ np.full((2, 300), 0.5))
    transmission = (rng.poisson(counts * np.exp(-od)) / counts).astype(np.float32)
    believed = np.full(ENERGY.size, claimed)
    fit = FITTERS["poisson"].load()(transmission, believed, design, FitOptions())
    one = residual_sums(transmission, fit.coefficients, believed, design, np.zeros(300, int), 2)
    strong, nothing = noise_excess(one, 2)
    assert strong == pytest.approx(claimed / counts, rel=0.1)
    assert np.isnan(nothing)


def test_blocks_and_their_order_do_not_matter(lfp: EndMembers) -> None:
    rng = np.random.default_rng(3)
    design = design_matrix(lfp, ENERGY)
    counts = np.full(ENERGY.size, 200.0)
    transmission = rng.poisson(200.0 * np.exp(-design @ np.full((2, 101), 60.0))) / 200.0
    coefficients = FITTERS["poisson"].load()(transmission.astype(np.float32), counts, design).coefficients
    coefficients[:, 7] = np.nan
    group = rng.integers(-1, 4, 101)
    more = np.ones((ENERGY.size, 1))
    whole = residual_sums(transmission, coefficients, counts, design, group, 4, more)
    parts = [
        residual_sums(transmission[:, cut], coefficients[:, cut], counts, design, group[cut], 4, more)
        for cut in (slice(50, 101), slice(0, 13), slice(13, 50))
    ]
    added = parts[0] + parts[1] + parts[2]
    for name in ("pixels", "chi2", "whitened", "moments", "gained", "od", "noise_od"):
        np.testing.assert_allclose(getattr(added, name), getattr(whole, name), rtol=1e-9)
    assert whole.pixels.sum() == ((group >= 0) & (np.arange(101) != 7)).sum()
    nothing = missing_spectrum(residual_sums(transmission, coefficients, counts, design, 0 * group - 1, 1), 2)
    assert np.isnan(nothing.p[0])
    assert np.isnan(nothing.od).all()
    with pytest.raises(InputError, match="too few energies"):
        residual_sums(transmission[:3], coefficients, counts[:3], design[:3], group, 4)


def test_pulls_of_noise_are_standard_normal(lfp: EndMembers, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(4)
    design = design_matrix(lfp, ENERGY)
    counts = np.full(ENERGY.size, 300.0)
    transmission = rng.poisson(300.0 * np.exp(-design @ np.full((2, 5000), 60.0))) / 300.0
    coefficients = FITTERS["poisson"].load()(transmission.astype(np.float32), counts, design).coefficients
    found = pull_summary(pulls(*whitened_residuals(transmission, coefficients, counts, design)))
    with capsys.disabled():
        print(f"\n  pulls of {found.n}: mean {found.mean:+.4f}, sd {found.sd:.4f}, beyond 3 sd {found.beyond_3:.4f}")
    assert abs(found.mean) < 0.01
    assert found.sd == pytest.approx(1.0, abs=0.01)
    assert 0.001 < found.beyond_3 < 0.006
    assert pull_summary(np.full(3, np.nan)).n == 0


@pytest.mark.parametrize("sigma_px", [0.0, 0.7])
def test_moran_rejects_noise_as_often_as_it_says(sigma_px: float, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(5)
    inside = ndimage.distance_transform_edt(np.pad(np.ones((17, 23), bool), 2)) > 1.0
    tests = []
    for _ in range(200):
        noise = rng.standard_normal(inside.shape)
        noise = ndimage.gaussian_filter(noise, sigma_px) if sigma_px else noise
        tests.append(morans_test(noise, inside, rng, sigma_px, draws=99))
    values, p = np.array(tests).T
    with capsys.disabled():
        print(
            f"\n  noise blurred by {sigma_px:g} px: Moran's I {values.mean():+.3f}, "
            f"p < .05 in {(p <= LEVEL).mean():.3f}"
        )
    assert 0.01 < (p <= LEVEL).mean() < 0.10
    gradient = np.broadcast_to(np.arange(inside.shape[1], dtype=float), inside.shape)
    assert morans_i(gradient, inside) > 0.8
    assert morans_test(gradient, inside, rng, sigma_px, 99)[1] == pytest.approx(0.01)
    assert np.isnan(morans_test(gradient, np.zeros_like(inside), rng)[0])
