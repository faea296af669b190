"""What the PIE engines have of their own: one regularisation between them, and momentum."""

from collections.abc import Callable
from typing import Any

import numpy as np

from stxmdist.ptychography.reconstruct import Step
from tests.ptychography.conftest import run


def test_rpie_that_divides_by_the_brightest_pixel_is_epie(measurement: Callable[..., Any]) -> None:
    problem = measurement(counts=1e5, whole=False).problem
    one = run(problem, Step("epie", 5))
    other = run(problem, Step("rpie", 5, {"object_alpha": 1.0}))
    np.testing.assert_array_equal(one.object_, other.object_)
    assert np.abs(run(problem, Step("rpie", 5)).object_ - one.object_).max() > 1e-3


def test_momentum_gets_farther_in_as_many_iterations(measurement: Callable[..., Any]) -> None:
    measured = measurement(defocus_error=0.1)
    plain, pushed = (
        run(measured.problem, Step("epie", 60, {"object_step": 0.5, "final_step": 1.0, "momentum": momentum}))
        for momentum in (0.0, 0.5)
    )
    assert pushed.residual < 0.9 * plain.residual
    assert measured.object_error(pushed) < 0.9 * measured.object_error(plain)
