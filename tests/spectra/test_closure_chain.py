"""From counts to state of charge: a simulated scan's interior pixels are as good as their photons allow."""

import numpy as np
import pytest
from scipy import ndimage

from stxmdist.simulation.phantom import Outline, Particle, Region
from stxmdist.simulation.sizes import StxmSetup
from stxmdist.simulation.stxm import StxmModel, draw_nuisance, scan_axes
from stxmdist.spectra.align.resample import resample, variance_factor
from stxmdist.spectra.align.shifts import estimate_shifts
from stxmdist.spectra.density.absorbance import (
    contrast_map,
    incident_counts,
    optical_density,
    particle_free,
    remove_leak,
)
from stxmdist.spectra.density.mean_spectrum import mean_absorption, mean_spectrum, sample_pixels
from stxmdist.spectra.end_members.design_matrix import design_matrix
from stxmdist.spectra.end_members.energy_shift import energy_shift
from stxmdist.spectra.end_members.references import EndMembers
from stxmdist.spectra.fitters.contract import FITTERS, state_of_charge

MOST_OVER_BOUND = 1.3
INSIDE_NM = 250.0  # beyond the rings of the zone plate, which bias what they reach
PLATES = ((-1.2, -1.1, 0.1, 0.9), (-1.0, 1.2, 0.85, 1.1), (1.2, -1.0, 0.5, 0.4), (1.1, 1.3, 0.3, 2.2))


def field() -> Region:
    """Four plates of one state of charge each."""
    particles = []
    for number, (y, x, soc, angle) in enumerate(PLATES, start=1):
        outline = Outline(y, x, 1.5, 1.2, angle, 4.0, 110.0)
        waves = np.zeros((1, 3))
        particles.append(Particle(number, outline, "core_shell", soc, soc, 0.0, 0.5, 0.1, 0.0, waves))
    return Region(tuple(particles))


@pytest.mark.parametrize("counts", [100.0, pytest.param(300.0, marks=pytest.mark.slow)])
def test_interior_pixels_reach_the_bound(lfp: EndMembers, counts: float, capsys: pytest.CaptureFixture[str]) -> None:
    setup = StxmSetup(n_px=101, counts=counts, oversample=2)
    rng = np.random.default_rng(9)
    y_um, x_um = scan_axes((0.0, 0.0), setup)
    region, energy = field(), np.array(setup.energy_ev)
    nuisance = draw_nuisance(setup, rng)
    light = StxmModel(region.thickness_nm, y_um, x_um, setup, nuisance)
    seen = np.stack([light.counts(k, rng) for k in range(energy.size)]).astype(np.float32)

    free = particle_free(contrast_map(seen))
    i0, i0_variance = incident_counts(seen, free)
    shifts = estimate_shifts(optical_density(seen, i0, i0_variance)[0])
    aligned = np.stack(
        [
            resample(remove_leak(frame / np.float32(n), setup.leak_fraction), shift)
            for frame, n, shift in zip(seen, i0, shifts.shift_px, strict=True)
        ]
    )
    effective = i0 / np.array([variance_factor(shift) for shift in shifts.shift_px])
    known = np.isfinite(aligned).all(axis=0)
    spectrum = mean_spectrum(aligned, sample_pixels(mean_absorption(aligned), known), effective, i0_variance / i0**2)
    shift = energy_shift(*spectrum, energy, lfp, energy_shift_sd_ev=0.2, largest_energy_shift_ev=0.6)
    design = design_matrix(lfp, energy, shift.shift_ev)
    fit = FITTERS["poisson"].load()(aligned.reshape(energy.size, -1), effective, design)
    soc, _ = state_of_charge(fit.coefficients, fit.covariance)

    # Frames lie where the reference frame lay, half a pixel at most from the labels: the interior allows for it.
    labels = region.labels(y_um, x_um)
    inside = known & (ndimage.distance_transform_edt(labels > 0) * setup.pixel_nm > INSIDE_NM)
    truth = np.array([0.0, *(plate[2] for plate in PLATES)])[labels]
    error = (soc.reshape(truth.shape) - truth)[inside]
    bounds = []
    for plate in PLATES:
        thickness = 110.0 * np.array([1.0 - plate[2], plate[2]])
        mean = nuisance.i0_counts * np.exp(-design @ thickness)
        gradient = np.array([-thickness[1], thickness[0]]) / 110.0**2
        bounds.append(gradient @ np.linalg.inv(design.T @ (mean[:, None] * design)) @ gradient)
    # Counts that are spread by resampling say more of a pixel, because they are its neighbours' too.
    bound = np.sqrt(np.mean(np.array(bounds)[labels[inside] - 1]))
    resampled = np.sqrt(np.mean(i0) / np.mean(effective))
    rms = float(np.sqrt(np.mean(error**2)))
    with capsys.disabled():
        print(
            f"\n  {counts:g} photons, {inside.sum()} interior pixels: rms error {rms:.4f}, bound {bound:.4f} "
            f"(ratio {rms / bound:.2f}; {rms / bound / resampled:.2f} to that after resampling), "
            f"energy off by {1e3 * (shift.shift_ev - nuisance.energy_offset_ev):+.0f} meV"
        )
    assert inside.sum() > 500
    assert rms < MOST_OVER_BOUND * bound * resampled
