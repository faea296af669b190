"""A film between particles shows at any number of photons, and nothing else that a clean field has looks like one."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import ndimage

from stxmdist.arrays import F64
from stxmdist.spectra.end_members.references import EndMembers
from stxmdist.spectra.fitting.film_scatter import FilmScatter, film_scatter

FEW_EV = (700.0, 708.2, 710.2)
TEN_EV = (700.0, 704.0, 706.6, 707.6, 708.2, 709.2, 710.2, 711.4, 714.0, 722.0)
ENERGIES = pytest.mark.parametrize("energies", [FEW_EV, TEN_EV])
PHOTONS = pytest.mark.parametrize("photons", [30.0, 100.0, 3000.0])
SEEDS = range(91000, 91005)
SHAPE = (120, 130)
THICKNESS_NM = 120.0
FILM_OD = 0.25
BLUR_PX = 1.2
Disturbed = Callable[[F64, np.random.Generator], F64]


def plates(rng: np.random.Generator) -> F64:
    """Thickness (Y, X) of discs over a fifth of a field."""
    y, x = np.indices(SHAPE)
    inside = np.zeros(SHAPE, bool)
    for _ in range(14):
        centre = rng.uniform(0.0, SHAPE)
        inside |= np.hypot(y - centre[0], x - centre[1]) < rng.uniform(4.0, 10.0)
    return np.where(inside, THICKNESS_NM, 0.0)


def patches(rng: np.random.Generator) -> F64:
    """Optical density (Y, X) of a film over half the field, smooth over some ten pixels."""
    rough = ndimage.gaussian_filter(rng.normal(size=SHAPE), 8.0)
    rank = rough.ravel().argsort().argsort().reshape(SHAPE) / rough.size
    return np.asarray(FILM_OD * np.clip(2.0 * rank - 1.0, 0.0, 1.0))


def scatter(
    lfp: EndMembers,
    energies: tuple[float, ...],
    photons: float,
    seed: int,
    film: bool = False,
    disturbed: Disturbed = lambda light, rng: light,
) -> FilmScatter | None:
    rng = np.random.default_rng(seed)
    energy_ev = np.array(energies)
    mu = lfp.at(energy_ev)
    soc = rng.uniform(0.1, 0.9)
    thickness, other = plates(rng), patches(rng)
    per_nm = (1.0 - soc) * mu[0] + soc * mu[1]
    od = per_nm[:, None, None] * thickness + (other if film else 0.0) * (energy_ev[:, None, None] / 700.0) ** -2.8
    light = np.stack([ndimage.gaussian_filter(np.exp(-one), BLUR_PX) for one in od])
    seen = rng.poisson(photons * disturbed(light, rng)) / photons
    counts = np.full(len(energies), photons)
    return film_scatter(seen.astype(np.float32), counts, mu.T, THICKNESS_NM * per_nm)


@ENERGIES
@PHOTONS
def test_patches_of_film_show(lfp: EndMembers, energies: tuple[float, ...], photons: float) -> None:
    for seed in SEEDS:
        found = scatter(lfp, energies, photons, seed, film=True)
        assert found is not None
        assert found.shows
        # Half the field has none and the other half 0 to .25: a standard deviation of .08.
        assert 0.04 < found.od < 0.12


def drifting(light: F64, rng: np.random.Generator) -> F64:
    """The incident beam of each frame, 5 % off, and falling by 2 % over the frame."""
    rows = np.linspace(-0.5, 0.5, light.shape[1])[:, None]
    return np.asarray(light * np.exp(rng.normal(0.0, 0.05, (len(light), 1, 1)) + 0.02 * rows))


def moving(light: F64, rng: np.random.Generator) -> F64:
    """Frames up to a pixel and more off each other."""
    return np.stack([ndimage.shift(one, rng.normal(0.0, 0.7, 2), order=1, mode="nearest") for one in light])


def lit_from_beside(light: F64, rng: np.random.Generator) -> F64:
    """Tails of the point spread function over 15 pixels with .08 of the light."""
    return np.stack([0.92 * one + 0.08 * ndimage.uniform_filter(one, 31) for one in light])


def dusty(light: F64, rng: np.random.Generator) -> F64:
    """A grain of dust of 8 by 8 pixels that lets a third through."""
    light[:, 20:28, 40:48] *= 0.33
    return light


@ENERGIES
@PHOTONS
@pytest.mark.parametrize("disturbed", [None, drifting, moving, lit_from_beside, dusty])
def test_a_clean_field_shows_none(
    lfp: EndMembers, energies: tuple[float, ...], photons: float, disturbed: Disturbed | None
) -> None:
    for seed in SEEDS:
        found = scatter(lfp, energies, photons, seed, disturbed=disturbed or (lambda light, rng: light))
        assert found is not None
        assert not found.shows, found


def test_two_energies_do_not_part_a_film_from_plates(lfp: EndMembers) -> None:
    assert scatter(lfp, FEW_EV[1:], 1000.0, 1, film=True) is None


def test_a_field_full_of_particles_tells_nothing(lfp: EndMembers) -> None:
    mu = lfp.at(np.array(FEW_EV))
    full = np.exp(-60.0 * mu.sum(axis=0))[:, None, None] * np.ones((3, 40, 40))
    assert film_scatter(full.astype(np.float32), np.full(3, 1e3), mu.T, 60.0 * mu.sum(axis=0)) is None
