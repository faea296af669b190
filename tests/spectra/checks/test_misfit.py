"""What the end-members leave over becomes an error that covers what it does to the state of charge."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from stxmdist.arrays import F64
from stxmdist.spectra.checks.misfit import expected_misfit_chi2, left_of_film, mean_misfit_od, misfit_error, own_error
from stxmdist.spectra.end_members.design_matrix import Background, design_matrix
from stxmdist.spectra.end_members.references import EndMembers

GRIDS = {
    "eight": np.array([700.0, 705.0, 706.6, 708.2, 709.2, 710.2, 712.6, 720.6]),
    "thirty": np.r_[np.arange(698.0, 705.0), np.arange(705.5, 714.0, 0.5), np.arange(715.0, 730.0, 2.0)],
}
OTHER_SD = 0.005
"""What unlike end-members add to every state of charge"""
DRAWS = 200
COVERED = {"film": 0.95, "width": 0.95, "third": 0.75}
"""Least share within two standard errors, per trouble; 95 % if all were known. A third spectrum may be any mixture of
the two and something else, of which only the latter shows
"""


def trouble(kind: str, rng: np.random.Generator, lfp: EndMembers, thickness: F64, energy_ev: F64) -> F64:
    """Optical density that neither end-member nor background has."""
    if kind == "film":
        step = 1.0 / (1.0 + np.exp(-(energy_ev - rng.uniform(700.0, 715.0)) / 1.5))
        return rng.uniform(0.03, 0.15) * (1.0 + rng.uniform(0.1, 0.5) * step)
    if kind == "width":
        fine = np.arange(lfp.energy_ev[0], lfp.energy_ev[-1], 0.05)
        wider = gaussian_filter1d(lfp.at(fine), rng.uniform(0.1, 0.5) / 0.05, axis=1, mode="nearest")
        return thickness @ (np.stack([np.interp(energy_ev, fine, mu) for mu in wider]) - lfp.at(energy_ev))
    centre, width = rng.uniform(706.5, 711.5), rng.uniform(0.4, 1.2)
    lines = np.exp(-0.5 * ((energy_ev - centre) / width) ** 2)
    lines += 0.3 * np.exp(-0.5 * ((energy_ev - centre - 13.2) / (1.3 * width)) ** 2)
    lines += 0.25 / (1.0 + np.exp(-(energy_ev - 708.0) / 0.5))
    return rng.uniform(0.03, 0.2) * 0.0135 * thickness.sum() * lines


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("kind", COVERED)
def test_the_error_covers_what_a_misfit_does(lfp: EndMembers, kind: str, grid: str) -> None:
    energy_ev, rng = GRIDS[grid], np.random.default_rng(5)
    background: Background = "constant" if kind == "film" else "none"
    design = design_matrix(lfp, energy_ev, background=background)
    inside = 0
    for _ in range(DRAWS):
        soc = rng.uniform(0.0, 1.0)
        thickness = rng.uniform(60.0, 150.0) * np.array([1.0 - soc, soc])
        od = thickness @ lfp.at(energy_ev) + trouble(kind, rng, lfp, thickness, energy_ev)
        root = np.sqrt(np.exp(-od))
        found = np.linalg.lstsq(design * root[:, None], od * root, rcond=None)[0]
        left = mean_misfit_od(od, design, np.ones(energy_ev.size))[0]
        np.testing.assert_allclose(left, od - design @ found, atol=1e-9)
        error = misfit_error(
            found[:2, None], left[None], np.zeros((1, energy_ev.size)), design, np.ones(energy_ev.size)
        )
        se = np.hypot(error.soc_sd[0], OTHER_SD)
        inside += abs(found[1] / found[:2].sum() - soc) < 2.0 * se
    assert inside / DRAWS >= COVERED[kind]


def test_noise_alone_is_no_misfit(lfp: EndMembers) -> None:
    energy_ev, sd_od = GRIDS["thirty"], 0.01
    design = design_matrix(lfp, energy_ev)
    thickness = np.full((2, 400), 50.0)
    noise = np.random.default_rng(1).normal(0.0, sd_od, (400, energy_ev.size))
    noise -= noise @ np.linalg.pinv(design).T @ design.T
    share = misfit_error(thickness, noise, np.full(noise.shape, sd_od**2), design).share
    whole = sd_od * np.sqrt(energy_ev.size) / np.linalg.norm(design @ [50.0, 50.0])
    assert np.median(share) < 0.5 * whole
    assert np.isnan(misfit_error(thickness[:, :1], np.full((1, 30), np.nan)[:, :2], np.zeros((1, 2)), design[:2]).share)


def test_expected_chi_square_is_that_of_pixels_with_the_stacks_misfit(lfp: EndMembers) -> None:
    energy_ev = GRIDS["thirty"]
    design, counts = design_matrix(lfp, energy_ev), np.full(energy_ev.size, 1e5)
    cathode = design @ [50.0, 50.0]
    bump = 0.02 * np.exp(-0.5 * ((energy_ev - 712.0) / 1.0) ** 2)
    left = mean_misfit_od(cathode + bump, design, counts)[0]
    strongest = np.array([0.0, 0.5, 1.0]) * cathode.max()
    found = expected_misfit_chi2(strongest, left, cathode, design, counts, 0.0)
    for share, value in zip((0.0, 0.5, 1.0), found, strict=True):
        light = counts * np.exp(-share * cathode)
        assert value == pytest.approx(share**2 * float(light @ left**2) / (energy_ev.size - 2), rel=0.03)
    assert (expected_misfit_chi2(strongest[1:], left, cathode, design, counts, 0.02) > found[1:]).all()
    assert not expected_misfit_chi2(strongest, left[:2], cathode[:2], design[:2], counts[:2], 0.02).any()


@pytest.mark.parametrize("share", [0.0, 0.012])
def test_what_single_images_do_to_a_particle_is_an_error_of_its_size(lfp: EndMembers, share: float) -> None:
    """Rows that jump change the area of a particle in each image by itself: so much of its optical density."""
    rng = np.random.default_rng(11)
    energy, n = GRIDS["eight"], 400
    thickness = np.stack([rng.uniform(20.0, 80.0, n), rng.uniform(20.0, 80.0, n)])
    design = design_matrix(lfp, energy, background="constant")
    noise = 0.002
    od = thickness.T @ design[:, :2].T
    measured = od * (1.0 + rng.normal(0.0, share, od.shape)) + rng.normal(0.0, noise, od.shape)
    inverse = np.linalg.pinv(design)
    found = measured @ inverse.T
    left = measured - found @ design.T
    total = found[:, :2].sum(axis=1)
    gradient = np.stack([-found[:, 1], found[:, 0], np.zeros(n)], axis=1) / total[:, None] ** 2
    response = gradient @ inverse
    error = found[:, 1] / total - thickness[1] / thickness.sum(axis=0)
    claimed = own_error(left, np.full(od.shape, noise**2), found[:, :2] @ design[:, :2].T, design, response, od)
    by_noise = noise * np.sqrt((response**2).sum(axis=1))
    pulls = error / np.hypot(claimed, by_noise)
    assert 0.8 < np.sqrt(np.mean(pulls**2)) < 1.25
    if share == 0.0:
        assert np.median(claimed) == 0.0
    blind = own_error(left[:, :3], np.ones((n, 3)), od[:, :3], design[:3], response[:, :3], od[:, :3])
    assert np.isnan(blind).all()


def test_what_a_fit_leaves_of_a_film_is_known_from_its_constant(lfp: EndMembers) -> None:
    """A constant is fitted to a film that falls with energy: what is left over of it is no jump of single images."""
    energy = GRIDS["eight"]
    design = design_matrix(lfp, energy, background="constant")
    film = 0.6 * (energy / energy.mean()) ** -2.8
    found = np.linalg.lstsq(design, np.array([40.0, 60.0, 0.0]) @ design.T + film, rcond=None)[0]
    left = film - design @ (found - np.array([40.0, 60.0, 0.0]))
    assert np.abs(left).max() > 1e-3
    # Carbon's own power is 2.8 here and 3 there, and the constant that is found is not all of the film.
    np.testing.assert_allclose(found[2] * left_of_film(design, energy), left, atol=0.3 * np.abs(left).max())
