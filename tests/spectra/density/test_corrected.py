"""Faults planted in one frame are undone one by one, and what each correction did to a scan is added up."""

from dataclasses import replace

import numpy as np
import pytest

from stxmdist.spectra.density.absorbance import optical_density
from stxmdist.spectra.density.corrected import (
    CorrectionTally,
    CountedFrame,
    corrected,
    density_of_frame,
    left_out_one_by_one,
    transmission_of,
)
from stxmdist.spectra.density.detector import DetectorOptions

SHAPE = (40, 48)
I0, DARK, LEAK = 1000.0, 50.0, 0.02
FREE = np.zeros(SHAPE, bool)
FREE[:, :20] = True
OFF = DetectorOptions(ring_current=False, glitches=False, spikes=False)
ROUNDING = 1e-6
"""Of float32"""


def counted(counts: np.ndarray, **about: object) -> CountedFrame:
    frame = CountedFrame(counts.astype(np.float32), (), dwell_ms=1.0, ring_factor=1.0, measured=True)
    return replace(frame, **about)  # type: ignore[arg-type]


def photons() -> np.ndarray:
    """Counts (Y, X) of an open beam beside a slab that transmits half of it."""
    return np.random.default_rng(5).poisson(np.where(FREE, I0, 0.5 * I0)).astype(np.float32)


def test_a_frame_without_faults_stays_as_it_is() -> None:
    found = corrected(counted(photons()), DetectorOptions(), FREE)
    np.testing.assert_array_equal(found.counts, photons())
    np.testing.assert_array_equal(found.variance, photons())
    assert (found.spikes, found.lines_scaled, found.lines_masked) == (0, 0, 0)


def test_each_fault_is_undone() -> None:
    spoiled = photons() + np.float32(DARK)
    spoiled[7:9] = 1.5 * photons()[7:9] + np.float32(DARK)
    spoiled[30] = DARK
    spoiled[20, 30] += 8 * I0
    frame = counted(1.25 * (spoiled - np.float32(DARK)) + DARK, ring_factor=1.25)
    found = corrected(frame, DetectorOptions(dark_counts=DARK), FREE)
    assert (found.spikes, found.lines_scaled, found.lines_masked) == (1, 2, 1)
    assert np.isnan(found.counts[20, 30])
    assert np.isnan(found.counts[30]).all()
    np.testing.assert_allclose(found.counts[:7], photons()[:7], rtol=ROUNDING)
    # A line that was scaled is as bright as its frame, to what its own free pixels say of it.
    level = photons()[7:9][:, FREE[0]].mean() / I0
    np.testing.assert_allclose(found.counts[7:9], photons()[7:9] / level, rtol=0.02)


def test_nothing_is_looked_for_in_a_frame_that_was_not_measured() -> None:
    frame = counted(np.full(SHAPE, np.nan), measured=False, dwell_ms=np.nan)
    found = corrected(frame, DetectorOptions(dead_time_us=1.0), FREE)
    assert np.isnan(found.counts).all()
    assert (found.spikes, found.lines_scaled, found.lines_masked) == (0, 0, 0)


def test_corrections_that_changed_nothing_are_not_left_out() -> None:
    frame = counted(photons())
    options = DetectorOptions()
    assert left_out_one_by_one(frame, corrected(frame, options, FREE), options, FREE) == {}


def test_what_is_left_out_is_one_correction_at_a_time() -> None:
    frame = counted(photons() + np.float32(DARK), ring_factor=1.25)
    options = DetectorOptions(dark_counts=DARK)
    without = left_out_one_by_one(frame, corrected(frame, options, FREE), options, FREE)
    assert set(without) == {"dark_counts", "ring_current"}
    np.testing.assert_allclose(without["dark_counts"], (photons() + DARK) / 1.25, rtol=ROUNDING)
    np.testing.assert_allclose(without["ring_current"], photons(), rtol=ROUNDING)


@pytest.mark.parametrize("leak", [0.0, LEAK])
def test_density_is_that_of_the_light_without_the_leak(leak: float) -> None:
    od = np.linspace(0.0, 2.0, 41)
    seen = I0 * (np.exp(-od) + leak) / (1.0 + leak)
    frame = corrected(counted(seen[None]), OFF)
    density, variance = density_of_frame(frame, I0, 4.0, leak)
    np.testing.assert_allclose(density[0], od, atol=1e-5)
    # The counts' own noise, stretched by the leak that is taken off, and the incident beam's.
    expected = seen * (1.0 + leak) ** 2 / (I0 * np.exp(-od)) ** 2 + 4.0 / I0**2
    np.testing.assert_allclose(variance[0], expected, rtol=1e-4)
    np.testing.assert_allclose(transmission_of(frame.counts, I0, leak)[0], np.exp(-od), atol=ROUNDING)


def test_density_of_a_frame_is_that_of_its_stack() -> None:
    frame = corrected(counted(photons()), OFF)
    whole = optical_density(frame.counts[None], np.array([I0]), np.array([9.0]))
    for one, all_of_them in zip(density_of_frame(frame, I0, 9.0), whole, strict=True):
        np.testing.assert_array_equal(one, all_of_them[0])


def test_a_tally_holds_the_mean_spectrum_with_and_without_each_correction() -> None:
    frame = counted(photons() + np.float32(DARK))
    options = DetectorOptions(dark_counts=DARK)
    found = corrected(frame, options, FREE)
    without = left_out_one_by_one(frame, found, options, FREE)
    of_field = CorrectionTally(3, ~FREE, LEAK, FREE)
    elsewhere = CorrectionTally(3, ~FREE, LEAK)
    for tally in (of_field, elsewhere):
        tally.add(1, found, I0, without)
        tally.add(2, found, float("nan"), without)
    seen = float(photons()[~FREE].mean()) / I0
    open_beam = float(photons()[FREE].mean()) + DARK
    assert np.isfinite(of_field.mean_od).tolist() == [False, True, False]
    assert of_field.mean_od[1] == pytest.approx(-np.log(seen * (1 + LEAK) - LEAK), rel=ROUNDING)
    assert set(of_field.mean_od_without) == {"dark_counts", "leak_fraction"}
    assert of_field.mean_od_without["leak_fraction"][1] == pytest.approx(-np.log(seen), rel=ROUNDING)
    dark = seen + DARK / I0
    for tally, i0 in ((of_field, open_beam), (elsewhere, I0)):
        expected = -np.log(dark * I0 / i0 * (1 + LEAK) - LEAK)
        assert tally.mean_od_without["dark_counts"][1] == pytest.approx(expected, rel=1e-5)


def test_a_tally_counts_pixels_and_lines() -> None:
    spoiled = photons()
    spoiled[20, 30] += 8 * I0
    spoiled[7] *= 1.5
    spoiled[0, 40:45] = 0.0
    tally = CorrectionTally(2, ~FREE, 0.0)
    for energy in range(2):
        tally.add(energy, corrected(counted(spoiled), DetectorOptions(), FREE), I0, {})
    assert (tally.spikes, tally.lines_scaled, tally.lines_masked, tally.pixels_without_counts) == (2, 2, 0, 10)
