"""Positions are dealt to lanes so that no two write to the same row, and rows that nobody reaches stay zero."""

from dataclasses import replace

import numpy as np
import pytest

from stxmdist.ptychography.kernels.fourier import padded_copy
from stxmdist.ptychography.kernels.fused_sweep import FusedSweep
from stxmdist.ptychography.kernels.lanes import LANES, alike, dealt
from stxmdist.ptychography.kernels.sweep import margins
from stxmdist.ptychography.problem import Problem
from stxmdist.ptychography.state import State

ROWS = 8
SINGLE = 1e-5
"""float32 sums in another order, relative to the largest"""


@pytest.mark.parametrize("number", [1, 2, 3, 50])
@pytest.mark.parametrize("spread", [1, 30, 400])
def test_lanes_keep_apart(number: int, spread: int) -> None:
    rng = np.random.default_rng(number)
    corners = rng.integers(0, spread, (60, 2)).astype(np.int32)
    index = rng.permutation(60)[:number].astype(np.int64)
    shares = dealt(index, corners, ROWS)
    assert len(shares) == LANES
    assert sorted(np.concatenate([share.positions for share in shares])) == sorted(index)
    border = 0
    for share in shares:
        assert share.border == border  # rows from here on are of no lane before
        border = max(border, share.end)
        for row in corners[share.positions, 0]:
            assert share.start <= row
            assert row + ROWS <= share.end


def test_numbers_that_are_alike_need_one_row() -> None:
    assert alike(np.full((5, 7), 3.0, np.float32)).shape == (1, 7)
    assert alike(np.arange(10, dtype=np.float32).reshape(5, 2)).shape == (5, 2)


def test_sums_of_parts_far_apart_are_those_of_the_parts() -> None:
    # Between the two halves lie rows that no window reaches; what an earlier pass left there must not show.
    rng = np.random.default_rng(1)
    size, shape = 16, (120, 40)
    positions = rng.uniform(0, 20, (12, 2))
    positions[6:, 0] += 80
    problem = Problem(
        frames=rng.poisson(5.0, (12, size, size)).astype(np.uint16),
        good=np.ones((size, size), bool),
        positions_px=positions,
        probe=(rng.normal(size=(1, size, size)) + 1j).astype(np.complex64),
        object_shape=shape,
    )
    state = State(
        object_=(rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64),
        probe=padded_copy(problem.probe),
        positions_px=positions,
        intensity=np.ones(12, np.float32),
        background=np.zeros((size, size), np.float32),
        variations=np.zeros(margins(0, (size, size)), np.complex64),
        shares=np.zeros((12, 0), np.float32),
    )
    middle = replace(problem, positions_px=rng.uniform(30, 60, (12, 2)) * [1.0, 0.3])
    sweep = FusedSweep(problem, 1)
    elsewhere = state.copy()
    elsewhere.place(middle.positions_px)
    sweep.gradients(elsewhere, sweep.everything)
    whole = sweep.gradients(state, rng.permutation(12).astype(np.int64))
    object_, weight, probe = whole.object_.copy(), whole.weight.copy(), whole.probe.copy()
    wanted = np.zeros(shape, np.complex64), np.zeros(shape, np.float32), np.zeros_like(probe)
    for position in range(12):
        one = sweep.gradients(state, np.array([position], np.int64))
        for total, part in zip(wanted, (one.object_, one.weight, one.probe), strict=True):
            total[one.rows if total is not wanted[2] else ...] += part
    for found, total in zip((object_, weight), wanted, strict=False):
        np.testing.assert_allclose(found, total[whole.rows], atol=SINGLE * np.abs(total).max())
    np.testing.assert_allclose(probe, wanted[2], atol=SINGLE * np.abs(wanted[2]).max() * 10)
