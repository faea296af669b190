"""Size and shape of labelled particles, in micrometres."""

import numpy as np
import pandas as pd
from skimage.measure import regionprops_table

from stxmdist.arrays import F64, I32, Array, Mask
from stxmdist.pixel_pitch import pitch_yx_um

SHAPE_COLUMNS = (
    "particle_id",
    "y_um",
    "x_um",
    "n_pixels",
    "area_um2",
    "d_eq_um",
    "aspect",
    "solidity",
    "touches_border",
)


def shape_table(
    labels: I32,
    y_um: F64,
    x_um: F64,
    known: Mask | None = None,
) -> pd.DataFrame:
    """Area, equivalent diameter 2 sqrt(A/pi), aspect and solidity of each particle.

    Aspect is the ratio of the axes of the ellipse of equal second moments, each moment with the 1/12 px^2 of a square
    pixel, so that a row of pixels has a finite aspect. Solidity is area over convex area. A particle touches the border
    if it reaches the edge of the field or of what was measured: its size and shape are then lower bounds.

    Parameters
    ----------
    labels
        (Y, X) int32, 0 background
    y_um, x_um
        (Y,), (X,) float64, coordinates of pixel centres, um
    known
        (Y, X) bool, where thickness was measured; everywhere if left out

    Returns
    -------
    DataFrame
        one row per PARTICLE, columns ``SHAPE_COLUMNS``, in the order of the labels
    """
    # The store writes -1 where nothing is known.
    labels = np.maximum(labels, 0)
    if not (labels > 0).any():
        return pd.DataFrame({name: pd.Series(dtype=_dtype(name)) for name in SHAPE_COLUMNS})
    step_y, step_x = pitch_yx_um(y_um, x_um).tolist()
    properties = regionprops_table(
        labels,
        properties=("label", "centroid", "num_pixels", "inertia_tensor_eigvals", "bbox"),
        spacing=(step_y, step_x),
    )
    pixels = properties["num_pixels"].astype(np.int64)
    area = pixels * step_y * step_x
    square = step_y * step_x / 12.0
    major = np.sqrt(np.maximum(properties["inertia_tensor_eigvals-0"], 0.0) + square)
    minor = np.sqrt(np.maximum(properties["inertia_tensor_eigvals-1"], 0.0) + square)
    rows = np.arange(len(y_um))
    columns = np.arange(len(x_um))
    return pd.DataFrame(
        {
            "particle_id": properties["label"].astype(np.int64),
            "y_um": np.interp(properties["centroid-0"] / step_y, rows, y_um),
            "x_um": np.interp(properties["centroid-1"] / step_x, columns, x_um),
            "n_pixels": pixels,
            "area_um2": area,
            "d_eq_um": 2.0 * np.sqrt(area / np.pi),
            "aspect": major / minor,
            "solidity": _solidity(labels, properties),
            "touches_border": _touching(labels, known)[properties["label"]],
        }
    )


def _dtype(name: str) -> str:
    return {"particle_id": "int64", "n_pixels": "int64", "touches_border": "bool"}.get(name, "float64")


def _solidity(labels: I32, properties: dict[str, Array]) -> F64:
    """Pixels over the area of the convex hull of their corners: exact for rectangles, defined for one pixel."""
    from scipy.spatial import ConvexHull

    solidity = np.empty(len(properties["label"]))
    for index, label in enumerate(properties["label"]):
        top, left, bottom, right = (int(properties[f"bbox-{side}"][index]) for side in range(4))
        inside = labels[top:bottom, left:right] == label
        row, column = np.nonzero(inside & ~_inner(inside))
        corners = np.concatenate([np.stack([row + i, column + j], axis=1) for i in (0, 1) for j in (0, 1)])
        solidity[index] = inside.sum() / ConvexHull(corners).volume
    return solidity


def _inner(inside: Mask) -> Mask:
    """Pixels whose four neighbours are inside: no corner of the hull."""
    padded = np.pad(inside, 1)
    return np.asarray(padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:])


def _touching(labels: I32, known: Mask | None) -> Mask:
    """(label,) bool: reaches the edge of the field, or a pixel that was not measured."""
    padded = np.pad(np.ones(labels.shape, bool) if known is None else known, 1)
    beside_nothing = ~(padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:])
    touching = np.zeros(int(labels.max()) + 1, dtype=bool)
    touching[np.unique(labels[beside_nothing])] = True
    return touching
