"""Blind starts: the defocus that short trials find, and the eight ways in which a detector may be turned."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stxmdist.ptychography.chain import Carried
from stxmdist.ptychography.probe import probe_from_mean_pattern
from stxmdist.ptychography.problem import check
from stxmdist.ptychography.start import ProbeOptions, Start, afresh, carried_on, tile_with_most_contrast
from stxmdist.ptychography.trials import ORIENTATIONS, TrialOptions, find_defocus, middle, short_residual, turned
from stxmdist.units import wavelength_nm

ENERGY_EV, PIXEL_NM, ZONE_NM = 700.0, (10.0, 10.0), 60.0
DEPTH_UM = 2.0 * ZONE_NM**2 / wavelength_nm(ENERGY_EV) * 1e-3
"""Depth of focus of the made-up zone plate: farther off, the beam is another"""


@pytest.mark.parametrize("planted_um", [6.0, -6.0, -9.0])
def test_the_defocus_is_found_on_the_right_side(planted_um: float, measurement: Callable[..., Any]) -> None:
    problem = measurement(n=48, defocus_um=planted_um, side=10, counts=1e5).problem
    blind = replace(problem, probe=np.ones_like(problem.probe))
    focused = probe_from_mean_pattern(problem.frames.mean(axis=0, dtype=np.float64))
    found = find_defocus(blind, focused, PIXEL_NM, ENERGY_EV, TrialOptions())
    assert abs(found.defocus_um - planted_um) < DEPTH_UM
    assert (np.diff(found.tried_um) > 0.0).all()
    assert found.tried_um[found.residual.argmin()] == found.defocus_um
    assert found.tried_um[0] < 0.0 < found.tried_um[-1]
    likeness = abs(np.vdot(found.probe, problem.probe)) / np.linalg.norm(found.probe) / np.linalg.norm(problem.probe)
    assert likeness > 0.8


@pytest.mark.parametrize("shape", [(2, 6, 6), (2, 5, 5)])
def test_turning_is_a_bijection(shape: tuple[int, ...]) -> None:
    frames = np.random.default_rng(0).random(shape)
    ways = [turned(frames, way) for way in range(len(ORIENTATIONS))]
    assert len(ways) == 8
    np.testing.assert_array_equal(ways[0], frames)
    for one in range(8):
        assert all(not np.array_equal(ways[one], ways[other]) for other in range(one))
        undone = [np.array_equal(turned(ways[one], other), frames) for other in range(8)]
        assert undone.count(True) == 1
        np.testing.assert_array_equal(np.sort(ways[one], axis=None), np.sort(frames, axis=None))
        # Zero frequency stays at n // 2.
        centre = shape[1] // 2
        np.testing.assert_array_equal(ways[one][:, centre, centre], frames[:, centre, centre])


def test_the_names_of_the_ways_are_what_they_do() -> None:
    frames = np.random.default_rng(1).random((3, 5, 5))
    wanted = {
        "y flipped": frames[:, ::-1], "x flipped": frames[:, :, ::-1], "both flipped": frames[:, ::-1, ::-1],
        "swapped": frames.transpose(0, 2, 1), "swapped, y flipped": frames.transpose(0, 2, 1)[:, ::-1],
    }  # fmt: skip
    for name, image in wanted.items():
        np.testing.assert_array_equal(turned(frames, ORIENTATIONS.index(name)), image)


def test_frames_reconstruct_only_in_their_orientation(measurement: Callable[..., Any]) -> None:
    problem = measurement(n=48, defocus_um=6.0, side=10, counts=1e5).problem
    # A lone pixel row at -n/2 has no partner when an even frame is flipped; hardly any light is there.
    residuals = [
        short_residual(replace(problem, frames=turned(problem.frames, way)), TrialOptions(), np.random.default_rng(0))
        for way in range(8)
    ]
    assert int(np.argmin(residuals)) == 0
    assert min(residuals[1:]) > 1.3 * residuals[0]


def test_the_middle_of_a_scan_is_a_problem_of_its_own(measurement: Callable[..., Any]) -> None:
    problem = measurement(counts=1e4, side=9, whole=False).problem
    problem = replace(problem, object0=np.ones(problem.object_shape, np.complex64))
    part = middle(problem, 20)
    check(part)
    assert part.object0 is None
    assert len(part.frames) == 20
    inside = [int(np.flatnonzero((problem.frames == frame).all(axis=(1, 2)))[0]) for frame in part.frames]
    assert inside == sorted(inside)
    shift = problem.positions_px[inside] - part.positions_px
    np.testing.assert_allclose(shift, np.broadcast_to(np.round(shift[0]), shift.shape), atol=1e-9)
    distance = np.hypot(*(problem.positions_px - np.median(problem.positions_px, axis=0)).T)
    assert distance[inside].max() <= np.sort(distance)[19]
    whole = middle(problem, 1000)
    np.testing.assert_array_equal(whole.frames, problem.frames)


def test_a_neighbours_result_is_taken_over(measurement: Callable[..., Any]) -> None:
    problem = measurement(n=16, side=3).problem
    usable = np.ones(10, bool)
    usable[4] = False
    moves_um = np.full((10, 2), 0.02)
    moves_um[4] = 99.0  # of a frame that takes no part
    moves_um[0] = -1.0  # would leave the object
    probe = 2.0 * problem.probe
    start = carried_on(problem, Carried(probe, 2, moves_um, "neighbour"), usable, (10.0, 20.0))
    assert (start.origin, start.orientation) == ("neighbour", 2)
    np.testing.assert_array_equal(start.problem.probe, probe)
    np.testing.assert_array_equal(start.problem.frames, turned(problem.frames, 2))
    np.testing.assert_allclose(start.problem.positions_px[1:], problem.positions_px[1:] + np.array([2.0, 1.0]))
    np.testing.assert_array_equal(start.problem.positions_px[0], 0.0)
    check(start.problem)


def test_the_probe_of_the_file_comes_first_then_optics_then_the_mean_frame(measurement: Callable[..., Any]) -> None:
    problem = measurement(n=32, side=3, counts=1e5).problem
    options = ProbeOptions(outer_zone_nm=60.0, defocus_um=3.0)

    def start(in_file: Any, probe: ProbeOptions) -> Start:
        return afresh(problem, in_file, PIXEL_NM, ENERGY_EV, probe, TrialOptions())

    assert start(problem.probe, options).origin == "file"
    np.testing.assert_array_equal(start(problem.probe, options).problem.probe, problem.probe)
    of_optics = start(problem.probe, replace(options, use_file=False))
    assert of_optics.origin == "zone plate, defocus 3 um"
    of_frames = start(None, replace(options, outer_zone_nm=None))
    assert of_frames.origin == "mean frame, defocus 3 um"
    for one in (of_optics, of_frames):
        assert one.orientation == 0
        assert one.problem.probe.shape == (1, 32, 32)
        check(one.problem)


def test_a_scan_starts_with_the_tile_that_shows_most() -> None:
    counts = [np.full(5, 100.0), np.array([60.0, 140.0, 100.0]), np.array([0.0, 900.0]), np.array([])]
    assert tile_with_most_contrast(counts, [50, 40, 10, 0]) == 1  # the third has too few usable frames
    assert tile_with_most_contrast(counts, [50, 40, 30, 0]) == 2


@pytest.mark.parametrize("way", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_of_an_object_and_its_conjugate_that_is_found_whose_matter_retards(
    way: int, measurement: Callable[..., Any]
) -> None:
    """Frames tell both alike; asked to find how they are turned, one must not end with the phase's sign wrong."""
    problem = measurement(n=48, defocus_um=6.0, side=10, counts=1e5).problem
    flipped = replace(problem, frames=turned(problem.frames, way), probe=np.ones_like(problem.probe))
    found = afresh(flipped, None, PIXEL_NM, ENERGY_EV, ProbeOptions(orientation="find"), TrialOptions())
    # Turned back: a flip is its own inverse.
    assert found.orientation == way
