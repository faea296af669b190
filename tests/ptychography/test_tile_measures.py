"""Measures of tiles become the figures of their scan: in order, with nothing lost, and unknown where they failed."""

from dataclasses import fields, replace

import numpy as np
import pytest

from stxmdist.measures import ReconstructFigures, ReconstructMeasures, StitchFigures, StitchMeasures, TileMeasures
from stxmdist.ptychography.depth import depth_of_field_nm
from stxmdist.ptychography.dose import absorbed_dose_mgy
from stxmdist.ptychography.gauge import Gauge
from stxmdist.ptychography.stitch import TileGauge
from stxmdist.ptychography.tile_measures import (
    held_words,
    not_reconstructed,
    reconstruct_figures,
    stitch_figures,
    stitch_measures,
)
from stxmdist.records import figures_of, from_json

ENERGY_EV = np.array([700.0, 708.0])
ABSORPTION = np.array([1e4, np.nan])
PER_NM = np.array([4e-3, np.nan])


def good(number: float) -> TileMeasures:
    return TileMeasures(
        verdict="good",
        reason="",
        frames=9,
        frames_left_out=1,
        iterations=30,
        stopped="finished",
        start="file",
        orientation="as read",
        residual=number,
        photons_per_um2=1e6 * number,
        mode_power=np.array([0.9, 0.1]),
        pixel_nm=np.array([7.0, 8.0]),
        device="cpu",
    )


FAILED = not_reconstructed("too few frames; got 2", np.array([True, False, True]))
UNITS = [
    ReconstructMeasures(1, (0, 1), (good(0.2), good(0.4))),
    ReconstructMeasures(0, (0, 1), (FAILED, good(0.3))),
]


def test_a_tile_that_failed_says_why_and_measures_nothing() -> None:
    assert (FAILED.verdict, FAILED.frames, FAILED.frames_left_out, FAILED.iterations) == ("failed", 2, 1, 0)
    assert FAILED.residual is None
    assert FAILED.mode_power is None


def test_tiles_follow_one_another_at_one_energy_after_the_other() -> None:
    figures = reconstruct_figures(UNITS, ENERGY_EV, ABSORPTION, PER_NM)
    assert figures.tiles == 2
    assert figures.verdict == ("failed", "good", "good", "good")
    np.testing.assert_array_equal(figures.residual, [np.nan, 0.2, 0.3, 0.4])
    np.testing.assert_array_equal(figures.pixel_nm, [7.0, 8.0])
    assert figures.device == (None, "cpu", "cpu", "cpu")


def test_the_dose_is_known_where_fluence_and_absorption_are() -> None:
    figures = reconstruct_figures(UNITS, ENERGY_EV, ABSORPTION, PER_NM)
    assert figures.dose_mgy[1] == pytest.approx(absorbed_dose_mgy(0.2e6, 700.0, 1e4))
    assert np.isnan(figures.dose_mgy[[0, 2, 3]]).all()


def test_a_sample_deeper_than_its_depth_of_field_is_named() -> None:
    deep = replace(good(0.2), deep_optical_density=4.0, half_bit_half_period_px=1.5)
    figures = reconstruct_figures([ReconstructMeasures(0, (0, 1), (deep, deep))], ENERGY_EV, ABSORPTION, PER_NM)
    np.testing.assert_allclose(figures.least_thickness_nm, [4.0 / 4e-3, np.nan])
    # Of the longer side of a pixel.
    np.testing.assert_allclose(figures.depth_of_field_nm, [depth_of_field_nm(12.0, energy) for energy in ENERGY_EV])
    assert [note for note in figures.notes if "1000 nm thick at least" in note]
    thin = replace(deep, deep_optical_density=0.4)
    figures = reconstruct_figures([ReconstructMeasures(0, (0,), (thin,))], ENERGY_EV, ABSORPTION, PER_NM)
    assert not figures.notes


def test_every_measure_of_a_tile_is_a_figure_of_the_scan() -> None:
    measured = {field.name for field in fields(TileMeasures)}
    assert measured | {"tiles", "dose_mgy", "least_thickness_nm", "depth_of_field_nm"} == {
        field.name for field in fields(ReconstructFigures)
    }
    assert {field.name for field in fields(StitchMeasures)} == {field.name for field in fields(StitchFigures)}


def test_records_come_back_from_json() -> None:
    written = figures_of(UNITS[1])
    (found, other) = from_json(ReconstructMeasures, written).found
    assert vars(found) == vars(FAILED)
    np.testing.assert_array_equal(other.mode_power, [0.9, 0.1])
    figures = figures_of(reconstruct_figures(UNITS, ENERGY_EV, ABSORPTION, PER_NM))
    assert figures["residual"] == [None, 0.2, 0.3, 0.4]
    assert figures["raster_px"] == [None] * 4


def gauge(component: int, residual_rad: float) -> TileGauge:
    return TileGauge(Gauge(0.0, 0.0, (0.0, 0.0)), component, residual_rad)


def test_a_stitch_counts_its_tiles_and_parts() -> None:
    known = np.array([[True, False], [True, True]])
    found = stitch_measures(("good", "failed", "poor"), [gauge(0, 0.1), gauge(1, np.nan)], known)
    assert found == StitchMeasures(
        tiles=2, tiles_failed=1, tiles_poor=1, parts_not_tied=2, seam_residual_rad=0.1, known_share=0.75
    )
    alone = stitch_measures(("good",), [gauge(0, np.nan)], known)
    assert alone.seam_residual_rad is None
    figures = stitch_figures([found, alone])
    assert figures.tiles == (2, 1)
    assert figures.seam_residual_rad == (0.1, None)


def test_a_limit_that_is_reached_is_said() -> None:
    assert held_words(0.01) == ()
    (words,) = held_words(0.034)
    assert words.startswith("|O| would exceed the limit on 3.4% of the scanned area")
    assert "amplitude_limit" in words
