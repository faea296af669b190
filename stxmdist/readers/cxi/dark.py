"""Dark frames of a CXI entry: their mean is taken off every frame as it is read."""

from functools import lru_cache
from pathlib import Path

import numpy as np

from stxmdist.arrays import F32, Array
from stxmdist.errors import InputError
from stxmdist.readers import hdf5
from stxmdist.readers.frames.unread import unread
from stxmdist.readers.hdf5 import Tree

DARKS = ("data_dark", "darkfield", "dark", "dark_frames", "darks", "dark_field")
"""Of CXI, NXdetector, PyNX, and of scripts"""
MOST_DARKS = 1 << 16
APPLIED = "darkfield_applied"
"""NXdetector's word for a dark field that the detector has subtracted by itself"""


def dark_place(tree: Tree, place: str, shape: tuple[int, int]) -> tuple[str | None, tuple[str, ...]]:
    """Where the detector at ``place`` keeps the dark frames of frames of ``shape``, if anywhere; notes.

    Raises
    ------
    InputError
        for dark frames that are not like the frames.
    """
    found = [name for name in DARKS if tree.get(f"{place}/{name}") is not None]
    if not found:
        return None, ()
    applied = tree.numbers(f"{place}/{APPLIED}")
    if found[0] in ("darkfield", "dark_field") and applied is not None and applied.any():
        return None, ("the detector has subtracted the dark field in the file by itself",)
    dark = tree.dataset(f"{place}/{found[0]}")
    if dark is None or dark.shape[-2:] != shape or 0 in dark.shape or dark.dtype.kind not in "iuf":
        raise InputError(
            where=f"{tree.path}:{place.lstrip('/')}/{found[0]}",
            problem="the dark frames do not fit the frames",
            got="a group" if dark is None else f"shape {dark.shape}, type {dark.dtype}",
            wanted=f"numbers of shape {shape}, or several such frames",
            mend="Write the right dark frames, or take them out of the file",
        )
    count = int(np.prod(dark.shape[:-2]))
    if count > MOST_DARKS:
        raise InputError(
            where=f"{tree.path}:{place.lstrip('/')}/{found[0]}",
            problem="there are more dark frames than any scan has",
            got=str(count),
            wanted=f"at most {MOST_DARKS}",
            mend="Write the right dark frames, or take them out of the file",
        )
    what = f"the mean of {count} dark frames" if count > 1 else "the dark frame"
    return f"{place}/{found[0]}", (f"{what} is subtracted; counts may be negative",)


def mean_dark(path: Path, place: str) -> F32:
    """Mean dark frame (rows, columns), as it lies in the file.

    Raises
    ------
    InputError
        for a pixel without a number.
    """
    return _mean_dark(path, place, path.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _mean_dark(path: Path, place: str, modified_ns: int) -> F32:
    # Kept from one read to the next: a scan is read in many pieces.
    with hdf5.opened(path) as tree:
        dataset = tree.data(place)
        indices = list(np.ndindex(dataset.shape[:-2]))
        total = np.zeros(dataset.shape[-2:])
        for index in indices:
            total += tree.read(dataset, index)
    if not np.isfinite(total).all():
        raise InputError(
            where=f"{path}:{place.lstrip('/')}",
            problem="the dark frames have pixels without a number",
            got=f"{np.count_nonzero(~np.isfinite(total))} pixels of NaN or infinity",
            wanted="finite numbers",
            mend="Write the right dark frames, or take them out of the file",
        )
    dark: F32 = (total / len(indices)).astype(np.float32)
    return dark


def without_dark(frames: Array, dark: F32) -> F32:
    """Counts (FRAME, rows, columns) float32 of frames less their dark (rows, columns); what is below zero stays.

    A frame without a count was never written, and stays without one; what is no number stays none. Pixels at the
    ceiling of the integer type share a value that no other pixel reaches, so that they can be told to be saturated.
    """
    counts = frames.astype(np.float32) - dark
    nothing = unread(frames)
    if frames.dtype.kind in "iu":
        ceiling = np.iinfo(frames.dtype).max
        counts[frames == ceiling] = ceiling - dark.min()
    counts[nothing] = np.nan
    counts[~frames.any(axis=(-2, -1))] = 0
    return counts


__all__ = ["dark_place", "mean_dark", "without_dark"]
