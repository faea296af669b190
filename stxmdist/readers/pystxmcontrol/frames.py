"""Camera frames of pystxmcontrol: dark frames taken off, exposures merged, the pattern brought to the middle."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from stxmdist.arrays import F32
from stxmdist.errors import InputError
from stxmdist.readers import hdf5
from stxmdist.readers.frames.centring import centred, disc_centre
from stxmdist.readers.hdf5 import Tree
from stxmdist.readers.pystxmcontrol.scan import Scan, cut

# Positions looked at for the centre of the pattern and the order of the exposures.
LOOKED_AT = 8
# A direct beam within one pixel of the middle is taken to be at the middle: its place is not known more precisely.
CENTRED_WITHIN = 1


@dataclass(frozen=True)
class Frames:
    """What is needed to read a frame."""

    scan: Scan
    darks: F32
    """(EXPOSURE, rows, columns) mean frame with the shutter closed, zero where there is none"""
    dwell_ms: tuple[float, ...]
    """Of each exposure"""
    centre: tuple[int, int]
    """Pixel (row, column) of the zero frequency"""
    notes: tuple[str, ...]


def frames_of(tree: Tree, scan: Scan) -> Frames:
    """Frames ready to be read, by a look at some of them: where the centre is, which exposure is the long one."""
    darks = np.stack([_mean(tree, names, scan) for names in scan.darks])
    notes: tuple[str, ...] = ()
    if any(scan.darks):
        notes += (f"the mean of {len(set().union(*scan.darks))} dark frames is subtracted; counts may be negative",)
    taken = [names for names in scan.points if names]
    chosen = np.unique(np.linspace(0, len(taken) - 1, LOOKED_AT).astype(int)) if taken else ()
    looked_at = [_exposures(tree, taken[int(at)], scan) for at in chosen]
    if not looked_at:
        raise InputError(
            where=f"{tree.path}:{scan.camera}/exp",
            problem="no position has all its exposures",
            got=f"{len(scan.dwell_ms)} exposures wanted for each",
            wanted="frames of at least one position",
            mend="Check double_exposure and n_repeats in the metadata",
        )
    dwell_ms = scan.dwell_ms
    light = np.mean([(exposures - darks).mean(axis=(1, 2)) for exposures in looked_at], axis=0)
    if len(set(dwell_ms)) == 2:
        if light[np.argmax(dwell_ms)] < light[np.argmin(dwell_ms)]:
            dwell_ms = dwell_ms[::-1]
            notes += (
                "the frames of the long dwell time are darker than those of the short one: the two are exchanged",
            )
        notes += (f"exposures of {' and '.join(f'{dwell:g}' for dwell in sorted(dwell_ms))} ms are merged",)
    elif len(dwell_ms) > 1:
        notes += (f"{len(dwell_ms)} exposures of each position are added",)
    pattern = np.mean([merged(exposures, darks, dwell_ms, scan.ceiling) for exposures in looked_at], axis=0)
    middle = (scan.frame_shape[0] // 2, scan.frame_shape[1] // 2)
    centre = disc_centre(pattern) or middle
    if max(abs(at - wanted) for at, wanted in zip(centre, middle, strict=True)) <= CENTRED_WITHIN:
        centre = middle
    else:
        notes += (f"the bright disc is centred on pixel {centre}: brought to the middle, {middle}",)
    return Frames(scan, darks, dwell_ms, centre, notes)


def merged(exposures: F32, darks: F32, dwell_ms: ArrayLike, ceiling: float) -> F32:
    """One frame (rows, columns) float32 from the exposures of a position, in counts of their summed dwell time.

    The longest exposure is taken, or the sum of several equally long ones; where it is at the detector's ceiling, the
    shortest. Pixels at the ceiling in that one too share a value that no other pixel reaches, so that they can be
    recognised as saturated. Counts that are below zero after the dark is subtracted stay.

    Parameters
    ----------
    exposures, darks
        (EXPOSURE, rows, columns) as read from the detector
    dwell_ms
        (EXPOSURE,)
    """
    dwell = np.nan_to_num(np.asarray(dwell_ms, np.float64), nan=1.0)
    total = dwell.sum()
    longest = dwell == dwell.max()
    shortest = int(dwell.argmin())
    clipped = exposures >= ceiling
    signal = exposures - darks
    counts = signal[longest].sum(axis=0) * (total / dwell[longest].sum())
    over = clipped[longest].any(axis=0)
    if not longest.all():
        counts = np.where(over, signal[shortest] * (total / dwell[shortest]), counts)
        over &= clipped[shortest]
    counts[over] = (ceiling - darks[shortest].min()) * (total / dwell[shortest])
    frame: F32 = counts.astype(np.float32)
    return frame


def read(path: Path, frames: Frames, energy: int, positions: slice) -> F32:
    """Frames (POSITION, QY, QX) float32, rows along +y, columns along +x; NaN where one was not written."""
    # A file is one photon energy.
    scan = (frames.scan,)[energy]
    chosen = range(len(scan.points))[positions]
    if chosen.step < 1:
        raise ValueError(f"positions are read in ascending order, got {positions}")
    with hdf5.opened(path) as tree:
        tree.check_size(tree.root, (len(chosen), *scan.frame_shape))
        stack = np.full((len(chosen), *scan.frame_shape), np.nan, np.float32)
        for counts, at in zip(stack, chosen, strict=True):
            if scan.points[at]:
                exposures = _exposures(tree, scan.points[at], scan)
                counts[:] = merged(exposures, frames.darks, frames.dwell_ms, scan.ceiling)
    return scan.orientation.canonical(centred(stack, frames.centre)).astype(np.float32, copy=False)


def _exposures(tree: Tree, names: Sequence[str], scan: Scan) -> F32:
    """Frames (EXPOSURE, rows, columns) as read from the detector, without overscan."""
    return np.stack([_frame(tree, name, scan) for name in names])


def _mean(tree: Tree, names: Sequence[str], scan: Scan) -> F32:
    total = np.zeros(scan.frame_shape)
    for name in names:
        total += _frame(tree, name, scan)
    return (total / max(1, len(names))).astype(np.float32)


def _frame(tree: Tree, name: str, scan: Scan) -> F32:
    dataset = tree.dataset(name)
    if dataset is None or dataset.shape != scan.raw_shape or dataset.dtype.kind not in "iuf":
        raise InputError(
            where=f"{tree.path}:{name}",
            problem="a frame is not like the others",
            got="nothing" if dataset is None else f"shape {dataset.shape}, type {dataset.dtype}",
            wanted=f"shape {scan.raw_shape} of numbers",
            mend="Copy the file again from the beamline",
        )
    return cut(tree.read(dataset))
