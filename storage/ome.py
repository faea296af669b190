"""OME-Zarr 0.5: what makes an image viewer understand an array of the store (one resolution, physical pixel size)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from storage.atomic import Json

VERSION = "0.5"

_SPACE_UNITS = {"um": "micrometer", "nm": "nanometer", "m": "meter"}


def is_image(dims: Sequence[str], dtype: np.dtype) -> bool:
    """Whether an array can be shown: real numbers over y and x, with at most one axis of channels before them."""
    return tuple(dims[-2:]) == ("y", "x") and len(dims) <= 3 and dtype.kind in "fiu"


def _scale_and_start(values: np.ndarray | None) -> tuple[float, float]:
    if values is None or len(values) == 0:
        return 1.0, 0.0
    step = float(values[-1] - values[0]) / (len(values) - 1) if len(values) > 1 else 1.0
    return step, float(values[0])


@dataclass(frozen=True)
class Transformations:
    """The axes of an image, and where its pixels lie along each."""

    axes: list[Json]
    scale: list[float]
    """From one element to the next"""
    translation: list[float]
    """Centre of the first"""


def transformations_of(dims: Sequence[str], coords: Mapping[str, tuple[object, str]]) -> Transformations:
    """Axes y and x with scale and translation from their coordinates (pixel centres, mean spacing); an axis before them
    (energy, component) is a channel without scale, because its values need not be evenly spaced.

    Source: OME-NGFF 0.5, sections 2.2 (axes), 2.3 (coordinate transformations).
    """
    axes: list[Json] = []
    scale: list[float] = []
    start: list[float] = []
    for dim in dims:
        if dim in ("y", "x"):
            values, unit = coords.get(dim, (None, ""))
            step, first = _scale_and_start(None if values is None else np.asarray(values))
            axis: dict[str, Json] = {"name": dim, "type": "space"}
            if unit in _SPACE_UNITS:
                axis["unit"] = _SPACE_UNITS[unit]
        else:
            step, first, axis = 1.0, 0.0, {"name": dim, "type": "channel"}
        axes.append(axis)
        scale.append(step)
        start.append(first)
    return Transformations(axes, scale, start)


def ome_zarr_metadata(name: str, dims: Sequence[str], coords: Mapping[str, tuple[object, str]]) -> dict[str, Json]:
    """The ``ome`` attribute of the group that holds image ``name``, of one resolution.

    Source: OME-NGFF 0.5, section 2.4 (multiscales).
    """
    found = transformations_of(dims, coords)
    scale: list[Json] = [*found.scale]
    start: list[Json] = [*found.translation]
    transformations: list[Json] = [{"type": "scale", "scale": scale}, {"type": "translation", "translation": start}]
    datasets: list[Json] = [{"path": name, "coordinateTransformations": transformations}]
    return {"version": VERSION, "multiscales": [{"name": name, "axes": found.axes, "datasets": datasets}]}
