"""Pixels are set aside for the right reason, and what is left is not biased by the beam's width."""

import numpy as np
import pytest
from scipy import ndimage

from stxmdist.arrays import MaskClass
from stxmdist.spectra.checks.classes import (
    BY_CHANCE,
    classify,
    edge_zone,
    judged_by_particle,
    od_range,
    without_blurred,
)
from stxmdist.spectra.end_members.design_matrix import design_matrix
from stxmdist.spectra.end_members.references import EndMembers
from stxmdist.spectra.fitters.contract import FITTERS, FitOptions, state_of_charge

SHELL_BIAS = 0.02
PIXEL_NM = 15.0


def test_every_reason_and_its_precedence() -> None:
    jump = np.full((20, 20), 1.0)
    jump[:, :5] = 0.0
    nan = np.full((20, 20), np.nan)
    missing, outside, saturated = (np.zeros((20, 20), bool) for _ in range(3))
    chi2, se, od = np.ones((20, 20)), np.full((20, 20), 0.1), np.full((20, 20), 1.5)
    chi2[10, 10:14] = 9.0
    se[10, 11:14] = 2.0
    od[10, 12:14] = 7.0
    missing[10, 13] = True
    outside[12, 12] = missing[12, 12] = True
    saturated[13, 13] = True
    jump[14, 14] = np.nan
    result = classify(
        jump,
        thickness_nm=np.where(jump > 0.5, 100.0, 5.0),
        soc_se=se,
        od_max=od,
        chi2_reduced=chi2,
        missing=missing,
        outside=outside,
        saturated=saturated,
    )
    assert result.dtype == np.uint8
    assert result[10, 9:14].tolist() == [
        MaskClass.valid,
        MaskClass.poor_fit,
        MaskClass.low_count,
        MaskClass.thick,
        MaskClass.missing,
    ]
    assert result[12, 12] == MaskClass.outside
    assert result[13, 13] == MaskClass.saturated
    assert result[14, 14] == MaskClass.low_count
    assert np.all(result[:, 2] == MaskClass.background)
    assert np.all(classify(nan) == MaskClass.low_count)


def test_few_energies_make_no_poor_fits_of_noise() -> None:
    rng = np.random.default_rng(3)
    for freedom in (1, 2, 5, 40):
        chi2 = rng.chisquare(freedom, (400, 500)) / freedom
        found = classify(np.ones_like(chi2), chi2_reduced=chi2, degrees_of_freedom=freedom) == MaskClass.poor_fit
        assert found.mean() <= 2 * BY_CHANCE
        assert (classify(np.ones((1, 1)), chi2_reduced=np.full((1, 1), 30.0), degrees_of_freedom=freedom) != 0).all()


def test_blocks_give_what_the_whole_would() -> None:
    rng = np.random.default_rng(2)
    jump, se, chi2 = rng.normal(0.2, 0.2, (31, 17)), rng.gamma(1.0, 0.3, (31, 17)), rng.gamma(2.0, 1.0, (31, 17))
    whole = classify(jump, soc_se=se, chi2_reduced=chi2)
    parts = [classify(jump[r], soc_se=se[r], chi2_reduced=chi2[r]) for r in (slice(0, 7), slice(7, 8), slice(8, 31))]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert len(np.unique(whole)) == 4


def test_references_of_unknown_thickness_are_judged_by_their_jump() -> None:
    jump = np.zeros((20, 20))
    jump[5:15, 5:15] = 0.3
    assert np.all(classify(jump)[7:13, 7:13] == MaskClass.valid)
    assert np.all(classify(jump, thickness_nm=np.full((20, 20), 0.4))[7:13, 7:13] == MaskClass.background)


def test_the_edge_reaches_as_far_as_it_is_told() -> None:
    area = np.zeros((40, 50), bool)
    area[10:30, 5:45] = True
    # The centres of the three outermost lie 0.5, 1.5 and 2.5 pixels inside the boundary.
    zone = edge_zone(area, PIXEL_NM, 2.4 * PIXEL_NM)
    np.testing.assert_array_equal(zone, area & ~ndimage.binary_erosion(area, iterations=2))
    assert edge_zone(area, PIXEL_NM, 0.0).sum() == 0
    assert edge_zone(np.ones((5, 5), bool), PIXEL_NM, 100.0).sum() == 0


def test_the_range_of_optical_density_is_that_of_both_end_members() -> None:
    design = np.array([[0.1, 0.2], [0.9, 0.3], [0.4, 1.1], [0.2, 0.2]])
    thickness = np.array([[[1.0, 0.0, -0.1]], [[0.0, 2.0, 0.1]]])
    strongest, jump, steepest = od_range(design, thickness)
    assert steepest == 2
    np.testing.assert_allclose(strongest, [[0.4, 2.2, 0.07]])
    np.testing.assert_allclose(jump, [[0.3, 1.8, 0.06]])


@pytest.mark.parametrize("soc", [0.0, 1.0])
@pytest.mark.parametrize("thickness_nm", [100.0, 200.0])
def test_a_homogeneous_particle_has_no_core_and_shell_left(lfp: EndMembers, soc: float, thickness_nm: float) -> None:
    psf_nm, fine = 30.0, 3
    energy = np.array([703.0, 706.6, 708.2, 710.2, 713.0])
    rows, columns = np.mgrid[0 : 60 * fine, 0 : 80 * fine] / fine * PIXEL_NM
    inside = np.abs((rows - 450.0) / 225.0) ** 4 + np.abs((columns - 600.0) / 350.0) ** 4 < 1.0
    thickness = thickness_nm * np.array([1.0 - soc, soc])
    design = design_matrix(lfp, energy)
    planes = []
    for od in design @ thickness:
        blurred = ndimage.gaussian_filter(np.exp(-od * inside), psf_nm / PIXEL_NM * fine)
        planes.append(blurred.reshape(60, fine, 80, fine).mean(axis=(1, 3)))
    transmission = np.stack(planes).astype(np.float32)
    fit = FITTERS["poisson"].load()(
        transmission.reshape(5, -1), np.full(5, 1e4), design, FitOptions(bias_removed=False)
    )
    found = state_of_charge(fit.coefficients, fit.covariance)[0].reshape(60, 80)
    total = fit.coefficients.sum(axis=0).reshape(60, 80)
    area = total > 0.5 * thickness_nm
    edge = edge_zone(area, PIXEL_NM, 2.0 * psf_nm)
    bias = found - soc
    used = area & ~edge
    assert np.abs(bias[used]).max() < SHELL_BIAS
    # A third of the particle must survive, and what was set aside must have deserved it.
    assert used.sum() > 0.3 * inside.sum() / fine**2
    assert np.abs(bias[edge]).max() > 3.0 * SHELL_BIAS


def test_a_misfit_that_all_pixels_share_masks_none() -> None:
    chi2 = np.full((4, 4), 20.0)
    chi2[2, 2] = 200.0
    jump, misfit = np.ones((4, 4)), np.full((4, 4), 19.0)
    assert (classify(jump, chi2_reduced=chi2, degrees_of_freedom=30) == MaskClass.poor_fit).all()
    found = classify(jump, chi2_reduced=chi2, degrees_of_freedom=30, misfit_chi2=misfit)
    assert np.argwhere(found == MaskClass.poor_fit).tolist() == [[2, 2]]


def test_a_pixel_is_judged_by_its_particle_and_a_particle_never_vanishes() -> None:
    labels = np.zeros((12, 24), np.int32)
    labels[2:10, 2:10], labels[2:10, 14:22] = 1, 2
    chi2 = np.ones((12, 24))
    # The first particle is explained badly but alike everywhere, the second well but for one pixel.
    chi2[labels == 1] = 50.0
    chi2[5, 5], chi2[5, 17] = 400.0, 50.0
    before = np.where(chi2 > 3.0, MaskClass.poor_fit, MaskClass.valid).astype(np.uint8)
    before[4, 4], before[0, 0] = MaskClass.thick, MaskClass.poor_fit
    after = judged_by_particle(before, chi2, labels, np.ones(labels.shape, bool), 3.0, np.zeros(labels.shape))
    poor = np.argwhere((after == MaskClass.poor_fit) & (labels > 0)).tolist()
    assert poor == [[5, 5], [5, 17]]
    assert after[4, 4] == MaskClass.thick
    # What lies in no particle stays as the fit called it.
    assert after[0, 0] == MaskClass.poor_fit
    tolerated = judged_by_particle(before, chi2, labels, np.ones(labels.shape, bool), 3.0, np.full(labels.shape, 20.0))
    assert tolerated[5, 17] == MaskClass.valid


def test_what_blur_explains_is_an_edge_and_no_poor_fit() -> None:
    mask = np.array([[MaskClass.poor_fit, MaskClass.poor_fit, MaskClass.valid, MaskClass.background]], np.uint8)
    chi2 = np.array([[20.0, 20.0, 20.0, 20.0]])
    blurred = np.array([[9.0, 0.5, 0.0, 9.0]])
    wanted = [[MaskClass.edge, MaskClass.poor_fit, MaskClass.valid, MaskClass.background]]
    np.testing.assert_array_equal(without_blurred(mask, chi2, blurred, 3.0), wanted)
