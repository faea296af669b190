"""What the start document of a STXM run says, version 1 of the contract of ALS' plan, and how rows become images."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import F32, F64, Array
from stxmdist.errors import InputError

VERSIONS = (1,)
STREAM = "primary"
MOST_PIXELS = 1 << 26
"""Of an image: more than any microscope measures, less than fills a worker's memory"""


@dataclass(frozen=True)
class StackRun:
    """A stack that a run measures, row after row."""

    shape: tuple[int, int, int]
    """(ENERGY, Y, X)"""
    energy_ev: F64
    """(ENERGY,) in the order of measurement"""
    y_um: F64
    """(Y,) pixel centres"""
    x_um: F64
    dwell_ms: float
    data_field: str
    """Name of the array of rows in the stream `primary`"""
    start_time_s: float | None
    """Seconds since 1970"""

    def rows_of(self, energy: int) -> slice:
        """Where the rows of an energy lie in the array: row r of it is row r mod Y of energy r div Y."""
        return slice(energy * self.shape[1], (energy + 1) * self.shape[1])

    def image(self, rows: Array) -> F32:
        """The rows (ROW, X) of one energy that there are by now as an image (Y, X), NaN below them."""
        found = np.full(self.shape[1:], np.nan, np.float32)
        found[: len(rows)] = rows
        return found


def stack_run(where: str, start: Mapping[str, object]) -> StackRun:
    """The stack that a start document describes.

    Parameters
    ----------
    where
        the run, for messages

    Raises
    ------
    InputError
        for a version that is not known, and for values that do not fit one another.
    """
    said = start.get("stxm")
    if not isinstance(said, Mapping):
        raise _refused(where, "the run is no STXM stack", f"a start document without `stxm`: {', '.join(start)}")
    version = said.get("contract_version")
    if version not in VERSIONS:
        raise _refused(where, "the version of the run's contract is not known", f"contract_version {version!r}")
    try:
        n_energy, ny, nx = (int(n) for n in _list(said["shape"]))
        energy_ev = np.array(_list(said["energies"]), dtype=np.float64)
        y_um, x_um = (_centres(_list(said[name]), n) for name, n in (("y_extent", ny), ("x_extent", nx)))
        dwell_ms = float(said["dwell_ms"])
        data_field = str(said["data_field"])
    except (KeyError, TypeError, ValueError) as error:
        raise _refused(where, "the start document cannot be understood", f"{type(error).__name__}: {error}") from error
    fits = len(energy_ev) == n_energy and min(n_energy, ny, nx) > 0 and ny * nx <= MOST_PIXELS
    if not fits or not np.isfinite([*energy_ev, *y_um, *x_um]).all() or "/" in data_field or not data_field:
        raise _refused(
            where,
            "the start document contradicts itself",
            f"shape {[n_energy, ny, nx]}, {len(energy_ev)} energies, data_field {data_field!r}",
        )
    time_s = start.get("time")
    return StackRun(
        (n_energy, ny, nx),
        energy_ev,
        y_um,
        x_um,
        dwell_ms,
        data_field,
        float(time_s) if isinstance(time_s, int | float) else None,
    )


def _list(value: object) -> list[float]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list")
    return value


def _centres(extent_um: list[float], n: int) -> F64:
    """Pixel centres from the first to the last."""
    first, last = (float(end) for end in extent_um)
    return np.linspace(first, last, n)


def _refused(where: str, problem: str, got: str) -> InputError:
    return InputError(
        where=where,
        problem=problem,
        got=got,
        wanted=f"a start document whose `stxm` has contract_version {' or '.join(map(str, VERSIONS))}, shape, "
        "energies, dwell_ms, x_extent, y_extent and data_field",
        mend="Exclude the scan, or measure it with a plan of that version",
    )
