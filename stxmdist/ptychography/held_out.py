"""Frames held out of a reconstruction, predicted by it: what is right of an object holds for frames it never saw."""

from types import ModuleType

import numpy as np

from stxmdist.arrays import F64, Array, Mask
from stxmdist.ptychography.kernels.device import sweep_on
from stxmdist.ptychography.kernels.fourier import padded_copy
from stxmdist.ptychography.problem import Problem, Reconstruction
from stxmdist.ptychography.state import State

LIT = 0.1
"""Object pixels with less light than this share of the median have not been looked at."""
SEEN = 0.95
"""A held-out frame is predicted if this share of its beam falls on pixels that have been looked at."""
FEWEST = 4
"""With fewer held-out frames nothing is said."""


def static_residual(frames: Array, good: Mask, at_least: Mask | None = None) -> float:
    """Amplitude residual of one and the same amplitude for all frames (POSITION, QY, QX): what their variation leaves.

    A model that explains nothing of what differs from frame to frame has it, however well it knows the mean frame.
    Readings that are but limits, ``at_least`` (POSITION, QY, QX), do not count.
    """
    total, roots, readings = 0.0, np.zeros(int(good.sum())), np.zeros(int(good.sum()))
    for number, frame in enumerate(frames):
        known = 1.0 if at_least is None else ~at_least[number][good]
        counts = np.asarray(frame[good], np.float64).clip(0.0) * known
        total += float(counts.sum())
        roots += np.sqrt(counts)
        readings += known
    explained = float((roots**2 / np.maximum(readings, 1.0)).sum())
    return float(np.sqrt(max(0.0, 1.0 - explained / total))) if total > 0.0 else float("nan")


def predicted_residual(
    others: Problem, found: Reconstruction, *, sub_pixel: bool = True, intensity: Array | None = None,
    threads: int = 1, namespace: ModuleType | None = None,
) -> float:  # fmt: skip
    """Amplitude residual of frames that took no part in a reconstruction, at positions where it has seen the object.

    Parameters
    ----------
    others
        the frames and where they were taken; its start is not used
    intensity
        (POSITION,) of the light in each frame, relative to its mean; None: the same in all

    Returns
    -------
    NaN where there are fewer than ``FEWEST`` such frames.
    """
    room = np.array(found.object_.shape) - np.array(found.probe.shape[1:]) - 1
    inside = ((others.positions_px >= 0.0) & (others.positions_px <= room)).all(axis=1)
    seen = np.flatnonzero(inside & (_share_seen(others.positions_px, found) >= SEEN))
    if len(seen) < FEWEST:
        return float("nan")
    problem = others.subset(seen)
    state = State(
        object_=found.object_.copy(),
        probe=padded_copy(found.probe),
        positions_px=problem.positions_px.astype(np.float64),
        intensity=np.ones(len(seen), np.float32) if intensity is None else np.asarray(intensity[seen], np.float32),
        background=np.fft.ifftshift(found.background),
        variations=np.zeros((0, *padded_copy(found.probe).shape[1:]), np.complex64),
        shares=np.zeros((len(seen), 0), np.float32),
        sub_pixel=sub_pixel,
    )
    sweep = sweep_on(namespace, problem, threads).with_modes(len(found.probe))
    sweep.adopt(state)
    return float(np.sqrt(sweep.misfit(state) / sweep.counts))


def _share_seen(positions_px: F64, found: Reconstruction) -> F64:
    light = found.illumination
    lit = light > LIT * np.median(light[light > 0.0]) if (light > 0.0).any() else light > 0.0
    beam = (np.abs(found.probe) ** 2).sum(axis=0)
    rows, columns = beam.shape
    shares = np.zeros(len(positions_px))
    for number, (y, x) in enumerate(np.round(positions_px).astype(int)):
        window = lit[max(y, 0) : y + rows, max(x, 0) : x + columns]
        # A refined position may have left the object that the halves have: it is not predicted then.
        if window.shape == beam.shape:
            shares[number] = (beam * window).sum()
    return np.asarray(shares / beam.sum())
