"""What shot noise alone leaves over, and when a reconstruction is good, poor or failed."""

from dataclasses import replace

import numpy as np
import pytest

from stxmdist.ptychography.verdict import (
    CUT_OFF,
    MOTION_STEPS,
    POOR_HALF_PERIOD_PX,
    STRETCH,
    UNEXPLAINED,
    UNPREDICTED,
    UNREAL,
    VARIATION,
    VERDICTS,
    Evidence,
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


GOOD = Evidence(
    stopped="finished", residual=0.1, noise_residual=0.09, static_residual=0.25, held_out_residual=0.11,
    half_period_px=2.0, clipped_share=0.01, stretch=0.001,
)  # fmt: skip
NOTHING = float("nan")


def leaving(share: float, evidence: Evidence = GOOD) -> float:
    """The residual that leaves a share of what varies from frame to frame."""
    return float(np.sqrt(evidence.noise**2 + share * (evidence.static_residual**2 - evidence.noise**2)))


@pytest.mark.parametrize(
    ("changes", "word", "reason"),
    [
        ({}, "good", ""),
        ({"stopped": "not finite"}, "failed", "not finite"),
        ({"residual": NOTHING}, "failed", "not finite"),
        ({"stopped": "diverged"}, "poor", "rose again"),
        ({"residual": leaving(1.01 * UNEXPLAINED)}, "poor", "of the frames is not explained"),
        ({"residual": leaving(0.99 * UNEXPLAINED)}, "good", ""),
        ({"held_out_residual": leaving(1.01 * UNPREDICTED)}, "poor", "held out"),
        ({"held_out_residual": leaving(1.1)}, "poor", "orientation"),
        ({"held_out_residual": NOTHING}, "good", ""),
        # The whole is at the noise: its halves may know less.
        ({"residual": 0.0901, "held_out_residual": leaving(0.3)}, "good", ""),
        ({"residual": 0.0901, "held_out_residual": leaving(0.4)}, "poor", "held out"),
        # A weak object: what is left is much of what varies, and little of the light.
        ({"static_residual": 0.095, "residual": 0.0915, "held_out_residual": 0.092}, "poor", "held out"),
        ({"static_residual": 0.097, "residual": 0.0912, "held_out_residual": 0.0915}, "good", ""),
        ({"static_residual": 0.99 * VARIATION * 0.09, "held_out_residual": 0.09}, "poor", "no object"),
        # Counts that are not photons: noise is not known, the frames' own variation is.
        ({"noise_residual": 0.11 / UNREAL, "static_residual": 0.4}, "good", ""),
        ({"noise_residual": 0.11 / UNREAL, "static_residual": 0.4, "held_out_residual": 0.38}, "poor", "held out"),
        ({"noise_residual": 0.01, "residual": 0.2}, "poor", "not explained"),
        ({"stretch": 1.01 * STRETCH}, "poor", "calibration of the stage"),
        ({"clipped_share": 1.01 * CUT_OFF}, "poor", "rim of its window"),
        ({"motion_steps": 1.01 * MOTION_STEPS}, "poor", "the beam moved"),
        ({"motion_steps": 0.99 * MOTION_STEPS}, "good", ""),
        ({"half_period_px": POOR_HALF_PERIOD_PX}, "poor", "half-period"),
        ({"half_period_px": NOTHING}, "poor", "half-period"),
    ],
)
def test_a_verdict_has_its_reason(changes: dict[str, object], word: str, reason: str) -> None:
    found = verdict(replace(GOOD, **changes))
    assert found.word == word
    assert reason in found.reason
    assert bool(found.reason) == (word != "good")


def test_the_share_left_over_does_not_hang_on_the_light() -> None:
    # Twice the noise and the same model error, of the same object: the share is what the model leaves.
    for noise in (0.02, 0.04):
        error, variation = 0.05, 0.2
        found = replace(
            GOOD, noise_residual=noise, residual=np.hypot(noise, error), static_residual=np.hypot(noise, variation)
        )
        assert found.unexplained == pytest.approx((error / variation) ** 2)


def test_codes_in_the_store_are_these() -> None:
    assert VERDICTS == ("good", "poor", "failed")
