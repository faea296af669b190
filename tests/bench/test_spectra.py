"""The timings are of the same problem, and the loop is the slow one."""

import numpy as np
import pytest

from stxmdist.bench.spectra import fit_timings
from stxmdist.spectra.fitters.contract import FITTERS


@pytest.mark.slow
def test_timings_of_a_small_stack() -> None:
    found = fit_timings(np.random.default_rng(0), 40, 96, loop_pixels=300, threads=(1, 2))
    assert sorted(one.threads for one in found) == [1] * (len(FITTERS) + 1) + [2] * len(FITTERS)
    timings = {one.name: one for one in found if one.threads == 1}
    assert set(timings) == {*FITTERS, "scipy nnls, loop"}
    loop = timings["scipy nnls, loop"]
    assert loop.largest_difference < 1e-5
    assert (loop.measured_pixels, loop.pixels) == (300, 96 * 96)
    assert loop.seconds > 3.0 * timings["nnls"].seconds
    assert timings["poisson"].spectra_per_second > 0
