"""What shot noise alone leaves over, and when a reconstruction is good, poor or failed."""

import numpy as np
import pytest

from stxmdist.ptychography.verdict import (
    POOR_HALF_PERIOD_PX,
    POOR_NOISE_FACTOR,
    POOR_RESIDUAL,
    VERDICTS,
    shot_noise_residual,
    verdict,
)

SAMPLED = 0.03
"""Of a residual from some ten thousand counts; the variance of a root differs from 1/4 by as much at 20 counts"""


@pytest.mark.parametrize("counts", [0.01, 20.0, 1000.0])
def test_shot_noise_leaves_the_spread_of_roots_of_poisson_counts(counts: float) -> None:
    rng = np.random.default_rng(4)
    frames = rng.poisson(counts, (400, 11, 13))
    good = np.ones((11, 13), bool)
    good[3] = False
    frames[:, ~good] = 10**6
    used = frames[:, good]
    roots = np.sqrt(used)
    found = np.sqrt(((roots - roots.mean()) ** 2).sum() / used.sum())
    assert shot_noise_residual(frames, good) == pytest.approx(found, rel=SAMPLED)


def test_frames_without_counts_have_no_residual() -> None:
    assert np.isnan(shot_noise_residual(np.zeros((3, 4, 4)), np.ones((4, 4), bool)))


GOOD = {"residual": 0.1, "noise": 0.09, "half_period_px": 2.0, "stopped": "finished"}


@pytest.mark.parametrize(
    ("changes", "word", "reason"),
    [
        ({}, "good", ""),
        ({"stopped": "not finite"}, "failed", "not finite"),
        ({"residual": float("nan")}, "failed", "not finite"),
        ({"stopped": "diverged"}, "poor", "rose again"),
        ({"residual": 1.01 * POOR_RESIDUAL, "noise": 0.01}, "poor", "explained to"),
        ({"residual": 0.4, "noise": 0.41 / POOR_NOISE_FACTOR}, "good", ""),
        ({"half_period_px": POOR_HALF_PERIOD_PX}, "poor", "half-period"),
        ({"half_period_px": float("nan")}, "poor", "half-period"),
    ],
)
def test_a_verdict_has_its_reason(changes: dict[str, object], word: str, reason: str) -> None:
    found = verdict(**(GOOD | changes))
    assert found.word == word
    assert reason in found.reason
    assert bool(found.reason) == (word != "good")


def test_codes_in_the_store_are_these() -> None:
    assert VERDICTS == ("good", "poor", "failed")
