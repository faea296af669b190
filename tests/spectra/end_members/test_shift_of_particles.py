"""Particles tell the energy scale together: mixed thicknesses do not bias it, and some odd ones do not move it."""

from dataclasses import dataclass

import numpy as np
import pytest

from stxmdist.arrays import F64
from stxmdist.spectra.end_members.energy_shift import EnergyShift, energy_shift
from stxmdist.spectra.end_members.mean_errors import AROUND_PARTICLES, SHARP
from stxmdist.spectra.end_members.references import EndMembers
from stxmdist.spectra.end_members.shift_of_particles import ParticleSpectra, blurred

GRIDS = {
    6: np.array([700.0, 706.6, 708.2, 709.3, 710.2, 715.0]),
    10: np.array([700.0, 705.0, 707.2, 708.2, 709.2, 710.2, 711.6, 714.4, 718.0, 724.0]),
    35: np.linspace(700.0, 735.0, 35),
}
SHIFT_EV = 0.12
OFF_EV = 0.01
"""Of what is left of a bias: .003 to .004 of state of charge"""
NOISE_OD = 0.004


@dataclass(frozen=True)
class Field:
    """Particles of one field."""

    thickness_nm: tuple[float, float] = (80.0, 160.0)
    light: float = 0.0
    """Passes beside each of them, within a third of this"""
    odd: int = 0
    """Of thirty, whose white lines lie elsewhere"""


def planted(members: EndMembers, energy: F64, field: Field, rng: np.random.Generator) -> ParticleSpectra:
    total, soc = rng.uniform(*field.thickness_nm, 30), rng.uniform(0.0, 1.0, 30)
    shifts = np.full(30, SHIFT_EV)
    shifts[: field.odd] += 0.35
    od = np.stack([
        thick * (members.at(energy, shift).T @ np.array([1.0 - one, one]))
        for thick, one, shift in zip(total, soc, shifts, strict=True)
    ])  # fmt: skip
    light = field.light * rng.uniform(0.67, 1.33, (30, 1))
    od = -np.log(np.exp(-od) * (1.0 - light) + light)
    od += rng.normal(0.0, NOISE_OD, od.shape)
    return ParticleSpectra(od, np.full(od.shape, NOISE_OD**2), np.zeros(len(energy)))


def found(members: EndMembers, energies: int, field: Field, seed: int, *, single: bool = True) -> EnergyShift:
    energy = GRIDS[energies]
    spectra = planted(members, energy, field, np.random.default_rng([seed, energies]))
    mean, variance = spectra.od.mean(axis=0), spectra.variance.mean(axis=0) / 30.0
    return energy_shift(
        mean,
        variance,
        energy,
        members,
        particles=spectra if single else None,
        largest_energy_shift_ev=0.6,
        energy_shift_sd_ev=0.2,
        light=AROUND_PARTICLES if field.light else SHARP,
    )


@pytest.mark.parametrize("energies", list(GRIDS))
def test_thin_and_thick_plates_in_one_field_do_not_bias_the_scale(
    lfp: EndMembers, energies: int, capsys: pytest.CaptureFixture[str]
) -> None:
    field = Field((60.0, 400.0), light=0.045)
    errors = {
        name: np.array([found(lfp, energies, field, seed, single=single).shift_ev - SHIFT_EV for seed in range(6)])
        for name, single in (("single", True), ("their mean", False))
    }
    with capsys.disabled():
        said = ", ".join(f"{1e3 * one.mean():+.1f} meV from {name}" for name, one in errors.items())
        print(f"\n  {energies} energies, plates of 60 to 400 nm: {said}")
    assert abs(errors["single"].mean()) < OFF_EV
    assert abs(errors["single"].mean()) < abs(errors["their mean"].mean())


@pytest.mark.parametrize("energies", list(GRIDS))
def test_some_odd_particles_do_not_move_the_rest(lfp: EndMembers, energies: int) -> None:
    alone = np.array([found(lfp, energies, Field(), seed).shift_ev for seed in range(4)])
    among = np.array([found(lfp, energies, Field(odd=4), seed).shift_ev for seed in range(4)])
    mean = np.array([found(lfp, energies, Field(odd=4), seed, single=False).shift_ev for seed in range(4)])
    assert np.abs(alone - SHIFT_EV).max() < 2.0 * OFF_EV
    assert np.abs(among - alone).max() < OFF_EV
    # The mean spectrum follows them: by their share.
    assert (mean - alone).mean() > 2.0 * OFF_EV


def test_where_particles_disagree_the_error_says_so(lfp: EndMembers) -> None:
    agreed = found(lfp, 6, Field(), 1)
    torn = found(lfp, 6, Field(odd=14), 1)
    assert torn.se_ev > 2.0 * agreed.se_ev or abs(torn.shift_ev - SHIFT_EV) < OFF_EV


@pytest.mark.parametrize("energies", list(GRIDS))
def test_the_error_covers_and_does_not_depend_on_the_order_of_particles(lfp: EndMembers, energies: int) -> None:
    pulls = []
    for seed in range(12):
        one = found(lfp, energies, Field(), seed)
        pulls.append((one.shift_ev - SHIFT_EV) / one.se_ev)
    assert np.sqrt(np.mean(np.square(pulls))) < 1.3
    energy = GRIDS[energies]
    spectra = planted(lfp, energy, Field(), np.random.default_rng(0))
    turned = ParticleSpectra(spectra.od[::-1], spectra.variance[::-1], spectra.shared_variance)
    results = [
        energy_shift(spectra.od.mean(axis=0), spectra.variance[0], energy, lfp, particles=one)
        for one in (spectra, turned)
    ]
    assert results[0].shift_ev == pytest.approx(results[1].shift_ev, abs=1e-9)


def test_particles_that_are_not_known_everywhere_or_too_few_leave_it_to_the_mean(lfp: EndMembers) -> None:
    energy = GRIDS[10]
    spectra = planted(lfp, energy, Field(), np.random.default_rng(5))
    mean, variance = spectra.od.mean(axis=0), np.full(energy.size, 1e-6)
    gaps = np.where(np.arange(30)[:, None] < 28, np.nan, spectra.od)
    few = ParticleSpectra(gaps, spectra.variance, spectra.shared_variance)
    by_mean = energy_shift(mean, variance, energy, lfp)
    assert energy_shift(mean, variance, energy, lfp, particles=few).shift_ev == by_mean.shift_ev


def test_blurring_widens_a_likelihood_in_quadrature() -> None:
    x = np.arange(-400, 401)
    wide = blurred((x / 30.0) ** 2, 40.0)
    weight = np.exp(-0.5 * (wide - wide.min()))
    weight /= weight.sum()
    assert np.sqrt(weight @ x.astype(float) ** 2) == pytest.approx(50.0, rel=1e-3)
