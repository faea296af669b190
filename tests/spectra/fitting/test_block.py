"""A block of pixels from transmission to classes, and the measures of a stack from those of its blocks."""

from dataclasses import replace

import numpy as np
import pytest

from stxmdist.arrays import F32, F64, MaskClass
from stxmdist.errors import InputError
from stxmdist.measures import FitMeasures
from stxmdist.spectra.checks.classes import ClassOptions
from stxmdist.spectra.end_members.dispersion import phase_per_nm
from stxmdist.spectra.end_members.references import EndMembers
from stxmdist.spectra.fitters.contract import FITTERS
from stxmdist.spectra.fitting.block import (
    FittedBlock,
    StackBlock,
    fit_block,
    has_fewer_counts,
    merged_measures,
)
from stxmdist.spectra.fitting.model import ModelOptions, SpectralModel, StackSummary, model_of_stack

ENERGY_EV = np.linspace(700.0, 735.0, 35)
COUNTS = 2000.0
SHAPE = (7, 11)
SIGMAS = 6.0
"""None of some dozens of numbers lies farther from the truth than so many of its standard errors."""


@pytest.fixture(scope="module")
def amounts() -> F64:
    """(COMPONENT, Y, X) nm: particles, and nothing in the last rows."""
    total = np.full(SHAPE, 100.0)
    total[5:] = 0.0
    soc = np.linspace(0.1, 0.9, SHAPE[1])
    return np.stack([total * (1.0 - soc), total * soc])


@pytest.fixture(scope="module")
def transmission(amounts: F64, lfp: EndMembers) -> F32:
    mean = np.exp(-np.tensordot(lfp.at(ENERGY_EV).T, amounts, axes=1))
    return (np.random.default_rng(3).poisson(COUNTS * mean) / COUNTS).astype(np.float32)


def model_with(lfp: EndMembers, options: ModelOptions | None = None, used: int = 35) -> SpectralModel:
    n = len(ENERGY_EV)
    measured = np.zeros(n, np.uint8)
    measured[:used] = 1
    stack = StackSummary(ENERGY_EV, np.full(n, 0.5), np.full(n, 1e-4), np.full(n, COUNTS), measured)
    return model_of_stack("one", stack, lfp, options or ModelOptions(background="none", fit_energy_shift=False))


def block_of(transmission: F32) -> StackBlock:
    return StackBlock(transmission, np.full(SHAPE, MaskClass.valid, np.uint8))


def test_particles_have_a_state_of_charge_and_what_is_beside_them_has_none(
    transmission: F32, amounts: F64, lfp: EndMembers
) -> None:
    found = fit_block(block_of(transmission), model_with(lfp), "poisson")
    assert (found.mask_class[:5] == MaskClass.valid).all()
    assert (found.mask_class[5:] == MaskClass.background).all()
    soc = amounts[1, :5] / amounts[:, :5].sum(axis=0)
    assert (np.abs(found.soc[:5] - soc) < SIGMAS * found.soc_se[:5]).all()
    assert np.isnan(found.soc[5:]).all()
    assert np.isnan(found.soc_se[5:]).all()
    assert np.isfinite(found.thickness).all()
    assert found.thickness.shape == (2, *SHAPE)
    assert found.covariance.shape == (3, *SHAPE)
    assert (found.background == 0.0).all()
    assert {values.dtype.name for values in images(found)} == {"float32", "uint8"}
    measures = found.measures
    assert measures.pixels == {"valid": 55, "background": 22}
    assert measures.pixels_valid == 55
    assert measures.energies_used == 35
    assert measures.chi2_reduced == pytest.approx(1.0, abs=0.15)
    assert measures.residual is not None
    assert measures.residual_se is not None
    assert (np.abs(measures.residual) < SIGMAS * measures.residual_se).all()


def images(found: FittedBlock) -> list[F32]:
    named = ("thickness", "covariance", "background", "soc", "soc_se", "chi2_reduced", "mask_class")
    return [getattr(found, name) for name in named] + list(found.maps.values())


@pytest.mark.parametrize("name", FITTERS)
def test_every_fitter_leaves_the_maps_that_its_line_of_the_table_names(
    transmission: F32, amounts: F64, lfp: EndMembers, name: str
) -> None:
    phase = np.tensordot(phase_per_nm(lfp, ENERGY_EV).T, amounts, axes=1).astype(np.float32)
    block = block_of(transmission)
    if FITTERS[name].wants_phase:
        with pytest.raises(InputError, match="no phase"):
            fit_block(block, model_with(lfp), name)
        block = replace(block, phase=phase)
    found = fit_block(block, model_with(lfp), name)
    assert tuple(found.maps) == tuple(one.name for one in FITTERS[name].maps)
    assert all(values.shape == SHAPE and values.dtype == np.float32 for values in found.maps.values())
    assert np.isfinite(found.soc[found.mask_class == MaskClass.valid]).all()


def test_a_dark_energy_is_a_count_for_some_and_no_logarithm_for_others(transmission: F32, lfp: EndMembers) -> None:
    spoiled = transmission.copy()
    spoiled[3, 0, 0] = 0.0
    spoiled[4, 1, 1] = -60.0 / COUNTS
    model = model_with(lfp)
    by_counts = fit_block(block_of(spoiled), model, "poisson").mask_class
    assert by_counts[0, 0] in (MaskClass.valid, MaskClass.poor_fit)
    assert by_counts[1, 1] == MaskClass.low_count
    by_logarithms = fit_block(block_of(spoiled), model, "least_squares").mask_class
    assert by_logarithms[0, 0] == by_logarithms[1, 1] == MaskClass.low_count


def test_what_was_not_measured_stays_so(transmission: F32, lfp: EndMembers) -> None:
    aligned = np.full(SHAPE, MaskClass.valid, np.uint8)
    aligned[0], aligned[1] = MaskClass.missing, MaskClass.outside
    found = fit_block(StackBlock(transmission, aligned), model_with(lfp), "poisson")
    assert (found.mask_class[0] == MaskClass.missing).all()
    assert (found.mask_class[1] == MaskClass.outside).all()
    assert np.isnan(found.soc[:2]).all()


def test_a_film_costs_light_and_leaves_the_state_of_charge(transmission: F32, lfp: EndMembers) -> None:
    model = model_with(lfp, ModelOptions(background="none", fit_energy_shift=False, pre_edge_below_ev=704.0))
    film = np.float32(0.25)
    bare = fit_block(block_of(transmission), model, "poisson")
    covered = fit_block(block_of(transmission * film), model, "poisson")
    np.testing.assert_allclose(covered.soc[:5], bare.soc[:5], atol=1e-4)
    # A quarter of the light: error bars twice as long.
    np.testing.assert_allclose(covered.soc_se[:5], 2.0 * bare.soc_se[:5], rtol=1e-4)


def test_limits_of_classes_and_energies_that_are_not_used_are_obeyed(transmission: F32, lfp: EndMembers) -> None:
    found = fit_block(block_of(transmission), model_with(lfp, used=30), "poisson", classes=ClassOptions(most_od=0.1))
    assert (found.mask_class[:5] == MaskClass.thick).all()
    assert found.measures.energies_used == 30
    assert found.measures.chi2_reduced is None
    assert found.measures.r_factor is None


def test_any_threads_and_blocks_give_the_same_bits(transmission: F32, lfp: EndMembers) -> None:
    model = model_with(lfp)
    whole = fit_block(block_of(transmission), model, "poisson", threads=2)
    aligned = np.full(SHAPE, MaskClass.valid, np.uint8)
    parts = [
        fit_block(StackBlock(transmission[:, rows], aligned[rows]), model, "poisson")
        for rows in (slice(3), slice(3, None))
    ]
    for one, *others in zip(images(whole), *(images(part) for part in parts), strict=True):
        np.testing.assert_array_equal(one, np.concatenate(others, axis=-2))
    merged = merged_measures([part.measures for part in parts])
    assert merged.pixels == whole.measures.pixels
    assert merged.pixels_valid == whole.measures.pixels_valid
    assert merged.residual is not None
    np.testing.assert_allclose(merged.residual, whole.measures.residual, atol=1e-9)


def test_blocks_are_weighted_by_their_valid_pixels_and_those_without_do_not_count(
    transmission: F32, lfp: EndMembers
) -> None:
    measured = fit_block(block_of(transmission), model_with(lfp), "poisson").measures
    n = measured.energies_used

    def block(pixels: int, value: float | None) -> FitMeasures:
        residual = np.full(n, np.nan if value is None else value)
        counts = {"valid": pixels, "background": 1}
        return replace(
            measured, pixels_valid=pixels, pixels=counts, chi2_reduced=value, r_factor=value, residual=residual
        )

    merged = merged_measures([block(0, None), block(1, 1.0), block(3, 2.0)])
    assert merged.pixels == {"valid": 4, "background": 3}
    assert merged.pixels_valid == 4
    assert merged.chi2_reduced == merged.r_factor == pytest.approx(1.75)
    assert merged.residual is not None
    np.testing.assert_allclose(merged.residual, 1.75)
    nothing = merged_measures([block(0, None), block(0, None)])
    assert nothing.chi2_reduced is nothing.r_factor is nothing.residual is None


def test_a_pixel_is_dark_where_any_image_of_it_is() -> None:
    transmission = np.array([[0.5, 0.001, 0.5], [0.5, 0.5, np.nan]], np.float32)
    np.testing.assert_array_equal(has_fewer_counts(transmission, np.array([100.0, 10.0]), 0.5), [False, True, False])
