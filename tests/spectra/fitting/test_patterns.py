"""Pixels that lack energies are fitted with those that they have, and leave all others as they are."""

from dataclasses import replace

import numpy as np
import pytest

from stxmdist.arrays import F32, U8, MaskClass
from stxmdist.spectra.end_members.references import EndMembers
from stxmdist.spectra.fitting.block import StackBlock, fit_block
from stxmdist.spectra.fitting.model import ModelOptions, SpectralModel, StackSummary, model_of_stack
from stxmdist.spectra.fitting.patterns import model_at, patterns

ENERGY_EV = np.array([700.0, 705.0, 706.6, 708.2, 709.2, 710.2, 712.6, 720.6])
SHAPE = (12, 14)
PHOTONS = 2000.0
HALF = np.s_[5, 6:]
"""The sixth image was measured to its middle"""
SPIKE = (2, 3, 4)
DEAD = np.s_[:, :, 9]
"""Known at no energy"""


def model(lfp: EndMembers, **options: object) -> SpectralModel:
    n = ENERGY_EV.size
    mean = lfp.at(ENERGY_EV).sum(axis=0) * 50.0
    summary = StackSummary(ENERGY_EV, mean, np.full(n, 1e-6), np.full(n, PHOTONS), np.ones(n, np.uint8))
    return model_of_stack("a", summary, lfp, ModelOptions(fit_energy_shift=False, **options))  # type: ignore[arg-type]


def whole(lfp: EndMembers, film: float = 0.0) -> F32:
    """Transmission (ENERGY, Y, X) of 100 nm of a state of charge that rises from left to right."""
    soc = np.linspace(0.1, 0.9, SHAPE[1]) * np.ones(SHAPE)
    od = np.tensordot(lfp.at(ENERGY_EV).T, 100.0 * np.stack([1.0 - soc, soc]), axes=1) + film
    return (np.random.default_rng(1).poisson(PHOTONS * np.exp(-od)) / PHOTONS).astype(np.float32)


def with_gaps(stack: F32) -> F32:
    stack = stack.copy()
    stack[HALF] = np.nan
    stack[SPIKE] = np.nan
    stack[DEAD] = np.nan
    return stack


def classes(stack: F32) -> U8:
    found = np.where(np.isfinite(stack).any(axis=0), MaskClass.valid, MaskClass.missing).astype(np.uint8)
    found[0, 0] = MaskClass.outside
    return found


CASES = [
    ("poisson", {}),
    ("nnls", {}),
    ("poisson", {"background": "constant"}),
    ("least_squares", {"pre_edge_below_ev": 706.0}),
    ("fill_factor", {}),
]


@pytest.mark.parametrize(("fitter", "options"), CASES)
def test_others_stay_as_they_are_and_these_are_fitted_with_what_they_have(
    lfp: EndMembers, fitter: str, options: dict[str, object]
) -> None:
    stack, of = whole(lfp, 0.1 if options else 0.0), model(lfp, **options)
    gaps = with_gaps(stack)
    before = fit_block(StackBlock(stack, classes(stack)), of, fitter)
    after = fit_block(StackBlock(gaps, classes(gaps)), of, fitter)
    untouched = np.isfinite(gaps).all(axis=0)
    for name in ("thickness", "covariance", "soc", "soc_se", "chi2_reduced", "background", "mask_class"):
        ours, theirs = getattr(after, name), getattr(before, name)
        np.testing.assert_array_equal(ours[..., untouched], theirs[..., untouched], err_msg=name)
    assert (after.mask_class[:, 9] == MaskClass.missing).all()
    assert np.isnan(after.soc[:, 9]).all()
    # The lower half is what a fit of the stack without that energy gives.
    seven = np.arange(8) != 5
    alone = fit_block(
        StackBlock(stack[seven], classes(stack)), replace(model_at(of, seven), used=np.ones(7, bool)), fitter
    )
    lower = np.zeros(SHAPE, bool)
    lower[6:] = True
    lower[:, 9] = False
    np.testing.assert_array_equal(after.soc[lower], alone.soc[lower])
    np.testing.assert_array_equal(after.mask_class[lower], alone.mask_class[lower])
    assert np.isfinite(after.soc[SPIKE[1:]])
    # One energy less says less, and the error shows it.
    assert (after.soc_se[lower] > before.soc_se[lower]).mean() > 0.9
    assert after.measures.pixels["missing"] == SHAPE[0]
    assert after.measures.pixels_valid == before.measures.pixels_valid - SHAPE[0]


def test_too_few_energies_are_none(lfp: EndMembers) -> None:
    stack = whole(lfp)
    stack[1:, 2, 5] = np.nan  # one energy for two end-members
    stack[2:, 3, 5] = np.nan  # two, before the edge, where both absorb alike
    after = fit_block(StackBlock(stack, np.zeros(SHAPE, np.uint8)), model(lfp), "poisson")
    assert after.mask_class[2, 5] == MaskClass.missing
    assert np.isnan(after.soc[2, 5])
    assert after.mask_class[3, 5] != MaskClass.valid
    assert (after.mask_class == MaskClass.valid).sum() == stack[0].size - 2


def test_a_fitter_of_two_energies_needs_these_two(lfp: EndMembers) -> None:
    gaps = with_gaps(whole(lfp))
    after = fit_block(StackBlock(gaps, classes(gaps)), model(lfp), "two_energy")
    # It looks at 708.2 and 710.2 eV: the spike at 706.6 is not its concern, the half frame at 710.2 is.
    assert np.isfinite(after.soc[SPIKE[1:]])
    assert (after.mask_class[6:] == MaskClass.missing).all()


def test_patterns_hold_every_pixel_once() -> None:
    stack = np.random.default_rng(2).random((5, 300)).astype(np.float32)
    stack[np.random.default_rng(3).random(stack.shape) < 0.3] = np.nan
    seen = []
    for known, pixels in patterns(stack):
        assert (np.isfinite(stack[:, pixels]) == known[:, None]).all()
        seen += pixels.tolist()
    assert sorted(seen) == list(range(300))
