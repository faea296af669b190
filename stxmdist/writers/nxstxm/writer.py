"""Image stacks as NXstxm HDF5 files, in the dialects that beamlines write."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from stxmdist.errors import InputError
from stxmdist.writers.atomic import replacing
from stxmdist.writers.contract import FrameOf
from stxmdist.writers.nxstxm.nexus import Scan
from stxmdist.writers.nxstxm.table import DEFAULT_DIALECT, DIALECTS, DialectEntry


def write_stack(
    path: str | Path,
    frame_of: FrameOf,
    energy_ev: ArrayLike,
    y_um: ArrayLike,
    x_um: ArrayLike,
    dwell_ms: ArrayLike,
    ring_current_ma: ArrayLike,
    *,
    start_time: datetime | None = None,
    dialect: str = DEFAULT_DIALECT,
    frames: Iterable[int] | None = None,
    dtype: DTypeLike | None = None,
) -> tuple[Path, ...]:
    """Write an image stack, one frame in memory at a time; the file appears whole or not at all.

    Parameters
    ----------
    frame_of
        energy index to counts (Y, X)
    energy_ev
        (ENERGY,)
    y_um, x_um
        (Y,), (X,) pixel centres, ascending or descending
    dwell_ms, ring_current_ma
        (ENERGY,) or one number, NaN where it is not known
    start_time
        None leaves all times out
    dialect
        one of ``DIALECTS``
    frames
        energy indices that were measured before the scan was aborted; the others are NaN, or 0 in pystxmcontrol's
        files, as those programs leave them. None: all
    dtype
        of the counts; None: the dialect's own, or that of the frames where the dialect's is less precise

    Returns
    -------
    the one file

    Raises
    ------
    InputError
        for a dialect that is not known, frames that do not fit the axes or the type, and where integers are asked
        to hold missing frames.
    """
    path = Path(path)
    DIALECTS.require(dialect, str(path))
    entry = DIALECTS[dialect]
    energy, y, x = (np.asarray(axis, dtype=np.float64) for axis in (energy_ev, y_um, x_um))
    measured = tuple(range(energy.size)) if frames is None else tuple(sorted(set(frames)))
    first = np.asarray(frame_of(measured[0])) if measured else np.zeros((y.size, x.size), entry.counts)
    scan = Scan(
        frame_of=lambda index: first if index == measured[0] else frame_of(index),
        energy_ev=energy,
        y_um=y,
        x_um=x,
        dwell_ms=np.broadcast_to(np.asarray(dwell_ms, dtype=np.float64), energy.shape),
        ring_current_ma=np.broadcast_to(np.asarray(ring_current_ma, dtype=np.float64), energy.shape),
        start=start_time,
        measured=measured,
        dtype=_counts_type(entry, dtype, first.dtype, len(measured) < energy.size, path),
        exact=dtype is None,
        where=str(path),
    )
    with replacing(path) as partial, h5py.File(partial, "w") as file:
        entry.load()(file, scan)
    return (path,)


def _counts_type(
    dialect: DialectEntry, asked: DTypeLike | None, of_frames: np.dtype[np.generic], incomplete: bool, path: Path
) -> np.dtype[np.generic]:
    """Type in which counts are kept: the one asked for, else the dialect's own where it holds those of the frames."""
    wanted: np.dtype[np.generic] = np.dtype(dialect.counts if asked is None else asked)
    if asked is None and of_frames.kind == "f" and not np.can_cast(of_frames, wanted):
        return of_frames
    if not incomplete or not np.isnan(dialect.fill) or np.issubdtype(wanted, np.floating):
        return wanted
    if asked is None:
        return np.dtype(np.float64)
    raise InputError(
        where=path,
        problem="frames that were never measured are written as NaN, which integers cannot hold",
        got=str(wanted),
        wanted="a floating-point type",
        mend="Leave dtype out or give float64",
    )
