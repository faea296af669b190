"""The incident beam comes from the field, a spectrum or an empty field, and one that cannot be it is refused."""

from dataclasses import replace

import numpy as np
import pytest

from stxmdist.errors import InputError
from stxmdist.spectra.density.absorbance import AbsorbanceOptions
from stxmdist.spectra.density.incident_beam import (
    Exposure,
    IncidentBeam,
    beam_of_empty_field,
    beam_of_field,
    beam_of_spectrum,
    free_pixels,
    refuse_faint_beam,
    relative_ring_current,
)

ENERGY_EV = np.array([700.0, 708.0, 710.0, 720.0])
BEAM = np.array([900.0, 1000.0, 1100.0, 1000.0])
SHAPE = (60, 64)
SIGMAS = 4.5
"""Of four energies, a deviation by so many standard errors does not occur by chance"""
WHERE = "absorbance of scan"


def exposure(dwell_ms: float = 2.0, ring_ma: float = 400.0) -> Exposure:
    return Exposure(ENERGY_EV, np.full(4, dwell_ms), np.full(4, ring_ma))


def empty_field(factor: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(3)
    return rng.poisson(factor * BEAM[:, None, None], (4, *SHAPE)).astype(np.float32)


def field() -> np.ndarray:
    """Counts (ENERGY, Y, X) of a field with a plate in it."""
    od = np.zeros(SHAPE)
    od[20:40, 22:44] = 1.0
    rng = np.random.default_rng(4)
    return rng.poisson(BEAM[:, None, None] * np.exp(-od)).astype(np.float32)


def test_free_pixels_lie_beside_the_plate_and_its_inside_is_the_sample() -> None:
    found = free_pixels(list(field()), AbsorbanceOptions(), None, needed=True, where=WHERE)
    assert found.free[:15].mean() > 0.9
    assert not found.free[20:40, 22:44].any()
    assert found.sample.any()
    assert not found.sample[:18].any()


def test_a_region_is_taken_as_it_is_and_must_lie_in_the_image() -> None:
    found = free_pixels(list(field()), AbsorbanceOptions(), [2, 9, 3, 30], needed=True, where=WHERE)
    expected = np.zeros(SHAPE, bool)
    expected[2:9, 3:30] = True
    np.testing.assert_array_equal(found.free, expected)
    with pytest.raises(InputError, match="reaches outside the image") as refused:
        free_pixels(list(field()), AbsorbanceOptions(), [2, 61, 3, 30], needed=True, where=WHERE)
    assert refused.value.where == f"{WHERE}, option region"


def test_a_field_without_free_pixels_is_accepted_where_none_is_needed() -> None:
    strict = AbsorbanceOptions(least_free_px=10_000)
    found = free_pixels(list(field()), strict, None, needed=False, where=WHERE)
    assert not found.free.any()
    assert found.contrast is not None
    with pytest.raises(InputError, match="no particle-free pixels") as refused:
        free_pixels(list(field()), strict, None, needed=True, where=WHERE)
    assert refused.value.where == WHERE
    dark = free_pixels([np.zeros(SHAPE, np.float32)] * 2, strict, None, needed=False, where=WHERE)
    assert dark.contrast is None
    assert dark.sample.all()


def test_the_beam_of_a_field_is_that_of_its_free_pixels() -> None:
    beam = beam_of_field(list(empty_field()), np.ones(SHAPE, bool))
    assert (np.abs(beam.counts - BEAM) < SIGMAS * np.sqrt(beam.variance)).all()
    assert beam.relative_se == pytest.approx(float(np.median(1 / np.sqrt(BEAM * 60 * 64))), rel=0.05)


def test_the_relative_error_passes_over_energies_without_a_beam() -> None:
    beam = IncidentBeam(np.array([100.0, np.nan, 0.0, 400.0]), np.array([1.0, np.nan, 0.0, 16.0]))
    assert beam.relative_se == pytest.approx(0.01)


def test_a_spectrum_is_interpolated_and_must_span_the_scan() -> None:
    beam = beam_of_spectrum(ENERGY_EV, np.array([700.0, 720.0]), np.array([100.0, 300.0]), "i0.txt")
    np.testing.assert_allclose(beam.counts, 100.0 + 10.0 * (ENERGY_EV - 700.0))
    np.testing.assert_array_equal(beam.variance, beam.counts)
    with pytest.raises(InputError, match="does not span the scan") as refused:
        beam_of_spectrum(ENERGY_EV, np.array([701.0, 720.0]), np.array([100.0, 300.0]), "i0.txt")
    assert refused.value.got == "701.00 to 720.00 eV"


@pytest.mark.parametrize("dwell", [1.0, 3.0])
@pytest.mark.parametrize("ring", [0.5, 1.0])
def test_an_empty_field_is_scaled_by_dwell_and_ring_current(dwell: float, ring: float) -> None:
    empty = exposure(2.0 * dwell, 400.0 * ring)
    beam = beam_of_empty_field(list(empty_field(dwell * ring)), empty, exposure(), with_ring_current=True, where=WHERE)
    assert (np.abs(beam.counts - BEAM) < SIGMAS * np.sqrt(beam.variance)).all()
    # So much less is known of the beam as it was counted less.
    np.testing.assert_allclose(beam.variance, BEAM / (dwell * ring) / (60 * 64), rtol=0.1)


def test_an_exposure_that_is_not_known_scales_nothing() -> None:
    unknown = Exposure(ENERGY_EV, np.full(4, np.nan), np.full(4, np.nan))
    for empty, scan in ((unknown, exposure()), (exposure(), unknown)):
        beam = beam_of_empty_field(list(empty_field()), empty, scan, with_ring_current=True, where=WHERE)
        assert (np.abs(beam.counts - BEAM) < SIGMAS * np.sqrt(beam.variance)).all()
    assert relative_ring_current(exposure(), unknown) == 1.0
    assert relative_ring_current(exposure(ring_ma=300.0), exposure(ring_ma=400.0)) == 0.75
    without = beam_of_empty_field(
        list(empty_field()), exposure(ring_ma=1.0), exposure(), with_ring_current=False, where=WHERE
    )
    assert (np.abs(without.counts - BEAM) < SIGMAS * np.sqrt(without.variance)).all()
    assert not unknown.ring_current_known
    assert exposure().ring_current_known


def test_an_empty_field_must_span_the_scan_with_frames_that_were_measured() -> None:
    counts = empty_field()
    counts[3] = np.nan
    with pytest.raises(InputError, match="does not span this scan") as refused:
        beam_of_empty_field(list(counts), exposure(), exposure(), with_ring_current=True, where=WHERE)
    assert refused.value.got == "700.00 to 710.00 eV"
    with pytest.raises(InputError, match="no frame with counts"):
        beam_of_empty_field(list(np.nan * counts), exposure(), exposure(), with_ring_current=True, where=WHERE)
    # The monochromator sets its energies anew: hundredths of an eV are no other scan.
    nearly = replace(exposure(), energy_ev=ENERGY_EV + 0.04)
    beam_of_empty_field(list(empty_field()), nearly, exposure(), with_ring_current=True, where=WHERE)


def test_a_beam_weaker_than_what_came_through_is_refused() -> None:
    measured = np.array([0, 1, 3])
    refuse_faint_beam(list(field()), measured, BEAM, WHERE)
    with pytest.raises(InputError, match=r"2\.\d\d times the incident beam"):
        refuse_faint_beam(list(field()), measured, BEAM / 2.5, WHERE)
