"""Image stacks that lie in one dataset of an HDF5 file, in whatever order of axes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from stxmdist.arrays import F64, Array, Mask
from stxmdist.errors import InputError
from stxmdist.readers import hdf5
from stxmdist.readers.hdf5 import Tree
from stxmdist.readers.hdf5_types import Dataset

Role = Literal["energy", "y", "x"]


def as_they_are(values: Array) -> F64:
    """Real numbers in float64."""
    return np.asarray(values, np.float64)


@dataclass(frozen=True)
class DatasetStack:
    """Where the images of a stack lie in a dataset."""

    path: Path
    data: str
    """Path of the dataset"""
    axes: tuple[Role | int, ...]
    """What each axis of the dataset is: energy, y and x once each, and the index taken of every other"""
    written: Mask | None
    """Which chunks were ever written, None if all were"""
    of: Callable[[Array], F64] = as_they_are
    """What is made of the numbers in the file"""

    def rows(self, index: int, n_rows: int) -> F64:
        """The first rows (n, X) of the image at an energy; NaN where nothing was ever written."""
        parts: dict[Role, int | slice] = {"energy": index, "y": slice(0, n_rows), "x": slice(None)}
        selection = tuple(axis if isinstance(axis, int) else parts[axis] for axis in self.axes)
        with hdf5.opened(self.path) as tree:
            dataset = tree.data(self.data)
            values = self.of(tree.read(dataset, selection))
            measured = self._measured(dataset, selection, values)
        values = np.where(measured, values, np.nan)
        return values if self.axes.index("y") < self.axes.index("x") else values.T

    def _measured(self, dataset: Dataset, selection: tuple[int | slice, ...], values: F64) -> Mask:
        """Which values of a selection lie in chunks that were written."""
        if self.written is None or dataset.chunks is None:
            return np.full(values.shape, self.written is None)
        chunks = (
            np.atleast_1d(np.arange(length)[part]) // chunk
            for length, part, chunk in zip(dataset.shape, selection, dataset.chunks, strict=True)
        )
        found: Mask = self.written[np.ix_(*chunks)].reshape(values.shape)
        return found


def dataset_stack(
    tree: Tree, dataset: Dataset, axes: tuple[Role | int, ...], lengths: dict[Role, int], of: Callable[[Array], F64]
) -> DatasetStack:
    """The stack in a dataset, which has as many images, rows and columns as are said.

    Raises
    ------
    InputError
        where it has another shape, or more pixels than any image has.
    """
    fits = len(axes) == dataset.ndim and all(
        axis < length if isinstance(axis, int) else length == lengths[axis]
        for axis, length in zip(axes, dataset.shape, strict=True)
    )
    if not fits or dataset.size == 0:
        said = ", ".join(f"{length} of {role}" for role, length in lengths.items())
        raise InputError(
            where=f"{tree.path}:{dataset.name}",
            problem="the axes do not fit the data",
            got=f"data of shape {dataset.shape}, {said}",
            wanted="as many energies as images, and as many coordinates as rows and columns",
            mend="Save the stack again with the program that wrote it",
        )
    tree.check_size(dataset, (lengths["y"], lengths["x"]))
    return DatasetStack(tree.path, str(dataset.name), axes, hdf5.written(dataset), of)


def is_numeric(dataset: Dataset | None, n_axes: int) -> bool:
    """Whether a dataset holds numbers over so many axes."""
    return dataset is not None and dataset.ndim == n_axes and dataset.dtype.kind in "iufc"
