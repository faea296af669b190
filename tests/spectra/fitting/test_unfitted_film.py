"""A film that was not fitted is found in what the fit leaves over; where energies cannot tell it, nobody says so."""

import numpy as np
import pytest

from stxmdist.arrays import F32, F64, Mask
from stxmdist.spectra.checks.component_count import PixelBlock
from stxmdist.spectra.end_members.references import EndMembers
from stxmdist.spectra.fitters.contract import FITTERS, FitContext, FitOptions
from stxmdist.spectra.fitting.model import ModelOptions, SpectralModel, StackSummary, film_covariance, model_of_stack
from stxmdist.spectra.fitting.unfitted_film import MOST_OD, unfitted_film, unfitted_film_map, with_film

ENERGY_EV = np.array([700.0, 705.0, 707.2, 708.2, 709.2, 710.2, 711.6, 714.4, 718.0, 724.0])
COUNTS = 1000.0
AMOUNTS_NM = np.array([60.0, 40.0])


def model_of(lfp: EndMembers, energy_ev: F64 = ENERGY_EV, **options: object) -> SpectralModel:
    n = len(energy_ev)
    stack = StackSummary(
        energy_ev, AMOUNTS_NM @ lfp.at(energy_ev), np.full(n, 1e-6), np.full(n, COUNTS), np.ones(n, np.uint8)
    )
    asked = {"background": "none", "fit_energy_shift": False} | options
    return model_of_stack("one", stack, lfp, ModelOptions(**asked))  # type: ignore[arg-type]


def counted(lfp: EndMembers, model: SpectralModel, film: float, pixels: int = 4000) -> tuple[F32, F32]:
    """Transmission (ENERGY, PIXEL) under a film, and the thicknesses that a fit without one finds."""
    od = AMOUNTS_NM @ lfp.at(model.energy_ev) + film
    noisy = np.random.default_rng(1).poisson(COUNTS * np.exp(-od)[:, None], (len(od), pixels)) / COUNTS
    seen = noisy.astype(np.float32)
    context = FitContext(model.energy_ev, model.mean_od, model.slope)
    fitted = FITTERS["poisson"].load()(seen, model.effective_counts, model.design, FitOptions(), context)
    return seen, fitted.coefficients[:2]


@pytest.mark.parametrize("film", [0.0, 0.05, 0.2])
def test_a_film_is_found_with_the_noise_of_a_fit_that_has_it(lfp: EndMembers, film: float) -> None:
    model = model_of(lfp)
    beside = with_film(model)
    assert beside is not None
    found = unfitted_film(*counted(lfp, model, film), beside)
    covariance, variance = film_covariance(beside)
    # One step from a fit that is off by the film is off by a share of it that grows with it.
    assert found.mean() == pytest.approx(film, abs=0.003 + 0.1 * film)
    assert np.std(found) == pytest.approx(np.sqrt(variance), rel=0.15)
    assert covariance < 0.0


def test_what_the_film_adds_to_thickness_follows_from_it(lfp: EndMembers) -> None:
    model = model_of(lfp)
    beside = with_film(model)
    assert beside is not None
    seen, thickness = counted(lfp, model, 0.2)
    covariance, variance = film_covariance(beside)
    freed = thickness.sum(axis=0).mean() + covariance / variance * unfitted_film(seen, thickness, beside).mean()
    assert thickness.sum(axis=0).mean() > 1.2 * AMOUNTS_NM.sum()
    assert freed == pytest.approx(AMOUNTS_NM.sum(), rel=0.06)


def test_a_map_is_read_by_blocks_of_rows(lfp: EndMembers) -> None:
    model = model_of(lfp)
    beside = with_film(model)
    assert beside is not None
    seen, thickness = counted(lfp, model, 0.1, 400 * 120)
    seen[:, 7] = np.nan

    def read(rows: slice, chosen: Mask) -> PixelBlock:
        pixels = np.arange(400 * 120).reshape(400, 120)[rows].ravel()[chosen]
        nothing = np.zeros(pixels.size, np.float32)
        return PixelBlock(seen[:, pixels], thickness[:, pixels], nothing, nothing + 1)

    film = unfitted_film_map(read, (400, 120), model)
    assert film is not None
    np.testing.assert_allclose(film.ravel(), unfitted_film(seen, thickness, beside), rtol=1e-12)
    assert np.flatnonzero(np.isnan(film)).tolist() == [7]


def test_where_a_film_is_fitted_taken_off_or_not_to_be_told_there_is_no_map(lfp: EndMembers) -> None:
    for model in (
        model_of(lfp, background="constant"),
        model_of(lfp, pre_edge_below_ev=703.0),
        model_of(lfp, np.array([708.2, 710.2])),
    ):
        assert with_film(model) is None
        assert unfitted_film_map(lambda rows, chosen: pytest.fail("read"), (3, 4), model) is None  # type: ignore[arg-type,return-value]


def test_a_pixel_that_saw_hardly_a_photon_is_given_no_film_without_bound(lfp: EndMembers) -> None:
    """One such pixel decided where the threshold of all particles lies, and none was found but itself."""
    model = model_of(lfp, np.array([700.0, 708.2, 710.2]))
    beside = with_film(model)
    assert beside is not None
    dark = np.array([[0.03], [0.0], [0.0]], np.float32)
    film = unfitted_film(np.repeat(dark, 2, axis=1), np.array([[900.0, 60.0], [900.0, 40.0]]), beside)
    assert np.isfinite(film).all()
    assert (np.abs(film) <= MOST_OD).all()
