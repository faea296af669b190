"""Frames that were taken in other light than their neighbours: top-up of the ring, a shutter, a beam that was lost."""

import numpy as np
from scipy.spatial import cKDTree

from stxmdist.arrays import F32, F64, Mask

NEIGHBOURS = 8
"""Positions around a frame, whose beams overlap its own"""
OTHER_LIGHT = 2.0
"""A frame within this factor of some of its neighbours may be dimmed by the sample, as they are"""
SHOTS = 6.0
"""The same, in standard errors of the sums"""
UNSTEADY = 0.03
"""Spread of the light of all frames, against what the model expects of them, from which on it is found for each"""
SHOT = 4.0
"""The same, in standard errors of a frame's sum"""
UNLIKE = 0.1
"""Single frames that differ so much from what the model expects, and by so many times the spread of all, stand out"""
SPREADS = 8.0


def relative_light(sums: F64, positions: F64) -> F64:
    """Light of each frame (POSITION,) against that of its neighbours; exactly 1 where the sample explains its sum.

    Beams of neighbours overlap: a frame is brighter or dimmer than all neighbours but one only in other light, or where
    the sample has a hole or a grain smaller than a step. The light of such a frame is to be found with the object.

    Parameters
    ----------
    sums
        (POSITION,) photons of the frames
    positions
        (POSITION, 2) in any unit
    """
    light = np.ones(len(sums))
    if len(sums) <= NEIGHBOURS or not (sums > 0).any():
        return light
    ratios, unlike = np.zeros(len(sums)), np.zeros(len(sums), bool)
    counted = np.log(np.maximum(sums, 1e-6 * sums.max()))
    # A second look leaves out those that the first has found, which are neighbours themselves.
    for _ in range(2):
        like = np.flatnonzero(~unlike)
        if len(like) <= NEIGHBOURS:
            break
        _, near = cKDTree(positions[like]).query(positions, NEIGHBOURS + 1)
        beside = counted[like[near]]
        # Frames that are like are their own nearest neighbour.
        beside[~unlike, 0] = np.nan
        level = np.nanmedian(beside, axis=1)
        ratios = counted - level
        # The second of both ends: one neighbour may be unlike itself.
        order = np.sort(beside, axis=1)
        beyond = np.maximum(order[:, 1] - counted, counted - order[:, NEIGHBOURS - 2])
        unlike = beyond > np.log(OTHER_LIGHT) + SHOTS * np.exp(-0.5 * level)
    light[unlike] = np.exp(ratios[unlike])
    return light


def spread(values: F64) -> float:
    """Standard deviation of a Gaussian with the same median absolute deviation."""
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


def in_other_light(measured: F64, expected: F64) -> Mask:
    """Frames (POSITION,) whose photons are not those that the model expects: all where the light is unsteady.

    Shot noise is allowed for.
    """
    known = (measured > 0) & (expected > 0)
    if not known.any():
        return np.zeros(len(measured), bool)
    ratios = np.log(np.where(known, measured, 1.0) / np.where(known, expected, 1.0))
    shot, varies = 1.0 / np.sqrt(np.median(measured[known])), spread(ratios[known])
    if varies > max(UNSTEADY, SHOT * shot):
        return np.ones(len(measured), bool)
    off = np.abs(ratios - np.median(ratios[known]))
    return np.asarray(known & (off > max(UNLIKE, SPREADS * max(varies, shot))))


def light_words(light: F64, left_out: Mask) -> tuple[str, ...]:
    """What is worth saying of the light of frames (POSITION,), and of those left out for want of it."""
    said = []
    other = light[(light != 1.0) & ~left_out]
    if other.size:
        said.append(
            f"{other.size} of {light.size} frames have {other.min():.2g} to {other.max():.2g} times the light of their "
            "neighbours: it is found for each of them"
        )
    if left_out.any():
        said.append(f"{np.count_nonzero(left_out)} of {light.size} frames are left out: they have hardly any light")
    return tuple(said)


def unsteady_words(intensity: F32) -> tuple[str, ...]:
    """What is worth saying where the light was found for most frames (POSITION,)."""
    if np.count_nonzero(intensity != 1.0) <= 0.5 * len(intensity):
        return ()
    varies = spread(np.log(np.asarray(intensity, np.float64)))
    return (f"the light of frames varies by {varies:.1%}: it is found for each",)


__all__ = ["in_other_light", "light_words", "relative_light", "spread", "unsteady_words"]
